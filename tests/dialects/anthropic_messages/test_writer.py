"""Canonical events → streams that Anthropic's client understands."""

from typing import Any

import orjson
import pytest
from anthropic import APIStatusError

from otari.dialects import sse
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.anthropic_messages.blocks import NAME
from otari.dialects.anthropic_messages.marks import Mark, write_mark
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import (
    Event,
    Failed,
    Finish,
    Finished,
    Image,
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
    Usage,
    UsageSeen,
    fold,
    unfold,
)
from tests.dialects.anthropic_messages.sdk import accumulated
from tests.dialects.openai_chat.golden import VECTORS as CHAT_VECTORS
from tests.dialects.told import frames_of, read_all

START = Started("msg_1", "m")
END = Finished(Finish.END)


def written(events: list[Event], *, input_tokens: int | None = 0) -> bytes:
    writer = ANTHROPIC_MESSAGES.writer(input_tokens=input_tokens)
    return b"".join(writer.write(event) for event in events)


def docs(stream: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(sse.data(frame)) for frame in frames_of(stream)]


def blocks(stream: bytes) -> list[str]:
    """Starts (with their type), deltas and stops of blocks, in order; blocks must come one after the other."""
    told: list[str] = []
    opened = -1
    for doc in docs(stream):
        match doc:
            case {"type": "content_block_start", "index": index, "content_block": {"type": kind}}:
                assert index == opened + 1
                assert not told or told[-1] == "stop"
                opened = index
                told.append(kind)
            case {"type": "content_block_delta", "index": index}:
                assert index == opened
                assert told[-1] != "stop"
                told.append(next(str(text) for key, text in doc["delta"].items() if key != "type"))
            case {"type": "content_block_stop", "index": index}:
                assert index == opened
                told.append("stop")
    return told


def call(index: int, name: str = "f") -> PartStarted:
    return PartStarted(index, ToolCall(f"t{index}", name, ""))


def test_a_plain_answer_byte_for_byte() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, "Hé\n"), PartEnded(0)]
    events += [UsageSeen(Usage(input=12, output=3, cache_read=10)), END]
    assert (
        written(events, input_tokens=11)
        == (
            "event: message_start\n"
            'data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m",'
            '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":11,'
            '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
            'event: ping\ndata: {"type": "ping"}\n\n'
            "event: content_block_start\n"
            'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
            "event: content_block_delta\n"
            'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé\\n"}}\n\n'
            'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
            "event: message_delta\n"
            'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
            '"usage":{"input_tokens":2,"cache_read_input_tokens":10,"output_tokens":3}}\n\n'
            'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        ).encode()
    )


def test_the_start_and_every_delta_go_out_at_once() -> None:
    writer = ANTHROPIC_MESSAGES.writer()
    assert writer.write(START).startswith(b"event: message_start\n")
    assert writer.write(PartStarted(0, Text(""))) == b""
    first = writer.write(PartDelta(0, "a"))
    assert first.count(b"event: ") == 2
    assert writer.write(PartDelta(0, "b")).count(b"event: ") == 1
    assert writer.write(PartDelta(0, "")) == b""


def test_parallel_calls_whose_arguments_come_interleaved_are_told_one_after_the_other() -> None:
    stream = (CHAT_VECTORS / "02_cc_parallel_tools_interleaved_nulls_gap.sse").read_bytes()
    out = written(read_all(OPENAI_CHAT.reader(), stream))
    told = blocks(out)
    assert told.count("tool_use") == 2
    assert [(block.id, block.input) for block in accumulated(out).content if block.type == "tool_use"] == [
        ("call_A1", {"city": "Oslo"}),
        ("call_B2", {"tz": "CET"}),
    ]


def test_a_call_ends_when_its_arguments_are_whole_and_another_begins() -> None:
    writer = ANTHROPIC_MESSAGES.writer()
    for event in (START, call(0), PartDelta(0, '{"a":'), call(1), PartDelta(1, "{")):
        writer.write(event)
    assert blocks(written([START, call(0), PartDelta(0, '{"a":'), call(1), PartDelta(1, "{")])) == [
        "tool_use",
        '{"a":',
    ]
    now = writer.write(PartDelta(0, "1}"))
    assert now.count(b"content_block_stop") == 2  # the event and its type
    assert b'"t1"' in now
    assert writer.write(PartDelta(1, "}")).count(b"event: ") == 1
    assert writer.write(PartDelta(0, " ")) == b""
    assert writer.dropped == []
    writer.write(PartDelta(0, "more"))
    assert writer.dropped == ["arguments after their end"]


def test_a_text_that_goes_on_after_something_else_began_is_not_lost() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, "a"), call(1), PartDelta(1, "{}")]
    events += [PartDelta(0, "b"), PartEnded(0), PartEnded(1), Finished(Finish.TOOLS)]
    assert blocks(written(events)) == ["text", "a", "stop", "tool_use", "{}", "stop", "text", "b", "stop"]


def test_calls_without_arguments_have_no_delta() -> None:
    stream = written([START, call(0), PartEnded(0), Finished(Finish.TOOLS)])
    assert blocks(stream) == ["tool_use", "stop"]
    (block,) = accumulated(stream).content
    assert block.type == "tool_use"
    assert block.input == {}


def test_empty_parts_open_nothing() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, ""), PartEnded(0)]
    events += [PartStarted(1, Thinking("")), PartEnded(1), PartStarted(2, Refusal("")), PartEnded(2)]
    assert blocks(written([*events, END])) == []


def test_thinking_ends_with_its_signature_or_a_mark() -> None:
    def told(part: Thinking, *more: Event) -> str:
        out = blocks(written([START, PartStarted(0, part), PartDelta(0, "hm"), *more, PartEnded(0), END]))
        assert out[:2] == ["thinking", "hm"]
        return out[2]

    signed = PartSigned(0, "Eq==")
    assert told(Thinking("", None, "anthropic"), signed) == "Eq=="
    assert told(Thinking("")) == write_mark(Mark())
    assert told(Thinking("", None, "openai"), signed) == write_mark(Mark("openai", "Eq=="))
    assert told(Thinking("", None, "anthropic")) == write_mark(Mark("anthropic"))


def test_thinking_that_is_not_shown_keeps_its_signature() -> None:
    events: list[Event] = [START, PartStarted(0, Thinking("", "Eq==", "anthropic")), PartEnded(0), END]
    assert blocks(written(events)) == ["thinking", "Eq==", "stop"]


def test_signatures_of_calls_travel_before_them_or_else_after() -> None:
    carrier = write_mark(Mark(signature="sig", call_id="t0"))
    early = written([START, PartStarted(0, ToolCall("t0", "f", "", "sig")), PartEnded(0), END])
    assert blocks(early) == ["redacted_thinking", "stop", "tool_use", "stop"]
    assert carrier.encode() in early
    late = written([START, call(0), PartDelta(0, "{}"), PartSigned(0, "sig"), PartEnded(0), END])
    assert blocks(late) == ["tool_use", "{}", "stop", "redacted_thinking", "stop"]
    after: list[Event] = [START, call(0), PartDelta(0, "{}"), call(1), PartSigned(0, "sig"), PartEnded(0)]
    assert blocks(written([*after, PartEnded(1), END])).count("redacted_thinking") == 1


def test_blocks_that_only_this_dialect_knows_come_whole_and_citations_in_their_text() -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    cited = {"type": "citations", "block_keys": {"citations": [{"type": "char_location"}]}}
    parts: list[Part] = [Opaque(NAME, use), Opaque(NAME, found), Text("so"), Opaque(NAME, cited), Text("x")]
    stream = written(list(unfold(Reply("i", "m", tuple(parts), Finish.END))))
    assert blocks(stream) == [
        *("server_tool_use", '{"query":"q"}', "stop", "web_search_tool_result", "stop"),
        *("text", "so", "{'type': 'char_location'}", "stop", "text", "x", "stop"),
    ]
    reply = fold(read_all(ANTHROPIC_MESSAGES.reader(), stream))
    assert isinstance(reply, Reply)
    assert reply.parts == tuple(parts)


def test_what_an_answer_can_not_hold_is_named() -> None:
    writer = ANTHROPIC_MESSAGES.writer()
    lost: list[Part] = [Image(url="x"), Opaque("gemini", {"type": "code"}), Opaque(NAME, {"block_keys": {"a": 1}})]
    for event in unfold(Reply("i", "m", tuple(lost), Finish.END)):
        writer.write(event)
    assert writer.dropped == ["image in an answer", "part code", "part a"]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.END, "end_turn"),
        (Finish.STOP_SEQUENCE, "stop_sequence"),
        (Finish.LENGTH, "max_tokens"),
        (Finish.TOOLS, "tool_use"),
        (Finish.FILTER, "refusal"),
    ],
)
def test_reasons(finish: Finish, reason: str) -> None:
    message = accumulated(written([START, Finished(finish, "END")]))
    assert message.stop_reason == reason
    assert message.stop_sequence == ("END" if finish is Finish.STOP_SEQUENCE else None)


def test_a_refusal_is_told_beside_the_reason() -> None:
    events: list[Event] = [START, PartStarted(0, Refusal("")), PartDelta(0, "No"), PartDelta(0, "."), PartEnded(0), END]
    message = accumulated(written(events))
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details is not None
    assert message.stop_details.explanation == "No."


def test_an_output_that_nobody_counted_is_estimated_and_an_input_keeps_its_first_number() -> None:
    text = "word " * 40
    message = accumulated(written([START, PartStarted(0, Text(text)), PartEnded(0), END], input_tokens=77))
    assert message.usage.input_tokens == 77
    assert message.usage.output_tokens == 50
    odd: Any = Usage(input=-3, output=10**12)
    assert accumulated(written([START, UsageSeen(odd), END], input_tokens=None)).usage.input_tokens == 0


def test_a_failure_is_one_error_and_nothing_follows() -> None:
    events: list[Event] = [
        START,
        PartStarted(0, Text("")),
        PartDelta(0, "Par"),
        Failed("Overloaded", "overloaded_error"),
    ]
    stream = written([*events, END, PartDelta(0, "x")])
    *_, last = docs(stream)
    assert last == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(APIStatusError, match="Overloaded"):
        accumulated(stream)
    assert docs(written([Failed("no", "500")]))[-1]["error"]["type"] == "api_error"


def test_an_end_without_a_start_is_still_a_stream() -> None:
    assert accumulated(written([END])).content == []
