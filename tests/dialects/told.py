"""What a stream of events tells, in the short form that the vectors and cases expect; and how to read a wire for it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import orjson

from otari.dialects import sse
from otari.dialects.dialect import StreamReader
from otari.domain.chat import (
    Event,
    Failed,
    Finished,
    Opaque,
    PartDelta,
    PartStarted,
    Refusal,
    Reply,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
    fold,
)
from otari.domain.errors import OtariError

T = TypeVar("T")
HERE = Path(__file__).parent
VECTORS = HERE / "vectors"
_USAGE = {
    "input_total": "input",
    "output_total": "output",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "reasoning": "reasoning",
}


def frames_of(stream: bytes) -> list[bytes]:
    """The frames of a whole stream, its last one without an empty line included."""
    framer = sse.Framer()
    return sse.split(framer.feed(stream) + framer.rest())


def read_all(reader: StreamReader, stream: bytes) -> list[Event]:
    """All events of a whole stream."""
    return [*(event for frame in frames_of(stream) for event in reader.read(frame)), *reader.end()]


def told(events: Iterable[Event]) -> dict[str, Any]:
    """`text`, `thinking`, `refusal`, `tools`, `finish`, `usage`, `error`, `id`: only what was told."""
    events = list(events)
    ending = fold(events)
    if isinstance(ending, Reply):
        return told_by(ending)
    summary: dict[str, Any] = {"error": True, "message": ending.message, "code": ending.code}
    texts = {event.index for event in events if isinstance(event, PartStarted) and isinstance(event.part, Text)}
    text = "".join(event.text for event in events if isinstance(event, PartDelta) and event.index in texts)
    assert not any(isinstance(event, Finished) for event in events)
    if text:
        summary["text"] = text
    return summary


def told_by(reply: Reply) -> dict[str, Any]:
    """The same for a whole answer."""
    summary: dict[str, Any] = {"id": reply.id, "model": reply.model, "finish": reply.finish.value}
    for key, kind in (("text", Text), ("thinking", Thinking), ("refusal", Refusal)):
        text = "".join(part.text for part in reply.parts if isinstance(part, kind))
        if text:
            summary[key] = text
    tools = [_tool(part) for part in reply.parts if isinstance(part, ToolCall)]
    if tools:
        summary["tools"] = tools
    opaque = [part.doc for part in reply.parts if isinstance(part, Opaque)]
    if opaque:
        summary["opaque"] = opaque
    usage = {key: value for key, name in _USAGE.items() if (value := getattr(reply.usage, name)) is not None}
    if usage:
        summary["usage"] = usage
    return summary


def _tool(call: ToolCall) -> dict[str, Any]:
    tool = {"id": call.id, "name": call.name, "args": orjson.loads(call.arguments or "{}")}
    return tool if call.signature is None else {**tool, "signature": call.signature}


def keeps_the_grammar(events: list[Event]) -> bool:
    """Started first, parts opened once and closed before a good end, one ending and nothing after it."""
    failed = isinstance(events[-1], Failed)
    opened: set[int] = set()
    closed: set[int] = set()
    for number, event in enumerate(events):
        match event:
            case Started():
                if number != 0:
                    return False
            case PartStarted(index):
                if index in opened:
                    return False
                opened.add(index)
            case Finished() | Failed():
                if number != len(events) - 1 or (opened != closed and not failed):
                    return False
            case UsageSeen():
                pass
            case other:
                if other.index not in opened or other.index in closed:
                    return False
                if not isinstance(other, PartDelta) and type(other).__name__ == "PartEnded":
                    closed.add(other.index)
    return failed or isinstance(events[0], Started)


def outcome(call: Callable[[], T]) -> T | OtariError:
    """What a call gives: its value or its refusal."""
    try:
        return call()
    except OtariError as error:
        return error


def sse_of(docs: Iterable[Any]) -> bytes:
    """Chunks as a stream: an object as JSON, a string as the bare data."""
    return b"".join(b"data: " + (doc.encode() if isinstance(doc, str) else orjson.dumps(doc)) + b"\n\n" for doc in docs)
