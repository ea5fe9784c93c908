"""Watching a stream that passes by: what counts is seen, nothing else is touched."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.dialect import Dialect, Seen
from otari.domain.chat import Usage
from tests.dialects.openai_responses.wire import RESPONSES, STREAMS, VECTORS, event, response
from tests.dialects.told import frames_of, sse_of
from tests.domain.strategies import json_values

USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def see(doc: Any) -> Seen:
    return RESPONSES.see(sse_of([doc]), wants_usage=True)


def test_it_is_a_dialect() -> None:
    _: Dialect = RESPONSES
    assert RESPONSES.name == "openai-responses"
    assert RESPONSES.keepalive == b": keepalive\n\n"


@pytest.mark.parametrize("name", STREAMS)
def test_what_see_would_see_is_notable(name: str) -> None:
    for frame in frames_of((VECTORS / name).read_bytes()):
        seen = RESPONSES.see(frame, wants_usage=False)
        if seen.usage or seen.finishes or seen.terminal or seen.failed or not seen.keep:
            assert RESPONSES.notable(frame) >= 0


@pytest.mark.parametrize("name", STREAMS)
def test_the_watcher_and_the_reader_agree(name: str) -> None:
    seen = [RESPONSES.see(frame, wants_usage=True) for frame in frames_of((VECTORS / name).read_bytes())]
    broken = "failed" in name
    assert all(entry.keep for entry in seen)
    assert any(entry.content for entry in seen) != broken
    assert any(entry.failed for entry in seen) == broken
    assert seen[-1].terminal != broken
    assert seen[-1].finishes != broken


def test_ordinary_events_are_not_notable() -> None:
    docs = [
        event("response.created", response=response(status="in_progress", error=None, usage=None)),
        event("response.output_text.delta", output_index=0, delta='say "error":{ and "type":"error"'),
        event("response.function_call_arguments.delta", output_index=0, delta='{"error":{}}'),
    ]
    assert RESPONSES.notable(sse_of(docs)) == -1


def test_the_end_tells_usage_and_ends_at_once() -> None:
    done = event("response.completed", response=response(status="completed", usage=USAGE))
    assert see(done) == Seen(usage=Usage(3, 4), finishes=True, terminal=True)
    short = event("response.incomplete", response=response(status="incomplete"))
    assert see(short) == Seen(finishes=True, terminal=True)


@pytest.mark.parametrize(
    "doc",
    [
        event("error", code="x", message="no"),
        event("error", error={"message": "no"}),
        event("response.failed", response=response(status="failed", error={"message": "no"})),
        event("response.completed", response=response(status="failed", error={"message": "no"})),
        {"error": {"message": "no"}},
    ],
)
def test_failures(doc: dict[str, Any]) -> None:
    assert see(doc).failed == "no"
    assert RESPONSES.notable(sse_of([doc])) >= 0
    assert not see(doc).terminal


def test_what_is_part_of_the_answer() -> None:
    assert see(event("response.output_text.delta", delta="x")).content
    assert see(event("response.output_item.done", item={})).content
    assert not see(event("response.output_text.delta", delta="")).content
    assert not see(event("response.in_progress", response=response())).content
    assert RESPONSES.see(b": keepalive\n\n", wants_usage=True) == Seen()


@given(json_values | st.fixed_dictionaries({"type": json_values, "response": json_values, "error": json_values}))
@settings(deadline=None)
def test_nothing_makes_the_watcher_raise(doc: Any) -> None:
    RESPONSES.see(b"data: " + orjson.dumps(doc) + b"\n\n", wants_usage=True)


@given(st.binary())
@settings(deadline=None)
def test_not_even_bytes_that_are_no_event(frame: bytes) -> None:
    RESPONSES.notable(frame)
    assert RESPONSES.see(frame, wants_usage=True).keep
