"""Presentations (.pptx): the text of every slide in the order in which they are shown, with the speaker's notes."""

from otari.extraction.archive import Archive
from otari.extraction.markup import ID, Attributes, read_xml, relations
from otari.extraction.page import Page

MAIN = "ppt/presentation.xml"


def slides_text(archive: Archive) -> str:
    """The text of a presentation. Raises Unreadable."""
    page, order = Page(), _Order()
    read_xml(archive.read(MAIN), order)
    parts = relations(archive, MAIN)
    shown = [parts[relation][1] for relation in order.slides if relation in parts]
    for number, part in enumerate(shown, 1):
        page.line(f"## Slide {number}")
        if data := archive.read(part):
            read_xml(data, _Paragraphs(page))
        notes = [name for kind, name in relations(archive, part).values() if kind == "notesSlide"]
        for name in notes:
            if data := archive.read(name):
                page.line("Notes:")
                read_xml(data, _Paragraphs(page))
        page.line("")
    return page.text()


class _Order:
    def __init__(self) -> None:
        self.slides: list[str] = []  # relations

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sldId":
            self.slides.append(attributes.get(ID, ""))

    def text(self, text: str) -> None: ...

    def end(self, name: str) -> None: ...


class _Paragraphs:
    def __init__(self, page: Page) -> None:
        self._page = page
        self._paragraph: list[str] = []
        self._row: list[str] | None = None
        self._reading = False
        self._field = False  # the number of a slide and its like

    def start(self, name: str, attributes: Attributes) -> None:
        match name:
            case "p":
                self._paragraph = []
            case "fld":
                self._field = attributes.get("type") == "slidenum"
            case "t":
                self._reading = not self._field
            case "br":
                self._paragraph.append("\n")
            case "tr":
                self._row = []

    def text(self, text: str) -> None:
        if self._reading:
            self._paragraph.append(text)

    def end(self, name: str) -> None:
        match name:
            case "t":
                self._reading = False
            case "fld":
                self._field = False
            case "p":
                line = "".join(self._paragraph).strip()
                if self._row is not None:
                    self._row.append(line)
                elif line:
                    self._page.line(line)
            case "tr" if self._row is not None:
                self._page.line(" | ".join(filter(None, self._row)))
                self._row = None
