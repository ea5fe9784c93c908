"""What tools answered: `functionResponse` ↔ canonical tool results.

`response` must be an object. Texts are its `result`, or its `error` when the tool failed; a text that is a JSON object
is the response itself, unless that would be read as something else.
"""

import re
from typing import Any

import orjson

from otari.dialects.gemini.media import document_text, write_audio, write_document, write_image
from otari.dialects.gemini.parts import NAME, PART, json_text, read_part, word_of
from otari.dialects.losses import Drop
from otari.domain.chat import Audio, Doc, Document, Image, Opaque, Part, Refusal, Text, ToolCall, ToolResult

RESPONSE_KEYS = "response_keys"  # of an Opaque inside a result: keys of its functionResponse
_KNOWN = frozenset(["id", "name", "response", "parts"])
_WORDS = frozenset(["result", "output", "error"])  # keys of a response that say what it is
_LONG_NUMBER = re.compile(r"\d{19}")  # may be more than a reader of JSON keeps


# ---- reading -------------------------------------------------------------------------------------------------------


def read_result(told: Doc, call_id: str) -> ToolResult:
    """The result of the call `call_id`."""
    text, failed = _read_response(told.get("response"))
    parts: list[Part] = [Text(text)] if text else []
    inner = told.get("parts")
    for doc in inner if isinstance(inner, list) else ():
        if isinstance(doc, dict):
            parts += read_part(doc, str)
    rest = {key: value for key, value in told.items() if key not in _KNOWN and value is not None}
    if rest:
        parts.append(Opaque(NAME, {"type": " ".join(rest), RESPONSE_KEYS: rest}))
    return ToolResult(call_id, tuple(parts), failed)


def _read_response(response: Any) -> tuple[str, bool]:
    """The text of a response, and whether it tells a failure."""
    match response:
        case {"result": str(text), **rest} | {"output": str(text), **rest} if not rest:
            return text, False
        case {"error": str(text), **rest} if not rest:
            return text, True
        case None:
            return "", False
    return ("", False) if response == {} else (json_text(response), False)


# ---- writing -------------------------------------------------------------------------------------------------------


def write_result(
    result: ToolResult, call: ToolCall, call_id: str | None, own: bool, *, inside: bool, drop: Drop
) -> tuple[Doc, list[Doc]]:
    """The part that answers `call`, and the parts that must follow all such parts.

    `call_id` is the id of the call on the wire, if it has one. `inside` says that media may stand in the result;
    otherwise they follow, below a text that says where they come from.
    """
    texts: list[str] = []
    media: list[Doc] = []
    keys: Doc = {}
    for part in result.parts:
        match part:
            case Text(text) | Refusal(text):
                texts.append(text)
            case Document(text=str()):
                texts.append(document_text(part))
            case Opaque(dialect, doc) if dialect == NAME:
                keys |= doc.get(RESPONSE_KEYS, {})
                media += [doc[PART]] if PART in doc else []
            case Opaque(_, doc):
                drop(f"part {doc.get('type')}")
            case Image() | Document() | Audio():
                media.append(write_media(part, own, drop))
            case other:
                drop(f"{word_of(other)} in a tool result")
    for part in (result, *result.parts):
        if getattr(part, "cache", None) is not None:
            drop("cache_control")
    inside = inside or own
    text = "\n".join(texts)
    if media and not inside:
        text = text or "The result follows."
        drop("media in a tool result")
    told: Doc = {"name": call.name, "response": _write_response(text, result.failed)}
    if call_id is not None:
        told["id"] = call_id
    if media and inside:
        told["parts"] = media
    after = [{"text": f"Returned by tool {call.name}:"}, *media] if media and not inside else []
    return {"functionResponse": told | keys}, after


def write_media(part: Image | Document | Audio, own: bool, drop: Drop) -> Doc:
    """The part of a picture, a file or a sound. Raises OtariError(INVALID) for what can not be sent."""
    match part:
        case Image():
            return write_image(part, own, drop)
        case Document():
            return write_document(part, own, drop)
        case Audio():
            return write_audio(part)


def _write_response(text: str, failed: bool) -> Doc:
    if failed:
        return {"error": text}
    if text.lstrip().startswith("{") and not _LONG_NUMBER.search(text):
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict) and value and not value.keys() & _WORDS:
            return value
    return {"result": text}
