"""The pictures that a page of a PDF shows, as files that models take: JPEG as it is, everything else as PNG.

A scanner makes one picture of every page, and packs it in one of a few ways (ISO 32000-2, 7.4). The others are named.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from pypdf import PageObject
from pypdf.errors import PyPdfError
from pypdf.filters import decode_stream_data
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, StreamObject

from otari.domain.documents import LeftOut, Picture, Unreadable
from otari.extraction import pdf_values as pdf
from otari.extraction import png
from otari.extraction.colours import form_of
from otari.extraction.fax import black_rows

PIXELS_MIN = 100_000  # of a page, together: less is a sign on it and not the page
PER_PICTURE_S = 0.5  # of processor time, to unpack one
RASTER_MAX_BYTES = 40 * 1024 * 1024  # a page of A4 in colour, 300 dots per inch, has 26 MB
_ORNAMENT_PIXELS = 2_500
_FORMS_MAX_DEPTH = 4
_DRAWN = re.compile(rb"/([^\s/<>\[\](){}%]+)\s+Do\b")
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_NOT_HERE = {"/JPXDecode": "JPEG 2000", "/JBIG2Decode": "JBIG2"}
_DAMAGED = "it is damaged"
# Whatever the library, or we, make of values that are not what they should be.
_ODD = (
    PyPdfError,
    zlib.error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
)

Grant = Callable[[float], object]
"""Is told of so many more seconds of processor time that may be used."""


# ---- finding ----


def drawn_on(page: PageObject) -> list[StreamObject]:
    """The pictures that a page consists of; none when those on it are small."""
    try:
        found = [each for each in _drawn(page, page.get_contents(), set(), 0) if _pixels(each) >= _ORNAMENT_PIXELS]
    except _ODD:
        return []
    return found if sum(map(_pixels, found)) >= PIXELS_MIN else []


def _drawn(owner: DictionaryObject, content: Any, seen: set[int], depth: int) -> Iterator[StreamObject]:
    """The pictures that a page, or a form on it, draws, in that order and each once."""
    held = pdf.dictionary(pdf.dictionary(owner.get("/Resources")).get("/XObject"))
    if content is None or not held:
        return
    for name in _DRAWN.findall(content.get_data()):
        plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), name).decode("latin-1")
        each = pdf.value_of(held, f"/{plain}")
        if not isinstance(each, StreamObject) or id(each) in seen:
            continue
        seen.add(id(each))
        if pdf.value_of(each, "/Subtype") == "/Image":
            yield each
        elif depth < _FORMS_MAX_DEPTH:
            yield from _drawn(each, each, seen, depth + 1)


def _pixels(stream: StreamObject) -> int:
    width, height = pdf.size(stream)
    return max(width, 0) * max(height, 0)


# ---- reading ----


def read_picture(stream: StreamObject, page: int, turned: int, grant: Grant) -> Picture | LeftOut:
    """A picture as a file, or why there is none."""
    try:
        media_type, data = _file(stream, grant)
    except Unreadable as error:
        return LeftOut(page, str(error))
    except _ODD:
        return LeftOut(page, _DAMAGED)
    return Picture(page, media_type, data, turned)


def _file(stream: StreamObject, grant: Grant) -> tuple[str, bytes]:
    """Media type and bytes. Raises Unreadable and `_ODD`."""
    filters = pdf.listed(stream.get("/Filter"))
    last = str(filters[-1]) if filters else ""
    if last in _NOT_HERE:
        raise Unreadable(f"it is packed as {_NOT_HERE[last]}, which can not be read here")
    if last == "/DCTDecode":
        data = _unpacked(stream, len(filters) - 1)
        if not data.startswith(b"\xff\xd8\xff"):
            raise Unreadable(_DAMAGED)
        return "image/jpeg", data
    form = form_of(stream)
    if form.row_bytes * form.height > RASTER_MAX_BYTES:
        raise Unreadable("it is too large")
    grant(PER_PICTURE_S)
    parameters = pdf.dictionary((pdf.listed(stream.get("/DecodeParms")) or [None])[-1])
    if last == "/CCITTFaxDecode":
        rows = _from_fax(form, _unpacked(stream, len(filters) - 1), parameters)
    elif last == "/FlateDecode":
        rows = _from_flate(form, _unpacked(stream, len(filters) - 1), parameters)
    else:
        rows = _from_pixels(form, _unpacked(stream, len(filters)), png.NO_FILTER)
    return "image/png", png.png(form, rows)


def _unpacked(stream: StreamObject, filters: int) -> bytes:
    """The bytes of a stream behind the first of its filters."""
    inner = StreamObject()
    inner.set_data(stream._data)
    inner[NameObject("/Filter")] = ArrayObject(pdf.listed(stream.get("/Filter"))[:filters])
    if parameters := pdf.listed(stream.get("/DecodeParms")):
        inner[NameObject("/DecodeParms")] = ArrayObject(parameters[:filters])
    return decode_stream_data(inner)


def _from_fax(form: png.Form, data: bytes, parameters: DictionaryObject) -> bytes:
    if int(pdf.value_of(parameters, "/K", 0)) >= 0:
        raise Unreadable("it is packed as a fax of Group 3, which can not be read here")
    if int(pdf.value_of(parameters, "/Columns", 1728)) != form.width or form.bits != 1:
        raise Unreadable(_DAMAGED)
    aligned = pdf.is_true(pdf.value_of(parameters, "/EncodedByteAlign"))
    white = 0 if pdf.is_true(pdf.value_of(parameters, "/BlackIs1")) else (1 << form.width) - 1
    pad = form.row_bytes * 8 - form.width
    rows = black_rows(data, form.width, form.height, aligned=aligned)
    return png.packed((((row ^ white) << pad).to_bytes(form.row_bytes, "big") for row in rows), png.NO_FILTER, 6)


def _from_flate(form: png.Form, data: bytes, parameters: DictionaryObject) -> bytes:
    """PNG is packed in the same way, and has filters for what PDF calls predictors."""
    predictor = int(pdf.value_of(parameters, "/Predictor", 1))
    told = (int(pdf.value_of(parameters, "/Columns", 1)), int(pdf.value_of(parameters, "/Colors", 1)))
    if not 1 <= predictor <= 15 or (predictor > 1 and told != (form.width, png.CHANNELS[form.colour])):
        raise Unreadable(_DAMAGED)
    if predictor == 2 and form.bits != 8:
        raise Unreadable("it is packed in a way that can not be read here")
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(data, (form.row_bytes + 1) * form.height)
    if predictor < 10:
        return _from_pixels(form, raw, png.SUB_FILTER if predictor == 2 else png.NO_FILTER)
    if not form.are_rows(raw):
        raise Unreadable(_DAMAGED)
    ends_there = not unpacker.decompress(unpacker.unconsumed_tail, 1) and unpacker.eof and not unpacker.unused_data
    return data if ends_there else zlib.compress(raw, 1)


def _from_pixels(form: png.Form, raw: bytes, start: bytes) -> bytes:
    step = form.row_bytes
    if len(raw) < step * form.height:
        raise Unreadable(_DAMAGED)
    rows = (raw[at : at + step] for at in range(0, step * form.height, step))
    return png.packed(rows, start, 6 if form.bits == 1 else 1)
