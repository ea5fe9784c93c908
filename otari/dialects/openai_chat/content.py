"""Content parts ↔ canonical parts: texts, pictures, sound, files."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from otari.dialects import data_url
from otari.dialects.openai_chat.terms import Terms
from otari.domain.chat import Audio, Doc, Document, Image, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from otari.domain.errors import invalid

NAME = "openai-chat"
MESSAGE_KEYS = "message_keys"  # the key of an Opaque that holds keys of a message which only this dialect knows
OTHER_CALL = "tool_call"  # the key of an Opaque that holds a call of a kind which only this dialect knows
PDF = "application/pdf"

_SOUND = {"wav": "wav", "x-wav": "wav", "wave": "wav", "mp3": "mp3", "mpeg": "mp3"}  # what the wire takes
_NO_FILE_ID = "A file id of another provider means nothing to this model. Send the {} as data."


# ---- reading -------------------------------------------------------------------------------------------------------


def read_content(content: Any) -> list[Part]:
    """The parts of a message's content: a string, a list of parts, or null. An empty text is no part."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        return []
    parts = (_read_part(part) for part in content if isinstance(part, dict))
    return [part for part in parts if part != Text("")]


def _read_part(part: Doc) -> Part:
    kind = part.get("type")
    body: Any = part.get(kind) if isinstance(kind, str) else None
    mark = part.get("cache_control")
    cache = mark if isinstance(mark, dict) else None
    match kind, body:
        case "text", str(text):
            return Text(text, cache)
        case "refusal", str(text):
            return Refusal(text)
        case "thinking", str() | list():
            return Thinking(thinking_text(body))
        case "image_url", {"url": str(url), **rest}:
            detail = rest.get("detail")
            return _read_image(url, detail if isinstance(detail, str) else None, cache)
        case "image_url", str(url):
            return _read_image(url, None, cache)
        case "input_audio", {"data": str(data), "format": str(form)}:
            return Audio(form, data)
        case "file", {"file_data": str(data), **rest}:
            return _read_file(data, rest.get("filename"), cache)
        case "file", {"file_id": str(file_id), **rest}:
            name = rest.get("filename")
            return Document(file_id=file_id, name=name if isinstance(name, str) else None, cache=cache)
    return Opaque(NAME, part)


def _read_image(url: str, detail: str | None, cache: Doc | None) -> Image:
    inline = data_url.read(url)
    if inline is None:
        return Image(url=url, detail=detail, cache=cache)
    return Image(media_type=inline[0], data=inline[1], detail=detail, cache=cache)


def _read_file(data: str, name: Any, cache: Doc | None) -> Document:
    """Some clients send plain base64 instead of a data URL."""
    plain = data_url.plain_base64(data)
    media_type, plain = data_url.read(data) or (data_url.sniff(plain), plain)
    return Document(media_type=media_type, data=plain, name=name if isinstance(name, str) else None, cache=cache)


def thinking_text(body: Any) -> str:
    """The text in a thinking part: a string, or Mistral's list of text parts."""
    if isinstance(body, str):
        return body
    if not isinstance(body, list):
        return ""
    texts = (part.get("text") for part in body if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


# ---- writing -------------------------------------------------------------------------------------------------------


def write_parts(parts: Iterable[Part], where: str, terms: Terms) -> list[Doc]:
    """Parts that a user, a system prompt or a tool says; `where` is what the list of losses calls the place.

    Raises OtariError(INVALID) for media in a form that this dialect can not carry.
    """
    return [doc for part in parts if (doc := _write_part(part, where, terms)) is not None]


def plain(docs: list[Doc], terms: Terms) -> str | list[Doc]:
    """Content that is nothing but one text as a string, and no content as an empty one.

    So are several texts of another dialect: many servers take media in a list, but texts only as one string.
    """
    if all(doc.keys() == {"type", "text"} for doc in docs) and (len(docs) < 2 or not terms.own):
        return "\n\n".join(doc["text"] for doc in docs)
    return docs


def word(part: Part) -> str:
    """What a part is called in the list of losses."""
    if isinstance(part, Opaque):
        return f"part {part.doc.get('type')}"
    return {ToolCall: "tool call", ToolResult: "tool result"}.get(type(part), type(part).__name__.lower())


def marked(doc: Doc, cache: Doc | None, terms: Terms) -> Doc:
    """A part or tool with its cache mark, where the server takes one."""
    if cache is not None:
        if terms.quirks.cache_marks:
            doc["cache_control"] = cache
        else:
            terms.drop("cache_control")
    return doc


def _write_part(part: Part, where: str, terms: Terms) -> Doc | None:
    match part:
        case Text(text, cache):
            return marked({"type": "text", "text": text}, cache, terms)
        case Refusal(text):
            return {"type": "refusal", "refusal": text} if terms.own else {"type": "text", "text": text}
        case Image():
            return marked({"type": "image_url", "image_url": _write_image(part)}, part.cache, terms)
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": _sound(part, terms)}}
        case Document():
            return marked(_write_document(part, terms), part.cache, terms)
        case Opaque(dialect, doc) if dialect == NAME:
            return None if MESSAGE_KEYS in doc or OTHER_CALL in doc else doc
        case Opaque():
            terms.drop(word(part))
        case _:
            terms.drop(f"{word(part)} in {where}")
    return None


def _write_image(image: Image) -> Doc:
    if image.data is not None:
        doc: Doc = {"url": data_url.write(image.media_type, image.data)}
    elif image.url is not None:
        doc = {"url": image.url}
    else:
        raise invalid("This model takes an image as data or as a URL, not by its file id.", "messages")
    return doc if image.detail is None else {**doc, "detail": image.detail}


def _sound(audio: Audio, terms: Terms) -> str:
    if terms.own:
        return audio.format
    form = _SOUND.get(audio.format.lower())
    if form is None:
        raise invalid(f"This model takes sound as wav or mp3, not as {audio.format}.", "messages")
    return form


def _write_document(document: Document, terms: Terms) -> Doc:
    """A file part for a PDF; any file that is text is told as text, because servers take no other files."""
    text = document.text
    if text is None and document.data is not None and not terms.own:
        text = _text_in(document.media_type or data_url.sniff(document.data), document.data)
    if text is not None:
        title = f"{document.name}:\n" if document.name else ""
        return {"type": "text", "text": title + text}
    name = document.name
    if document.data is not None:
        file: Doc = {"file_data": data_url.write(document.media_type, document.data)}
        name = name if name is not None or terms.own else "file.pdf"  # OpenAI wants one
    elif document.file_id is not None:
        if not terms.file_ids:
            raise invalid(_NO_FILE_ID.format("file"), "messages")
        file = {"file_id": document.file_id}
    else:
        raise invalid("This model takes a document as data, not by its URL.", "messages")
    if name is not None:
        file["filename"] = name
    return {"type": "file", "file": file}


def _text_in(media_type: str | None, data: str) -> str | None:
    """The text of a file; None for a PDF. Raises OtariError(INVALID) for anything else."""
    if media_type == PDF:
        return None
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        kind = media_type or "unknown type"
        raise invalid(f"This model takes documents as PDF or text, not as {kind}.", "messages") from None
