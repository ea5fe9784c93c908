"""The assistant's message ↔ canonical parts: thinking, content, refusal, calls, and what only this dialect knows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from otari.dialects.losses import CITATIONS, Drop, says_something
from otari.dialects.openai_chat.calls import FOREIGN_THINKING, function_doc, read_call, signed, write_calls
from otari.dialects.openai_chat.content import MESSAGE_KEYS, NAME, OTHER_CALL, marked, read_content, word
from otari.dialects.openai_chat.terms import AS_WRITTEN, Terms
from otari.dialects.openai_chat.thinking import is_signed, read_thinking, write_thinking
from otari.dialects.openai_chat.unread import thinks_more
from otari.dialects.openai_citations import moved, read_annotations, write_inside
from otari.dialects.tool_arguments import free_text
from otari.domain.chat import Doc, Opaque, Part, Refusal, Text, Thinking, ToolCall

NO_REASONING = " "  # for servers that demand reasoning beside calls; nothing at all would not do
_KNOWN_KEYS = frozenset(
    [
        *("role", "name", "content", "refusal", "tool_calls", "function_call", "tool_call_id"),
        *("reasoning_content", "reasoning", "thinking", "extra_content", "annotations"),
    ]
)
_SHOWN = (Text, Refusal, Thinking, ToolCall)


def read_assistant(message: Doc, new_id: Callable[[], str], drop: Drop | None = None) -> list[Part]:
    """The parts of an assistant's message. `new_id` names calls that came without an id; in an answer, `drop` names
    what the parts have no place for.
    """
    content, others = _cited(read_content(message.get("content")), message.get("annotations"), drop)
    parts = read_thinking(message) + content
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append(Refusal(refusal))
    calls = message.get("tool_calls")
    parts += (read_call(call, new_id) for call in (calls if isinstance(calls, list) else ()) if isinstance(call, dict))
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        parts.append(read_call({"function": legacy}, new_id))
    keys = {key: message[key] for key in other_keys(message)} | ({"annotations": others} if others else {})
    parts += (Opaque(NAME, {"type": key, MESSAGE_KEYS: {key: value}}) for key, value in keys.items())
    return parts


def _cited(parts: list[Part], annotations: Any, drop: Drop | None) -> tuple[list[Part], list[Any]]:
    """The content with its annotations in the texts that they belong to, and the annotations that have no place there.

    They count the characters of all of the content.
    """
    texts = {at: part for at, part in enumerate(parts) if isinstance(part, Text)}
    if not annotations or not texts:
        return parts, annotations if isinstance(annotations, list) else []
    citations, others = read_annotations(annotations, drop)
    cited = list(parts)
    ends = sum(len(text.text) for text in texts.values())
    for at, text in reversed(texts.items()):
        begins = ends - len(text.text)
        here = tuple(moved(told, begins) for told in citations if (told.start or 0) >= begins)
        citations = tuple(told for told in citations if (told.start or 0) < begins)
        cited[at] = replace(text, citations=here)
        ends = begins
    return cited, others


def other_keys(message: Doc) -> Iterator[str]:
    """The keys of a message, or of a piece of one, that say something which only this dialect knows."""
    for key, value in message.items():
        known = not thinks_more(value) if key == "reasoning_details" else key in _KNOWN_KEYS
        if not known and says_something(value):
            yield key


# ---- in a request --------------------------------------------------------------------------------------------------


def write_assistant(parts: tuple[Part, ...], terms: Terms) -> Doc | None:
    """An assistant's message of a request; None when nothing of it can be told. Texts are joined."""
    calls = write_calls(parts, terms)
    content = _content(parts, "an assistant turn", terms)
    message: Doc = {"role": "assistant", "content": content or None}
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    if refusal and terms.quirks.openai_keys:
        message["refusal"] = refusal
    message |= _reasoning(parts, terms, calls=bool(calls))
    if calls:
        message["tool_calls"] = calls
    if annotations := _annotations(parts):
        if terms.own or terms.quirks.openai_keys:
            message["annotations"] = annotations
        else:
            terms.drop(CITATIONS)
    message |= _own_keys(parts)
    if len(message) == 2 and not content and parts:
        return None
    if message["content"] is None and (len(message) == 2 or not terms.quirks.content_null):
        message["content"] = ""
    return message


def _content(parts: tuple[Part, ...], where: str, terms: Terms) -> str | list[Doc]:
    """Texts in one string, or in a list where that says more: cache marks, parts that only this dialect knows."""
    docs: list[Doc] = []
    for part in parts:
        if isinstance(part, Text):
            docs.append(marked({"type": "text", "text": part.text}, part.cache, terms))
        elif isinstance(part, Refusal) and not terms.quirks.openai_keys:
            terms.drop("refusal")
            docs.append({"type": "text", "text": part.text})
        elif isinstance(part, Opaque) and part.dialect == NAME:
            docs += [] if MESSAGE_KEYS in part.doc or OTHER_CALL in part.doc else [part.doc]
        elif isinstance(part, Opaque):
            terms.drop(word(part))
        elif not isinstance(part, _SHOWN):
            terms.drop(f"{word(part)} in {where}")
    if all(doc.keys() == {"type", "text"} for doc in docs):
        return "".join(doc["text"] for doc in docs)
    return docs


def _reasoning(parts: tuple[Part, ...], terms: Terms, *, calls: bool) -> Doc:
    """Plain reasoning goes back where it was read from; from elsewhere only beside calls, and where that is wanted.

    Signed thinking belongs to the family that signed it: a gateway like this one knows whose it is, no other server may
    get it.
    """
    quirks = terms.quirks
    thinking = [part for part in parts if isinstance(part, Thinking)]
    if quirks.signatures == "all":
        return write_thinking(thinking)
    wanted = terms.own or (calls and quirks.reasoning_replay)
    kept = [part for part in thinking if wanted and not is_signed(part)]
    if len(kept) < len(thinking):
        terms.drop(FOREIGN_THINKING)
    if not kept and calls and quirks.reasoning_replay:
        terms.drop("reasoning made up beside calls")
        return {"reasoning_content": NO_REASONING}
    return write_thinking(kept)


def _own_keys(parts: Iterable[Part]) -> Doc:
    keys: Doc = {}
    for part in parts:
        if isinstance(part, Opaque) and part.dialect == NAME and MESSAGE_KEYS in part.doc:
            keys |= part.doc[MESSAGE_KEYS]
    return keys


# ---- in an answer --------------------------------------------------------------------------------------------------


def write_answer(parts: tuple[Part, ...], freeform: frozenset[str], drop: Drop) -> Doc:
    """The message of an answer. `freeform` are the client's tools that take plain text."""
    terms = Terms(own=True, quirks=AS_WRITTEN, drop=drop)
    message: Doc = {"role": "assistant", "content": _content(parts, "an answer", terms)}
    if refusal := "".join(part.text for part in parts if isinstance(part, Refusal)):
        message["refusal"] = refusal
    message |= write_thinking(part for part in parts if isinstance(part, Thinking))
    calls = [call for part in parts if (call := _write_call(part, freeform)) is not None]
    if calls:
        message["tool_calls"] = calls
    if annotations := _annotations(parts):
        message["annotations"] = annotations
    message |= _own_keys(parts)
    if not message["content"] and len(message) > 2:
        message["content"] = None
    return message


def _annotations(parts: Iterable[Part]) -> list[Doc]:
    """Where the content is taken from, by places in all of it."""
    docs: list[Doc] = []
    begins = 0
    for part in parts:
        if isinstance(part, Text):
            docs += (write_inside(citation, len(part.text), begins) for citation in part.citations)
            begins += len(part.text)
    return docs


def _write_call(part: Part, freeform: frozenset[str]) -> Doc | None:
    if isinstance(part, Opaque) and part.dialect == NAME:
        call: Doc | None = part.doc.get(OTHER_CALL)
        return call
    if not isinstance(part, ToolCall):
        return None
    return signed(call_doc(part, freeform, part.arguments or "{}"), part.signature)


def call_doc(call: ToolCall, freeform: frozenset[str], arguments: str) -> Doc:
    """A call as the client gets it: in the form of the tool that it offered."""
    if call.name in freeform:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": free_text(arguments)}}
    return function_doc(call.id, call.name, arguments)
