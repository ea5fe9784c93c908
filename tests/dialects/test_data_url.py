"""Data URLs and base64 spellings."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects import data_url

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        (f"data:image/png;base64,{PNG}", "image/png", PNG),
        ("data:image/jpg;base64,/9j/4A==", "image/jpeg", "/9j/4A=="),
        ("DATA:IMAGE/PNG;charset=x;BASE64,AAAA", "image/png", "AAAA"),
        (f"data:;base64,{PNG}", "image/png", PNG),
        ("data:;base64,_-8", None, "/+8="),
        ("data:text/plain;base64,aGk", "text/plain", "aGk="),
        ("data:text/plain;base64,aG\nk=", "text/plain", "aGk="),
        ("data:text/plain;base64,aGk%3D", "text/plain", "aGk="),
        ("data:image/svg+xml,%3Csvg/%3E", "image/svg+xml", base64.b64encode(b"<svg/>").decode()),
    ],
)
def test_read(url: str, media_type: str | None, data: str) -> None:
    assert data_url.read(url) == (media_type, data)


@pytest.mark.parametrize("url", ["https://example.org/a.png", "data:image/png;base64", "", "dat"])
def test_other_urls_are_not_data_urls(url: str) -> None:
    assert data_url.read(url) is None


@given(st.binary(max_size=64), st.sampled_from(["image/png", "application/pdf", "text/plain"]))
def test_what_is_written_is_read_again(content: bytes, media_type: str) -> None:
    data = base64.b64encode(content).decode()
    assert data_url.read(data_url.write(media_type, data)) == (media_type, data)


@given(st.binary(max_size=64))
def test_the_spellings_of_base64_are_one(content: bytes) -> None:
    plain = base64.b64encode(content).decode()
    assert data_url.plain_base64(base64.urlsafe_b64encode(content).decode().rstrip("=")) == plain


@given(st.binary(max_size=200))
def test_decoded_bytes_is_never_below_the_truth(content: bytes) -> None:
    told = data_url.decoded_bytes(base64.b64encode(content).decode())
    assert len(content) <= told <= len(content) + 3


@given(st.text(max_size=40))
def test_sniffing_never_raises(text: str) -> None:
    data_url.sniff(text)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF0000WEBPVP8 ", "image/webp"),
        (b"RIFF0000WAVEfmt ", "audio/wav"),
        (b"%PDF-1.7", "application/pdf"),
        (b"hello", None),
    ],
)
def test_sniff(content: bytes, media_type: str | None) -> None:
    assert data_url.sniff(base64.b64encode(content).decode()) == media_type
