"""Documents for tests: real ones, made by the libraries that people use, and some that nobody should open."""

import datetime
import io
import zipfile
import zlib
from itertools import pairwise
from typing import Any

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
from fpdf import FPDF

SENTENCE = "The lighthouse keeper counted seventeen ships before breakfast."


def word(*paragraphs: str) -> bytes:
    """A .docx with a heading, a table, and these paragraphs."""
    document = docx.Document()
    document.add_heading("Annual report", 1)
    for text in paragraphs or (SENTENCE,):
        document.add_paragraph(text)
    table = document.add_table(2, 2)
    for row, values in enumerate((("City", "Ships"), ("Oslo", "17"))):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    document.add_paragraph("Behind the table.")
    return _saved(document)


def workbook(sentence: str = SENTENCE) -> bytes:
    """An .xlsx with two sheets: numbers, dates, truths, and a text."""
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "Sales"
    sheet.append(["City", "Sum", "When", "Sent"])
    sheet.append(["Oslo", 12.5, datetime.date(2026, 5, 17), True])
    sheet["A4"] = datetime.datetime(2026, 5, 17, 8, 30)
    sheet["F4"] = "far away"
    sheet["A5"] = "=1+1"  # never calculated: it has no value yet
    book.create_sheet("Notes & more").append([sentence])
    return _saved(book)


def slides(sentence: str = SENTENCE) -> bytes:
    """A .pptx with two slides, a table and the speaker's notes."""
    show: Any = pptx.Presentation()
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text = "Harbour"
    first.placeholders[1].text = f"{sentence}\nAnd more."
    first.notes_slide.notes_text_frame.text = "Speak slowly."
    second = show.slides.add_slide(show.slide_layouts[5])
    second.shapes.title.text = "Numbers"
    table = second.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for row, values in enumerate((("City", "Ships"), ("Oslo", "17"))):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    return _saved(show)


def _saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def pdf(*pages: str, password: str | None = None, owner_password: str | None = None) -> bytes:
    """A PDF with a page for each text."""
    document = FPDF()
    document.set_font("Helvetica", size=11)
    if password is not None or owner_password is not None:
        document.set_encryption(owner_password=owner_password or "owner", user_password=password)
    for text in pages or (SENTENCE,):
        document.add_page()
        document.multi_cell(0, 6, text)
    return bytes(document.output())


def drawn_pdf() -> bytes:
    """A PDF whose only page is a drawing: neither text nor a picture."""
    document = FPDF()
    document.add_page()
    document.rect(10, 10, 50, 50, style="F")
    return bytes(document.output())


# ---- what nobody should open ----


def archive(**entries: bytes) -> bytes:
    """A ZIP archive; `__` in the names of entries stands for a slash, `_dot_` for a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries.items():
            file.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return out.getvalue()


def bomb(mebibytes: int = 1024) -> bytes:
    """A .docx whose text unpacks to so many MiB of blanks."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file, file.open("word/document.xml", "w") as part:
        part.write(b"<w>")
        for _ in range(mebibytes):
            part.write(b" " * 1024 * 1024)
        part.write(b"</w>")
    return out.getvalue()


def lying_bomb(mebibytes: int = 128) -> bytes:
    """The same, but its directory says that it is small."""
    data = bytearray(bomb(mebibytes))
    true_size = (mebibytes * 1024 * 1024 + 7).to_bytes(4, "little")
    at = data.find(true_size)
    while at >= 0:
        data[at : at + 4] = (1000).to_bytes(4, "little")
        at = data.find(true_size)
    return bytes(data)


def many_entries(count: int = 20_000) -> bytes:
    """An archive of very many empty files."""
    return archive(**{f"e{n}": b"" for n in range(count)})


def entity_bomb() -> bytes:
    """A .docx with entities that stand for each other, ten times each."""
    names = "abcdefghij"
    entities = "".join(f'<!ENTITY {b} "{("&" + a + ";") * 10}">' for a, b in pairwise(names))
    text = f'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "aaaaaaaaaa">{entities}]><w><p><t>&j;</t></p></w>'
    return archive(word__document_dot_xml=text.encode())


def outside_entity() -> bytes:
    """A .docx that wants a file of this machine in its text."""
    text = '<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]><w><p><t>&a;</t></p></w>'
    return archive(word__document_dot_xml=text.encode())


def deep_xml(levels: int = 2_000_000) -> bytes:
    """A .docx with tables in tables in tables."""
    return archive(word__document_dot_xml=b"<tc>" * levels)


def pdf_objects(*objects: bytes) -> bytes:
    """A PDF of these objects, numbered from 1; the first is its root."""
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Root 1 0 R /Size %d>>\nstartxref\n" % (size, table, size)
    return out + head + b"%d\n%%%%EOF\n" % len(out)


def many_pages(count: int = 10_000, told: int | None = None) -> bytes:
    """A PDF with so many pages; `told` is how many it says that it has."""
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(count))
    pages = b"<</Type/Pages/Count %d/Kids[%b]>>" % (count if told is None else told, kids)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    return pdf_objects(b"<</Type/Catalog/Pages 2 0 R>>", pages, *[page] * count)


def circle_of_pages() -> bytes:
    """A PDF whose list of pages holds itself."""
    return pdf_objects(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 2/Kids[2 0 R 2 0 R]>>")


def pdf_with(content: bytes, filters: bytes) -> bytes:
    """A PDF with one page of this content."""
    stream = b"<</Length %d/Filter%b>>stream\n%b\nendstream" % (len(content), filters, content)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    return pdf_objects(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page, stream, font)


def pdf_bomb(mebibytes: int = 200) -> bytes:
    """A PDF whose page unpacks to so many MiB."""
    content = zlib.compress(zlib.compress(b"BT /F 9 Tf " + b"(x) Tj " * (mebibytes * 150_000), 9), 9)
    return pdf_with(content, b"[/FlateDecode/FlateDecode]")


def slow_pdf(operations: int = 4_000_000) -> bytes:
    """A PDF with very many words on its page."""
    return pdf_with(zlib.compress(b"BT /F 9 Tf " + b"(x) Tj " * operations), b"/FlateDecode")
