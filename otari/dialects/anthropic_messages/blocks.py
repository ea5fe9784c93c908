"""Content blocks → canonical parts.

A block becomes the part that means the same. What a known block holds beyond that (citations, callers) follows it as an
`Opaque` whose `block_keys` belong to the part before it; a block that only this dialect knows becomes an `Opaque`.
"""

from dataclasses import replace
from typing import Any

import orjson

from otari.dialects.anthropic_messages.marks import FAMILY, read_id, read_mark
from otari.dialects.anthropic_messages.media import read_document, read_image
from otari.domain.chat import Doc, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from otari.domain.errors import invalid

NAME = "anthropic-messages"
BLOCK_KEYS = "block_keys"
INVALID_JSON = "INVALID_JSON"  # the one key of an input that stands for arguments which are not JSON
BLOCKS = {  # the blocks that mean parts, and the keys that tell them
    "text": ("text",),
    "image": ("source",),
    "document": ("source", "title"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input"),
}


def read_content(content: Any) -> list[Part]:
    """The parts of a message's content: a string or a list of blocks. An empty text is no part."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        return []
    parts: list[Part] = []
    signatures: dict[str, str] = {}
    for block in content:
        if isinstance(block, dict):
            carried = carried_signature(block)
            if carried is not None:
                signatures[carried[0]] = carried[1]
            else:
                parts += _read_block(block)
    return [_signed(part, signatures) for part in parts] if signatures else parts


def carried_signature(block: Doc) -> tuple[str, str] | None:
    """The id of a tool call and its signature, when the block is one that carries them (see `marks`)."""
    data = block.get("data")
    mark = read_mark(data) if block.get("type") == "redacted_thinking" and isinstance(data, str) else None
    if mark is None or mark.call_id is None or mark.signature is None:
        return None
    return mark.call_id, mark.signature


def _signed(part: Part, signatures: dict[str, str]) -> Part:
    if isinstance(part, ToolCall) and part.id in signatures:
        return replace(part, signature=signatures[part.id])
    return part


def _read_block(block: Doc) -> list[Part]:
    part = _read_part(block)
    if part == Text(""):
        return []
    if part is None:
        return [Opaque(NAME, block)]
    rest = keys_beyond(block)
    return [part, Opaque(NAME, {"type": " ".join(rest), BLOCK_KEYS: rest})] if rest else [part]


def keys_beyond(block: Doc) -> Doc:
    """What a block that means a part says beyond that; nothing for a block of another kind."""
    known = BLOCKS.get(str(block.get("type")))
    if known is None:
        return {}
    return {key: value for key, value in block.items() if key not in known and _says_more(key, value)}


def _says_more(key: str, value: Any) -> bool:
    return key not in ("type", "cache_control") and value not in (None, [])


def _read_part(block: Doc) -> Part | None:
    """The part that a block means; None when only this dialect knows it."""
    mark = block.get("cache_control")
    cache = mark if isinstance(mark, dict) else None
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text, cache)
        case {"type": "image", "source": source}:
            return read_image(source, cache)
        case {"type": "document"}:
            return read_document(block, cache)
        case {"type": "thinking", "thinking": str(text)}:
            return read_thinking(text, block.get("signature"))
        case {"type": "redacted_thinking", "data": str(data)}:
            return read_redacted(data)
        case {"type": "tool_use", "id": str(call_id), "name": str(name)}:
            return ToolCall(read_id(call_id), name, arguments_text(block.get("input")), cache=cache)
        case {"type": "tool_result", "tool_use_id": str(call_id)}:
            parts = tuple(read_content(block.get("content")))
            return ToolResult(read_id(call_id), parts, block.get("is_error") is True, cache)
    return None


def read_thinking(text: str, signature: Any) -> Thinking:
    """Thinking with its signature; a marked one gives back the family and the signature that it carries."""
    told = signature if isinstance(signature, str) and signature else None
    mark = read_mark(told) if told is not None else None
    return Thinking(text, told, FAMILY) if mark is None else Thinking(text, mark.signature, mark.family)


def read_redacted(data: str) -> Thinking:
    """Thinking that nobody but its maker can read."""
    mark = read_mark(data)
    if mark is None:
        return Thinking("", None, FAMILY, data)
    return Thinking("", None, mark.family, mark.signature or "")


def arguments_text(value: Any) -> str:
    """The input of a tool call as JSON text. Raises OtariError(INVALID) when it is nested too deeply to be one."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, dict) and list(value) == [INVALID_JSON] and isinstance(value[INVALID_JSON], str):
        raw = value[INVALID_JSON]
        return raw if read_arguments(raw) == value else orjson.dumps(value).decode()
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise invalid("The arguments of a tool call are nested too deeply.", "messages") from None


def read_arguments(arguments: str) -> Doc:
    """The arguments of a call as the object that this wire demands.

    No arguments are `{}`. JSON that is no object is `{"value": …}`; a text that is not JSON, mostly one that was cut
    off, is kept under the key INVALID_JSON.
    """
    if not arguments.strip():
        return {}
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {INVALID_JSON: arguments}
    return value if isinstance(value, dict) else {"value": value}
