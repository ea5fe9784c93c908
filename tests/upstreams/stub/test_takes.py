"""Answers as they came, in a file: every byte is read back, whatever pieces it came in."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from otari.upstreams.stub.takes import Key, Take, read_takes, whole_characters, write_takes


@given(st.text(), st.lists(st.integers(0, 400), max_size=8))
def test_every_byte_is_read_back_whatever_the_pieces_were(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    places = sorted({min(cut, len(data)) for cut in (0, *cuts, len(data))})
    pieces = tuple((n / 100, data[a:b]) for n, (a, b) in enumerate(pairwise(places)))
    take = Take("p", "m", "openai-chat", True, {"model": "m"}, pieces, "word")
    ((key, again),) = read_takes(write_takes({Key("001-x"): take}))
    assert key == Key("001-x")
    assert again.body == data
    assert (again.provider, again.model, again.dialect, again.stream, again.request, again.word) == (
        *("p", "m", "openai-chat", True),
        {"model": "m"},
        "word",
    )


def test_no_piece_ends_inside_a_character() -> None:
    data = "añ日🌍".encode()
    pieces = [(float(number), bytes([byte])) for number, byte in enumerate(data)]
    assert [piece.decode() for _, piece in whole_characters(pieces)] == ["a", "ñ", "日", "🌍"]


def test_an_answer_that_is_not_text_is_left_out() -> None:
    take = Take("p", "m", "openai-chat", False, {}, ((0.0, b"\xff\xfe"),))
    assert write_takes({Key("001-x"): take}) == b""


def test_what_escapes_stand_for_can_be_read() -> None:
    body = b'data: {"a":["\\u0073ecret",{"k\\u0065y":1}]}\n\ndata: [DONE]\n\n'
    texts = list(Take("p", "m", "d", True, {}, ((0.0, body[:9]), (0.1, body[9:]))).texts())
    assert texts == [body.decode(), "a", "secret", "key"]
