"""Streams of all sorts of servers → canonical events."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.dialects.openai_chat.reader import ChatReader
from otari.domain.chat import Failed, Finish, Finished, PartSigned, Reply, Started, ToolCall, UsageSeen, fold
from tests.dialects.openai_chat.golden import STREAMS, VECTORS, cases
from tests.dialects.told import VECTORS as ALL_VECTORS
from tests.dialects.told import frames_of, keeps_the_grammar, read_all, sse_of, told
from tests.domain.strategies import json_values

EXPECTED: dict[str, dict[str, Any]] = orjson.loads((ALL_VECTORS / "expected.json").read_bytes())
DELTA_KEYS = ["content", "tool_calls", "reasoning_details", "refusal", "function_call", "extra_content"]
KEYS = ("text", "thinking", "tools", "finish", "error", "usage")


def comparable(summary: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The keys that the vectors speak of; a zero and "not told" are the same to them, and so is a usage left out."""
    kept = {key: summary[key] for key in KEYS if key in summary and (key != "usage" or "usage" in expected)}
    if "usage" in kept:
        kept["usage"] = {key: value for key, value in kept["usage"].items() if key in expected["usage"] or value}
    return kept


def test_there_are_vectors() -> None:
    assert len(STREAMS) == 11


@pytest.mark.parametrize("name", STREAMS)
def test_every_vector_is_understood(name: str) -> None:
    events = read_all(OPENAI_CHAT.reader(), (VECTORS / name).read_bytes())
    expected = {key: value for key, value in EXPECTED[name].items() if key in KEYS}
    assert comparable(told(events), expected) == expected
    assert keeps_the_grammar(events)


@pytest.mark.parametrize("name", STREAMS)
def test_any_cut_of_the_bytes_gives_the_same_events(name: str) -> None:
    stream = (VECTORS / name).read_bytes()
    whole = read_all(OPENAI_CHAT.reader(), stream)
    for size in (1, 7, 64):
        reader, framer = OPENAI_CHAT.reader(), sse.Framer()
        blocks = [framer.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
        frames = [frame for block in [*blocks, framer.rest()] for frame in sse.split(block)]
        assert [*(event for frame in frames for event in reader.read(frame)), *reader.end()] == whole


def test_azures_empty_first_chunk_does_not_name_the_answer() -> None:
    events = read_all(OPENAI_CHAT.reader(), (VECTORS / "04_cc_azure_first_chunk.sse").read_bytes())
    assert events[0] == Started("chatcmpl-Vec04", "gpt-5-nano-2025-08-07", 1795000000)


def _without_ids(summary: dict[str, Any]) -> dict[str, Any]:
    tools = [{key: value for key, value in tool.items() if key != "id"} for tool in summary["tools"]]
    return summary | {"tools": tools}


@pytest.mark.parametrize(("name", "case"), cases("stream"))
def test_cases(name: str, case: dict[str, Any]) -> None:
    events = read_all(OPENAI_CHAT.reader(), sse_of(case["chunks"]))
    summary = told(events)
    if case.get("ids") == "any":
        ids = [tool["id"] for tool in summary["tools"]]
        assert all(call_id.startswith("call_") for call_id in ids)
        assert len(set(ids)) == len(ids)
        summary = _without_ids(summary)
    assert summary == case["expected"], case["about"]
    assert keeps_the_grammar(events)


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_the_end_is_told_at_the_end_marker_and_only_once() -> None:
    reader = OPENAI_CHAT.reader()
    *frames, done = frames_of(sse_of([chunk({"content": "Hi"}), chunk({}, "stop"), "[DONE]"]))
    before = [event for frame in frames for event in reader.read(frame)]
    assert not any(isinstance(event, Finished) for event in before)
    assert list(reader.read(done))[-1] == Finished(Finish.END)
    assert list(reader.end()) == []
    assert list(reader.read(frames[0])) == []


def test_tokens_seen_before_a_failure_are_told_before_it() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    stream = sse_of([chunk({"content": "Hi"}) | {"usage": usage}, {"error": {"message": "no", "code": 500}}])
    *_, seen, failed = read_all(OPENAI_CHAT.reader(), stream)
    assert isinstance(seen, UsageSeen)
    assert (seen.usage.input, seen.usage.output) == (3, 1)
    assert failed == Failed("no", "500")


def test_no_usage_is_made_up() -> None:
    events = read_all(OPENAI_CHAT.reader(), sse_of([chunk({"content": "Hi"}, "stop"), "[DONE]"]))
    assert not any(isinstance(event, UsageSeen) for event in events)


def test_a_signature_that_comes_after_its_call_is_kept() -> None:
    late = {"index": 0, "function": {}, "extra_content": {"google": {"thought_signature": "sig"}}}
    first = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    stream = sse_of([chunk({"tool_calls": [first]}), chunk({"tool_calls": [late]}), chunk({}, "tool_calls")])
    events = read_all(OPENAI_CHAT.reader(), stream)
    assert PartSigned(0, "sig") in events
    reply = fold(events)
    assert isinstance(reply, Reply)
    assert reply.parts == (ToolCall("a", "f", "{}", "sig"),)


@pytest.mark.parametrize("marker", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE] \r\n\r\n", b"data: [DONE]"])
def test_the_end_marker_in_all_spellings(marker: bytes) -> None:
    events = read_all(OPENAI_CHAT.reader(), sse_of([chunk({"content": "Hi"})]) + marker)
    assert events[-1] == Finished(Finish.END)


class _LongWay(ChatReader):
    """A reader that looks at every chunk as a whole."""

    def _more(self, doc: dict[str, Any]) -> None:
        return None


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
odd_keys = st.sampled_from(["content", "reasoning_content", "reasoning", "refusal", "role", "tool_calls", "odd"])
odd_values: st.SearchStrategy[Any] = st.sampled_from([None, "", "Hi", 5, [], {"content": "x"}])
odd_deltas = st.dictionaries(odd_keys, odd_values, max_size=3)
chunks = st.builds(
    lambda delta, of_choice, of_chunk: {"choices": [{"delta": delta, **of_choice}], **of_chunk},
    st.just({"content": "Hi"}) | odd_deltas,
    st.sampled_from([{}, {"index": 0}, {"index": 1}, {"finish_reason": "length"}, {"usage": USAGE}]),
    st.sampled_from(
        [{}, {"usage": None}, {"usage": USAGE}, {"x_groq": {"usage": USAGE}}, {"error": {"message": "no"}}]
    ),
)


@given(st.lists(chunks, max_size=5))
@settings(deadline=None)
def test_the_short_way_of_plain_text_tells_what_the_long_one_tells(docs: list[Any]) -> None:
    head = chunk({"content": "H"}) | {"id": "c1"}
    stream = sse_of([head, *docs, "[DONE]"])
    assert read_all(OPENAI_CHAT.reader(), stream) == read_all(_LongWay(), stream)


def test_text_reaches_the_reader_as_it_comes() -> None:
    reader = OPENAI_CHAT.reader()
    first, second, _ = (list(reader.read(f)) for f in frames_of(sse_of([chunk({"content": c}) for c in "abc"])))
    assert len(first) == 3
    assert len(second) == 1


@given(
    st.lists(
        st.one_of(
            json_values,
            st.builds(lambda value: {"choices": [value]}, json_values),
            st.builds(lambda value: {"choices": [{"delta": value}]}, json_values),
            st.builds(
                lambda key, value: {"choices": [{"delta": {key: value}}]},
                st.sampled_from(DELTA_KEYS),
                json_values,
            ),
            st.builds(
                lambda index, name, value: {
                    "choices": [
                        {"delta": {"tool_calls": [{"index": index, "function": {"name": name, "arguments": value}}]}}
                    ]
                },
                json_values,
                json_values,
                json_values,
            ),
        ),
        max_size=4,
    )
)
@settings(deadline=None)
def test_garbage_ends_in_one_ending(docs: list[Any]) -> None:
    events = read_all(OPENAI_CHAT.reader(), sse_of([orjson.dumps(doc).decode() for doc in docs]))
    assert isinstance(events[-1], Failed | Finished)
    assert keeps_the_grammar(events)
    told_twice = [event for event in events if isinstance(event, Failed | Finished)]
    assert len(told_twice) == 1
