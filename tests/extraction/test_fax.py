"""Pictures in black and white, packed by libtiff and unpacked by us."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from otari.domain.documents import Unreadable
from otari.extraction.fax import black_rows
from tests.extraction import scans
from tests.extraction.scans import fax


def rows_of(image: Image.Image) -> list[int]:
    """The rows of a picture as numbers; a bit that is set is a pixel that is."""
    raw, step = image.tobytes(), (image.width + 7) // 8
    pad = step * 8 - image.width
    return [int.from_bytes(raw[at : at + step], "big") >> pad for at in range(0, len(raw), step)]


def unpacked(data: bytes, image: Image.Image, *, aligned: bool = False) -> list[int]:
    return list(black_rows(data, image.width, image.height, aligned=aligned))


def test_runs_of_every_length_in_both_colours() -> None:
    side = 2_700  # beyond the longest code
    image = Image.new("1", (side, side), 0)
    draw = ImageDraw.Draw(image)
    for row in range(1, side):
        draw.line([0, row, row - 1, row], fill=1)
    for turned in (image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), image.transpose(Image.Transpose.ROTATE_90)):
        alone = [turned.crop((0, row, side, row + 1)) for row in range(0, side, 9)]  # nothing above to compare with
        for each in (turned, *alone):
            assert unpacked(fax(each), each) == rows_of(each)


@st.composite
def pictures(draw: st.DrawFn) -> Image.Image:
    width, height = draw(st.sampled_from([1, 7, 8, 9, 64, 65, 200, 2_600])), draw(st.integers(1, 12))
    image = Image.new("1", (width, height), draw(st.integers(0, 1)))
    pen = ImageDraw.Draw(image)
    for _ in range(draw(st.integers(0, 20))):
        x, y = draw(st.integers(0, width)), draw(st.integers(0, height))
        end = (x + draw(st.integers(0, width)), y + draw(st.integers(0, height)))
        pen.rectangle([(x, y), end], fill=draw(st.integers(0, 1)))
    return image


@given(pictures())
def test_what_was_packed_comes_out(image: Image.Image) -> None:
    assert unpacked(fax(image), image) == rows_of(image)


def test_a_page_and_a_picture_of_dots_come_out() -> None:
    for image in (scans.page("words " * 20, "1"), Image.effect_noise((300, 60), 80).convert("1")):
        assert unpacked(fax(image), image) == rows_of(image)


def test_rows_may_begin_with_a_byte_of_their_own() -> None:
    # Each row: white run 3 (1000), black run 2 (11) told as runs (001), then the end as above (1); filled up.
    first, next_ = b"\x31\xc0", b"\xe0"  # 001 1000 11 1, then three times as above
    image = Image.new("1", (8, 3))
    assert unpacked(first + next_ * 2, image, aligned=True) == [0b00011000] * 3


@pytest.mark.parametrize("end", [b"", b"\x00\x10\x01"])
def test_what_is_missing_at_the_end_is_white(end: bytes) -> None:
    image = Image.new("1", (16, 4))
    assert unpacked(end, image) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\xff",  # an extension
        b"\x00\x00\xff",  # no code
        b"\x22\x10",  # runs that are longer than the row
        b"\x20\x00",  # runs without a length
    ],
)
def test_what_is_no_picture_is_damaged(data: bytes) -> None:
    with pytest.raises(Unreadable, match="can not be unpacked"):
        unpacked(data, Image.new("1", (16, 4)))


@given(st.binary(max_size=60), st.sampled_from([1, 9, 40]), st.booleans())
def test_any_bytes_are_rows_or_damaged(data: bytes, width: int, aligned: bool) -> None:
    try:
        rows = list(black_rows(data, width, 5, aligned=aligned))
    except Unreadable:
        return
    assert len(rows) == 5
    assert all(0 <= row < 1 << width for row in rows)
