"""What the numbers of a picture in a PDF mean (ISO 32000-2, 8.6 and 8.9), in the words of PNG."""

from typing import Any

from pypdf.generic import StreamObject

from otari.domain.documents import Unreadable
from otari.extraction import pdf_values as pdf
from otari.extraction import png

SIDE_MAX = 30_000
_GREY = ("/DeviceGray", "/CalGray", "/G", 1)
_RGB = ("/DeviceRGB", "/CalRGB", "/RGB", 3)
_INDEXED = ("/Indexed", "/I")


def form_of(stream: StreamObject) -> png.Form:
    """How the pixels of a picture are written. Raises Unreadable for what PNG has no words for."""
    width, height = pdf.size(stream)
    if not 0 < min(width, height) <= max(width, height) <= SIDE_MAX:
        raise Unreadable("it is too large")
    stencil = pdf.is_true(pdf.value_of(stream, "/ImageMask"))
    bits = 1 if stencil else int(pdf.value_of(stream, "/BitsPerComponent", 1))
    colour, palette = (png.GREY, b"") if stencil else _colours(pdf.value_of(stream, "/ColorSpace"))
    if bits not in ((8, 16) if colour == png.RGB else (1, 2, 4, 8) if colour == png.INDEXED else (1, 2, 4, 8, 16)):
        raise Unreadable(f"it has {bits} bits for a colour")
    if _is_negative(stream, bits, colour):
        if colour != png.GREY or bits > 8:
            raise Unreadable("its colours are turned round")
        most = (1 << bits) - 1
        colour, palette = png.INDEXED, b"".join(bytes([255 - 255 * each // most]) * 3 for each in range(most + 1))
    if colour == png.INDEXED:
        palette = palette.ljust(3 << bits, b"\0")[: 3 << bits]
    return png.Form(width, height, bits, colour, palette)


def _colours(space: Any) -> tuple[int, bytes]:
    """The colour type of a colour space, and a palette."""
    name, *rest = pdf.listed(space) or [None]
    if name not in _INDEXED or len(rest) < 3:
        return _plain(space), b""
    base = _plain(rest[0])
    table = rest[2].get_data() if isinstance(rest[2], StreamObject) else rest[2].original_bytes
    return png.INDEXED, table if base == png.RGB else b"".join(bytes([each]) * 3 for each in table)


def _plain(space: Any) -> int:
    name, *rest = pdf.listed(space) or [None]
    kind = pdf.value_of(pdf.dictionary(rest[0]), "/N") if name == "/ICCBased" and rest else name
    if kind in _GREY:
        return png.GREY
    if kind in _RGB:
        return png.RGB
    told = "of four channels" if kind == 4 else str(kind).lstrip("/")
    raise Unreadable(f"its colours are of a kind that can not be read here ({told})")


def _is_negative(stream: StreamObject, bits: int, colour: int) -> bool:
    """Whether its numbers mean the opposite of what they usually do. Raises Unreadable for other meanings."""
    told = [float(each) for each in pdf.listed(stream.get("/Decode"))]
    usual = [0.0, float((1 << bits) - 1) if colour == png.INDEXED else 1.0] * png.CHANNELS[colour]
    if told and told not in (usual, usual[::-1]):
        raise Unreadable("its colours are told in a way that can not be read here")
    return bool(told) and told != usual
