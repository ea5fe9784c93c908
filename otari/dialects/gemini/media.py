"""Pictures, sound and files: `inlineData` and `fileData` ↔ canonical images, audio and documents.

The gateway fetches nothing: a file is data, or stands where Google reads it itself.
"""

import base64
import binascii
from typing import Any

from otari.dialects import data_url
from otari.dialects.losses import Drop
from otari.domain.chat import Audio, Doc, Document, Image
from otari.domain.errors import OtariError, invalid

PDF = "application/pdf"
_TEXT = "text/plain"
_READ = ("image/", "audio/", "video/", "text/")  # what Gemini takes as it is, beside PDF
_STORES = ("gs://", "https://generativelanguage.googleapis.com/")  # where Google keeps files of its customers
_ENDINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "pdf": PDF,
    "txt": _TEXT,
    "csv": "text/csv",
    "html": "text/html",
    "md": "text/markdown",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
}


# ---- reading -------------------------------------------------------------------------------------------------------


def read_inline(told: Any) -> Image | Audio | Document | None:
    """Data that stands in the part itself; None when there is none."""
    match told:
        case {"data": str(data), **rest}:
            data = data_url.plain_base64(data)
            media_type = _media_type(rest.get("mimeType")) or data_url.sniff(data)
        case _:
            return None
    kind, _, form = (media_type or "").partition("/")
    if kind == "audio":
        return Audio(form, data)
    return Image(media_type, data) if kind == "image" else Document(media_type, data)


def read_file(told: Any) -> Image | Document | None:
    """A file that stands elsewhere; None when it is not said where."""
    match told:
        case {"fileUri": str(uri), **rest}:
            media_type = _media_type(rest.get("mimeType"))
            is_image = (media_type or "").startswith("image/")
            return Image(media_type, url=uri) if is_image else Document(media_type, url=uri)
    return None


def _media_type(told: Any) -> str | None:
    return data_url.clean_media_type(told) if isinstance(told, str) and told else None


# ---- writing -------------------------------------------------------------------------------------------------------


def write_image(image: Image, own: bool, drop: Drop) -> Doc:
    """The part of a picture. `own` says that the request was read from this dialect, as everywhere.

    Raises OtariError(INVALID) for a picture that stands where Google does not read it.
    """
    if image.detail not in (None, "auto"):
        drop("image detail")
    if image.data is not None:
        return _inline(image.media_type or data_url.sniff(image.data) or "image/png", image.data)
    return _file(image, "image", own)


def write_document(document: Document, own: bool, drop: Drop) -> Doc:
    """The part of a file; one that is given as text becomes text.

    Raises OtariError(INVALID) for what Gemini does not read, or does not read there.
    """
    if document.text is not None:
        return {"text": document_text(document)}
    if document.data is None:
        return _file(document, "file", own)
    media_type = document.media_type or data_url.sniff(document.data)
    if not own:
        media_type = _readable(media_type, document.data)
    if document.name is not None:
        drop("document name")
    return _inline(media_type or "application/octet-stream", document.data)


def document_text(document: Document) -> str:
    """The text of a file that is given as text, below its name."""
    title = f"{document.name}:\n" if document.name else ""
    return title + (document.text or "")


def write_audio(audio: Audio) -> Doc:
    """The part of a sound."""
    return _inline(f"audio/{audio.format}", audio.data)


def _inline(media_type: str, data: str) -> Doc:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _file(file: Image | Document, word: str, own: bool) -> Doc:
    uri = file.url or file.file_id or ""
    if not own and not uri.lower().startswith(_STORES):
        raise _unreachable(file, word)
    media_type = file.media_type or (None if own else _ENDINGS.get(uri.rpartition(".")[2].lower()))
    return {"fileData": {"fileUri": uri} if media_type is None else {"mimeType": media_type, "fileUri": uri}}


def _unreachable(file: Image | Document, word: str) -> OtariError:
    if file.url is None:
        message = f"A file id of another provider means nothing to this model. Send the {word} as data."
    else:
        message = f"This model takes no {word} by its URL, except gs:// and Google's Files API. Send it as base64 data."
    return invalid(message, "messages")


def _readable(media_type: str | None, data: str) -> str:
    """What a file of another dialect is called here: any file that is text can be read as such."""
    if media_type is not None and (media_type == PDF or media_type.startswith(_READ)):
        return media_type
    try:
        base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        kind = media_type or "unknown type"
        raise invalid(f"This model takes documents as PDF or text, not as {kind}.", "messages") from None
    return _TEXT
