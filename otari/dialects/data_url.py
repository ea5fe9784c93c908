"""Data URLs and the base64 inside them: `data:image/png;base64,…` ↔ media type and plain base64."""

import base64
import binascii
from urllib.parse import unquote_to_bytes

_STARTS = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mp3"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}


def is_data_url(url: str) -> bool:
    """Whether the bytes stand in the URL itself."""
    return url[:5].lower() == "data:"


def read(url: str) -> tuple[str | None, str] | None:
    """Media type (None when neither said nor recognised) and standard base64 of a data URL; None for other URLs."""
    if not is_data_url(url):
        return None
    head, comma, payload = url[5:].partition(",")
    if not comma:
        return None
    media_type, *parameters = head.split(";")
    if any(parameter.strip().lower() == "base64" for parameter in parameters):
        data = plain_base64(payload)
    else:
        data = base64.b64encode(unquote_to_bytes(payload)).decode()
    return clean_media_type(media_type) or sniff(data), data


def write(media_type: str | None, data: str) -> str:
    """The data URL of base64 `data`; a media type that nobody told is recognised by the first bytes."""
    return f"data:{media_type or sniff(data) or 'application/octet-stream'};base64,{data}"


def clean_media_type(media_type: str) -> str:
    """Lower case, with the one widespread misspelling put right."""
    lower = media_type.strip().lower()
    return "image/jpeg" if lower == "image/jpg" else lower


def plain_base64(text: str) -> str:
    """Base64 in the standard alphabet with its padding, from the URL-safe or unpadded or wrapped spellings."""
    if "%" in text:
        text = unquote_to_bytes(text).decode("latin-1")
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    if not text.isascii() or any(space in text for space in " \t\r\n"):
        text = "".join(text.split())
    return text + "=" * (-len(text) % 4)


def sniff(data: str) -> str | None:
    """The media type that the first bytes of base64 `data` show; None when they show none."""
    try:
        start = base64.b64decode(data[:24])
    except (binascii.Error, ValueError):
        return None
    if start.startswith(b"RIFF"):
        return _RIFF.get(start[8:12])
    return next((media_type for magic, media_type in _STARTS if start.startswith(magic)), None)


def decoded_bytes(data: str) -> int:
    """How many bytes base64 text stands for, rounded up."""
    return len(data) * 3 // 4 + 1
