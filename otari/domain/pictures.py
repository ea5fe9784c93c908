"""How large a picture is, from its first bytes, and how many tokens vendors make of one that large.

Nothing is decoded: width and height stand in the header of every format. A size of None is a picture that nobody here
has seen (an address, a file of the provider): it counts as the largest.
"""

import base64
import binascii
from collections.abc import Callable
from typing import NamedTuple


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int


Rule = Callable[[Size | None], int]
"""The tokens of a picture of that size."""

# A JPEG tells its size behind whatever its camera had to say, thumbnails among it.
_SEARCHED_CHARS = 256 * 1024
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # three of these are tables, not frames
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_PIXELS_MAX = 1 << 20  # no format's decoder takes more in one direction


def size_of(data: str) -> Size | None:
    """The size of a PNG, GIF, JPEG or WEBP in base64; None when it is none of these, or damaged. Never raises."""
    searched = data[:_SEARCHED_CHARS]
    try:
        start = base64.b64decode(searched[: len(searched) // 4 * 4])
    except (binascii.Error, ValueError):
        return None
    size = _read(start)
    return size if size is not None and 0 < min(size) <= max(size) <= _PIXELS_MAX else None


def _read(start: bytes) -> Size | None:
    if start.startswith(b"\x89PNG") and len(start) >= 24:
        return Size(_big(start, 16, 4), _big(start, 20, 4))
    if start.startswith(b"GIF8") and len(start) >= 10:
        return Size(_little(start, 6, 2), _little(start, 8, 2))
    if start.startswith(b"\xff\xd8"):
        return _read_jpeg(start)
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP" and len(start) >= 30:
        return _read_webp(start)
    return None


def _read_jpeg(start: bytes) -> Size | None:
    place = 2
    while place + 9 <= len(start) and start[place] == 0xFF:
        marker = start[place + 1]
        if marker in _JPEG_FRAMES:
            return Size(_big(start, place + 7, 2), _big(start, place + 5, 2))
        if marker == 0xFF:  # a byte of padding
            place += 1
        else:
            place += 2 if marker in _JPEG_BARE else 2 + max(2, _big(start, place + 2, 2))
    return None


def _read_webp(start: bytes) -> Size | None:
    match start[12:16]:
        case b"VP8 ":
            return Size(_little(start, 26, 2) & 0x3FFF, _little(start, 28, 2) & 0x3FFF)
        case b"VP8L":
            bits = _little(start, 21, 4)
            return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8X":
            return Size(_little(start, 24, 3) + 1, _little(start, 27, 3) + 1)
    return None


def _big(start: bytes, at: int, length: int) -> int:
    return int.from_bytes(start[at : at + length], "big")


def _little(start: bytes, at: int, length: int) -> int:
    return int.from_bytes(start[at : at + length], "little")


# ---- rules, as the vendors document them ---------------------------------------------------------------------------


def by_area(most: int) -> Rule:
    """A token for every 750 pixels, at most `most`: what is larger is scaled down first (Anthropic)."""

    def tokens(size: Size | None) -> int:
        return most if size is None else min(most, -(-size.width * size.height // 750))

    return tokens


def by_tiles(base: int, tile: int) -> Rule:
    """`base`, and `tile` for every square of 512 pixels (OpenAI).

    Before that a picture is scaled down to fit 2,048 x 2,048, then until its shorter side has 768.
    """

    def tokens(size: Size | None) -> int:
        width, height = (2048, 768) if size is None else size
        scale = min(1.0, 2048 / max(width, height))
        scale = min(scale, 768 / min(width, height))
        return base + tile * _squares(width * scale, 512) * _squares(height * scale, 512)

    return tokens


def by_patches(per_mille: int, most: int = 1536) -> Rule:
    """So many thousandths of a token for every square of 32 pixels, of which there are at most `most` (OpenAI)."""

    def tokens(size: Size | None) -> int:
        patches = most if size is None else min(most, _squares(size.width, 32) * _squares(size.height, 32))
        return -(-patches * per_mille // 1000)

    return tokens


def _squares(length: float, side: int) -> int:
    return max(1, -(-round(length) // side))
