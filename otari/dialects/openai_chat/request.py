"""Chat Completions requests ↔ canonical requests."""

from typing import Any

from otari.dialects.allowed_tools import narrowed
from otari.dialects.envelope import extras_in
from otari.dialects.losses import collector, lost_key
from otari.dialects.openai_chat.calls import freeform_tools
from otari.dialects.openai_chat.content import NAME
from otari.dialects.openai_chat.reasoning import read_reasoning, write_reasoning
from otari.dialects.openai_chat.terms import AS_WRITTEN, Terms
from otari.dialects.openai_chat.tools import read_choice, read_tools, write_tools
from otari.dialects.openai_chat.turns import read_turns, write_turns
from otari.dialects.openai_shape import read_schema, write_schema
from otari.dialects.tool_names import wire_names
from otari.domain.chat import ChatRequest, Doc, Sampling, Shape, Text, Turn
from otari.domain.errors import invalid
from otari.domain.provider import Quirks

MAX_STOPS = 4  # OpenAI refuses more
ONLY_JSON = "Answer with one JSON object and nothing else."

_SAMPLING = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
_READ = frozenset(_SAMPLING) | frozenset(
    ("model", "messages", "tools", "functions", "stop", "max_tokens", "n", "stream", "metadata", "reasoning_effort")
)
_RESPONSES = "openai-responses"
# Keys of Responses that mean the same here, and what this wire calls them; only OpenAI knows them.
_FROM_RESPONSES = {
    "prompt_cache_key": "prompt_cache_key",
    "prompt_cache_options": "prompt_cache_options",
    "prompt_cache_retention": "prompt_cache_retention",
    "safety_identifier": "safety_identifier",
    "service_tier": "service_tier",
    "text.verbosity": "verbosity",
}


def read_request(doc: Doc) -> ChatRequest:
    """The request in a checked body (see `read_envelope`). Keys without a canonical home become `extras`."""
    choice, shape = read_choice(doc), _read_shape(doc.get("response_format"))
    consumed = set(_READ)
    if choice is not None:
        consumed |= {"tool_choice", "function_call", "parallel_tool_calls"}
    if shape is not None:
        consumed.add("response_format")
    limit = doc.get("max_completion_tokens")
    stop, metadata = doc.get("stop"), doc.get("metadata")
    return ChatRequest(
        model=doc["model"],
        turns=read_turns(doc["messages"]),
        tools=read_tools(doc),
        tool_choice=choice,
        sampling=Sampling(**{key: doc.get(key) for key in _SAMPLING}, stop=_read_stop(stop)),
        max_output_tokens=doc.get("max_tokens") if limit is None else limit,
        choices=doc.get("n") or 1,
        reasoning=read_reasoning(doc),
        shape=shape,
        stream=doc.get("stream") is True,
        user=doc.get("user") or None,
        metadata=metadata if isinstance(metadata, dict) else None,
        extras=extras_in(doc, consumed),
        dialect=NAME,
    )


def write_request(request: ChatRequest, quirks: Quirks, dropped: list[str] | None = None) -> Doc:
    """The body for an upstream of this dialect; `dropped` and `quirks` as `Dialect.write_request` says.

    A request that was read from this dialect is written as it was. Usage of a stream is asked for by `same_request`;
    `user` is the gateway's own and is not sent. Raises OtariError(INVALID) for what must not be left out in silence:
    media that can not be sent, several choices, a form of the answer that the server does not enforce.
    """
    own = request.dialect == NAME
    terms = Terms(
        own=own,
        file_ids=own or (quirks.openai_keys and request.dialect == _RESPONSES),
        quirks=AS_WRITTEN if own else quirks,
        drop=collector(dropped),
        names={} if own else wire_names(request),
        freeform=freeform_tools(request.tools),
    )
    if not own:
        _refuse(request, terms)
        request = narrowed(request, terms.drop)
    doc: Doc = {"model": request.model, "messages": write_turns(_turns(request, terms), terms)}
    doc |= write_tools(request, terms)
    doc |= _sampling(request, terms)
    if request.shape is not None:
        doc["response_format"] = _write_shape(request.shape)
    doc |= (_own_keys if own else _foreign_keys)(request, terms)
    if request.stream:
        doc["stream"] = True
    return doc


def _refuse(request: ChatRequest, terms: Terms) -> None:
    if request.choices != 1:
        raise invalid("This model gives one answer: n must be 1.", "n")
    shape = request.shape
    if shape is not None and shape.kind not in terms.quirks.shapes:
        raise invalid(f"This model can not be held to an answer of the form {shape.kind}.", "response_format")


def _turns(request: ChatRequest, terms: Terms) -> tuple[Turn, ...]:
    """The turns; OpenAI refuses to be asked for "any JSON object" when no message speaks of JSON."""
    if terms.own or request.shape is None or request.shape.kind != "json_object":
        return request.turns
    texts = (part.text for turn in request.turns for part in turn.parts if isinstance(part, Text))
    if any("json" in text.lower() for text in texts):
        return request.turns
    terms.drop("json_object asked for in words")
    return (Turn("system", (Text(ONLY_JSON),)), *request.turns)


def _sampling(request: ChatRequest, terms: Terms) -> Doc:
    """How tokens are drawn, where the answer stops, and how long it may be."""
    sampling, doc = request.sampling, {}
    for key in _SAMPLING:
        value = getattr(sampling, key)
        if value is not None and key == "top_k" and not terms.quirks.top_k:
            terms.drop(key)
        elif value is not None:
            doc[terms.quirks.seed_key if key == "seed" else key] = value
    stop = [text for text in sampling.stop if text or terms.own]
    if len(stop) > MAX_STOPS and not terms.own:
        terms.drop("stop beyond four")
        stop = stop[:MAX_STOPS]
    if stop:
        doc["stop"] = stop
    if request.max_output_tokens is not None:
        newer = terms.own and "max_completion_tokens" in request.extras
        doc["max_completion_tokens" if newer else terms.quirks.max_tokens_key] = request.max_output_tokens
    return doc


def _own_keys(request: ChatRequest, terms: Terms) -> Doc:
    """Keys that a client of this dialect said and that have no canonical home."""
    keys = {key: value for key, value in request.extras.items() if key != "max_completion_tokens"}
    if request.choices != 1:
        keys["n"] = request.choices
    if request.metadata is not None:
        keys["metadata"] = request.metadata
    return keys if "reasoning" in keys else write_reasoning(request.reasoning, terms) | keys


def _foreign_keys(request: ChatRequest, terms: Terms) -> Doc:
    """What is left of another dialect's request; names what this wire does not know. Metadata would have to be stored,
    and who asks is told to no provider.
    """
    keys = write_reasoning(request.reasoning, terms)
    if request.metadata and request.metadata.keys() != {"user_id"}:
        terms.drop("metadata")
    for key, value in request.extras.items():
        if request.dialect == _RESPONSES and key in _FROM_RESPONSES and terms.quirks.openai_keys:
            keys[_FROM_RESPONSES[key]] = value
        elif (name := lost_key(key, value)) is not None:
            terms.drop(name)
    return keys


# ---- stop and shape ------------------------------------------------------------------------------------------------


def _read_stop(stop: Any) -> tuple[str, ...]:
    if isinstance(stop, str):
        return (stop,)
    return tuple(text for text in stop if isinstance(text, str)) if isinstance(stop, list) else ()


def _read_shape(told: Any) -> Shape | None:
    match told:
        case {"type": "json_object"}:
            return Shape("json_object")
        case {"type": "json_schema", "json_schema": dict(described)}:
            return read_schema(described)
    return None


def _write_shape(shape: Shape) -> Doc:
    if shape.kind == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": write_schema(shape)}
