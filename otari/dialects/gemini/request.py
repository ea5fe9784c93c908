"""Requests of generateContent ↔ canonical requests.

The model and whether the answer is streamed stand in the URL: a body holds neither.
"""

from collections.abc import Mapping

from otari.dialects.envelope import extras_in
from otari.dialects.gemini.envelope import model_in
from otari.dialects.gemini.generation import GENERATION, read_generation, write_generation
from otari.dialects.gemini.parts import NAME
from otari.dialects.gemini.thinking import THINKING
from otari.dialects.gemini.tools import allowed_tools, read_choice, read_tools, write_tools
from otari.dialects.gemini.turns import read_turns, write_turns
from otari.dialects.losses import Drop, collector, lost_key
from otari.dialects.tool_names import renamed, wire_names
from otari.domain.chat import ChatRequest, Doc
from otari.domain.errors import invalid

_READ = frozenset(["model", "stream", "contents", "systemInstruction", "tools", "generationConfig"])


def read_request(doc: Doc) -> ChatRequest:
    """The request in a checked body (see `read_envelope`). Keys without a canonical home become `extras`.

    Model and stream are those that the URL told, if somebody has put them into the document.
    """
    choice, is_all = read_choice(doc)
    told = read_generation(doc.get("generationConfig"))
    consumed = _READ | ({"toolConfig"} if is_all else set())
    return ChatRequest(
        model=model_in(doc),
        turns=read_turns(doc),
        tools=read_tools(doc),
        tool_choice=choice,
        sampling=told.sampling,
        max_output_tokens=told.max_output_tokens,
        choices=told.choices,
        reasoning=told.reasoning,
        shape=told.shape,
        stream=doc.get("stream") is True,
        extras=extras_in(doc, consumed) | told.extras,
        dialect=NAME,
    )


def write_request(request: ChatRequest, dropped: list[str] | None = None) -> Doc:
    """The body for an upstream of this dialect; `dropped` as `Dialect.write_request` says.

    Raises OtariError(INVALID) for media that can not be sent, for more than one choice, and for answers in sound.
    """
    drop = collector(dropped)
    own = request.dialect == NAME
    if request.choices != 1:
        raise invalid("This model gives one answer: n must be 1.", "n")
    names = {} if own else wire_names(request)
    request = renamed(request, names)
    system, contents = write_turns(request.turns, request.model, own, drop)
    doc: Doc = {"systemInstruction": {"parts": system}} if system else {}
    doc["contents"] = contents
    doc |= write_tools(request, own, drop)
    config = write_generation(request, own, drop)
    if config:
        doc["generationConfig"] = config
    if own:
        inner = (GENERATION, THINKING)
        return doc | {key: value for key, value in request.extras.items() if not key.startswith(inner)}
    _carry_extras(request, doc, names, drop)
    return doc


def _carry_extras(request: ChatRequest, doc: Doc, names: Mapping[str, str], drop: Drop) -> None:
    """What other dialects say beyond a canonical request: a choice among some tools means the same here, everything
    else is named. Who asks is told to no provider."""
    if request.metadata and request.metadata.keys() != {"user_id"}:
        drop("metadata")
    for key, value in request.extras.items():
        if key == "modalities" and isinstance(value, list) and "audio" in value:
            raise invalid("This model answers in text: remove audio from modalities.", "modalities")
        config = allowed_tools(value, names) if key == "tool_choice" and "tools" in doc else None
        if config is not None:
            doc["toolConfig"] = config
        elif (name := lost_key(key, value)) is not None:
            drop(name)
