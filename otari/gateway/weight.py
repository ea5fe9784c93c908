"""What of a request makes tokens: its texts, one by one, and what only has a size."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from otari.dialects import data_url
from otari.domain.chat import (
    Audio,
    ChatRequest,
    Doc,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from otari.domain.families import Family
from otari.domain.money import REMOTE_FILE_TOKENS, audio_tokens, document_tokens
from otari.domain.pictures import Size, size_of
from otari.gateway.typescript import tool_type

# What models are told around a call (who calls what, in which form) and around its result.
CALL_TOKENS = 10
RESULT_TOKENS = 8
_BYTES_PER_TOKEN = 4  # of thinking that nobody here can read
_DESCRIBED, _BARE, _CHOICE = 2, 3, 4  # a property of a tool with a description or without one, and one with an enum
_PDF = "application/pdf"


@dataclass(slots=True)
class Weight:
    """The parts of a request that make tokens.

    `other` are tokens that no family counts in its own way: documents and sound by their size, what stands around
    calls. `readable` is False when something is in it whose tokens can only be guessed.
    """

    texts: list[str] = field(default_factory=list)
    pictures: list[Size | None] = field(default_factory=list)
    messages: int = 0
    tools: int = 0
    other: int = 0
    readable: bool = True

    def around(self, family: Family) -> int:
        """The tokens of everything but the texts."""
        tools = family.tools + family.tool * self.tools if self.tools else 0
        pictures = sum(map(family.picture, self.pictures))
        return family.request + family.message * self.messages + tools + pictures + self.other


def weigh(request: ChatRequest, *, as_types: bool) -> Weight:
    """The weight of a request, whatever its dialect. `as_types`: its model is told tools as types, not as JSON."""
    weight = Weight()
    for turn in request.turns:
        weight.messages += 1
        if turn.name is not None:
            weight.texts.append(turn.name)
        for part in turn.parts:
            _add_part(part, weight)
    for tool in request.tools:
        _add_tool(tool, weight, as_types=as_types)
    if request.shape is not None and request.shape.schema is not None:
        _add_json(request.shape.schema, weight)
    return weight


def _add_part(part: Part, weight: Weight) -> None:
    match part:
        case Text(text) | Refusal(text):
            weight.texts.append(text)
        case ToolCall():
            weight.messages += 1
            weight.other += CALL_TOKENS
            weight.texts += (part.name, part.arguments)
        case ToolResult():
            weight.messages += 1
            weight.other += RESULT_TOKENS
            for inner in part.parts:
                _add_part(inner, weight)
        case Thinking(redacted=None):
            weight.texts.append(part.text)
        case _:
            weight.readable = False
            _add_unreadable(part, weight)


def _add_unreadable(part: Part, weight: Weight) -> None:
    match part:
        case Thinking():
            weight.other += data_url.decoded_bytes(part.redacted or "") // _BYTES_PER_TOKEN
        case Image():
            weight.pictures.append(None if part.data is None else size_of(part.data))
        case Document():
            _add_document(part, weight)
        case Audio():
            weight.other += audio_tokens(data_url.decoded_bytes(part.data))
        case Opaque():
            _add_opaque(part.doc, weight)


def _add_document(document: Document, weight: Weight) -> None:
    if document.name is not None:
        weight.texts.append(document.name)
    if document.text is not None:
        weight.texts.append(document.text)
    elif document.data is not None:
        weight.other += _file_tokens(document.data, document.media_type)
    else:
        weight.other += REMOTE_FILE_TOKENS


def _file_tokens(data: str, media_type: str | None) -> int:
    """A PDF by its size; any other file is text, which has no more tokens than a quarter of its bytes, mostly."""
    size = data_url.decoded_bytes(data)
    if _PDF in (media_type, data_url.sniff(data[:24])):
        return document_tokens(size)
    return size // _BYTES_PER_TOKEN + 1


def _add_opaque(doc: Any, weight: Weight) -> None:
    """What only its own dialect understands: its words and keys as text, files in it by their size."""
    waiting = [doc]
    while waiting:
        value = waiting.pop()
        match value:
            case {"type": "base64", "data": str(data), **rest}:
                size = size_of(data)
                if size is not None:
                    weight.pictures.append(size)
                else:
                    kind = rest.get("media_type")
                    weight.other += _file_tokens(data, kind if isinstance(kind, str) else None)
            case dict():
                weight.texts += value
                waiting += value.values()
            case list():
                waiting += value
            case str() if not data_url.is_data_url(value):
                weight.texts.append(value)


# ---- tools ---------------------------------------------------------------------------------------------------------


def _add_tool(tool: Tool | Opaque, weight: Weight, *, as_types: bool) -> None:
    weight.tools += 1
    if isinstance(tool, Opaque):
        weight.readable = False  # what its provider makes of it is not known
        _add_json(tool.doc, weight)
        return
    name, description, parameters = tool.name, tool.description or "", tool.parameters or {}
    if not as_types:
        _add_json({"name": name, "description": description, "parameters": parameters}, weight)
        return
    weight.other += _marks(parameters)
    try:
        weight.texts.append(tool_type(name, description, parameters))
    except orjson.JSONEncodeError:
        weight.readable = False


def _marks(parameters: Doc) -> int:
    """The tokens that OpenAI's rule has for each property on top of its type: more for one that no comment begins.

    Source: OpenAI's cookbook, "How to count tokens with tiktoken", section 7. Only properties of the tool itself are
    in its rule, and a type has as many marks as the rule counts for all else.
    """
    properties = parameters.get("properties")
    if not isinstance(properties, dict):
        return 0
    return sum(map(_marks_of, properties.values()))


def _marks_of(told: Any) -> int:
    doc = told if isinstance(told, dict) else {}
    return (_DESCRIBED if doc.get("description") else _BARE) + (_CHOICE if "enum" in doc else 0)


def _add_json(doc: Doc, weight: Weight) -> None:
    """A document as JSON text. One that is nested too deeply for JSON goes nowhere."""
    try:
        weight.texts.append(orjson.dumps(doc).decode())
    except orjson.JSONEncodeError:
        weight.readable = False
