"""Canonical parts → content blocks, for the turns of a request and for an answer."""

from collections.abc import Callable, Iterable

from otari.dialects.anthropic_messages.blocks import BLOCK_KEYS, NAME, read_arguments
from otari.dialects.anthropic_messages.marks import FAMILY, Mark, write_id, write_mark
from otari.dialects.anthropic_messages.media import write_document, write_image
from otari.dialects.losses import CITATIONS, Drop
from otari.domain.chat import (
    Audio,
    Doc,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from otari.domain.errors import invalid

FOREIGN_THINKING = "thinking of another model"


def _gathered(parts: Iterable[Part], write: Callable[[Part], list[Doc]], drop: Drop) -> list[Doc]:
    """The blocks of parts; keys that belong to the block before them are put into it."""
    blocks: list[Doc] = []
    for part in parts:
        if not isinstance(part, Opaque):
            blocks += write(part)
        elif part.dialect != NAME:
            drop(f"part {part.doc.get('type')}")
        elif BLOCK_KEYS not in part.doc:
            blocks.append(dict(part.doc))
        elif blocks:
            blocks[-1] |= part.doc[BLOCK_KEYS]
    return blocks


def _marked(block: Doc, cache: Doc | None) -> Doc:
    if cache is not None:
        block["cache_control"] = cache
    return block


def _write_text(text: str, cache: Doc | None, drop: Drop) -> list[Doc]:
    """No block for a blank text: Anthropic refuses a request that holds one."""
    if not text.strip():
        drop("empty text")
        return []
    return [_marked({"type": "text", "text": text}, cache)]


# ---- turns of a request --------------------------------------------------------------------------------------------


def write_system(parts: Iterable[Part], drop: Drop) -> list[Doc]:
    """The blocks of a system prompt: texts, and what only this dialect knows."""

    def write(part: Part) -> list[Doc]:
        if isinstance(part, Text):
            return _write_text(part.text, part.cache, drop)
        drop(f"{_word(part)} in a system turn")
        return []

    return _gathered(parts, write, drop)


def write_user(parts: Iterable[Part], own: bool, ids: list[str], drop: Drop) -> list[Doc]:
    """The blocks of a user turn. Its first results answer the calls of the turn before, whose wire ids are `ids`.

    `own` says that the request was read from this dialect. Raises OtariError(INVALID) for sound, and for files in a
    form that this wire does not take.
    """
    waiting = iter(ids)

    def write(part: Part) -> list[Doc]:
        if isinstance(part, ToolResult):
            return [_write_result(part, next(waiting, None) or write_id(part.call_id), own, drop)]
        return _write_said(part, own, drop)

    return _gathered(parts, write, drop)


def _write_said(part: Part, own: bool, drop: Drop) -> list[Doc]:
    match part:
        case Text(text, cache):
            return _write_text(text, cache, drop)
        case Refusal(text):
            return _write_text(text, None, drop)
        case Image():
            return [_marked(write_image(part, own=own, drop=drop), part.cache)]
        case Document():
            return [_marked(write_document(part, own=own), part.cache)]
        case Audio():
            raise invalid("This model takes no audio.", "messages")
    drop(f"{_word(part)} in a user turn")
    return []


def _write_result(result: ToolResult, call_id: str, own: bool, drop: Drop) -> Doc:
    block: Doc = {"type": "tool_result", "tool_use_id": call_id}
    content = _gathered(result.parts, lambda part: _write_said(part, own, drop), drop)
    if content:
        block["content"] = plain(content)
    if result.failed:
        block["is_error"] = True
    return _marked(block, result.cache)


def plain(content: list[Doc]) -> str | list[Doc]:
    """Content that is nothing but one text as a string."""
    if len(content) == 1 and content[0].keys() == {"type", "text"} and content[0]["type"] == "text":
        return str(content[0]["text"])
    return content


def write_assistant(parts: Iterable[Part], ids: list[str], drop: Drop) -> list[Doc]:
    """The blocks of an assistant turn of a request; `ids` are the wire ids of its calls, in order.

    Thinking goes back only to the family that signed it: Anthropic refuses any signature that it did not make.
    """
    waiting = iter(ids)

    def write(part: Part) -> list[Doc]:
        match part:
            case Text(text, cache, citations):
                if citations:
                    drop(CITATIONS)
                return _write_text(text, cache, drop)
            case Refusal(text):
                return _write_text(text, None, drop)
            case Thinking(_, _, family, str(redacted)) if family == FAMILY:
                return [{"type": "redacted_thinking", "data": redacted}]
            case Thinking(text, str(signature), family) if family == FAMILY:
                return [{"type": "thinking", "thinking": text, "signature": signature}]
            case Thinking():
                drop(FOREIGN_THINKING)
                return []
            case ToolCall():
                if part.signature is not None:
                    drop(FOREIGN_THINKING)
                return [_write_call(part, next(waiting, None) or write_id(part.id))]
        drop(f"{_word(part)} in an assistant turn")
        return []

    return _gathered(parts, write, drop)


def _write_call(call: ToolCall, call_id: str) -> Doc:
    block = {"type": "tool_use", "id": call_id, "name": call.name, "input": read_arguments(call.arguments)}
    return _marked(block, call.cache)


# ---- an answer -----------------------------------------------------------------------------------------------------


def write_answer(parts: Iterable[Part], drop: Drop) -> list[Doc]:
    """The content of an answer. Refusals have no block: they are told beside the stop reason."""

    def write(part: Part) -> list[Doc]:
        match part:
            case Text(text, citations=citations):
                if citations:  # Anthropic's need words of its own that nobody else has
                    drop(CITATIONS)
                return [{"type": "text", "text": text}] if text else []
            case Thinking():
                return thinking_blocks(part)
            case ToolCall():
                carrier = signature_block(part.id, part.signature) if part.signature is not None else []
                return [*carrier, _write_call(part, write_id(part.id))]
            case Refusal():
                return []
        drop(f"{_word(part)} in an answer")
        return []

    return _gathered(parts, write, drop)


def signature_block(call_id: str, signature: str) -> list[Doc]:
    """The block that carries the signature of a tool call through a client; see `marks`."""
    mark = Mark(signature=signature, call_id=call_id)
    return [{"type": "redacted_thinking", "data": write_mark(mark)}]


def thinking_blocks(part: Thinking) -> list[Doc]:
    """The block of thinking in an answer; none for thinking that says nothing and is not signed."""
    if part.redacted is not None:
        data = part.redacted if part.family == FAMILY else write_mark(Mark(part.family, part.redacted))
        return [{"type": "redacted_thinking", "data": data}]
    if not part.text and part.signature is None:
        return []
    return [{"type": "thinking", "thinking": part.text, "signature": wire_signature(part.family, part.signature)}]


def wire_signature(family: str | None, signature: str | None) -> str:
    """The signature of thinking as a client of this dialect gets it: Anthropic's own, or a mark for all other."""
    if family == FAMILY and signature is not None:
        return signature
    return write_mark(Mark(family, signature))


def _word(part: Part) -> str:
    """What a part is called in the list of losses."""
    return {ToolCall: "tool call", ToolResult: "tool result"}.get(type(part), type(part).__name__.lower())
