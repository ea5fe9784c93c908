"""Canonical events → streams that the official SDK understands."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from otari.dialects import sse
from otari.dialects.openai_chat import OpenAIChat
from otari.dialects.openai_chat.content import NAME
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
    Usage,
    UsageSeen,
    fold,
    unfold,
)
from tests.dialects.openai_chat.golden import VECTORS
from tests.dialects.told import frames_of, read_all
from tests.domain.strategies import counts, replies, some_text, words

CHAT = OpenAIChat(clock=lambda: 1795000000.9)
START = Started("c1", "m", 7)
END = Finished(Finish.END)


def written(events: list[Event], *, wants_usage: bool = False) -> bytes:
    writer = CHAT.writer(wants_usage=wants_usage)
    return b"".join(writer.write(event) for event in events)


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream that ends well."""
    assert stream.endswith(b"data: [DONE]\n\n")
    return [orjson.loads(sse.data(frame)) for frame in frames_of(stream)[:-1]]


def deltas(stream: bytes) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(stream) if chunk["choices"]]


def test_a_plain_answer_byte_for_byte() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, "Hé\n"), PartEnded(0), END]
    head = 'data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":'
    assert written(events).decode() == (
        head + '{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
        + head + '{"content":"Hé\\n"},"finish_reason":null}]}\n\n'
        + head + '{},"finish_reason":"stop"}]}\n\n'
        + "data: [DONE]\n\n"
    )  # fmt: skip


def test_usage_goes_to_those_who_asked_and_all_other_chunks_say_null() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, "x"), PartEnded(0)]
    events += [UsageSeen(Usage(input=5)), UsageSeen(Usage(output=2, cache_read=1)), END]
    *before, last = chunks(written(events, wants_usage=True))
    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    unasked = chunks(written(events))
    assert all("usage" not in chunk and chunk["choices"] for chunk in unasked)


@pytest.mark.parametrize("usage", [Usage(), Usage(input=-5, output=1)])
def test_usage_that_is_not_known_is_not_made_up(usage: Usage) -> None:
    assert all(chunk["choices"] for chunk in chunks(written([START, UsageSeen(usage), END], wants_usage=True)))


def test_calls_are_numbered_without_gaps_and_may_come_interleaved() -> None:
    stream = written(
        [
            START,
            PartStarted(0, Text("")),
            PartEnded(0),
            PartStarted(3, ToolCall("a", "f", "")),
            PartStarted(7, ToolCall("b", "g", "")),
            PartDelta(7, '{"y":'),
            PartDelta(3, "{}"),
            PartDelta(7, "2}"),
            PartEnded(3),
            PartEnded(7),
            Finished(Finish.TOOLS),
        ]
    )
    calls = [delta["tool_calls"][0] for delta in deltas(stream) if "tool_calls" in delta]
    assert calls == [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"index": 1, "function": {"arguments": '{"y":'}},
        {"index": 0, "function": {"arguments": "{}"}},
        {"index": 1, "function": {"arguments": "2}"}},
    ]


@pytest.mark.parametrize("ended", [True, False])
def test_a_call_without_arguments_says_an_empty_object_once(ended: bool) -> None:
    events: list[Event] = [START, PartStarted(0, ToolCall("a", "f", "")), PartDelta(0, "")]
    stream = written([*events, *([PartEnded(0)] if ended else []), Finished(Finish.TOOLS)])
    assert stream.count(b'"arguments":"{}"') == 1
    assert stream.index(b'"arguments":"{}"') < stream.index(b'"finish_reason":"tool_calls"')


def test_signatures_and_hidden_thinking_have_their_carriers() -> None:
    stream = written(
        [
            START,
            PartStarted(0, Thinking("", family="anthropic")),
            PartDelta(0, "hm"),
            PartSigned(0, "s"),
            PartEnded(0),
            PartStarted(1, Thinking("", family="anthropic", redacted="r")),
            PartEnded(1),
            PartStarted(2, ToolCall("a", "f", "", "g")),
            PartEnded(2),
            Finished(Finish.TOOLS),
        ]
    )
    _, thought, signed, hidden, call, *_ = deltas(stream)
    assert thought == {"reasoning_content": "hm"}
    blocks = [
        {"index": 0, "type": "thinking", "thinking": "hm", "signature": "s"},
        {"index": 1, "type": "redacted_thinking", "data": "r"},
    ]
    assert signed == {"extra_content": {"anthropic": {"thinking_blocks": blocks[:1]}}}
    assert hidden == {"extra_content": {"anthropic": {"thinking_blocks": blocks[1:]}}}
    assert call["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "g"}}


def test_only_signed_thoughts_have_a_block() -> None:
    thoughts = [Thinking("a", None, "openai"), Thinking("b", "s", "openai"), Thinking("c", "t", "openai")]
    stream = written(list(unfold(Reply("c1", "m", (*thoughts, Text("d")), Finish.END, created=7))))
    told = [delta["extra_content"]["openai"]["thinking_blocks"] for delta in deltas(stream) if "extra_content" in delta]
    assert [[(block["index"], block["thinking"], block["signature"]) for block in blocks] for blocks in told] == [
        [(0, "b", "s")],
        [(1, "c", "t")],
    ]
    assert b"extra_content" not in written(list(unfold(Reply("c1", "m", (thoughts[0],), Finish.END))))


@pytest.mark.parametrize("started", [True, False])
def test_a_failure_is_an_error_frame_without_an_end_marker(started: bool) -> None:
    before: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, "Par")] if started else []
    stream = written([*before, Failed("overloaded", "529"), PartDelta(0, "x"), END])
    assert b"[DONE]" not in stream
    assert b'"finish_reason":"' not in stream
    last = orjson.loads(sse.data(frames_of(stream)[-1]))
    assert last == {"error": {"message": "overloaded", "type": "upstream_error", "param": None, "code": "529"}}


def test_nothing_comes_after_the_end() -> None:
    writer = CHAT.writer(wants_usage=True)
    events: list[Event] = [START, PartStarted(0, Text("")), END]
    for event in events:
        assert writer.write(event) or isinstance(event, PartStarted)
    more: list[Event] = [PartDelta(0, "x"), PartEnded(0), UsageSeen(Usage(1, 1)), END, Failed("x"), START]
    assert b"".join(writer.write(event) for event in more) == b""


def test_without_a_time_of_creation_the_clock_is_asked() -> None:
    assert {chunk["created"] for chunk in chunks(written([Started("c1", "m"), END]))} == {1795000000}


@given(replies(), st.booleans())
@settings(deadline=None)
def test_every_chunk_is_a_chunk_in_the_eyes_of_the_sdk(reply: Reply, wants_usage: bool) -> None:
    stream = written(list(unfold(reply)), wants_usage=wants_usage)
    told = [ChatCompletionChunk.model_validate(doc, strict=True) for doc in chunks(stream)]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in told}) == 1
    finishes = [chunk.choices[0].finish_reason for chunk in told if chunk.choices]
    assert finishes[-1] is not None
    assert not any(finishes[:-1])
    text = "".join(chunk.choices[0].delta.content or "" for chunk in told if chunk.choices)
    assert text == "".join(part.text for part in reply.parts if isinstance(part, Text))
    indexes = [call.index for chunk in told if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
    calls = sum(isinstance(part, ToolCall) for part in reply.parts)
    assert sorted(set(indexes)) == list(range(calls))


@st.composite
def streamed_replies(draw: st.DrawFn) -> Reply:
    """Answers whose stream can be read back whole: neighbouring parts differ in kind, calls come last."""
    kinds = draw(st.lists(st.sampled_from(["text", "thinking", "refusal"]), max_size=4))
    makers: dict[str, st.SearchStrategy[Part]] = {
        "text": st.builds(Text, some_text),
        "thinking": st.builds(Thinking, some_text, st.none() | words),
        "refusal": st.builds(Refusal, some_text),
    }
    distinct = [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]
    arguments = st.sampled_from(["{}", '{"a": 1}', '{"a":'])
    call = st.builds(ToolCall, words, words, arguments, st.none() | words)
    calls = draw(st.lists(call, max_size=3, unique_by=lambda call: call.id))
    whole = bool(calls) and all(call.arguments != '{"a":' for call in calls)
    ends = [Finish.TOOLS if whole else Finish.END, Finish.LENGTH, Finish.FILTER]
    usage = Usage(draw(counts), draw(counts), draw(st.none() | counts))
    parts: tuple[Part, ...] = tuple(draw(makers[kind]) for kind in distinct)
    return Reply(draw(words), draw(words), parts + tuple(calls), draw(st.sampled_from(ends)), usage, draw(counts) or 1)


@given(streamed_replies())
@settings(deadline=None)
def test_what_is_written_is_read_again(reply: Reply) -> None:
    stream = written(list(unfold(reply)), wants_usage=True)
    assert fold(read_all(CHAT.reader(), stream)) == reply


def test_a_call_of_a_freeform_tool_takes_the_form_of_its_tool() -> None:
    call = ToolCall("a", "sh", '{"input":"ls \\"x\\""}', "sig")
    reply = Reply("c1", "m", (Text("x"), ToolCall("b", "look", "{}"), call), Finish.TOOLS, created=7)
    writer = CHAT.writer(wants_usage=False, request_doc={"tools": [{"type": "custom", "custom": {"name": "sh"}}]})
    stream = b"".join(map(writer.write, unfold(reply)))
    told = [call for delta in deltas(stream) for call in delta.get("tool_calls", ())]
    assert told[-2:] == [
        {
            "index": 1,
            "id": "a",
            "type": "custom",
            "custom": {"name": "sh", "input": ""},
            "extra_content": {"google": {"thought_signature": "sig"}},
        },
        {"index": 1, "custom": {"input": 'ls "x"'}},
    ]
    assert fold(read_all(CHAT.reader(), stream)) == replace(
        reply, parts=(Text("x"), ToolCall("b", "look", "{}"), replace(call, signature=None))
    )


def test_a_call_of_a_kind_that_nobody_knows_goes_on_as_it_is() -> None:
    call = {"id": "a", "type": "odd", "odd": {"x": 1}}
    part = Opaque(NAME, {"type": "odd", "tool_call": call})
    stream = written([START, PartStarted(0, part), PartEnded(0), END])
    assert {"tool_calls": [{"index": 0, **call}]} in deltas(stream)


@pytest.mark.parametrize("name", sorted(path.name for path in VECTORS.glob("0[1-8]_cc_*.sse")))
def test_a_stream_that_is_translated_tells_the_same(name: str) -> None:
    events = read_all(CHAT.reader(), (VECTORS / name).read_bytes())
    again = read_all(CHAT.reader(), written(events, wants_usage=True))
    first, second = fold(events), fold(again)
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert (second.finish, second.usage) == (first.finish, first.usage)
    bare = [ToolCall(p.id, p.name, p.arguments or "{}") if isinstance(p, ToolCall) else p for p in first.parts]
    assert list(second.parts) == bare
