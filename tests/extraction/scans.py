"""Scans for tests: PDF files whose pages are pictures, made by the libraries that people use, and by hand."""

import io
import zlib

from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont, TiffImagePlugin

from tests.extraction.makers import pdf_objects

A5 = (583, 827)  # at 100 dots per inch


def page(words: str = "A page.", mode: str = "L", size: tuple[int, int] = A5) -> Image.Image:
    """A page as a scanner sees it."""
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    draw.multiline_text((40, 40), words, fill=0, font=ImageFont.load_default(20))
    draw.rectangle([40, 300, size[0] - 41, 420], outline=0, width=3)
    return image.convert(mode)


def scanned(*pages: Image.Image) -> bytes:
    """A PDF as Pillow writes it: grey and coloured pages as JPEG, those in black and white as CCITT Group 4."""
    out = io.BytesIO()
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:])
    return out.getvalue()


def mixed(*pages: "str | Image.Image") -> bytes:
    """A PDF as fpdf2 writes it: pages of text, and pages that are pictures, packed as PNG or as CCITT Group 4."""
    document = FPDF(format=(148, 210))
    document.set_font("Helvetica", size=11)
    document.set_image_filter("AUTO")
    for each in pages:
        document.add_page()
        if isinstance(each, str):
            document.multi_cell(0, 6, each)
        else:
            document.image(each, x=0, y=0, w=document.w, h=document.h)
    return bytes(document.output())


def fax(image: Image.Image) -> bytes:
    """A picture in black and white, packed as CCITT Group 4: black is what is not set."""
    out = io.BytesIO()
    image.save(out, "TIFF", compression="group4", tiffinfo={TiffImagePlugin.ROWSPERSTRIP: image.height})
    with Image.open(io.BytesIO(out.getvalue())) as opened:
        (start,), (length,) = (opened.tag_v2[tag] for tag in (273, 279))  # type: ignore[attr-defined]
    return out.getvalue()[start : start + length]


def by_hand(image: bytes, data: bytes, *, page: bytes = b"", drawn: bytes = b"/Im0 Do", inside: bytes = b"") -> bytes:
    """A PDF of one page that draws a picture with this dictionary and data; `inside` are more objects, from 6."""
    resources = b"/Resources<</XObject<</Im0 5 0 R/Fm0 6 0 R>>>>"
    return pdf_objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 420 595]/Contents 4 0 R%b%b>>" % (resources, page),
        b"<</Length %d>>stream\nq 420 0 0 595 0 0 cm %b Q\nendstream" % (len(drawn) + 26, drawn),
        b"<</Type/XObject/Subtype/Image%b/Length %d>>stream\n%b\nendstream" % (image, len(data), data),
        *([inside] if inside else []),
    )


def image_of(size: tuple[int, int], space: bytes, bits: int = 8, more: bytes = b"") -> bytes:
    """The dictionary of a picture."""
    return b"/Width %d/Height %d/BitsPerComponent %d/ColorSpace%b%b" % (*size, bits, space, more)


def flate(data: bytes) -> bytes:
    return zlib.compress(data, 6)


def opened(data: bytes) -> Image.Image:
    """A picture as Pillow reads it."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
