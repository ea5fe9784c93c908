"""Parts of a content → canonical parts.

A part becomes the canonical part that means the same. What it says beyond that follows it as an `Opaque` whose
`part_keys` belong to the part before it; a part that only this dialect knows becomes an `Opaque` that holds it as
`part`.

Any part may be signed, and a signature must go back on the very part that it came with. On thinking and on calls it
stands in the canonical part. The signature of a text follows it as empty `Thinking`, and one that came alone, on an
empty text (mostly at the end of a stream), is redacted `Thinking`: both are kept by the other dialects' clients.
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from otari.dialects.anthropic_messages.blocks import arguments_text
from otari.dialects.gemini.media import read_file, read_inline
from otari.domain.chat import Doc, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from otari.domain.errors import invalid

NAME = "gemini"
FAMILY = "google"  # whose signatures these are
PART = "part"
PART_KEYS = "part_keys"
NO_SIGNATURE = "skip_thought_signature_validator"  # what Google takes for calls that its models did not make

_KNOWN = {
    "functionCall": ("functionCall", "thoughtSignature"),
    "inlineData": ("inlineData",),
    "fileData": ("fileData",),
    "text": ("text", "thought", "thoughtSignature"),
}
_KNOWN_INSIDE = {
    "functionCall": ("id", "name", "args", "partialArgs", "willContinue"),
    "inlineData": ("mimeType", "data"),
    "fileData": ("mimeType", "fileUri"),
}
_BESIDE = frozenset(["thought", "thoughtSignature", "partMetadata"])  # keys that no part is called by
_MADE = re.compile(r"call_[0-9a-f]{24}")


def made_ids(seed: str) -> Callable[[], str]:
    """Ids for calls that come without one: different ones for one `seed`, and always the same ones for the same."""
    numbers = itertools.count()

    def new_id() -> str:
        return "call_" + hashlib.sha256(f"{next(numbers)} {seed}".encode()).hexdigest()[:24]

    return new_id


def is_made(call_id: str) -> bool:
    """Whether an id looks like one of `made_ids`: nothing that Gemini has ever told."""
    return _MADE.fullmatch(call_id) is not None


def read_part(doc: Doc, new_id: Callable[[], str]) -> list[Part]:
    """What one part means; nothing for an empty text. `new_id` names calls that came without an id.

    Raises OtariError(INVALID) for arguments that are nested too deeply to be written as text.
    """
    if "thoughtSignature" in doc and not doc.keys() - _BESIDE:
        doc = {"text": "", **doc}
    kind = next((key for key in _KNOWN if doc.get(key) is not None), "")
    parts = _read_known(kind, doc, new_id)
    if parts is None:
        kind = next((key for key in doc if key not in _BESIDE), "part")
        return [Opaque(NAME, {"type": kind, PART: doc})] if doc else []
    rest = _beyond(doc, _KNOWN[kind])
    inner = _beyond(doc[kind], _KNOWN_INSIDE[kind]) if kind in _KNOWN_INSIDE else {}
    if inner:
        rest[kind] = inner
    return [*parts, Opaque(NAME, {"type": " ".join(rest), PART_KEYS: rest})] if parts and rest else parts


def _beyond(doc: Doc, known: Iterable[str]) -> Doc:
    """What an object says beyond the known keys."""
    return {key: value for key, value in doc.items() if key not in known and value not in (None, False)}


def _read_known(kind: str, doc: Doc, new_id: Callable[[], str]) -> list[Part] | None:
    """The parts without what they say beyond their meaning; None for what only this dialect knows."""
    signature = signature_of(doc)
    match kind:
        case "text":
            text = doc["text"]
            thought = doc.get("thought") is True
            return _read_text(text, signature, thought) if isinstance(text, str) else None
        case "functionCall":
            call = read_call(doc["functionCall"], signature, new_id)
            return None if call is None else [call]
        case "inlineData" | "fileData":
            media = read_inline(doc[kind]) if kind == "inlineData" else read_file(doc[kind])
            return None if media is None else [media]
    return None


def _read_text(text: str, signature: str | None, thought: bool) -> list[Part]:
    if not text:
        return [Thinking("", None, FAMILY, signature)] if signature is not None else []
    if thought:
        return [Thinking(text, signature, FAMILY)]
    return [Text(text)] if signature is None else [Text(text), Thinking("", signature, FAMILY)]


def read_call(told: Any, signature: str | None, new_id: Callable[[], str]) -> ToolCall | None:
    """A whole call; None when it has neither a name nor arguments."""
    if not isinstance(told, dict):
        return None
    name, call_id = told.get("name"), told.get("id")
    if not isinstance(name, str):
        name = ""
    if not name and told.get("args") is None:
        return None
    call_id = call_id if isinstance(call_id, str) and call_id else new_id()
    return ToolCall(call_id, name, arguments_text(told.get("args")), signature)


def json_text(value: Any) -> str:
    """A value as JSON text. Raises OtariError(INVALID) when it is nested too deeply to be one."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise invalid("The response of a function is nested too deeply.", "contents") from None


def signature_of(doc: Doc) -> str | None:
    """The signature on a part; none is what stands for a missing one."""
    signature = doc.get("thoughtSignature")
    return signature if isinstance(signature, str) and signature not in ("", NO_SIGNATURE) else None


def word_of(part: Part) -> str:
    """What a part is called in the list of losses."""
    return {ToolCall: "tool call", ToolResult: "tool result"}.get(type(part), type(part).__name__.lower())
