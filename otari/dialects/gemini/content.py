"""Canonical parts → parts of a content, for the turns of a request and for an answer."""

from collections.abc import Callable, Iterable, Iterator

from otari.dialects.anthropic_messages.blocks import read_arguments
from otari.dialects.gemini.parts import FAMILY, NAME, NO_SIGNATURE, PART, PART_KEYS, is_made, word_of
from otari.dialects.gemini.results import write_media, write_result
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

FOREIGN_THINKING = "thinking of another model"
UNSIGNED = "thought signature missing"


def _gathered(parts: Iterable[Part], write: Callable[[Part, list[Doc]], None], drop: Drop) -> list[Doc]:
    """The wire parts of parts; `write` adds those of one. Keys that belong to the part before are put into it."""
    docs: list[Doc] = []
    for part in parts:
        if getattr(part, "cache", None) is not None:
            drop("cache_control")
        if not isinstance(part, Opaque):
            write(part, docs)
        elif part.dialect != NAME:
            drop(f"part {part.doc.get('type')}")
        elif PART in part.doc:
            docs.append(dict(part.doc[PART]))
        elif PART_KEYS in part.doc and docs:
            docs[-1] = _with_keys(docs[-1], part.doc[PART_KEYS])
        else:
            drop(f"part {part.doc.get('type')}")
    return docs


def _with_keys(doc: Doc, keys: Doc) -> Doc:
    """A part with more keys, also inside the objects that it holds already."""
    inside = {key: doc[key] | value for key, value in keys.items() if isinstance(doc.get(key), dict)}
    return doc | keys | inside


def _add_text(text: str, docs: list[Doc], drop: Drop) -> None:
    """No part for an empty text: Gemini refuses a request that holds one."""
    if text:
        docs.append({"text": text})
    else:
        drop("empty text")


def _add_thinking(part: Thinking, docs: list[Doc]) -> None:
    """Thinking of this family, its signature on the part that it came with (see `parts`)."""
    if part.redacted is not None:
        docs.append({"text": "", "thoughtSignature": part.redacted})
    elif part.text:
        doc = {"text": part.text, "thought": True}
        docs.append(doc if part.signature is None else doc | {"thoughtSignature": part.signature})
    elif part.signature is not None:
        if not docs or "text" not in docs[-1] or "thought" in docs[-1] or "thoughtSignature" in docs[-1]:
            docs.append({"text": ""})
        docs[-1]["thoughtSignature"] = part.signature


# ---- turns of a request --------------------------------------------------------------------------------------------


def write_system(parts: Iterable[Part], drop: Drop) -> list[Doc]:
    """The parts of a system prompt: texts, and what only this dialect knows."""

    def write(part: Part, docs: list[Doc]) -> None:
        if isinstance(part, Text):
            _add_text(part.text, docs, drop)
        else:
            drop(f"{word_of(part)} in a system turn")

    return _gathered(parts, write, drop)


def write_user(
    parts: Iterable[Part], calls: Iterable[tuple[ToolCall, str | None]], own: bool, *, inside: bool, drop: Drop
) -> list[Doc]:
    """The parts of a user turn. Its first results answer `calls`, which come with their ids on the wire.

    `own` says that the request was read from this dialect, `inside` that media may stand in results. Raises
    OtariError(INVALID) for media that can not be sent.
    """
    waiting: Iterator[tuple[ToolCall, str | None]] = iter(calls)
    after: list[Doc] = []  # no other part may stand between the results

    def write(part: Part, docs: list[Doc]) -> None:
        if isinstance(part, ToolResult):
            call, call_id = next(waiting, (ToolCall(part.call_id, "", ""), None))
            doc, media = write_result(part, call, call_id, own, inside=inside, drop=drop)
            docs.append(doc)
            after.extend(media)
            return
        docs.extend(after)
        after.clear()
        match part:
            case Text(text) | Refusal(text):
                _add_text(text, docs, drop)
            case Image() | Document() | Audio():
                docs.append(write_media(part, own, drop))
            case _:
                drop(f"{word_of(part)} in a user turn")

    return _gathered(parts, write, drop) + after


def write_model(parts: Iterable[Part], own: bool, *, signed: bool, drop: Drop) -> list[Doc]:
    """The parts of an assistant's turn of a request; `signed` says that the model demands signatures.

    Only thinking of this family goes back. Of the calls of one turn the first is signed; when it is not, another model
    made it or a client lost the signature, and Google's word for that stands in its place.
    """
    parts = tuple(parts)
    ids = iter(wire_ids(parts, own))

    def write(part: Part, docs: list[Doc]) -> None:
        match part:
            case Text(text) | Refusal(text):
                if isinstance(part, Text) and part.citations:
                    drop(CITATIONS)
                _add_text(text, docs, drop)
            case Thinking() if part.family == FAMILY:
                _add_thinking(part, docs)
            case Thinking():
                drop(FOREIGN_THINKING)
            case ToolCall():
                doc = write_call(*next(ids))
                if signed and part.signature is None and not any("functionCall" in other for other in docs):
                    drop(UNSIGNED)
                    doc["thoughtSignature"] = NO_SIGNATURE
                docs.append(doc)
            case Image() | Document() | Audio():
                docs.append(write_media(part, own, drop))
            case _:
                drop(f"{word_of(part)} in an assistant turn")

    return _gathered(parts, write, drop)


def wire_ids(parts: Iterable[Part], own: bool) -> list[tuple[ToolCall, str | None]]:
    """The calls of a turn, each with its id on the wire.

    Only Gemini's own ids go back: those of calls that it signed, and never one that stands for a missing id. The others
    are not needed, since results stand in the order of their calls, and some of Google's servers refuse them.
    """
    calls = [part for part in parts if isinstance(part, ToolCall)]
    kept = own or (bool(calls) and calls[0].signature is not None)
    return [(call, call.id if kept and call.id and not is_made(call.id) else None) for call in calls]


def write_call(call: ToolCall, call_id: str | None) -> Doc:
    """The part of a call, with its signature if it has one."""
    told: Doc = {"name": call.name, "args": read_arguments(call.arguments)}
    if call_id is not None:
        told["id"] = call_id
    return {"functionCall": told} | ({} if call.signature is None else {"thoughtSignature": call.signature})


# ---- an answer -----------------------------------------------------------------------------------------------------


def write_answer(parts: Iterable[Part], drop: Drop) -> list[Doc]:
    """The parts of an answer. Refusals have none: they are told beside the finish reason."""

    def write(part: Part, docs: list[Doc]) -> None:
        match part:
            case Text(text, citations=citations):
                if citations:
                    drop(CITATIONS)
                docs.extend([{"text": text}] if text else [])
            case Thinking():
                _add_thinking(unsigned_by_others(part, drop), docs)
            case ToolCall():
                docs.append(write_call(part, part.id or None))
            case Image() | Document() | Audio():
                docs.append(write_media(part, True, drop))
            case ToolResult():
                drop(f"{word_of(part)} in an answer")

    return _gathered(parts, write, drop)


def unsigned_by_others(part: Thinking, drop: Drop) -> Thinking:
    """Thinking without what another family than this one would have to get back."""
    if part.family == FAMILY or (part.signature is None and part.redacted is None):
        return part
    drop(FOREIGN_THINKING)
    return Thinking(part.text, None, part.family)
