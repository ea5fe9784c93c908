"""Pages that are pictures: real scans, every way in which they are packed, and those that nobody should unpack."""

import io
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageOps

from otari.domain.documents import LeftOut, Picture, Piece, Unreadable
from otari.extraction import pdf, scan
from otari.extraction.pdf import PICTURES_MAX, pdf_pieces
from otari.extraction.reader import read_apart
from otari.extraction.scan import PER_PICTURE_S
from tests.extraction import scans
from tests.extraction.makers import SENTENCE
from tests.extraction.scans import A5, by_hand, flate, image_of

SIDE = (400, 300)
LONG = f"{SENTENCE} " * 4


def only(pieces: list[Piece]) -> Picture:
    (piece,) = pieces
    assert isinstance(piece, Picture), piece
    return piece


def left_out(pieces: list[Piece]) -> str:
    (piece,) = pieces
    assert isinstance(piece, LeftOut), piece
    return piece.why


def same(data: bytes, image: Image.Image) -> bool:
    return scans.opened(data).convert(image.mode).tobytes() == image.tobytes()


# ---- real ones ----


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_page_that_is_a_jpeg_is_given_as_it_is(mode: str) -> None:
    document = scans.scanned(scans.page("One.", mode), scans.page("Two.", mode))
    first, second = pdf_pieces(document)
    for number, piece in ((1, first), (2, second)):
        assert isinstance(piece, Picture)
        assert (piece.page, piece.media_type, piece.turned) == (number, "image/jpeg", 0)
        assert piece.data in document
        assert scans.opened(piece.data).size == A5


def test_a_page_in_black_and_white_is_given_with_every_pixel() -> None:
    pages = [scans.page(words, "1") for words in ("One.", "Two.")]
    for piece, image in zip(pdf_pieces(scans.scanned(*pages)), pages, strict=True):
        assert isinstance(piece, Picture)
        assert piece.media_type == "image/png"
        assert same(piece.data, image)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_a_page_that_was_no_jpeg_is_a_png_with_every_pixel(mode: str) -> None:
    image = scans.page(mode=mode)
    piece = only(pdf_pieces(scans.mixed(image)))
    assert piece.media_type == "image/png"
    assert same(piece.data, image.convert("RGB"))


def test_text_and_pictures_come_in_the_order_of_the_pages() -> None:
    pieces = pdf_pieces(scans.mixed(LONG, scans.page("A."), "Short.", scans.page("B."), f"{LONG} End."))
    told = [" ".join(piece.split()) if isinstance(piece, str) else piece.page for piece in pieces]
    assert told == [LONG.strip(), 2, "Short.", 4, f"{LONG}End."]


def test_a_page_with_a_stamp_on_it_is_a_picture_and_one_with_text_is_text() -> None:
    image = image_of(SIDE, b"/DeviceGray", more=b"/Filter/FlateDecode")
    data = flate(bytes(SIDE[0] * SIDE[1]))

    def stamped(words: str) -> list[Piece]:
        drawn = b"/Im0 Do BT /F 9 Tf (%b) Tj ET" % words.encode()
        font = b"/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
        return pdf_pieces(by_hand(image, data, drawn=drawn).replace(b"/Resources<<", b"/Resources<<" + font))

    stamp, picture = stamped("Scanned with an app")
    assert stamp == "Scanned with an app"
    assert isinstance(picture, Picture)
    assert stamped("x" * 100) == ["x" * 100]  # it was read by a machine: the text lies behind the picture


def test_signs_and_ornaments_are_no_page() -> None:
    for size in ((300, 300), (49, 49)):
        document = by_hand(image_of(size, b"/DeviceGray"), bytes(size[0] * size[1]))
        with pytest.raises(Unreadable, match="holds no text"):
            pdf_pieces(document)


# ---- how they are packed ----

GREY = Image.linear_gradient("L").resize(SIDE)
COLOURS = Image.merge("RGB", [GREY, GREY.transpose(Image.Transpose.FLIP_LEFT_RIGHT), ImageOps.invert(GREY)])
DOTS = GREY.convert("1")
FAX = b"/Filter/CCITTFaxDecode/DecodeParms<</K -1/Columns 400/Rows 300%b>>"
FLATE = b"/Filter/FlateDecode"
PREDICTED = b"/Filter/FlateDecode/DecodeParms<</Predictor %d/Columns 400/Colors %d>>"


def rows_behind(image: Image.Image, start: bytes) -> bytes:
    """The rows of a picture, each behind a byte."""
    raw, step = image.tobytes(), len(image.tobytes()) // image.height
    return b"".join(start + raw[at : at + step] for at in range(0, len(raw), step))


def differences(image: Image.Image) -> bytes:
    """The bytes of a grey picture, less those to their left."""
    raw, width = image.tobytes(), image.width
    return bytes((raw[at] - (raw[at - 1] if at % width else 0)) % 256 for at in range(len(raw)))


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("image", "data", "seen"),
    [
        (image_of(SIDE, b"/DeviceGray"), GREY.tobytes(), GREY),
        (image_of(SIDE, b"/DeviceGray", more=FLATE), flate(GREY.tobytes()), GREY),
        (image_of(SIDE, b"[/CalGray<<>>]", more=b"/Filter/ASCIIHexDecode"), GREY.tobytes().hex().encode() + b">", GREY),
        (image_of(SIDE, b"/DeviceRGB", more=FLATE), flate(COLOURS.tobytes()), COLOURS),
        (image_of(SIDE, b"/DeviceGray", more=PREDICTED % (15, 1)), flate(rows_behind(GREY, b"\0")), GREY),
        (image_of(SIDE, b"/DeviceGray", more=PREDICTED % (2, 1)), flate(differences(GREY)), GREY),
        (image_of(SIDE, b"/DeviceRGB", more=PREDICTED % (12, 3)), flate(rows_behind(COLOURS, b"\0")), COLOURS),
        (image_of(SIDE, b"/DeviceGray", more=b"/Decode[1 0]"), ImageOps.invert(GREY).tobytes(), GREY),
        (image_of(SIDE, b"/DeviceGray", 1, FLATE), flate(DOTS.tobytes()), DOTS),
        (image_of(SIDE, b"[/ICCBased<</N 1>>]", 1, b"/Decode[1 0]"), ImageOps.invert(DOTS).tobytes(), DOTS),
        (b"/Width 400/Height 300/ImageMask true", DOTS.tobytes(), DOTS),
        (b"/Width 400/Height 300/ImageMask true/Decode[1 0]", ImageOps.invert(DOTS).tobytes(), DOTS),
        (image_of(SIDE, b"[/Indexed/DeviceRGB 1<000000FFFFFF>]", 1), DOTS.tobytes(), DOTS),
        (image_of(SIDE, b"[/Indexed/DeviceGray 1<FF00>]", 1), ImageOps.invert(DOTS).tobytes(), DOTS),
        (image_of(SIDE, b"/DeviceGray", 1, FAX % b""), scans.fax(ImageOps.invert(DOTS)), DOTS),
        (image_of(SIDE, b"/DeviceGray", 1, FAX % b"/BlackIs1 true"), scans.fax(DOTS), DOTS),
        (b"/Width 400/Height 300/ImageMask true" + FAX % b"", scans.fax(ImageOps.invert(DOTS)), DOTS),
        (
            image_of(SIDE, b"/DeviceGray", 1, b"/Filter[/ASCIIHexDecode/CCITTFaxDecode]/DecodeParms[null<</K -1")
            + b"/Columns 400>>]",
            scans.fax(ImageOps.invert(DOTS)).hex().encode() + b">",
            DOTS,
        ),
    ],
)
def test_every_pixel_is_as_it_was(image: bytes, data: bytes, seen: Image.Image) -> None:
    granted: list[float] = []
    piece = only(pdf_pieces(by_hand(image, data), granted.append))
    assert piece.media_type == "image/png"
    assert same(piece.data, seen)
    assert granted[1:] == [PER_PICTURE_S]


def test_a_jpeg_behind_another_filter_is_a_jpeg() -> None:
    packed = jpeg(GREY)
    image = image_of(SIDE, b"/DeviceGray", more=b"/Filter[/FlateDecode/DCTDecode]")
    assert only(pdf_pieces(by_hand(image, flate(packed)))).data == packed


def test_a_picture_may_stand_in_a_form_and_a_page_be_turned() -> None:
    held = b"/Resources<</XObject<</In#20side 5 0 R>>>>"
    form = b"<</Type/XObject/Subtype/Form%b/Length 13>>stream\n/In#20side Do\nendstream" % held
    image = image_of(SIDE, b"/DeviceGray")
    document = by_hand(image, GREY.tobytes(), page=b"/Rotate 450", drawn=b"/Fm0 Do /Fm0 Do", inside=form)
    assert only(pdf_pieces(document)).turned == 90
    circle = form.replace(b"5 0 R", b"6 0 R")
    with pytest.raises(Unreadable, match="holds no text"):
        pdf_pieces(by_hand(image, GREY.tobytes(), drawn=b"/Fm0 Do", inside=circle))


# ---- what can not be given ----


@pytest.mark.parametrize(
    ("image", "data", "why"),
    [
        (image_of(SIDE, b"/DeviceRGB", more=b"/Filter/JPXDecode"), b"x", "packed as JPEG 2000"),
        (image_of(SIDE, b"/DeviceGray", 1, b"/Filter/JBIG2Decode"), b"x", "packed as JBIG2"),
        (image_of(SIDE, b"/DeviceGray", 1, b"/Filter/CCITTFaxDecode/DecodeParms<</K 0/Columns 400>>"), b"x", "Group 3"),
        (image_of(SIDE, b"/DeviceGray", 1, b"/Filter/CCITTFaxDecode/DecodeParms<</K -1>>"), b"x", "is damaged"),
        (image_of(SIDE, b"/DeviceGray", 1, FAX % b""), b"\0\0\xff", "is damaged"),
        (image_of(SIDE, b"/DeviceGray", more=b"/Filter/DCTDecode"), b"<html>", "is damaged"),
        (image_of(SIDE, b"/DeviceGray", more=FLATE), flate(b"short"), "is damaged"),
        (image_of(SIDE, b"/DeviceGray", more=FLATE), b"no stream", "is damaged"),
        (image_of(SIDE, b"/DeviceGray", more=PREDICTED % (15, 1)), flate(rows_behind(GREY, b"\5")), "is damaged"),
        (image_of(SIDE, b"/DeviceGray", more=PREDICTED % (15, 3)), flate(rows_behind(GREY, b"\0")), "is damaged"),
        (image_of(SIDE, b"/DeviceGray", more=b"/Filter/Unheard"), b"x", "is damaged"),
        (image_of(SIDE, b"/DeviceCMYK"), b"x", "DeviceCMYK"),
        (image_of(SIDE, b"[/ICCBased<</N 4>>]"), b"x", "four channels"),
        (image_of(SIDE, b"[/Indexed[/Indexed/DeviceRGB 1<00>]1<00>]"), b"x", "Indexed"),
        (image_of(SIDE, b"/DeviceGray", 3), b"x", "3 bits"),
        (image_of(SIDE, b"/DeviceRGB", more=b"/Decode[1 0 1 0 1 0]"), b"x", "turned round"),
        (image_of(SIDE, b"/DeviceGray", more=b"/Decode[0 0.5]"), b"x", "told in a way"),
        (image_of((30_001, 10), b"/DeviceGray"), b"x", "is too large"),
        (image_of((20_000, 20_000), b"/DeviceGray"), b"x", "is too large"),
        (image_of(SIDE, b"/DeviceGray", more=b"/Decode(x)"), b"x", "is damaged"),
        (image_of(SIDE, b"[/Indexed/DeviceRGB 1 5]", 1), b"x", "is damaged"),
    ],
)
def test_a_picture_that_can_not_be_given_is_named(image: bytes, data: bytes, why: str) -> None:
    assert why in left_out(pdf_pieces(by_hand(image, data)))


def test_more_than_a_picture_is_cut_off() -> None:
    """Somebody may have put anything behind the rows: it does not go on."""
    data = zlib.compress(rows_behind(GREY, b"\0") + b"behind" * 1_000)
    for packed in (data, flate(rows_behind(GREY, b"\0")) + b"behind"):
        piece = only(pdf_pieces(by_hand(image_of(SIDE, b"/DeviceGray", more=PREDICTED % (15, 1)), packed)))
        assert same(piece.data, GREY)
        assert b"behind" not in piece.data


def test_only_so_many_pictures_are_given() -> None:
    pages = [scans.page(str(number)) for number in range(PICTURES_MAX + 2)]
    pieces = pdf_pieces(scans.mixed(*pages))
    assert [type(piece) for piece in pieces] == [Picture] * PICTURES_MAX + [LeftOut] * 2


def test_those_that_can_not_be_read_count_too() -> None:
    """Each costs as much time as one that can."""
    document = scans.mixed(*[scans.page(str(number)) for number in range(PICTURES_MAX + 2)])
    granted: list[float] = []
    pieces = pdf_pieces(document.replace(b"/Predictor 15", b"/Predictor 99"), granted.append)
    assert {type(piece) for piece in pieces} == {LeftOut}
    assert granted[1:] == [PER_PICTURE_S] * PICTURES_MAX


def test_pictures_have_a_limit_of_bytes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [Image.effect_noise(SIDE, 90 + number) for number in range(3)]
    size = len(only(pdf_pieces(scans.mixed(pages[0]))).data)
    monkeypatch.setattr(pdf, "PICTURES_MAX_BYTES", int(size * 2.5))
    assert [type(piece) for piece in pdf_pieces(scans.mixed(*pages))] == [Picture, Picture, LeftOut]


@pytest.mark.parametrize(
    "make",
    [
        lambda: by_hand(image_of((6_000, 6_000), b"/DeviceGray", more=FLATE), flate(bytes(200 * 1024 * 1024))),
        lambda: by_hand(
            image_of((6_000, 6_000), b"/DeviceGray", more=b"/Filter[/FlateDecode/FlateDecode]"),
            flate(flate(bytes(200 * 1024 * 1024))),
        ),
        lambda: by_hand(
            image_of((30_000, 10_000), b"/DeviceGray", 1, FAX % b"").replace(b"400", b"30000"), b"\xff" * 9
        ),
    ],
)
def test_a_picture_that_bursts_costs_no_more_than_one_that_does_not(make: Callable[[], bytes]) -> None:
    (piece,) = read_apart(make(), "pdf")
    assert isinstance(piece, Picture | LeftOut)


def test_what_is_odd_about_a_page_leaves_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    document = scans.mixed("A few words.", scans.page())
    monkeypatch.setattr(scan, "_drawn", lambda *_: iter([None]))
    assert pdf_pieces(document) == ["A few words."]
