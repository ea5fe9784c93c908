"""Messages of Chat Completions ↔ canonical parts: content parts, the assistant's message, the carriers of signatures.

What the wire has no place for travels in `extra_content`, the spelling of Google's own Chat Completions endpoint:
`extra_content.google.thought_signature` on a tool call, `extra_content.<family>.thinking_blocks` on a message.
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from otari.dialects import data_url
from otari.domain.chat import Audio, Doc, Document, Image, Opaque, Part, Refusal, Text, Thinking, ToolCall
from otari.domain.errors import invalid

NAME = "openai-chat"
MESSAGE_KEYS = "message_keys"  # the type of an Opaque that holds keys of a message which only this dialect knows
_KNOWN_KEYS = frozenset(
    [
        "role",
        "name",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
        "tool_call_id",
        "reasoning_content",
        "reasoning",
        "extra_content",
    ]
)


# ---- content parts -------------------------------------------------------------------------------------------------


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


def write_content(parts: Iterable[Part]) -> str | list[Doc]:
    """User content: a plain string when there is nothing but one text, else a list of parts.

    Raises OtariError(INVALID) for an image or a file in a form that this dialect can not carry.
    """
    docs = [doc for part in parts if (doc := _write_part(part)) is not None]
    if not docs:
        return ""
    if len(docs) == 1 and docs[0].get("type") == "text":
        return str(docs[0]["text"])
    return docs


def _write_part(part: Part) -> Doc | None:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            image: Doc = {"url": _image_url(part)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case Document():
            return _write_document(part)
        case Opaque(dialect, doc) if dialect == NAME and doc.get("type") != MESSAGE_KEYS:
            return doc
    return None


def _image_url(image: Image) -> str:
    if image.data is not None:
        return data_url.write(image.media_type, image.data)
    if image.url is None:
        raise invalid("This model takes an image as data or as a URL, not by its file id.", "messages")
    return image.url


def _write_document(document: Document) -> Doc:
    if document.text is not None:
        title = f"{document.name}:\n" if document.name else ""
        return {"type": "text", "text": title + document.text}
    if document.data is not None:
        file: Doc = {"file_data": data_url.write(document.media_type, document.data)}
    elif document.file_id is not None:
        file = {"file_id": document.file_id}
    else:
        raise invalid("This model takes a document as data, not by its URL.", "messages")
    if document.name is not None:
        file["filename"] = document.name
    return {"type": "file", "file": file}


# ---- the assistant's message ---------------------------------------------------------------------------------------


def read_assistant(message: Doc, new_id: Callable[[], str]) -> list[Part]:
    """The parts of an assistant's message: thinking, content, refusal, tool calls, and what only this dialect knows.

    `new_id` names calls that came without an id.
    """
    parts = _read_thinking(message) + read_content(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append(Refusal(refusal))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            parts.append(_read_call(call, new_id))
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        parts.append(_read_call({"function": legacy}, new_id))
    keys = {key: value for key, value in message.items() if key not in _KNOWN_KEYS and value not in (None, [])}
    if keys:
        parts.append(Opaque(NAME, {"type": MESSAGE_KEYS, "keys": keys}))
    return parts


def _read_call(call: Doc, new_id: Callable[[], str]) -> Part:
    function = call.get("function")
    if not isinstance(function, dict):
        return Opaque(NAME, call)
    told, name = call.get("id"), function.get("name")
    call_id = told if isinstance(told, str) and told else new_id()
    arguments = raw_arguments(function.get("arguments"))
    return ToolCall(call_id, name if isinstance(name, str) else "", arguments, call_signature(call))


def raw_arguments(arguments: Any) -> str:
    """Arguments as JSON text; some servers send them as the object itself.

    Raises OtariError(INVALID) for an object that is nested too deeply to be written as text.
    """
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    try:
        return orjson.dumps(arguments).decode()
    except orjson.JSONEncodeError:
        raise invalid("The arguments of a tool call are nested too deeply.", "messages") from None


def call_signature(call: Doc) -> str | None:
    """The thought signature that rides on a tool call, if one does."""
    match call.get("extra_content"):
        case {"google": {"thought_signature": str(signature)}}:
            return signature
    return None


def complete(arguments: str) -> bool:
    """Whether the text of arguments is whole JSON ("" is: the call has no arguments)."""
    if not arguments.strip():
        return True
    try:
        orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return False
    return True


def reasoning_text(message: Doc) -> str:
    """Reasoning in a message or delta: the first of the spellings that says something (providers send mirrors)."""
    for key in ("reasoning_content", "reasoning", "thinking"):
        value = message.get(key)
        if isinstance(value, dict):
            value = value.get("content") or value.get("text")
        if isinstance(value, str) and value:
            return value
    details = message.get("reasoning_details")
    if not isinstance(details, list):
        return ""
    texts = (detail.get("text") or detail.get("summary") for detail in details if isinstance(detail, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _read_thinking(message: Doc) -> list[Part]:
    extra = message.get("extra_content")
    for family, box in extra.items() if isinstance(extra, dict) else ():
        blocks = box.get("thinking_blocks") if isinstance(box, dict) else None
        if isinstance(blocks, list):
            maker = None if family == UNKNOWN_FAMILY else family
            return [_read_block(block, maker) for block in blocks if isinstance(block, dict)]
    text = reasoning_text(message)
    return [Thinking(text)] if text else []


UNKNOWN_FAMILY = "unknown"


def _read_block(block: Doc, family: str | None) -> Thinking:
    text, signature, redacted = block.get("thinking"), block.get("signature"), block.get("data")
    return Thinking(
        text if isinstance(text, str) else "",
        signature if isinstance(signature, str) else None,
        family,
        redacted if isinstance(redacted, str) else None,
    )


def write_assistant(parts: Iterable[Part]) -> Doc:
    """An assistant's message. Texts are joined; what this dialect can not show (images, foreign parts) is left out."""
    parts = tuple(parts)
    calls = [call for part in parts if (call := _write_call(part)) is not None]
    thinking = [part for part in parts if isinstance(part, Thinking)]
    message: Doc = {"role": "assistant", "content": _assistant_content(parts)}
    if refusal := "".join(part.text for part in parts if isinstance(part, Refusal)):
        message["refusal"] = refusal
    if reasoning := "".join(part.text for part in thinking):
        message["reasoning_content"] = reasoning
    if any(part.signature is not None or part.redacted is not None for part in thinking):
        family = next((part.family for part in thinking if part.family), None)
        message["extra_content"] = {family or UNKNOWN_FAMILY: {"thinking_blocks": list(map(_write_block, thinking))}}
    if calls:
        message["tool_calls"] = calls
    for part in parts:
        if isinstance(part, Opaque) and part.dialect == NAME and part.doc.get("type") == MESSAGE_KEYS:
            message |= part.doc["keys"]
    if message["content"] is None and len(message) == 2:
        message["content"] = ""
    return message


def _assistant_content(parts: tuple[Part, ...]) -> str | list[Doc] | None:
    own = [part.doc for part in parts if isinstance(part, Opaque) and part.dialect == NAME]
    own = [doc for doc in own if doc.get("type") != MESSAGE_KEYS and not _is_call(doc)]
    text = "".join(part.text for part in parts if isinstance(part, Text))
    if own:
        return ([{"type": "text", "text": text}] if text else []) + own
    return text or None


def _write_call(part: Part) -> Doc | None:
    match part:
        case ToolCall():
            return function_call(part, part.arguments or "{}")
        case Opaque(dialect, doc) if dialect == NAME and _is_call(doc):
            return doc
    return None


def _is_call(doc: Doc) -> bool:
    """Calls of freeform tools: `{"type": "custom", "id", "custom": {"name", "input"}}`."""
    return doc.get("type") == "custom"


def function_call(call: ToolCall, arguments: str) -> Doc:
    """A tool call on the wire, with the signature that must come back with it."""
    doc: Doc = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
    if call.signature is not None:
        doc["extra_content"] = {"google": {"thought_signature": call.signature}}
    return doc


def _write_block(part: Thinking) -> Doc:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    block: Doc = {"type": "thinking", "thinking": part.text}
    if part.signature is not None:
        block["signature"] = part.signature
    return block
