"""PDF: the text of its pages. A page that is only a picture has none."""

import io
from collections.abc import Callable

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from otari.domain.documents import Unreadable
from otari.extraction.page import Page

PAGES_MAX = 1_000


def pdf_text(data: bytes, on_pages: Callable[[int], object] = lambda pages: None) -> str:
    """The text of a PDF; `on_pages` hears how many pages there are before they are read. Raises Unreadable."""
    page = Page()
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not _opened(reader):
            raise Unreadable("is encrypted")
        count = _told_pages(reader)
        if count <= PAGES_MAX:
            count = len(reader.pages)
        if count > PAGES_MAX:
            raise Unreadable(f"has more than {PAGES_MAX} pages")
        on_pages(count)
        for each in reader.pages:
            page.line(each.extract_text())
            page.line("")
    except PyPdfError:
        raise Unreadable("is damaged") from None
    return page.text()


def _told_pages(reader: PdfReader) -> int:
    """What the document says of the number of its pages, before they are looked for one by one."""
    told = reader.root_object["/Pages"].get_object().get("/Count", 0)  # type: ignore[union-attr]
    return told if isinstance(told, int) else 0


def _opened(reader: PdfReader) -> bool:
    """Whether it can be read without a password: many are only locked against changes."""
    try:
        return bool(reader.decrypt(""))
    except Exception:  # a cipher that is not here, or a damaged lock
        return False
