"""XML and HTML as events, in the order in which they stand there."""

import posixpath
import re
from html.parser import HTMLParser
from typing import Protocol
from xml.parsers import expat

from otari.domain.documents import Unreadable, plain_text
from otari.extraction.archive import Archive
from otari.extraction.page import Page

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
ID = f"{_OFFICE} id"  # the attribute r:id
Attributes = dict[str, str]


class Listener(Protocol):
    """Hears the events of a document. Names of elements come without their namespace."""

    def start(self, name: str, attributes: Attributes) -> None: ...

    def text(self, text: str) -> None: ...

    def end(self, name: str) -> None: ...


def read_xml(data: bytes, listener: Listener) -> None:
    """Tell `listener` what stands in an XML document. Raises Unreadable; a document type declaration is refused, for no
    Office file has one and all known bombs do.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: listener.start(name.rpartition(" ")[2], attributes)
    parser.EndElementHandler = lambda name: listener.end(name.rpartition(" ")[2])
    parser.CharacterDataHandler = listener.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        raise Unreadable("is damaged") from None


def _refuse(*_: object) -> None:
    raise Unreadable("is damaged: it declares a document type")


def relations(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """What a part of an Office file refers to: by id, the last word of the relation's type and the part's name."""
    folder, _, name = part.rpartition("/")
    found: dict[str, tuple[str, str]] = {}

    class Relations:
        def start(self, name: str, attributes: Attributes) -> None:
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                target = attributes.get("Target", "")
                path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"{folder}/{target}")
                found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], path)

        def text(self, text: str) -> None:
            pass

        def end(self, name: str) -> None:
            pass

    if data := archive.read(f"{folder}/_rels/{name}.rels"):
        read_xml(data, Relations())
    return found


# ---- HTML ----

_SILENT = {"script", "style", "template", "noscript", "svg", "math", "iframe", "object"}
_BLOCKS = {
    *(
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
    ),
    *(
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "html",
        "li",
        "main",
        "nav",
        "ol",
    ),
    *("p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul"),
}
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_SPACE = re.compile(r"[ \t\r\n\f]+")


def html_text(data: bytes) -> str:
    """The text of a web page as a reader sees it. Raises Unreadable."""
    page = Page()
    reader = _Html(page)
    reader.feed(plain_text(data))
    reader.close()
    reader.break_line()
    return page.text()


class _Html(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self._page = page
        self._line: list[str] = []
        self._silent = 0
        self._kept = 0  # how deep in preformatted text

    def break_line(self) -> None:
        """End the line that has begun."""
        text = "".join(self._line)
        self._line = []
        self._page.line(text if self._kept else _SPACE.sub(" ", text).strip())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag == "br" or tag in _BLOCKS:
            self.break_line()
        self._kept += tag == "pre"
        if tag in _HEADINGS:
            self._line.append(f"{_HEADINGS[tag]} ")
        elif tag == "li":
            self._line.append("- ")
        elif tag in ("td", "th") and self._line:
            self._line.append(" | ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br" or tag in _BLOCKS:
            self.break_line()

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self.break_line()
        if tag == "pre":
            self._kept = max(0, self._kept - 1)

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._line.append(data)
