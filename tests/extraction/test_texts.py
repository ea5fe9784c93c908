"""Documents made by the libraries that people make them with, as text."""

from collections.abc import Callable
from functools import partial

import pytest

from otari.domain.documents import Unreadable
from otari.extraction import markup, page
from otari.extraction.archive import Archive
from otari.extraction.markup import html_text
from otari.extraction.page import Page
from otari.extraction.pdf import PAGES_MAX, PER_PAGE_S, pdf_pieces
from otari.extraction.sheet import sheet_text
from otari.extraction.slides import slides_text
from otari.extraction.word import word_text
from tests.extraction import makers
from tests.extraction.makers import SENTENCE


def test_a_word_document_is_its_paragraphs_headings_and_tables() -> None:
    text = word_text(Archive(makers.word(SENTENCE, "Tab\there\nand a line.")))
    assert text == (f"# Annual report\n{SENTENCE}\nTab\there\nand a line.\nCity | Ships\nOslo | 17\nBehind the table.")


W = 'xmlns:w="http://w" xmlns:mc="http://mc"'


def word_xml(body: str, **more: bytes) -> str:
    document = f"<w:document {W}><w:body>{body}</w:body></w:document>".encode()
    return word_text(Archive(makers.archive(word__document_dot_xml=document, **more)))


def test_what_stands_twice_is_told_once_and_what_was_deleted_never() -> None:
    choice = "<mc:Choice><w:r><w:t>new</w:t></w:r></mc:Choice><mc:Fallback><w:r><w:t>old</w:t></w:r></mc:Fallback>"
    gone = "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r>"
    assert word_xml(f"<w:p><mc:AlternateContent>{choice}</mc:AlternateContent>{gone}</w:p>") == "new"


def test_footnotes_stand_behind_the_text_and_tables_in_tables_in_one_cell() -> None:
    note = f"<w:footnotes {W}><w:footnote><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>"
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    inner = f"<w:tbl><w:tr>{cell.format('in')}{cell.format('side')}</w:tr></w:tbl>"
    table = f"<w:tbl><w:tr>{cell.format('a')}<w:tc>{inner}<w:p/></w:tc></w:tr></w:tbl>"
    assert word_xml(table, word__footnotes_dot_xml=note.encode()) == "a | in | side\n\nA note."


def test_a_workbook_is_its_sheets_row_by_row() -> None:
    assert sheet_text(Archive(makers.workbook())) == (
        "## Sales\nCity | Sum | When | Sent\nOslo | 12.5 | 2026-05-17 | TRUE\n"
        f"2026-05-17 08:30:00 |  |  |  |  | far away\n\n## Notes & more\n{SENTENCE}"
    )


def sheet_xml(rows: str, strings: str = "") -> str:
    relation = '<Relationship Id="r{0}" Type="x/{1}" Target="{2}"/>'
    relations = relation.format(1, "worksheet", "/xl/s.xml") + relation.format(2, "sharedStrings", "strings.xml")
    return sheet_text(
        Archive(
            makers.archive(
                xl__workbook_dot_xml=b'<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/'
                b'relationships"><workbookPr date1904="1"/><sheet name="S" r:id="r1"/><sheet name="gone" r:id="r9"/>'
                b"</workbook>",
                xl___rels__workbook_dot_xml_dot_rels=f"<Relationships>{relations}</Relationships>".encode(),
                xl__s_dot_xml=f"<worksheet>{rows}</worksheet>".encode(),
                xl__strings_dot_xml=f"<sst>{strings}</sst>".encode(),
            )
        )
    )


def test_cells_of_all_kinds_are_shown() -> None:
    strings = "<si><r><t>two </t></r><r><t>runs</t></r><rPh><t>spoken</t></rPh></si>"
    cells = (
        '<c r="A1" t="s"><v>0</v></c><c t="s"><v>7</v></c><c t="b"><v>0</v></c><c t="e"><v>#DIV/0!</v></c>'
        '<c t="inlineStr"><is><t>in\nline</t></is></c><c t="str"><f>A1</f><v>made</v></c><c r="XFD1"><v>1</v></c>'
    )
    shown = "two runs |  | FALSE | #DIV/0! | in line | made"
    assert sheet_xml(f"<row>{cells}</row><row><c/></row>", strings) == f"## S\n{shown}{' | ' * 21}1"


def test_a_presentation_is_its_slides_in_order_with_notes() -> None:
    assert slides_text(Archive(makers.slides())) == (
        f"## Slide 1\nHarbour\n{SENTENCE}\nAnd more.\nNotes:\nSpeak slowly.\n\n"
        "## Slide 2\nNumbers\nCity | Ships\nOslo | 17"
    )


def test_a_pdf_is_the_text_of_its_pages() -> None:
    granted: list[float] = []
    assert pdf_pieces(makers.pdf(SENTENCE, "Second page."), granted.append) == [f"{SENTENCE}\n\nSecond page."]
    assert granted == [2 * PER_PAGE_S]


def test_a_pdf_that_is_only_locked_against_changes_can_be_read() -> None:
    assert pdf_pieces(makers.pdf("Locked.", owner_password="x")) == ["Locked."]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (partial(makers.pdf, "x", password="secret"), "is encrypted"),
        (makers.drawn_pdf, "holds no text"),
        (partial(makers.many_pages, PAGES_MAX + 1), "more than 1000 pages"),
        (partial(makers.many_pages, PAGES_MAX + 1, told=1), "more than 1000 pages"),
        (makers.circle_of_pages, "is damaged"),
        (makers.pdf_bomb, "unpacks to more"),
        (lambda: b"%PDF-1.7\nnothing", "is damaged"),
    ],
)
def test_a_pdf_that_can_not_be_read_is_said_so(make: Callable[[], bytes], why: str) -> None:
    data = make()
    with pytest.raises(Unreadable, match=why):
        pdf_pieces(data)


def test_a_web_page_is_what_a_reader_sees() -> None:
    source = """<!doctype html><html><head><title>Harbour</title><style>p {}</style>
    <script>let x = "<p>"</script></head><body><h1>Ships &amp; men</h1><p>One <b>two</b>
    three<br/>four<template>no</template><ul><li>red<li>green</ul><table><tr><th>a<th>b<tr><td>1<td>2</table>
    <pre>  kept
    as is</pre><p>&lt;end&gt;</body></html>"""
    assert html_text(source.encode()).splitlines() == [
        *("Harbour", "", "# Ships & men", "", "One two three", "four", "", "- red", "- green", "", "a | b", "1 | 2"),
        *("", "  kept", "    as is", "", "<end>"),
    ]


def test_a_document_with_too_much_text_is_refused_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "TEXT_MAX_CHARACTERS", 100)
    out = Page()
    out.line("x" * 99)
    assert out.text() == "x" * 99
    with pytest.raises(Unreadable, match="more text than can be given"):
        out.line("")
    with pytest.raises(Unreadable):
        word_text(Archive(makers.word("x" * 200)))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (partial(makers.bomb, 65), "unpacks to more"),
        (partial(makers.lying_bomb, 8), "is damaged"),
        (partial(makers.many_entries, 5_001), "more than 5000 parts"),
        (makers.entity_bomb, "declares a document type"),
        (makers.outside_entity, "declares a document type"),
        (partial(makers.deep_xml, 100_000), "is damaged"),
        (partial(makers.archive, word__document_dot_xml=b"<w"), "is damaged"),
        (partial(makers.archive, word__document_dot_xml=b"<w/>"), "holds no text"),
        (partial(makers.archive, EncryptionInfo=b"x", EncryptedPackage=b"y"), "is encrypted"),
        (lambda: makers.word()[:2_000], "is damaged"),
    ],
)
def test_an_archive_that_is_a_trap_is_refused(make: Callable[[], bytes], why: str) -> None:
    data = make()
    with pytest.raises(Unreadable, match=why):
        word_text(Archive(data))


def test_what_is_read_of_an_archive_has_one_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Archive(makers.archive(a=b"x" * 40, b=b"y" * 40))
    monkeypatch.setattr(opened, "_left", 79)
    assert opened.read("a") == b"x" * 40
    assert opened.read("nothing") == b""
    with pytest.raises(Unreadable, match="unpacks to more"):
        opened.read("b")


def test_relations_lead_to_parts_of_the_archive_only() -> None:
    told = (
        b'<Relationships><Relationship Id="1" Type="t/image" Target="../media/a.png"/>'
        b'<Relationship Id="2" Type="t/link" Target="http://x" TargetMode="External"/></Relationships>'
    )
    opened = Archive(makers.archive(ppt__slides___rels__s_dot_xml_dot_rels=told))
    assert markup.relations(opened, "ppt/slides/s.xml") == {"1": ("image", "ppt/media/a.png")}
