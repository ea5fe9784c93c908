"""What an answer can say, field by field, and what becomes of it in every cell, whole and streamed.

`answered/<dialect>.json` lists the fields of a provider's dialect: what to put into a plain answer, whole and streamed,
by paths. A step `+2` of a path puts something before entry 2 of a list, or several things when they come as a list.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from otari.domain.chat import Doc
from tests.cells.cell import CHAT, GEMINI, MESSAGES, RESPONSES, SERVERS, WORDS, Cell, answered, streamed
from tests.cells.clients import BY_DIALECT

FOLDER = Path(__file__).parent / "answered"
Form = Literal["whole", "stream"]

_CHUNK: Doc = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
_COUNTS: Doc = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
_MESSAGE: Doc = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
_TEXT: Doc = {"type": "output_text", "text": "Hello", "annotations": []}
_ITEM: Doc = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
_READ: Doc = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
_RESPONSE: Doc = {"id": "resp_1", "object": "response", "created_at": 7, "model": "m"}
_IN_TEXT: Doc = {"output_index": 0, "content_index": 0}
_HEAD: Doc = {"responseId": "r1", "modelVersion": "m"}

WHOLE: dict[str, Doc] = {
    CHAT: {
        **_CHUNK,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": _COUNTS,
    },
    MESSAGES: {
        **_MESSAGE,
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
    RESPONSES: {**_RESPONSE, "status": "completed", "output": [{**_ITEM, "content": [_TEXT]}], "usage": _READ},
    GEMINI: {
        "candidates": [
            {"content": {"parts": [{"text": "Hello"}], "role": "model"}, "finishReason": "STOP", "index": 0},
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        **_HEAD,
    },
}
STREAM: dict[str, list[Doc]] = {
    CHAT: [
        {**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {**_CHUNK, "choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]},
        {**_CHUNK, "choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": None}]},
        {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**_CHUNK, "choices": [], "usage": _COUNTS},
    ],
    MESSAGES: [
        {"type": "message_start", "message": {**_MESSAGE, "content": [], "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ],
    RESPONSES: [
        {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": []}},
        {"type": "response.in_progress", "response": {**_RESPONSE, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**_ITEM, "content": []}},
        {"type": "response.output_text.delta", **_IN_TEXT, "delta": "Hello"},
        {"type": "response.output_text.done", **_IN_TEXT, "text": "Hello"},
        {"type": "response.output_item.done", "output_index": 0, "item": {**_ITEM, "content": [_TEXT]}},
        {"type": "response.completed", "response": WHOLE[RESPONSES]},
    ],
    GEMINI: [
        {"candidates": [{"content": {"parts": [{"text": "Hel"}], "role": "model"}, "index": 0}], **_HEAD},
        {
            "candidates": [
                {"content": {"parts": [{"text": "lo"}], "role": "model"}, "finishReason": "STOP", "index": 0},
            ],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
            **_HEAD,
        },
    ],
}


class Field(NamedTuple):
    """Something that an answer of `server`'s dialect can say. `silent` is why it may go unsaid without a name."""

    server: str
    area: str
    name: str
    added: dict[Form, Doc]
    silent: str


class Fate(NamedTuple):
    """What becomes of a field in one form of the answer; `names` are those of what is lost."""

    kind: Literal["carried", "other form", "dropped", "silent"]
    names: tuple[str, ...] = ()


def fields() -> Iterator[Field]:
    """All fields of all providers."""
    for server in SERVERS:
        for doc in orjson.loads((FOLDER / f"{WORDS[server]}.json").read_bytes()):
            added: dict[Form, Doc] = {form: doc[form] for form in ("whole", "stream") if form in doc}
            yield Field(server, doc["area"], doc["field"], added, doc.get("silent", ""))


def fate(field: Field, client: str, form: Form) -> Fate:
    """What becomes of a field in one cell."""
    out, names = told(Cell(client, field.server), form, field.added[form])
    plain, plain_names = told(Cell(client, field.server), form, {})
    lost = tuple(name for name in names if name not in plain_names)
    if lost:
        return Fate("dropped" if out == plain else "other form", lost)
    return Fate("silent" if out == plain else "carried")


def told(cell: Cell, form: Form, added: Doc) -> tuple[bytes, tuple[str, ...]]:
    """What the client gets of a provider's answer with these additions, and what is said to be lost."""
    exchange = cell.exchange(BY_DIALECT[cell.client].request(stream=form == "stream"))
    if form == "whole":
        body = orjson.dumps(with_added(WHOLE[cell.server], added))
        out = orjson.dumps(answered(exchange, body))
    else:
        frames = [_frame(cell.server, doc) for doc in with_added(STREAM[cell.server], added)]
        out = streamed(exchange, [*frames, b"data: [DONE]\n\n"] if cell.server == CHAT else frames)
    return out, tuple(exchange.dropped)


def _frame(server: str, doc: Doc) -> bytes:
    event = b"event: " + doc["type"].encode() + b"\n" if server in (MESSAGES, RESPONSES) else b""
    return event + b"data: " + orjson.dumps(doc) + b"\n\n"


def with_added(base: Any, added: Doc) -> Any:
    """A copy of `base` with values put in at their paths; entries of lists come last, so that numbers stay right."""
    base = copy.deepcopy(base)
    for path in sorted(added, key=lambda path: "+" in path.split(".")[0]):
        *steps, last = path.split(".")
        place = base
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        value = copy.deepcopy(added[path])
        if last.startswith("+"):
            at = int(last[1:])
            place[at:at] = value if isinstance(value, list) else [value]
        elif isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    return base
