"""Pictures and files: `source` objects ↔ canonical images and documents."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from otari.dialects import data_url
from otari.domain.chat import Doc, Document, Image
from otari.domain.errors import invalid

PDF = "application/pdf"
_NO_FILE_ID = "A file id of another provider means nothing to this model. Send the {} as data."


def read_image(source: Any, cache: Doc | None) -> Image | None:
    """The picture of an image block; None when its source is of an unknown kind."""
    match source:
        case {"type": "base64", "data": str(data), **rest}:
            return Image(media_type=_media_type(rest, data), data=data_url.plain_base64(data), cache=cache)
        case {"type": "url", "url": str(url)}:
            inline = data_url.read(url)
            if inline is not None:
                return Image(media_type=inline[0], data=inline[1], cache=cache)
            return Image(url=url, cache=cache)
        case {"type": "file", "file_id": str(file_id)}:
            return Image(file_id=file_id, cache=cache)
    return None


def read_document(block: Doc, cache: Doc | None) -> Document | None:
    """The file of a document block; None when its source is of an unknown kind, or a text with pictures in it."""
    title = block.get("title")
    name = title if isinstance(title, str) else None
    match block.get("source"):
        case {"type": "base64", "data": str(data), **rest}:
            plain = data_url.plain_base64(data)
            return Document(media_type=_media_type(rest, data), data=plain, name=name, cache=cache)
        case {"type": "url", "url": str(url)}:
            return Document(url=url, name=name, cache=cache)
        case {"type": "text", "data": str(text)}:
            return Document(media_type="text/plain", text=text, name=name, cache=cache)
        case {"type": "content", "content": content}:
            written = _written(content)
            return None if written is None else Document("text/plain", text=written, name=name, cache=cache)
        case {"type": "file", "file_id": str(file_id)}:
            return Document(file_id=file_id, name=name, cache=cache)
    return None


def _media_type(source: Mapping[Any, Any], data: str) -> str | None:
    told = source.get("media_type")
    return data_url.clean_media_type(told) if isinstance(told, str) and told else data_url.sniff(data)


def _written(content: Any) -> str | None:
    """The text of a document given as content blocks; None when there is more than text in it."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else [None]
    texts = [text for block in blocks if isinstance(block, dict) and isinstance(text := block.get("text"), str)]
    return "\n".join(texts) if len(texts) == len(blocks) else None


def write_image(image: Image, *, own: bool, drop: Callable[[str], None]) -> Doc:
    """An image block. Raises OtariError(INVALID) for a file id that Anthropic did not give."""
    if image.detail is not None:
        drop("image detail")
    if image.data is not None:
        media_type = image.media_type or data_url.sniff(image.data) or "image/png"
        source = {"type": "base64", "media_type": media_type, "data": image.data}
    elif image.url is not None:
        source = {"type": "url", "url": image.url}
    elif own:
        source = {"type": "file", "file_id": image.file_id or ""}
    else:
        raise invalid(_NO_FILE_ID.format("image"), "messages")
    return {"type": "image", "source": source}


def write_document(document: Document, *, own: bool) -> Doc:
    """A document block. Raises OtariError(INVALID) for what is neither a PDF nor text, and for foreign file ids."""
    if document.text is not None:
        source = _text_source(document.text)
    elif document.data is not None:
        source = _data_source(document.media_type or data_url.sniff(document.data), document.data)
    elif document.url is not None:
        source = {"type": "url", "url": document.url}
    elif own:
        source = {"type": "file", "file_id": document.file_id or ""}
    else:
        raise invalid(_NO_FILE_ID.format("file"), "messages")
    block: Doc = {"type": "document", "source": source}
    if document.name is not None:
        block["title"] = document.name
    return block


def _text_source(text: str) -> Doc:
    return {"type": "text", "media_type": "text/plain", "data": text}


def _data_source(media_type: str | None, data: str) -> Doc:
    """Base64 stands for a PDF on this wire; any file that is text is told as text."""
    if media_type == PDF:
        return {"type": "base64", "media_type": PDF, "data": data}
    try:
        return _text_source(base64.b64decode(data, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError, ValueError):
        kind = media_type or "unknown type"
        raise invalid(f"This model takes documents as PDF or text, not as {kind}.", "messages") from None
