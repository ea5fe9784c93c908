"""Requests of Messages ↔ canonical requests."""

from otari.dialects.allowed_tools import narrowed
from otari.dialects.anthropic_messages import shape as shapes
from otari.dialects.anthropic_messages import thinking
from otari.dialects.anthropic_messages.blocks import NAME
from otari.dialects.anthropic_messages.content import plain
from otari.dialects.anthropic_messages.envelope import named_user
from otari.dialects.anthropic_messages.tools import TOOL_KEYS, limit_marks, read_choice, read_tools, write_tools
from otari.dialects.anthropic_messages.turns import read_turns, write_turns
from otari.dialects.envelope import extras_in
from otari.dialects.losses import Drop, collector, lost_key
from otari.dialects.tool_names import renamed, wire_names
from otari.domain.chat import ChatRequest, Doc, Sampling
from otari.domain.errors import invalid

# The output limit that this wire demands, for clients of wires that do not: the longest answer of the smallest models.
DEFAULT_MAX_TOKENS = 8192

_READ = frozenset(
    [
        *("model", "messages", "system", "tools", "max_tokens", "stream", "metadata", "thinking", "output_config"),
        *("temperature", "top_p", "top_k", "stop_sequences"),
    ]
)
_UNKNOWN_SAMPLING = (("seed", None), ("presence_penalty", 0), ("frequency_penalty", 0))  # and what says nothing


def read_request(doc: Doc) -> ChatRequest:
    """The request in a checked body (see `read_envelope`). Keys without a canonical home become `extras`."""
    tools, of_tools = read_tools(doc)
    reasoning, of_thinking = thinking.read_reasoning(doc)
    choice, shape = read_choice(doc.get("tool_choice")), shapes.read_shape(doc)
    consumed = set(_READ)
    if choice is not None:
        consumed.add("tool_choice")
    if shape is not None:
        consumed.add("output_format")
    metadata = doc.get("metadata")
    return ChatRequest(
        model=doc["model"],
        turns=read_turns(doc),
        tools=tools,
        tool_choice=choice,
        sampling=Sampling(
            temperature=doc.get("temperature"),
            top_p=doc.get("top_p"),
            top_k=doc.get("top_k"),
            stop=tuple(doc.get("stop_sequences") or ()),
        ),
        max_output_tokens=doc.get("max_tokens"),
        reasoning=reasoning,
        shape=shape,
        stream=doc.get("stream") is True,
        user=named_user(doc),
        metadata=metadata if isinstance(metadata, dict) else None,
        extras=extras_in(doc, consumed) | of_tools | of_thinking,
        dialect=NAME,
    )


def write_request(request: ChatRequest, dropped: list[str] | None = None) -> Doc:
    """The body for an upstream of this dialect; `dropped` as `Dialect.write_request` says.

    A request that was read from this dialect is written as it was; one from another is brought into a form that
    Anthropic accepts. Raises OtariError(INVALID) for media that can not be sent and for more than one choice.
    """
    drop = collector(dropped)
    own = request.dialect == NAME
    if request.choices != 1:
        raise invalid("This model gives one answer: n must be 1.", "n")
    if not own:
        request = narrowed(request, drop)
        request = renamed(request, wire_names(request))
    system, messages = write_turns(request.turns, own, drop)
    limit = request.max_output_tokens
    doc: Doc = {"model": request.model, "max_tokens": DEFAULT_MAX_TOKENS if limit is None else limit}
    if system:
        doc["system"] = plain(system)
    doc["messages"] = messages
    doc |= write_tools(request, own, drop)
    if own:
        doc |= _sampling(request.sampling) | _own_keys(request)
    else:
        doc |= _sampling(_accepted(request.sampling, request.model, drop))
        _drop_foreign(request, drop)
    if request.shape is not None:
        shapes.write_shape(request.shape, doc, own, drop)
    if own:
        thinking.write_own(request, doc)
    else:
        thinking.write_foreign(request, doc, drop)
    if thinking.lacks_thinking(doc):
        del doc["thinking"]
        drop("reasoning")
    limit_marks(doc, drop)
    if request.stream:
        doc["stream"] = True
    return doc


def _own_keys(request: ChatRequest) -> Doc:
    """Top-level keys that only this dialect knows; those of tools and of thinking are written where they belong."""
    held = ("output_config", thinking.DISPLAY)
    keys = {key: value for key, value in request.extras.items() if key not in held and not key.startswith(TOOL_KEYS)}
    return keys if request.metadata is None else {"metadata": request.metadata} | keys


def _drop_foreign(request: ChatRequest, drop: Drop) -> None:
    if request.metadata:
        drop("metadata")
    for key, value in request.extras.items():
        if (name := lost_key(key, value)) is not None:
            drop(name)


def _sampling(sampling: Sampling) -> Doc:
    doc = {key: getattr(sampling, key) for key in ("temperature", "top_p", "top_k")}
    doc = {key: value for key, value in doc.items() if value is not None}
    return doc | {"stop_sequences": list(sampling.stop)} if sampling.stop else doc


def _accepted(sampling: Sampling, model: str, drop: Drop) -> Sampling:
    """What of another dialect's sampling Anthropic accepts: temperatures up to 1, not together with top_p, and on its
    newest models none at all; stop strings that are more than white space."""
    for key, nothing in _UNKNOWN_SAMPLING:
        if getattr(sampling, key) not in (None, nothing):
            drop(key)
    stop = tuple(text for text in sampling.stop if text.strip())
    if stop != sampling.stop:
        drop("stop of white space")
    temperature, top_p, top_k = sampling.temperature, sampling.top_p, sampling.top_k
    if not thinking.takes_sampling(model):
        for key in ("temperature", "top_p", "top_k"):
            if getattr(sampling, key) not in (None, 1):
                drop(key)
        return Sampling(stop=stop)
    if temperature is not None and temperature > 1:
        drop("temperature above 1")
        temperature = 1.0
    if temperature is not None and top_p is not None:
        if top_p != 1:
            drop("top_p beside temperature")
        top_p = None
    return Sampling(temperature=temperature, top_p=top_p, top_k=top_k, stop=stop)
