"""Tool calls of an assistant's message ↔ canonical calls.

A call of a tool that takes plain text is canonically a call of a function with one string. The signature of a call
travels in `extra_content.google.thought_signature`, the spelling of Google's own Chat Completions endpoint.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from otari.dialects.openai_chat.content import NAME, OTHER_CALL
from otari.dialects.openai_chat.terms import Terms
from otari.dialects.tool_arguments import free_arguments, free_text, raw_arguments
from otari.domain.chat import Doc, Opaque, Part, Tool, ToolCall

# What Google takes where the signature of a call belongs that another model made.
NO_SIGNATURE = "skip_thought_signature_validator"
FOREIGN_THINKING = "thinking of another model"

_MAX_ID_CHARS = 40  # OpenAI refuses longer ones
_NINE = re.compile(r"[a-zA-Z0-9]{9}")


# ---- reading -------------------------------------------------------------------------------------------------------


def read_call(call: Doc, new_id: Callable[[], str]) -> Part:
    """A call; `new_id` names one that came without an id. A kind of call that is not known stays as it is."""
    told, signature = call.get("id"), call_signature(call)
    call_id = told if isinstance(told, str) and told else new_id()
    match call:
        case {"function": {**function}}:
            name = function.get("name")
            arguments = raw_arguments(function.get("arguments"))
            return ToolCall(call_id, name if isinstance(name, str) else "", arguments, signature)
        case {"custom": {"name": str(name), **rest}}:
            text = rest.get("input")
            return ToolCall(call_id, name, free_arguments(text if isinstance(text, str) else ""), signature)
    return Opaque(NAME, {"type": str(call.get("type")), OTHER_CALL: call})


def call_text(call: Doc) -> str:
    """What a model wrote in a call, or in a piece of one: the name and what it is called with."""
    pieces: tuple[Any, ...] = ()
    match call:
        case {"function": {**told}}:
            pieces = (told.get("name"), raw_arguments(told.get("arguments")))
        case {"custom": {**told}}:
            pieces = (told.get("name"), told.get("input"))
    return "".join(piece for piece in pieces if isinstance(piece, str))


def call_signature(call: Doc) -> str | None:
    """The thought signature that rides on a tool call, if one does."""
    match call.get("extra_content"):
        case {"google": {"thought_signature": str(signature)}}:
            return signature
    return None


# ---- writing -------------------------------------------------------------------------------------------------------


def freeform_tools(tools: Iterable[Tool | Opaque]) -> frozenset[str]:
    """The names of those tools that take plain text on this wire."""
    return frozenset(
        tool.name
        for tool in tools
        if isinstance(tool, Tool) and tool.native is not None and tool.native.dialect == NAME
    )


def write_calls(parts: Iterable[Part], terms: Terms) -> list[Doc]:
    """The calls of a turn in a request."""
    docs: list[Doc] = []
    for part in parts:
        if isinstance(part, ToolCall):
            docs.append(_write_call(part, terms, first=not docs))
        elif isinstance(part, Opaque) and part.dialect == NAME and OTHER_CALL in part.doc:
            docs.append(part.doc[OTHER_CALL])
    return docs


def _write_call(call: ToolCall, terms: Terms, *, first: bool) -> Doc:
    if call.cache is not None:
        terms.drop("cache_control")
    signature = call.signature
    if terms.quirks.signatures == "none":
        if signature is not None:
            terms.drop(FOREIGN_THINKING)
        signature = None
    elif terms.quirks.signatures == "calls" and signature is None and first and not terms.own:
        terms.drop("thought signature made up")
        signature = NO_SIGNATURE
    call_id = write_id(call.id, terms)
    if call.name in terms.freeform:
        doc: Doc = {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": free_text(call.arguments)}}
    else:
        doc = function_doc(call_id, terms.name(call.name), call.arguments or "{}")
    return signed(doc, signature)


def function_doc(call_id: str, name: str, arguments: str) -> Doc:
    """A call of a function."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def signed(doc: Doc, signature: str | None) -> Doc:
    """A call with the signature that must come back with it."""
    if signature is not None:
        doc["extra_content"] = {"google": {"thought_signature": signature}}
    return doc


def write_id(call_id: str, terms: Terms) -> str:
    """The id of a call in the form that the server takes. It depends on nothing but the id, so that a result finds its
    call; servers do not look at it otherwise.
    """
    if terms.own:
        return call_id
    if terms.quirks.tool_ids == "nine":
        return call_id if _NINE.fullmatch(call_id) else _digest(call_id)[:9]
    return call_id if len(call_id) <= _MAX_ID_CHARS else f"call_{_digest(call_id)[:32]}"


def _digest(call_id: str) -> str:
    return hashlib.sha256(call_id.encode()).hexdigest()
