"""Laws of writing answers: what goes out reads the same, in both forms, for us and for Anthropic's client."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from anthropic.types import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.anthropic_messages.blocks import read_arguments
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import (
    Event,
    Failed,
    Finish,
    Finished,
    Part,
    PartDelta,
    PartEnded,
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
from tests.dialects.anthropic_messages.golden import VECTORS
from tests.dialects.anthropic_messages.sdk import accumulated, asked, validated
from tests.dialects.anthropic_messages.test_writer import blocks, docs, written
from tests.dialects.openai_chat.golden import VECTORS as CHAT_VECTORS
from tests.dialects.told import read_all
from tests.domain.strategies import counts, some_text, texts, words

objects = st.sampled_from(["", "{}", '{"a":1}', '{"a":[1,2,{"b":null}]}', ' {"é":"\\n"} '])
parts_kept: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, some_text),
    st.builds(Thinking, some_text, st.none() | words, st.just("anthropic")),
    st.builds(ToolCall, texts, words, objects, st.none() | words),
    st.builds(Thinking, st.just(""), st.none(), st.just("anthropic"), words),
)


@st.composite
def answers(draw: st.DrawFn) -> Reply:
    """Answers that this wire holds whole."""
    parts: list[Part] = list(
        draw(st.lists(parts_kept, max_size=5, unique_by=lambda part: getattr(part, "id", id(part))))
    )
    called = [part for part in parts if isinstance(part, ToolCall)]
    finish = draw(st.sampled_from([Finish.END, Finish.STOP_SEQUENCE, Finish.LENGTH, Finish.FILTER]))
    if called and finish in (Finish.END, Finish.STOP_SEQUENCE):
        finish = Finish.TOOLS
    if draw(st.booleans()):
        parts.append(Refusal(draw(some_text)))
        finish = Finish.FILTER
    read, write, more = draw(counts), draw(counts), draw(counts)
    usage = Usage(read + write + more, draw(counts), read, write, draw(st.none() | st.integers(0, write)), draw(counts))
    stop = draw(texts) if finish is Finish.STOP_SEQUENCE else None
    usage = usage if usage.input is not None and usage.input <= 10**9 else Usage(1, 2)
    return Reply(draw(words), draw(words), tuple(parts), finish, usage, None, stop)


def plain(reply: Reply) -> Reply:
    """An answer with what may be told in several ways told in one: the spelling of arguments, and counts of cached
    tokens, which the first frame of a stream always has."""
    parts: list[Part] = []
    for part in reply.parts:
        if isinstance(part, ToolCall):
            parts.append(replace(part, arguments=orjson.dumps(read_arguments(part.arguments)).decode()))
        else:
            parts.append(part)
    usage = reply.usage._replace(cache_read=reply.usage.cache_read or 0, cache_write=reply.usage.cache_write or 0)
    return replace(reply, parts=tuple(parts), usage=usage)


@given(answers())
def test_what_is_written_whole_reads_the_same(reply: Reply) -> None:
    dropped: list[str] = []
    doc = orjson.loads(orjson.dumps(ANTHROPIC_MESSAGES.write_reply(reply, dropped=dropped)))
    assert plain(ANTHROPIC_MESSAGES.read_reply(doc)) == plain(reply)
    assert dropped == []


@given(answers())
def test_what_is_written_as_a_stream_reads_the_same(reply: Reply) -> None:
    stream = written(list(unfold(reply)))
    assert plain_reply(stream) == plain(reply)


def gathered(events: list[Event]) -> Reply:
    reply = fold(events)
    assert isinstance(reply, Reply)
    return reply


def plain_reply(stream: bytes) -> Reply:
    return plain(gathered(read_all(ANTHROPIC_MESSAGES.reader(), stream)))


def comparable(message: Message) -> dict[str, Any]:
    """What both forms of an answer tell; how long tokens are cached is told only by the whole one."""
    told: dict[str, Any] = message.to_dict()
    cached = dict.fromkeys(("cache_read_input_tokens", "cache_creation_input_tokens"), 0)
    told["usage"] = cached | {key: value for key, value in told["usage"].items() if key != "cache_creation"}
    return {key: value for key, value in told.items() if value is not None}


@given(answers())
@settings(max_examples=40, deadline=None)
def test_anthropic_s_client_gathers_the_same_from_both_forms(reply: Reply) -> None:
    stream = written(list(unfold(reply)))
    assert validated(stream)[-1].type == "message_stop"
    body = orjson.dumps(ANTHROPIC_MESSAGES.write_reply(reply))
    assert comparable(accumulated(stream)) == comparable(asked(body))


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[Reply, list[Event]]:
    """The events of an answer with those of its parts interleaved, as providers with parallel calls tell them."""
    reply = replace(
        draw(answers()), parts=tuple(draw(st.lists(st.builds(ToolCall, words, words, objects), max_size=4)))
    )
    reply = replace(reply, parts=tuple({part.id: part for part in reply.parts if isinstance(part, ToolCall)}.values()))
    queues: list[list[Event]] = []
    for index, part in enumerate(reply.parts):
        assert isinstance(part, ToolCall)
        text, cut = part.arguments, draw(st.integers(0, len(part.arguments)))
        pieces: list[Event] = [PartDelta(index, piece) for piece in (text[:cut], text[cut:]) if piece]
        queues.append([PartStarted(index, replace(part, arguments="")), *pieces, PartEnded(index)])
    events: list[Event] = [Started(reply.id, reply.model)]
    begun = 0
    while any(queues):
        ready = [number for number, queue in enumerate(queues) if queue and number <= begun]
        number = draw(st.sampled_from(ready))
        events.append(queues[number].pop(0))
        begun = max(begun, number + 1)
    return reply, [*events, UsageSeen(reply.usage), Finished(reply.finish, reply.stop_sequence)]


@given(shuffled())
def test_interleaved_calls_come_out_whole_and_in_order(told: tuple[Reply, list[Event]]) -> None:
    reply, events = told
    stream = written(events)
    blocks(stream)
    assert plain_reply(stream).parts == plain(reply).parts


@pytest.mark.parametrize("name", sorted(path.name for path in VECTORS.glob("1*_msg_*.sse")))
def test_vectors_come_out_as_the_same_events(name: str) -> None:
    events = read_all(ANTHROPIC_MESSAGES.reader(), (VECTORS / name).read_bytes())
    stream = written(events)
    again = read_all(ANTHROPIC_MESSAGES.reader(), stream)
    if isinstance(events[-1], Failed):
        assert fold(again) == fold(events)
        return
    validated(stream)
    assert plain_reply(stream) == plain(gathered(events))
    assert gathered(again) == gathered(read_all(ANTHROPIC_MESSAGES.reader(), written(again)))


@pytest.mark.parametrize("name", sorted(path.name for path in CHAT_VECTORS.glob("0*_cc_*.sse")))
def test_streams_of_chat_completions_come_out_valid(name: str) -> None:
    events = read_all(OPENAI_CHAT.reader(), (CHAT_VECTORS / name).read_bytes())
    stream = written(events)
    blocks(stream)
    if isinstance(events[-1], Failed):
        assert docs(stream)[-1]["type"] == "error"
        return
    validated(stream)
    reply = fold(events)
    assert isinstance(reply, Reply)
    message = accumulated(stream)
    text = "".join(block.text for block in message.content if block.type == "text")
    assert text == "".join(part.text for part in reply.parts if isinstance(part, Text))
    called = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    expected = [part for part in reply.parts if isinstance(part, ToolCall)]
    assert called == [(part.id, part.name, read_arguments(part.arguments)) for part in expected]
