"""What one process tells another of a document."""

from hypothesis import given
from hypothesis import strategies as st

from otari.domain.documents import LeftOut, Picture, Piece
from otari.extraction.pieces import read_pieces, write_pieces

PAGES = st.integers(1, 1_000)
PIECES: st.SearchStrategy[Piece] = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.builds(Picture, PAGES, st.sampled_from(["image/png", "image/jpeg"]), st.binary(), st.sampled_from([0, 90, 270])),
    st.builds(LeftOut, PAGES, st.text(st.characters(exclude_categories=["Cs"]))),
)


@given(st.lists(PIECES))
def test_what_goes_in_comes_out(pieces: list[Piece]) -> None:
    assert list(read_pieces(write_pieces(pieces))) == pieces


def test_half_a_character_is_a_question_mark() -> None:
    assert read_pieces(write_pieces(["a\ud800", LeftOut(1, "\ud800")])) == ("a?", LeftOut(1, "?"))
