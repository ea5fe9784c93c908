"""Names of files: for people, and harmless wherever they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.media_types import DOCX, media_type_of
from otari.web.file_shapes import NAME_MAX_CHARACTERS, content_type, disposition, plain_name


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("f.txt", "f.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\f.txt", "f.txt"),
        ("/", ""),
        ("..", ""),
        (". .", ""),
        ("a\0b\r\nX: y.txt", "abX: y.txt"),
        ("Ærø 👋.txt", "Ærø 👋.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),  # would be shown back to front
        (" .profile", "profile"),
        ("x" * 300 + ".docx", "x" * 250 + ".docx"),
        ("x" * 300, "x" * 255),
        ("a." + "y" * 300, None),
    ],
)
def test_a_name_is_made_plain(told: str, name: str | None) -> None:
    made = plain_name(told)
    assert len(made) <= NAME_MAX_CHARACTERS
    if name is not None:
        assert made == name


@given(st.text(max_size=400))
def test_a_plain_name_can_do_no_harm(told: str) -> None:
    name = plain_name(told)
    assert "/" not in name
    assert "\\" not in name
    assert name.isprintable()
    assert len(name) <= NAME_MAX_CHARACTERS
    assert name not in (".", "..")
    assert plain_name(name) == name
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


def test_a_download_is_named_for_old_and_new_clients() -> None:
    told = "attachment; filename=\"_r_ 1_.txt\"; filename*=UTF-8''%C3%86r%C3%B8%201%25.txt"
    assert disposition("Ærø 1%.txt") == told


@pytest.mark.parametrize(
    ("declared", "name", "media_type"),
    [
        ("application/pdf", "a.txt", "application/pdf"),
        ("Text/Plain; charset=latin-1", "a", "text/plain"),
        (None, "a.PDF", "application/pdf"),
        ("application/octet-stream", "a.docx", DOCX),
        ("", "a.unknown", "application/octet-stream"),
        ("text/html\r\nX: y", "a", "application/octet-stream"),
        ("nonsense", "notes.md", "text/markdown"),
        (None, "noending", "application/octet-stream"),
    ],
)
def test_a_media_type_is_told_or_found(declared: str | None, name: str, media_type: str) -> None:
    assert media_type_of(declared, name) == media_type


def test_texts_are_sent_as_utf8() -> None:
    assert content_type("text/csv") == "text/csv; charset=utf-8"
    assert content_type("application/pdf") == "application/pdf"
