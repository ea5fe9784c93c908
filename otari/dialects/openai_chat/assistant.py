"""The assistant's message ↔ canonical parts: thinking, content, refusal, calls, and what only this dialect knows."""

from collections.abc import Callable, Iterable

from otari.dialects.losses import Drop
from otari.dialects.openai_chat.calls import FOREIGN_THINKING, function_doc, read_call, signed, write_calls
from otari.dialects.openai_chat.content import MESSAGE_KEYS, NAME, OTHER_CALL, marked, read_content, word
from otari.dialects.openai_chat.terms import AS_WRITTEN, Terms
from otari.dialects.openai_chat.thinking import is_signed, read_thinking, write_thinking
from otari.dialects.tool_arguments import free_text
from otari.domain.chat import Doc, Opaque, Part, Refusal, Text, Thinking, ToolCall

NO_REASONING = " "  # for servers that demand reasoning beside calls; nothing at all would not do
_KNOWN_KEYS = frozenset(
    [
        *("role", "name", "content", "refusal", "tool_calls", "function_call", "tool_call_id"),
        *("reasoning_content", "reasoning", "extra_content"),
    ]
)
_SHOWN = (Text, Refusal, Thinking, ToolCall)


def read_assistant(message: Doc, new_id: Callable[[], str]) -> list[Part]:
    """The parts of an assistant's message. `new_id` names calls that came without an id."""
    parts = read_thinking(message) + read_content(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append(Refusal(refusal))
    calls = message.get("tool_calls")
    parts += (read_call(call, new_id) for call in (calls if isinstance(calls, list) else ()) if isinstance(call, dict))
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        parts.append(read_call({"function": legacy}, new_id))
    keys = {key: value for key, value in message.items() if key not in _KNOWN_KEYS and value not in (None, [])}
    if keys:
        parts.append(Opaque(NAME, {"type": " ".join(keys), MESSAGE_KEYS: keys}))
    return parts


# ---- in a request --------------------------------------------------------------------------------------------------


def write_assistant(parts: tuple[Part, ...], terms: Terms) -> Doc | None:
    """An assistant's message of a request; None when nothing of it can be told. Texts are joined."""
    calls = write_calls(parts, terms)
    content = _content(parts, terms)
    message: Doc = {"role": "assistant", "content": content or None}
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    if refusal and terms.quirks.openai_keys:
        message["refusal"] = refusal
    message |= _reasoning(parts, terms, calls=bool(calls))
    if calls:
        message["tool_calls"] = calls
    message |= _own_keys(parts)
    if len(message) == 2 and not content and parts:
        return None
    if message["content"] is None and (len(message) == 2 or not terms.quirks.content_null):
        message["content"] = ""
    return message


def _content(parts: tuple[Part, ...], terms: Terms) -> str | list[Doc]:
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
            terms.drop(f"{word(part)} in an assistant turn")
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
    message: Doc = {"role": "assistant", "content": _content(parts, terms)}
    if refusal := "".join(part.text for part in parts if isinstance(part, Refusal)):
        message["refusal"] = refusal
    message |= write_thinking(part for part in parts if isinstance(part, Thinking))
    calls = [call for part in parts if (call := _write_call(part, freeform)) is not None]
    if calls:
        message["tool_calls"] = calls
    message |= _own_keys(parts)
    if not message["content"] and len(message) > 2:
        message["content"] = None
    return message


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
