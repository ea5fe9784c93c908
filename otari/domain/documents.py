"""What kind of document some bytes are: asked of the bytes first, for names and declared types are often wrong."""

import codecs
from typing import Literal, NamedTuple

DocumentKind = Literal["pdf", "office", "html", "text", "image"]

_HEAD_BYTES = 1024  # a PDF may begin a little later (ISO 32000, annex H); what is there for others is at the very front
_OFFICE = b"PK\x03\x04"
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Unreadable(Exception):
    """There is no text to be had of a document. The message goes on from "the file … ": "is encrypted"."""


class Picture(NamedTuple):
    """A picture that stands for a page, as a file that models take. `turned`: by so many degrees to the right."""

    page: int
    media_type: str
    data: bytes
    turned: int = 0


class LeftOut(NamedTuple):
    """A page that is a picture and can not be given. The message goes on from "page 3 is left out: "."""

    page: int
    why: str


Piece = str | Picture | LeftOut


def letters(text: str) -> int:
    """How much text that is, without blanks."""
    return len(text) - sum(map(text.count, " \n\t"))


def kind_of(data: bytes, media_type: str | None) -> DocumentKind:
    """What some bytes are. Raises Unreadable for what nobody here can read."""
    head = data[:_HEAD_BYTES]
    if b"%PDF-" in head:
        return "pdf"
    if head.startswith(_OFFICE):
        return "office"
    if head.startswith(_PICTURES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return "image"
    if head.startswith(_OLD_OFFICE):
        raise Unreadable("is an encrypted or very old Office file: save it as .docx, .xlsx or .pptx without a password")
    told = media_type or ""
    if told.startswith("image/") and not told.endswith("+xml"):
        raise Unreadable(f"is called {told}, and is none")
    if told == "text/html" or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith(
        (b"<!doctype html", b"<html")
    ):
        return "html"
    if b"\0" in head and not head.startswith(tuple(bom for bom, _ in _BOMS)):
        raise Unreadable("is of a kind that can not be read as text")
    return "text"


def plain_text(data: bytes) -> str:
    """Text as it stands in a file: UTF-8, UTF-16 with its mark, else the Western alphabet. Raises Unreadable."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            try:
                return data.decode(name)
            except UnicodeDecodeError:
                raise Unreadable("is damaged: its text can not be decoded") from None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if "\0" in text:
        raise Unreadable("is of a kind that can not be read as text")
    return text
