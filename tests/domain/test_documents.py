"""What some bytes are: the bytes say so, whatever they are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.documents import Unreadable, kind_of, plain_text


@pytest.mark.parametrize(
    ("data", "media_type", "kind"),
    [
        (b"%PDF-1.7\n", None, "pdf"),
        (b"\r\n\r\njunk %PDF-1.4", "text/plain", "pdf"),
        (b"PK\x03\x04rest", "application/pdf", "office"),
        (b"\x89PNG\r\n\x1a\n", "application/pdf", "image"),
        (b"\xff\xd8\xff\xe0", None, "image"),
        (b"RIFF\0\0\0\0WEBP", None, "image"),
        (b"<!DOCTYPE HTML><p>", "text/plain", "html"),
        (b"\xef\xbb\xbf\n<html lang=en>", None, "html"),
        (b"<p>no more than a piece", "text/html", "html"),
        (b"<p>no more than a piece", None, "text"),
        (b'<svg xmlns="x">', "image/svg+xml", "text"),
        (b"", None, "text"),
        (b"a,b\n1,2\n", "text/csv", "text"),
        ("Ærø".encode("utf-16"), "text/plain", "text"),
    ],
)
def test_the_bytes_tell_the_kind(data: bytes, media_type: str | None, kind: str) -> None:
    assert kind_of(data, media_type) == kind


@pytest.mark.parametrize(
    ("data", "media_type", "why"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", None, "encrypted or very old Office"),
        (b"\x7fELF\0\0\0", "text/plain", "can not be read as text"),
        (b"words", "image/png", "is called image/png, and is none"),
    ],
)
def test_what_nobody_can_read_is_said_so(data: bytes, media_type: str | None, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        kind_of(data, media_type)


@given(st.binary(max_size=64), st.sampled_from([None, "text/plain", "application/pdf", "image/png", "text/html"]))
def test_any_bytes_have_a_kind_or_none(data: bytes, media_type: str | None) -> None:
    try:
        kind = kind_of(data, media_type)
    except Unreadable:
        return
    if kind == "text":
        try:
            assert "\0" not in plain_text(data)
        except Unreadable:
            assert b"\0" in data or data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Ærø 👋".encode(), "Ærø 👋"),
        ("Ærø".encode("utf-8-sig"), "Ærø"),
        ("Ærø".encode("utf-16"), "Ærø"),
        (b"\xfe\xff\x00A", "A"),
        ("Ærø – “x”".encode("cp1252"), "Ærø – “x”"),
        (b"", ""),
    ],
)
def test_text_is_decoded_as_it_was_written(data: bytes, text: str) -> None:
    assert plain_text(data) == text


@pytest.mark.parametrize("data", [b"a\0b", b"\xff\xfe\x00", b"\xef\xbb\xbf\xff"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        plain_text(data)
