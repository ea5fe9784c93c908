"""Workbooks (.xlsx): every sheet as lines of cells, with the values that formulas had when the file was saved."""

import re
from datetime import datetime, timedelta

from otari.extraction.archive import Archive
from otari.extraction.markup import ID, Attributes, read_xml, relations
from otari.extraction.page import Page

MAIN = "xl/workbook.xml"
_COLUMN = re.compile(r"([A-Z]{1,3})[0-9]+")
_GAP_MAX = 20  # more empty cells in a row are not written
# Formats of dates and times that have no text of their own (ECMA-376, 18.8.30), and what others are told by.
_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_LITERAL = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_DATE_LETTERS = re.compile(r"[ymdhs]", re.IGNORECASE)


def sheet_text(archive: Archive) -> str:
    """The text of a workbook. Raises Unreadable."""
    page, book = Page(), _Workbook()
    read_xml(archive.read(MAIN), book)
    parts = relations(archive, MAIN)
    strings, formats = _Strings(), _Formats()
    for kind, part in parts.values():
        if kind == "sharedStrings" and (data := archive.read(part)):
            read_xml(data, strings)
        elif kind == "styles" and (data := archive.read(part)):
            read_xml(data, formats)
    for name, relation in book.sheets:
        data = archive.read(parts.get(relation, ("", ""))[1])
        if data:
            page.line(f"## {name}")
            read_xml(data, _Rows(page, strings.found, formats.dates, book.from_1904))
            page.line("")
    return page.text()


class _Workbook:
    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []  # name and relation
        self.from_1904 = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sheet":
            self.sheets.append((attributes.get("name", ""), attributes.get(ID, "")))
        elif name == "workbookPr":
            self.from_1904 = attributes.get("date1904") in ("1", "true")

    def text(self, text: str) -> None: ...

    def end(self, name: str) -> None: ...


class _Strings:
    """The texts that cells share, by number."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._pieces: list[str] = []
        self._reading = False
        self._spoken = False  # inside of what tells how it is pronounced

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "si":
            self._pieces = []
        elif name == "rPh":
            self._spoken = True
        self._reading = name == "t" and not self._spoken

    def text(self, text: str) -> None:
        if self._reading:
            self._pieces.append(text)

    def end(self, name: str) -> None:
        self._reading = False
        if name == "si":
            self.found.append("".join(self._pieces))
        elif name == "rPh":
            self._spoken = False


class _Formats:
    """The styles of cells whose numbers are dates."""

    def __init__(self) -> None:
        self.dates: set[int] = set()
        self._own: set[int] = set()
        self._in_cells = False
        self._count = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "numFmt" and _DATE_LETTERS.search(_LITERAL.sub("", attributes.get("formatCode", ""))):
            self._own.add(_number(attributes.get("numFmtId")))
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            if _number(attributes.get("numFmtId")) in _DATES | self._own:
                self.dates.add(self._count)
            self._count += 1

    def text(self, text: str) -> None: ...

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._in_cells = False


class _Rows:
    """Writes the rows of a sheet."""

    def __init__(self, page: Page, strings: list[str], dates: set[int], from_1904: bool) -> None:
        self._page = page
        self._strings = strings
        self._dates = dates
        self._epoch = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30)  # no zone is told
        self._row: list[str] = []
        self._cell: Attributes = {}
        self._value: list[str] = []
        self._reading = False

    def start(self, name: str, attributes: Attributes) -> None:
        match name:
            case "row":
                self._row = []
            case "c":
                self._cell, self._value = attributes, []
            case "v" | "t":
                self._reading = True

    def text(self, text: str) -> None:
        if self._reading:
            self._value.append(text)

    def end(self, name: str) -> None:
        match name:
            case "v" | "t":
                self._reading = False
            case "c":
                self._add("".join(self._value))
            case "row" if any(self._row):
                self._page.line(" | ".join(self._row))

    def _add(self, value: str) -> None:
        found = _COLUMN.fullmatch(self._cell.get("r", ""))
        if found is not None:
            gap = _column(found[1]) - len(self._row)
            self._row.extend([""] * min(max(gap, 0), _GAP_MAX))
        self._row.append(self._shown(value).replace("\n", " "))

    def _shown(self, value: str) -> str:
        match self._cell.get("t", "n"):
            case "s":
                number = _number(value)
                return self._strings[number] if 0 <= number < len(self._strings) else ""
            case "b":
                return "TRUE" if value == "1" else "FALSE"
            case "n" if value and _number(self._cell.get("s")) in self._dates:
                return self._date(value)
        return value

    def _date(self, value: str) -> str:
        try:
            at = self._epoch + timedelta(days=float(value))
        except (ValueError, OverflowError):
            return value
        at = (at + timedelta(milliseconds=500)).replace(microsecond=0)
        if float(value) < 1:
            return at.time().isoformat()
        return at.isoformat(" ") if at.time().isoformat() != "00:00:00" else at.date().isoformat()


def _column(letters: str) -> int:
    """A column's place by its letters: A is 0."""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - 64
    return place - 1


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else -1
