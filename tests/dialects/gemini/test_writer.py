"""Writing answers, whole and as streams: what goes out reads the same."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.dialects.gemini import GEMINI
from otari.dialects.gemini.parts import FAMILY, NAME
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import (
    Event,
    Failed,
    Finish,
    Finished,
    Opaque,
    Part,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Refusal,
    Reply,
    Started,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    UsageSeen,
    fold,
    unfold,
)
from otari.domain.errors import Kind, OtariError
from tests.dialects.gemini.golden import STREAMS, VECTORS
from tests.dialects.gemini.wire import answers, as_read, written
from tests.dialects.told import frames_of, read_all
from tests.domain.strategies import replies

MINIMAL = Reply("r", "g", (Text("Hi"),), Finish.END)


def docs(stream: bytes) -> list[dict[str, Any]]:
    """What the frames of a stream hold; each has one line of data and ends as Google's do."""
    frames = frames_of(stream)
    assert all(frame.startswith(b"data: {") and frame.endswith(b"}\r\n\r\n") for frame in frames)
    return [orjson.loads(sse.data(frame)) for frame in frames]


def told_parts(stream: bytes) -> list[dict[str, Any]]:
    return [part for doc in docs(stream) for part in doc["candidates"][0]["content"]["parts"]]


# ---- laws ----------------------------------------------------------------------------------------------------------


@given(answers())
def test_what_is_written_whole_reads_the_same(reply: Reply) -> None:
    dropped: list[str] = []
    doc = orjson.loads(orjson.dumps(GEMINI.write_reply(reply, dropped=dropped)))
    assert GEMINI.read_reply(doc) == as_read(reply)
    foreign = any(isinstance(part, Thinking) and part.signature and part.family != FAMILY for part in reply.parts)
    assert dropped == (["thinking of another model"] if foreign else [])


def told_late(reply: Reply) -> Reply:
    """An answer in which the signatures of texts stand on empty texts of their own: a stream has sent the text."""
    parts = tuple(
        Thinking("", None, FAMILY, part.signature)
        if isinstance(part, Thinking) and not part.text and part.signature
        else part
        for part in reply.parts
    )
    return replace(reply, parts=parts)


@given(answers().map(told_late))
def test_what_is_written_as_a_stream_reads_the_same(reply: Reply) -> None:
    assert fold(read_all(GEMINI.reader(), written(list(unfold(reply))))) == as_read(reply)


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[Reply, list[Event]]:
    """The events of an answer with those of its parts interleaved, as providers with parallel calls tell them."""
    reply = told_late(draw(answers()))
    refusals = tuple(part for part in reply.parts if isinstance(part, Refusal))
    reply = replace(reply, parts=tuple(part for part in reply.parts if part not in refusals))
    queues: list[list[Event]] = [[] for _ in reply.parts]
    for event in unfold(reply):
        if isinstance(event, PartStarted | PartDelta | PartSigned | PartEnded):
            queues[event.index].append(event)
    events: list[Event] = [Started(reply.id, reply.model, reply.created)]
    begun = 0
    while any(queues):
        ready = [number for number, queue in enumerate(queues) if queue and number <= begun]
        number = draw(st.sampled_from(ready))
        events.append(queues[number].pop(0))
        begun = max(begun, number + 1)
    return reply, [*events, UsageSeen(reply.usage), Finished(reply.finish)]


@given(shuffled())
def test_interleaved_parts_come_out_whole_and_in_order(told: tuple[Reply, list[Event]]) -> None:
    reply, events = told
    assert fold(read_all(GEMINI.reader(), written(events))) == as_read(reply)


def told_once(reply: Reply) -> bool:
    """Whether no two calls have one id."""
    ids = [part.id for part in reply.parts if isinstance(part, ToolCall)]
    return len(set(ids)) == len(ids)


@given(replies().filter(told_once))
@settings(deadline=None)
def test_any_answer_can_be_written(reply: Reply) -> None:
    for stream in (written(list(unfold(reply))), b"data: " + orjson.dumps(GEMINI.write_reply(reply)) + b"\r\n\r\n"):
        read = fold(read_all(GEMINI.reader(), stream))
        assert isinstance(read, Reply)
        assert "".join(part.text for part in read.parts if isinstance(part, Text)) == "".join(
            part.text for part in reply.parts if isinstance(part, Text)
        )
        called = [part.name for part in read.parts if isinstance(part, ToolCall)]
        assert called == [part.name for part in reply.parts if isinstance(part, ToolCall)]


@pytest.mark.parametrize("name", STREAMS)
def test_vectors_come_out_as_the_same_answer(name: str) -> None:
    events = read_all(GEMINI.reader(), (VECTORS / name).read_bytes())
    reply = fold(events)
    assert isinstance(reply, Reply)
    assert fold(read_all(GEMINI.reader(), written(events))) == as_read(reply)


# ---- what exactly goes out -----------------------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    call = ToolCall("i", "look", "", "S")
    thinking = Thinking("hm", None, FAMILY)
    reply = Reply("r", "g", (thinking, Text("a"), call), Finish.TOOLS, Usage(9, 7, 4, reasoning=2), 1795341600)
    assert GEMINI.write_reply(reply) == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"text": "a"},
                        {"functionCall": {"name": "look", "args": {}, "id": "i"}, "thoughtSignature": "S"},
                    ],
                    "role": "model",
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 9,
            "cachedContentTokenCount": 4,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 2,
            "totalTokenCount": 16,
        },
        "modelVersion": "g",
        "responseId": "r",
        "createTime": "2026-11-22T10:00:00Z",
    }


def test_a_stream() -> None:
    events = unfold(replace(MINIMAL, usage=Usage(3, 1)))
    head = {"modelVersion": "g", "responseId": "r"}
    assert docs(written(list(events))) == [
        {"candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "index": 0}], **head},
        {
            "candidates": [
                {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0},
            ],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
            **head,
        },
    ]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.END, "STOP"),
        (Finish.STOP_SEQUENCE, "STOP"),
        (Finish.TOOLS, "STOP"),
        (Finish.LENGTH, "MAX_TOKENS"),
        (Finish.FILTER, "SAFETY"),
    ],
)
def test_finish_reasons(finish: Finish, reason: str) -> None:
    reply = replace(MINIMAL, finish=finish)
    assert GEMINI.write_reply(reply)["candidates"][0]["finishReason"] == reason
    assert docs(written(list(unfold(reply))))[-1]["candidates"][0]["finishReason"] == reason


def test_a_refusal_is_told_beside_the_reason() -> None:
    reply = replace(MINIMAL, parts=(Text("a"), Refusal("No.")))
    for candidate in (
        GEMINI.write_reply(reply)["candidates"][0],
        docs(written(list(unfold(reply))))[-1]["candidates"][0],
    ):
        assert (candidate["finishReason"], candidate["finishMessage"]) == ("SAFETY", "No.")


def test_each_piece_of_text_goes_out_at_once_and_calls_whole() -> None:
    writer = GEMINI.writer()
    writer.write(Started("r", "g"))
    writer.write(PartStarted(0, Text("")))
    assert told_parts(writer.write(PartDelta(0, "a"))) == [{"text": "a"}]
    assert writer.write(PartDelta(0, "")) == b""
    writer.write(PartEnded(0))
    assert writer.write(PartStarted(1, ToolCall("i", "f", ""))) == b""
    assert writer.write(PartDelta(1, '{"a":')) == b""
    assert writer.write(PartDelta(1, "1}")) == b""
    assert writer.write(PartSigned(1, "S")) == b""
    call = {"functionCall": {"name": "f", "args": {"a": 1}, "id": "i"}, "thoughtSignature": "S"}
    assert told_parts(writer.write(PartEnded(1))) == [call]


def test_the_signature_of_thinking_follows_it() -> None:
    stream = written(list(unfold(replace(MINIMAL, parts=(Thinking("hm", "S", FAMILY),)))))
    assert told_parts(stream)[:2] == [
        {"text": "hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "S"},
    ]


def test_what_has_no_place_is_named() -> None:
    lost: list[Part] = [Opaque("other", {"type": "x"}), ToolResult("a", ()), Thinking("hm", "S", "anthropic")]
    reply = replace(MINIMAL, parts=(*lost, Opaque(NAME, {"type": "later", "part": {"later": 1}})), stop_sequence="X")
    dropped: list[str] = []
    parts = GEMINI.write_reply(reply, dropped=dropped)["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "hm", "thought": True}, {"later": 1}]
    assert dropped == ["stop_sequence", "part x", "tool result in an answer", "thinking of another model"]
    writer = GEMINI.writer()
    assert told_parts(b"".join(map(writer.write, unfold(reply))))[:2] == parts
    assert sorted(writer.dropped) == sorted(dropped)


def test_numbers_that_nobody_counted_are_not_told() -> None:
    assert "usageMetadata" not in GEMINI.write_reply(MINIMAL)
    assert "usageMetadata" not in GEMINI.write_reply(replace(MINIMAL, usage=Usage(10**30, 1)))
    assert "usageMetadata" not in docs(written(list(unfold(MINIMAL))))[-1]


def test_a_failure_is_the_last_frame() -> None:
    writer = GEMINI.writer()
    writer.write(Started("r", "g"))
    (doc,) = docs(writer.write(Failed("Overloaded", "UNAVAILABLE")))
    assert doc == {"error": {"code": 502, "message": "Overloaded", "status": "UNAVAILABLE"}}
    assert writer.write(PartDelta(0, "late")) == b""
    assert writer.write(Finished(Finish.END)) == b""
    (doc,) = docs(GEMINI.writer().fail(OtariError(Kind.RATE_LIMITED, "Slow down.")))
    assert doc["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_an_ending_without_a_start() -> None:
    (doc,) = docs(GEMINI.writer().write(Finished(Finish.END)))
    assert doc["responseId"] == ""


def test_deltas_of_parts_that_never_began_are_ignored() -> None:
    writer = GEMINI.writer()
    assert writer.write(PartDelta(7, "x")) == b""
    assert writer.write(PartSigned(7, "x")) == b""
    assert writer.write(PartEnded(7)) == b""


@pytest.mark.parametrize("name", STREAMS)
def test_streams_come_out_on_the_wire_of_chat_completions(name: str) -> None:
    writer = OPENAI_CHAT.writer(wants_usage=True)
    events = read_all(GEMINI.reader(), (VECTORS / name).read_bytes())
    again = fold(read_all(OPENAI_CHAT.reader(), b"".join(map(writer.write, events))))
    reply = fold(events)
    assert isinstance(reply, Reply)
    assert isinstance(again, Reply)
    signed = {part.id: part.signature for part in reply.parts if isinstance(part, ToolCall)}
    assert {part.id: part.signature for part in again.parts if isinstance(part, ToolCall)} == signed
    assert (again.finish, again.usage.output) == (reply.finish, reply.usage.output)
