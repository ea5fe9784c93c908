"""Requests of Responses ↔ canonical requests."""

from collections.abc import Iterable, Mapping
from typing import Any

from otari.dialects.allowed_tools import read_allowed
from otari.dialects.efforts import effort_of
from otari.dialects.envelope import extras_in
from otari.dialects.losses import Drop, collector, lost_key
from otari.dialects.openai_responses.content import NAME
from otari.dialects.openai_responses.envelope import STORED
from otari.dialects.openai_responses.tools import natives_of, read_choice, read_tools, write_choice, write_tools
from otari.dialects.openai_responses.turns import TurnWriter, encrypted, read_turns
from otari.dialects.openai_shape import read_schema, write_schema
from otari.dialects.tool_names import renamed, wire_names
from otari.domain.chat import ChatRequest, Doc, Document, Image, Sampling, Shape, ToolResult, Turn
from otari.domain.errors import invalid

OPENAIS = (NAME, "openai-chat")  # dialects whose file ids and metadata are OpenAI's
ENCRYPTED = "reasoning.encrypted_content"
MIN_OUTPUT_TOKENS = 16  # OpenAI refuses less

_SAMPLING = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
_WIRE_SAMPLING = ("temperature", "top_p")  # what the vendor's wire knows; compatible servers take more
_READ = frozenset(_SAMPLING) | frozenset(
    ["model", "input", "instructions", "tools", "stop", "max_output_tokens", "stream", "metadata", "reasoning", "text"]
)
_SHAPE_KEYS = {"type", "name", "schema", "strict"}
_DOTTED = ("reasoning.", "text.")  # keys of `extras` that stand inside these two objects
# Keys of Chat Completions that mean the same here, and what this wire calls them.
_FROM_CHAT = {
    "parallel_tool_calls": "parallel_tool_calls",
    "prompt_cache_key": "prompt_cache_key",
    "prompt_cache_options": "prompt_cache_options",
    "prompt_cache_retention": "prompt_cache_retention",
    "safety_identifier": "safety_identifier",
    "service_tier": "service_tier",
    "verbosity": "text.verbosity",
}


def read_request(doc: Doc) -> ChatRequest:
    """The request in a checked body (see `read_envelope`). Keys without a canonical home become `extras`."""
    choice = read_choice(doc)
    reasoning, of_reasoning = _read_reasoning(doc.get("reasoning"))
    shape, of_text = _read_text(doc.get("text"))
    stop, metadata = doc.get("stop"), doc.get("metadata")
    consumed = _READ | ({"tool_choice", "parallel_tool_calls"} if choice is not None else set())
    return ChatRequest(
        model=doc["model"],
        turns=read_turns(doc),
        tools=read_tools(doc),
        tool_choice=choice,
        sampling=Sampling(**{key: doc.get(key) for key in _SAMPLING}, stop=_read_stop(stop)),
        max_output_tokens=doc.get("max_output_tokens"),
        reasoning=reasoning,
        shape=shape,
        stream=doc.get("stream") is True,
        user=doc.get("user") or None,
        metadata=metadata if isinstance(metadata, dict) else None,
        extras=extras_in(doc, consumed) | of_reasoning | of_text,
        dialect=NAME,
    )


def write_request(request: ChatRequest, dropped: list[str] | None = None) -> Doc:
    """The body for an upstream of this dialect; `dropped` as `Dialect.write_request` says.

    A request from another dialect asks the provider to keep nothing, and for reasoning in the form that can be given
    back. Raises OtariError(INVALID) for media that can not be sent and for more than one choice.
    """
    drop = collector(dropped)
    own = request.dialect == NAME
    if request.choices != 1:
        raise invalid("This model gives one answer: n must be 1.", "n")
    if request.dialect not in OPENAIS:
        _refuse_files(request.turns)
    names = {} if own else wire_names(request)
    request = renamed(request, names)
    extras = dict(request.extras) if own else _carried(request, names, drop)
    tools = write_tools(request, drop)
    natives = natives_of(request.tools)
    stored = any(extras.get(key) for key in STORED)
    writer = TurnWriter(natives, tools.found, drop, own=own, stored=stored)
    instructions, items = writer.write(request.turns)
    if tools.additional:
        items.insert(0, {"type": "additional_tools", "role": "developer", "tools": tools.additional})
    doc: Doc = {"model": request.model}
    if instructions is not None:
        doc["instructions"] = instructions
    doc["input"] = items
    if tools.tools:
        doc["tools"] = tools.tools
    choice = request.tool_choice
    if choice is not None and (tools.tools or tools.additional):
        doc["tool_choice"] = write_choice(choice, natives)
        if choice.parallel is not None:
            doc["parallel_tool_calls"] = choice.parallel
    elif choice is not None and choice.mode in ("required", "named"):
        drop("tool_choice without tools")
    _write_numbers(request, doc, own, drop)
    _write_objects(request, doc, extras, drop)
    if not own:
        doc |= _asked_of_strangers(request)
    if request.stream:
        doc["stream"] = True
    return doc


def _refuse_files(turns: Iterable[Turn]) -> None:
    """A file id of another provider means nothing to this one."""
    said = [part for turn in turns for part in turn.parts]
    returned = [part for result in said if isinstance(result, ToolResult) for part in result.parts]
    for part in said + returned:
        if isinstance(part, Image | Document) and part.file_id is not None:
            kind = "image" if isinstance(part, Image) else "file"
            told = f"A file id of another provider means nothing to this model. Send the {kind} as data."
            raise invalid(told, "messages")


def _carried(request: ChatRequest, names: Mapping[str, str], drop: Drop) -> Doc:
    """The extras of another dialect that mean the same here; names the others. `names` are those of tools on the wire,
    where they differ.
    """
    extras: Doc = {}
    for key, value in request.extras.items():
        allowed = read_allowed(value) if key == "tool_choice" and request.tools else None
        if allowed is not None:
            told = [{"type": "function", "name": names.get(name, name)} for name in allowed.names]
            extras[key] = {"type": "allowed_tools", "mode": "required" if allowed.required else "auto", "tools": told}
        elif request.dialect == "openai-chat" and key in _FROM_CHAT:
            extras[_FROM_CHAT[key]] = value
        elif (name := lost_key(key, value)) is not None:
            drop(name)
    return extras


def _write_numbers(request: ChatRequest, doc: Doc, own: bool, drop: Drop) -> None:
    for key in _SAMPLING:
        value = getattr(request.sampling, key)
        if value is not None and (own or key in _WIRE_SAMPLING):
            doc[key] = value
        elif value is not None:
            drop(key)
    if request.sampling.stop and own:
        doc["stop"] = list(request.sampling.stop)
    elif request.sampling.stop:
        drop("stop")
    limit = request.max_output_tokens
    if limit is not None and limit < MIN_OUTPUT_TOKENS and not own:
        drop("max_output_tokens below 16")
        limit = MIN_OUTPUT_TOKENS
    if limit is not None:
        doc["max_output_tokens"] = limit


def _write_objects(request: ChatRequest, doc: Doc, extras: Doc, drop: Drop) -> None:
    """`reasoning`, `text`, `metadata`, and all keys that only this dialect knows."""
    effort = _effort(request.reasoning, drop)
    if effort is not None:
        doc["reasoning"] = {"effort": effort}
    if request.shape is not None:
        doc["text"] = {"format": _write_shape(request.shape)}
    if request.metadata is not None and request.dialect in OPENAIS:
        doc["metadata"] = request.metadata
    elif request.metadata and request.metadata.keys() != {"user_id"}:  # who asks is told to no provider
        drop("metadata")
    for key, value in extras.items():
        if key.startswith(_DOTTED):
            outer, _, inner = key.partition(".")
            doc.setdefault(outer, {})[inner] = value
        else:
            doc[key] = value


def _asked_of_strangers(request: ChatRequest) -> Doc:
    """Models that do not reason refuse to be asked for encrypted reasoning: it is asked for where there is some."""
    told = request.reasoning or {}
    reasons = told.get("effort") != "none" and bool(told)
    if reasons or any(encrypted(turn.parts) for turn in request.turns):
        return {"store": False, "include": [ENCRYPTED]}
    return {"store": False}


# ---- reasoning and the form of the answer ---------------------------------------------------------------------------


def _read_reasoning(told: Any) -> tuple[Doc | None, Doc]:
    """The canonical reasoning, and what the object says beyond it, under dotted keys."""
    if not isinstance(told, dict):
        return None, {}
    rest = {f"reasoning.{key}": value for key, value in told.items() if key != "effort" and value is not None}
    effort = told.get("effort")
    return {"effort": effort} if isinstance(effort, str) and effort != "auto" else None, rest


def _effort(reasoning: Doc | None, drop: Drop) -> str | None:
    match reasoning:
        case {"effort": str(effort)}:
            return effort
        case {"budget_tokens": int(budget)}:
            drop("thinking budget")
            return effort_of(budget)
    return None


def _read_text(told: Any) -> tuple[Shape | None, Doc]:
    """The form of the answer, and what `text` says beyond it, under dotted keys."""
    if not isinstance(told, dict):
        return None, {}
    form = told.get("format")
    shape = _read_shape(form)
    known = form == {"type": "text"} or (isinstance(form, dict) and shape is not None and form.keys() <= _SHAPE_KEYS)
    rest = {key: value for key, value in told.items() if value is not None and not (key == "format" and known)}
    return shape, {f"text.{key}": value for key, value in rest.items()}


def _read_shape(told: Any) -> Shape | None:
    match told:
        case {"type": "json_object"}:
            return Shape("json_object")
        case {"type": "json_schema"}:
            return read_schema(told)
    return None


def _write_shape(shape: Shape) -> Doc:
    if shape.kind == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", **write_schema(shape)}


def _read_stop(stop: Any) -> tuple[str, ...]:
    if isinstance(stop, str):
        return (stop,)
    return tuple(text for text in stop if isinstance(text, str)) if isinstance(stop, list) else ()
