"""Sizes of pictures from their first bytes, and the tokens that vendors document for them."""

import base64
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.pictures import Rule, Size, by_area, by_patches, by_tiles, size_of

sides = st.integers(1, 16_383)


def text(*parts: bytes) -> str:
    return base64.b64encode(b"".join(parts) + bytes(64)).decode()


def png(width: int, height: int) -> str:
    return text(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", struct.pack(">II", width, height))


def gif(width: int, height: int) -> str:
    return text(b"GIF89a", struct.pack("<HH", width, height))


def jpeg(width: int, height: int, before: int = 20) -> str:
    """With a camera's segment of so many bytes before the frame, and a byte of padding."""
    camera = b"\xff\xe1" + struct.pack(">H", before + 2) + bytes(before)
    table = b"\xff\xc4" + struct.pack(">H", 4) + b"\0\0"
    return text(b"\xff\xd8", camera, table, b"\xff\xff\xc2\0\x11\x08", struct.pack(">HH", height, width))


def webp_lossy(width: int, height: int) -> str:
    return text(b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a", struct.pack("<HH", width, height))


def webp_lossless(width: int, height: int) -> str:
    return text(b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f", struct.pack("<I", width - 1 | height - 1 << 14))


def webp_extended(width: int, height: int) -> str:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return text(b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0", size)


@pytest.mark.parametrize("form", [png, gif, jpeg, webp_lossy, webp_lossless, webp_extended])
@given(width=sides, height=sides)
def test_every_format_tells_its_size(form: Callable[[int, int], str], width: int, height: int) -> None:
    assert size_of(form(width, height)) == Size(width, height)


def test_a_camera_may_say_much_before_the_size() -> None:
    assert size_of(jpeg(4000, 3000, 60_000)) == Size(4000, 3000)


@given(data=st.one_of(st.text(), st.binary().map(lambda raw: base64.b64encode(raw).decode())))
def test_what_is_no_picture_has_no_size(data: str) -> None:
    found = size_of(data)
    assert found is None or min(found) > 0


@given(
    whole=st.sampled_from([png(30, 40), gif(30, 40), jpeg(30, 40), webp_lossy(30, 40), webp_extended(30, 40)]),
    end=st.integers(0, 60),
)
def test_a_picture_that_is_cut_off_has_its_size_or_none(whole: str, end: int) -> None:
    assert size_of(whole[:end]) in (None, Size(30, 40))


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (2**31, 1)])
def test_an_impossible_size_is_none(size: tuple[int, int]) -> None:
    assert size_of(png(*size)) is None


# The examples of the vendors' own pages.
@pytest.mark.parametrize(
    ("size", "tokens"), [((1024, 1024), 765), ((2048, 4096), 1105), ((512, 512), 255), ((10, 10), 255)]
)
def test_tiles_count_as_openai_documents(size: tuple[int, int], tokens: int) -> None:
    assert by_tiles(85, 170)(Size(*size)) == tokens


@pytest.mark.parametrize(("size", "tokens"), [((1024, 1024), 1024), ((1, 1), 1), ((1800, 2400), 1536)])
def test_patches_count_as_openai_documents_or_a_little_more(size: tuple[int, int], tokens: int) -> None:
    """The page scales 1800 x 2400 down to 1,452 patches; here it counts as the most that a picture can have."""
    assert by_patches(1000)(Size(*size)) == tokens


@pytest.mark.parametrize(("size", "tokens"), [((200, 200), 54), ((1000, 1000), 1334), ((5000, 5000), 1600)])
def test_area_counts_as_anthropic_documents(size: tuple[int, int], tokens: int) -> None:
    assert by_area(1600)(Size(*size)) == tokens


@pytest.mark.parametrize("rule", [by_tiles(70, 140), by_patches(1620), by_area(4784)])
@given(width=st.integers(1, 20_000), height=st.integers(1, 20_000))
def test_a_picture_nobody_has_seen_counts_as_the_largest(rule: Rule, width: int, height: int) -> None:
    assert 0 < rule(Size(width, height)) <= rule(None)
