"""Streams → canonical events: when things are told, and that no stream ends without an ending."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.anthropic_messages.marks import Mark, write_id, write_mark
from otari.domain.chat import (
    Failed,
    Finish,
    Finished,
    PartDelta,
    PartSigned,
    PartStarted,
    Started,
    Thinking,
    ToolCall,
    UsageSeen,
)
from tests.dialects.anthropic_messages.golden import VECTORS, cases, stream_of
from tests.dialects.told import frames_of, keeps_the_grammar, read_all
from tests.domain.strategies import json_values

START = {"type": "message_start", "message": {"id": "m1", "model": "m", "usage": {"input_tokens": 5}}}
STOP = {"type": "message_stop"}
KINDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"]


def test_input_tokens_are_told_at_once_and_text_as_it_comes() -> None:
    stream = (VECTORS / "10_msg_text_stop_sequence.sse").read_bytes()
    reader = ANTHROPIC_MESSAGES.reader()
    told = [reader.read(frame) for frame in frames_of(stream)]
    started, seen = told[0]
    assert isinstance(started, Started)
    assert isinstance(seen, UsageSeen)
    assert (seen.usage.input, seen.usage.output) == (12, None)
    assert [len(events) for events in told[1:6]] == [0, 0, 2, 1, 1]
    assert isinstance(told[-1][-1], Finished)
    assert list(reader.end()) == []


def test_tokens_seen_before_a_failure_are_told_before_it() -> None:
    stream = (VECTORS / "12_msg_overloaded_midstream.sse").read_bytes()
    *_, seen, failed = read_all(ANTHROPIC_MESSAGES.reader(), stream)
    assert isinstance(seen, UsageSeen)
    assert (seen.usage.input, seen.usage.output) == (5, None)
    assert failed == Failed("Overloaded", "overloaded_error")


def test_no_usage_is_made_up() -> None:
    stream = stream_of([{"type": "message_start", "message": {"id": "m1"}}, STOP])
    assert not any(isinstance(event, UsageSeen) for event in read_all(ANTHROPIC_MESSAGES.reader(), stream))


def test_marks_give_back_what_they_carry() -> None:
    carrier = {"type": "redacted_thinking", "data": write_mark(Mark(signature="sig", call_id="a:1"))}
    hidden = {"type": "redacted_thinking", "data": write_mark(Mark("openai", "red"))}
    call = {"type": "tool_use", "id": write_id("a:1"), "name": "f", "input": {}}
    thinking = {"type": "thinking", "thinking": "hm", "signature": ""}
    signature = {"type": "signature_delta", "signature": write_mark(Mark("openai", "enc"))}
    frames: list[Any] = [START]
    for index, block in enumerate((carrier, hidden, call, thinking)):
        frames.append({"type": "content_block_start", "index": index, "content_block": block})
    frames += [{"type": "content_block_delta", "index": 3, "delta": signature}, STOP]
    events = read_all(ANTHROPIC_MESSAGES.reader(), stream_of(frames))
    assert keeps_the_grammar(events)
    assert [event.part for event in events if isinstance(event, PartStarted)] == [
        Thinking("", None, "openai", "red"),
        ToolCall("a:1", "f", "", "sig"),
        Thinking("", None, "anthropic"),
    ]
    assert PartSigned(2, "enc") in events
    assert PartDelta(2, "hm") in events


def test_a_stream_may_be_cut_anywhere() -> None:
    for _, case in cases("stream"):
        stream = stream_of(case["frames"])
        whole = read_all(ANTHROPIC_MESSAGES.reader(), stream)
        for size in (1, 5, 50):
            reader, framer = ANTHROPIC_MESSAGES.reader(), sse.Framer()
            blocks = [framer.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
            frames = [frame for block in [*blocks, framer.rest()] for frame in sse.split(block)]
            events = [*(event for frame in frames for event in reader.read(frame)), *reader.end()]
            assert events[1:] == whole[1:]  # an id that nobody told is another one each time


def test_every_prefix_of_a_good_stream_ends_badly_or_says_why_it_ended() -> None:
    frames = frames_of((VECTORS / "11_msg_thinking_text_two_tools.sse").read_bytes())
    for count in range(len(frames)):
        events = read_all(ANTHROPIC_MESSAGES.reader(), b"".join(frames[:count]))
        assert keeps_the_grammar(events)
        told = b"message_delta" in b"".join(frames[:count])
        last = events[-1]
        assert isinstance(last, Finished if told else Failed) or last == Finished(Finish.TOOLS, service_tier="default")


indices = st.integers(0, 2) | json_values
deltas = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"]
        )
    },
    optional={
        "text": json_values,
        "thinking": json_values,
        "signature": json_values,
        "partial_json": json_values,
        "citation": json_values,
        "stop_reason": st.sampled_from(["end_turn", "tool_use", "error"]) | json_values,
        "stop_details": json_values,
    },
)
content = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"]) | json_values},
    optional={
        "text": json_values,
        "thinking": json_values,
        "signature": json_values,
        "data": json_values,
        "id": json_values,
        "name": json_values,
        "input": json_values,
    },
)
told = st.fixed_dictionaries(
    {"type": st.sampled_from([*KINDS, "message_stop", "error", "ping"])},
    optional={
        "index": indices,
        "delta": deltas | json_values,
        "content_block": content | json_values,
        "message": json_values
        | st.fixed_dictionaries({"id": st.sampled_from(["m1", "m2", ""])}, optional={"content": json_values}),
        "usage": json_values | st.just({"input_tokens": -1, "output_tokens": "3"}),
        "error": json_values,
    },
)


@given(st.lists(told | json_values, max_size=8))
@settings(deadline=None)
def test_garbage_ends_in_one_ending(docs: list[Any]) -> None:
    stream = b"".join(b"data: " + orjson.dumps(doc) + b"\n\n" for doc in docs)
    events = read_all(ANTHROPIC_MESSAGES.reader(), stream)
    assert keeps_the_grammar(events)
    assert len([event for event in events if isinstance(event, Failed | Finished)]) == 1
    writer = ANTHROPIC_MESSAGES.writer()
    for event in events:
        writer.write(event)
