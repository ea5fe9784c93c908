"""Word documents (.docx): paragraphs, headings, tables, notes. Comments and deleted text are left out."""

import re

from otari.extraction.archive import Archive
from otari.extraction.markup import Attributes, read_xml
from otari.extraction.page import Page

MAIN = "word/document.xml"
_NOTES = ("word/footnotes.xml", "word/endnotes.xml")
_HEADING = re.compile(r"heading ?([1-6])", re.IGNORECASE)


def word_text(archive: Archive) -> str:
    """The text of a Word document. Raises Unreadable."""
    page = Page()
    for part in (MAIN, *_NOTES):
        if data := archive.read(part):
            read_xml(data, _Paragraphs(page))
            page.line("")
    return page.text()


class _Paragraphs:
    """Writes paragraphs line by line, and the rows of tables as lines of cells."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._paragraph: list[str] = []
        self._heading = 0
        self._reading = False
        self._twice = 0  # inside of what stands there a second time, for older programs
        self._cells: list[list[str]] = []  # the paragraphs of each open cell: tables may stand in tables
        self._rows: list[list[str]] = []

    def start(self, name: str, attributes: Attributes) -> None:
        match name:
            case "Fallback":
                self._twice += 1
            case "p":
                self._paragraph, self._heading = [], 0
            case "pStyle":
                style = next((value for key, value in attributes.items() if key.endswith(" val")), "")
                found = _HEADING.fullmatch(style)
                self._heading = int(found[1]) if found else 0
            case "t":
                self._reading = not self._twice
            case "tab":
                self._paragraph.append("\t")
            case "br" | "cr":
                self._paragraph.append("\n")
            case "tr":
                self._rows.append([])
            case "tc":
                self._cells.append([])

    def text(self, text: str) -> None:
        if self._reading:
            self._paragraph.append(text)

    def end(self, name: str) -> None:
        match name:
            case "Fallback":
                self._twice -= 1
            case "t":
                self._reading = False
            case "p":
                self._tell("".join(self._paragraph))
                self._paragraph = []
            case "tc" if self._rows and self._cells:
                self._rows[-1].append(" ".join(filter(None, self._cells.pop())))
            case "tr" if self._rows:
                self._tell(" | ".join(self._rows.pop()))

    def _tell(self, line: str) -> None:
        if self._heading and line.strip():
            line = f"{'#' * self._heading} {line.strip()}"
        if self._cells:
            self._cells[-1].append(line.strip())
        else:
            self._page.line(line)
