"""PNG files (ISO/IEC 15948), around rows of pixels that are there already."""

import struct
import zlib
from collections.abc import Iterable

GREY, RGB, INDEXED = 0, 2, 3
CHANNELS = {GREY: 1, RGB: 3, INDEXED: 1}
NO_FILTER, SUB_FILTER = b"\0", b"\1"  # what a row begins with: its bytes are as they are, or less those to their left
_FILTERS = 5


class Form:
    """How the pixels of a picture are written: `bits` for each of the channels of a `colour` type."""

    def __init__(self, width: int, height: int, bits: int, colour: int, palette: bytes = b"") -> None:
        self.width = width
        self.height = height
        self.bits = bits
        self.colour = colour
        self.palette = palette

    @property
    def row_bytes(self) -> int:
        """How long a row is, without the byte that names its filter."""
        return (self.width * self.bits * CHANNELS[self.colour] + 7) // 8

    def are_rows(self, raw: bytes) -> bool:
        """Whether these are the rows of such a picture, each behind a filter that there is."""
        step = self.row_bytes + 1
        return len(raw) == step * self.height and max(raw[::step]) < _FILTERS


def packed(rows: Iterable[bytes], start: bytes, level: int) -> bytes:
    """Rows for a file, each with `start` before it."""
    packer = zlib.compressobj(level)
    out = [packer.compress(start + row) for row in rows]
    return b"".join((*out, packer.flush()))


def png(form: Form, rows: bytes) -> bytes:
    """The file; `rows` are packed."""
    head = struct.pack(">IIBBBBB", form.width, form.height, form.bits, form.colour, 0, 0, 0)
    palette = _chunk(b"PLTE", form.palette) if form.palette else b""
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + palette + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
