"""Responses streams of all sorts of servers → canonical events."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.dialects.openai_responses.carrier import FAMILY
from otari.domain.chat import Failed, Finish, Finished, PartDelta, Reply, Started, Text, Thinking, UsageSeen, fold
from tests.dialects.openai_responses.wire import RESPONSES, STREAMS, VECTORS, cases, event, response
from tests.dialects.told import VECTORS as ALL_VECTORS
from tests.dialects.told import frames_of, keeps_the_grammar, read_all, sse_of, told
from tests.domain.strategies import json_values

EXPECTED: dict[str, dict[str, Any]] = orjson.loads((ALL_VECTORS / "expected.json").read_bytes())
KEYS = ("text", "thinking", "tools", "finish", "error", "usage")


def comparable(summary: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The keys that the vectors speak of; a zero and "not told" are the same to them, and so is a usage left out."""
    kept = {key: summary[key] for key in KEYS if key in summary and (key != "usage" or "usage" in expected)}
    if "usage" in kept:
        kept["usage"] = {key: value for key, value in kept["usage"].items() if key in expected["usage"] or value}
    return kept


def test_there_are_vectors() -> None:
    assert len(STREAMS) == 4


@pytest.mark.parametrize("name", STREAMS)
def test_every_vector_is_understood(name: str) -> None:
    events = read_all(RESPONSES.reader(), (VECTORS / name).read_bytes())
    expected = {key: value for key, value in EXPECTED[name].items() if key in KEYS}
    assert comparable(told(events), expected) == expected
    assert keeps_the_grammar(events)
    if "encrypted" in EXPECTED[name]:
        reply = fold(events)
        assert isinstance(reply, Reply)
        assert reply.parts[0] == Thinking("Adding.", EXPECTED[name]["encrypted"], FAMILY)
    if "error_type" in EXPECTED[name]:
        assert [e.code for e in events if isinstance(e, Failed)] == [EXPECTED[name]["error_type"]]


@pytest.mark.parametrize("name", STREAMS)
def test_any_cut_of_the_bytes_gives_the_same_events(name: str) -> None:
    stream = (VECTORS / name).read_bytes()
    whole = read_all(RESPONSES.reader(), stream)
    for size in (1, 7, 64):
        reader, framer = RESPONSES.reader(), sse.Framer()
        blocks = [framer.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
        frames = [frame for block in [*blocks, framer.rest()] for frame in sse.split(block)]
        assert [*(event for frame in frames for event in reader.read(frame)), *reader.end()] == whole


@pytest.mark.parametrize("name", [name for name in STREAMS if "failed" not in name])
def test_the_events_and_the_whole_answer_tell_the_same(name: str) -> None:
    stream = (VECTORS / name).read_bytes()
    last = orjson.loads(sse.data(frames_of(stream)[-1]))["response"]
    told_by_events = fold(read_all(RESPONSES.reader(), stream))
    assert isinstance(told_by_events, Reply)
    whole = RESPONSES.read_reply(last | {"id": told_by_events.id})
    assert told_by_events == whole


@pytest.mark.parametrize("name", [name for name in STREAMS if "failed" not in name])
@pytest.mark.parametrize("kept", [("response.output_item.done",), (), ("response.output_item.added",)])
def test_what_events_leave_out_is_taken_from_later_ones(name: str, kept: tuple[str, ...]) -> None:
    """Codex needs nothing but the ends of items and of the answer, so some servers send nothing else."""
    docs = [orjson.loads(sse.data(frame)) for frame in frames_of((VECTORS / name).read_bytes())]
    fewer = [doc for doc in docs[:-1] if doc["type"] in kept] + docs[-1:]
    full, sparse = (fold(read_all(RESPONSES.reader(), sse_of(told))) for told in (docs, fewer))
    assert isinstance(full, Reply)
    assert isinstance(sparse, Reply)
    assert sorted(map(repr, sparse.parts)) == sorted(map(repr, full.parts))  # in the order in which they were told
    assert (sparse.finish, sparse.usage) == (full.finish, full.usage)


@pytest.mark.parametrize("name", [name for name in STREAMS if "failed" not in name])
def test_events_that_come_twice_are_told_once(name: str) -> None:
    frames = frames_of((VECTORS / name).read_bytes())
    doubled = b"".join(frame + frame for frame in frames)
    assert read_all(RESPONSES.reader(), doubled) == read_all(RESPONSES.reader(), b"".join(frames))


@pytest.mark.parametrize("name", [name for name in STREAMS if "failed" not in name])
def test_without_its_last_event_no_answer_is_complete(name: str) -> None:
    frames = frames_of((VECTORS / name).read_bytes())
    for stream in (frames[:-1], frames[:1], [], [*frames[:-1], b"data: [DONE]\n\n"]):
        events = read_all(RESPONSES.reader(), b"".join(stream))
        assert isinstance(events[-1], Failed)
        assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize(("name", "case"), cases("stream"))
def test_cases(name: str, case: dict[str, Any]) -> None:
    events = read_all(RESPONSES.reader(), sse_of(case["events"]))
    assert told(events) == case["expected"], case["about"]
    assert keeps_the_grammar(events)


def test_the_name_of_an_event_stands_in_for_its_type() -> None:
    stream = b'event: response.created\ndata: {"response":{"id":"resp_1","model":"m"}}\n\n'
    stream += b'event: response.completed\ndata: {"response":{"id":"resp_1","status":"completed","output":[]}}\n\n'
    assert read_all(RESPONSES.reader(), stream) == [Started("resp_1", "m"), Finished(Finish.END)]


def test_text_reaches_the_reader_as_it_comes() -> None:
    reader = RESPONSES.reader()
    item = {"type": "message", "role": "assistant", "content": []}
    docs = [
        event("response.output_item.added", output_index=0, item=item),
        *(event("response.output_text.delta", output_index=0, content_index=0, delta=text) for text in "ab"),
    ]
    begun, first, second = (list(reader.read(frame)) for frame in frames_of(sse_of(docs)))
    assert [type(event) for event in begun] == [Started]
    assert len(first) == 2
    assert second == [PartDelta(0, "b")]


def test_tokens_seen_with_a_failure_are_told_before_it() -> None:
    usage = {"input_tokens": 3, "output_tokens": 1}
    failed = response(status="failed", error={"code": "server_error", "message": "no"}, usage=usage)
    *_, seen, last = read_all(RESPONSES.reader(), sse_of([event("response.failed", response=failed)]))
    assert isinstance(seen, UsageSeen)
    assert (seen.usage.input, seen.usage.output) == (3, 1)
    assert last == Failed("no", "server_error")


def test_arguments_that_contradict_what_was_told_are_a_failure() -> None:
    item = {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""}
    docs = [
        event("response.output_item.added", output_index=0, item=item),
        event("response.function_call_arguments.delta", output_index=0, delta='{"a":'),
        event("response.function_call_arguments.done", output_index=0, arguments='{"b":1}'),
        event("response.completed", response=response(status="completed")),
    ]
    events = read_all(RESPONSES.reader(), sse_of(docs))
    assert isinstance(events[-1], Failed)
    assert "contradicts" in events[-1].message


def test_arguments_that_are_only_spelled_otherwise_stand() -> None:
    item = {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""}
    docs = [
        event("response.output_item.added", output_index=0, item=item),
        event("response.function_call_arguments.delta", output_index=0, delta='{"a":1}'),
        event("response.output_item.done", output_index=0, item=item | {"arguments": '{"a": 1}'}),
        event("response.completed", response=response(status="completed")),
    ]
    assert told(read_all(RESPONSES.reader(), sse_of(docs)))["tools"] == [{"id": "a", "name": "f", "args": {"a": 1}}]


KINDS = [
    *("response.created", "response.output_item.added", "response.output_item.done", "response.completed", "error"),
    *("response.output_text.delta", "response.output_text.done", "response.refusal.delta", "response.failed"),
    *("response.function_call_arguments.delta", "response.function_call_arguments.done"),
    *("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"),
    *("response.reasoning_summary_text.delta", "response.reasoning_text.done", "response.incomplete"),
]
ITEM_KEYS = ["content", "summary", "name", "call_id", "arguments", "input", "action", "id", "encrypted_content"]
items = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "local_shell_call", "x"])},
    optional=dict.fromkeys(ITEM_KEYS, json_values),
)
garbage = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "output_index": st.integers(0, 1) | json_values,
        "content_index": json_values,
        "delta": json_values,
        "text": json_values,
        "arguments": json_values,
        "input": json_values,
        "item": items | json_values,
        "response": st.fixed_dictionaries({}, optional={"output": st.lists(items, max_size=2) | json_values})
        | json_values,
        "sequence_number": json_values,
    },
)


@given(st.lists(garbage | json_values, max_size=6))
@settings(deadline=None)
def test_garbage_ends_in_one_ending(docs: list[Any]) -> None:
    events = read_all(RESPONSES.reader(), sse_of([orjson.dumps(doc).decode() for doc in docs]))
    assert isinstance(events[-1], Failed | Finished)
    assert keeps_the_grammar(events)


def test_a_text_that_was_never_ended_is_closed() -> None:
    docs = [
        event("response.output_item.added", output_index=4, item={"type": "message", "content": []}),
        event("response.output_text.delta", output_index=4, content_index=2, delta="Hi"),
        event("response.completed", response=response(status="completed")),
    ]
    events = read_all(RESPONSES.reader(), sse_of(docs))
    assert keeps_the_grammar(events)
    reply = fold(events)
    assert isinstance(reply, Reply)
    assert reply.parts == (Text("Hi"),)
