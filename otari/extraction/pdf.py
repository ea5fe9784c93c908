"""PDF: the text of its pages, and pictures in the place of pages that are nothing else, as scanners make them."""

import io

from pypdf import PageObject, PdfReader
from pypdf.errors import LimitReachedError, PyPdfError
from pypdf.generic import StreamObject

from otari.domain.documents import LeftOut, Picture, Piece, Unreadable, letters
from otari.extraction.page import NO_TEXT, TOO_LARGE, Page
from otari.extraction.scan import Grant, drawn_on, read_picture

PAGES_MAX = 1_000
PER_PAGE_S = 0.01  # of processor time
FEW_LETTERS = 100  # on a page: the stamp of a fax or of a scanner's maker
PICTURES_MAX = 20
PICTURES_MAX_BYTES = 20 * 1024 * 1024  # together


def pdf_pieces(data: bytes, grant: Grant = lambda seconds: None) -> list[Piece]:
    """What is in a PDF; `grant` hears of the time that its pages and pictures may take. Raises Unreadable."""
    page, pictures = Page(), _Pictures(grant)
    pieces: list[Piece] = []
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not _opened(reader):
            raise Unreadable("is encrypted")
        count = _told_pages(reader)
        if count <= PAGES_MAX:
            count = len(reader.pages)
        if count > PAGES_MAX:
            raise Unreadable(f"has more than {PAGES_MAX} pages")
        grant(count * PER_PAGE_S)
        for number, each in enumerate(reader.pages, 1):
            text = each.extract_text()
            page.line(text)
            page.line("")
            if letters(text) < FEW_LETTERS and (found := pictures.of(each, number)):
                pieces += [page.taken(), *found]
    except LimitReachedError:  # the library unpacks no more than 75 MB of a stream
        raise Unreadable(TOO_LARGE) from None
    except PyPdfError:
        raise Unreadable("is damaged") from None
    pieces = [piece for piece in (*pieces, page.taken()) if piece]
    if not pieces:
        raise Unreadable(NO_TEXT)
    return pieces


class _Pictures:
    """Those of the pages, with an end to how many there may be."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant
        self._count = 0
        self._bytes = 0

    def of(self, page: PageObject, number: int) -> list[Picture | LeftOut]:
        """The pictures that a page consists of."""
        found: list[Picture | LeftOut] = []
        for each in drawn_on(page):
            piece = self._bounded(each, number, page.rotation % 360)
            if not found or found[-1] != piece:  # a page of strips is left out once
                found.append(piece)
        return found

    def _bounded(self, stream: StreamObject, number: int, turned: int) -> Picture | LeftOut:
        if self._count >= PICTURES_MAX:
            return LeftOut(number, f"it comes behind the first {PICTURES_MAX} pictures")
        self._count += 1  # of those that can not be read, too: trying costs as much
        piece = read_picture(stream, number, turned, self._grant)
        if isinstance(piece, Picture):
            if self._bytes + len(piece.data) > PICTURES_MAX_BYTES:
                return LeftOut(number, f"with it there would be more than {PICTURES_MAX_BYTES >> 20} MiB of pictures")
            self._bytes += len(piece.data)
        return piece


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
