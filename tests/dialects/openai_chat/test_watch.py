"""Watching a stream that passes by: what counts is seen, nothing else is touched."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.dialect import Dialect, Seen
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import Usage
from otari.domain.money import believable
from tests.dialects.openai_chat.golden import STREAMS, VECTORS
from tests.dialects.told import frames_of, sse_of
from tests.domain.strategies import json_values

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}


def see(doc: Any, *, wants_usage: bool = False) -> Seen:
    return OPENAI_CHAT.see(sse_of([doc]), wants_usage=wants_usage)


def delta(told: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": 0, "delta": told, "finish_reason": finish}]}


def test_it_is_a_dialect() -> None:
    _: Dialect = OPENAI_CHAT
    assert OPENAI_CHAT.name == "openai-chat"
    assert OPENAI_CHAT.keepalive == b": keepalive\n\n"


@pytest.mark.parametrize("name", STREAMS)
def test_what_see_would_see_is_notable(name: str) -> None:
    for frame in frames_of((VECTORS / name).read_bytes()):
        seen = OPENAI_CHAT.see(frame, wants_usage=False)
        if seen.usage or seen.finishes or seen.terminal or seen.failed or not seen.keep:
            assert OPENAI_CHAT.notable(frame) >= 0


@pytest.mark.parametrize("name", STREAMS)
def test_the_watcher_and_the_reader_agree(name: str) -> None:
    frames = frames_of((VECTORS / name).read_bytes())
    seen = [OPENAI_CHAT.see(frame, wants_usage=True) for frame in frames]
    assert all(entry.keep for entry in seen)
    assert any(entry.content for entry in seen)
    assert any(entry.failed for entry in seen) == name.startswith("09")
    assert any(entry.finishes for entry in seen) != name.startswith("09")
    assert any(entry.terminal for entry in seen) == (b"[DONE]" in b"".join(frames))


def test_an_ordinary_chunk_is_not_notable() -> None:
    chunk = delta({"content": 'say "usage":{ and [DONE'}) | {"usage": None}
    for block in (sse_of([chunk] * 3), orjson.dumps(chunk, option=orjson.OPT_INDENT_2)):
        assert OPENAI_CHAT.notable(block) == -1


@pytest.mark.parametrize(
    "told",
    [
        b'data: {"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"usage": {"prompt_tokens": 1}}\n\n',
        b'data: {"choices":[{"finish_reason":"stop"}]}\n\n',
        b'data: {"choices": [{"finish_reason": "stop"}]}\n\n',
        b"data: [DONE]\n\n",
        b"data:[DONE]\r\n\r\n",
        b'data: {"error":{"message":"x"}}\n\n',
        b'data: {"object": "error", "message": "x"}\n\n',
    ],
)
def test_notable_frames(told: bytes) -> None:
    assert OPENAI_CHAT.notable(b'data: {"choices":[]}\n\n' + told) >= 20


def test_the_usage_chunk_is_kept_from_those_who_did_not_ask() -> None:
    chunk = {**HEAD, "choices": [], "usage": USAGE, "service_tier": "default", "system_fingerprint": None}
    expected = Usage(input=3, output=4)
    assert see(chunk) == Seen(keep=False, usage=expected)
    assert see(chunk, wants_usage=True) == Seen(usage=expected)


@pytest.mark.parametrize(
    "more",
    [
        {"citations": ["https://example.org"]},
        {"prompt_filter_results": [{}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": None}]},
        {"error": {"message": "x"}},
    ],
)
def test_a_usage_chunk_that_carries_anything_else_is_kept(more: dict[str, Any]) -> None:
    assert see({**HEAD, "choices": [], "usage": USAGE} | more).keep


@pytest.mark.parametrize(
    ("told", "content"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"content": None, "tool_calls": [], "refusal": None}, False),
        ({}, False),
        ({"content": "x"}, True),
        ({"content": [{"type": "text", "text": "x"}]}, True),
        ({"reasoning_content": "x"}, True),
        ({"reasoning": "x"}, True),
        ({"refusal": "x"}, True),
        ({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}, True),
    ],
)
def test_content(told: dict[str, Any], content: bool) -> None:
    assert see(delta(told)) == Seen(content=content)


def test_content_of_any_choice_counts() -> None:
    chunk = {**HEAD, "choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": {"content": "x"}}]}
    assert see(chunk).content


def test_endings() -> None:
    assert see("[DONE]") == Seen(terminal=True)
    assert OPENAI_CHAT.see(b"data:[DONE]\r\n\r\n", wants_usage=False) == Seen(terminal=True)
    assert see(delta({}, "stop")) == Seen(finishes=True)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ({"error": {"message": "overloaded", "type": "server_error"}}, "overloaded"),
        ({"object": "error", "message": "engine died", "code": 500}, "engine died"),
        (delta({"content": ""}, "error") | {"error": {"code": 502, "message": "gone"}}, "gone"),
        (delta({}, "error"), "The provider reported an error without a message."),
        ({"error": "plain words"}, "plain words"),
        ([{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}], "overloaded"),
        ({"error": {"code": 1}}, "The provider reported an error without a message."),
    ],
)
def test_failures(chunk: Any, message: str) -> None:
    seen = see(chunk)
    assert seen.failed == message
    assert seen.keep
    assert not seen.finishes


@pytest.mark.parametrize(
    "frame", [b": ping\n\n", b"\n", b"data: not json\n\n", b"data: []\n\n", b"data: {\n\n", b"data: \xff\n\n"]
)
def test_what_is_not_understood_passes(frame: bytes) -> None:
    assert OPENAI_CHAT.see(frame, wants_usage=False) == Seen()


@pytest.mark.parametrize("number", [-1, "12", 1e30, True, [1]])
def test_garbage_numbers_are_handed_on_to_be_refused(number: object) -> None:
    seen = see({**HEAD, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": number}})
    assert seen.usage is not None
    assert believable(seen.usage) is None


@given(json_values | st.dictionaries(st.sampled_from(["choices", "usage", "error", "object", "x_groq"]), json_values))
@settings(deadline=None)
def test_garbage_never_raises(doc: Any) -> None:
    see(doc)
    see({"choices": [doc], "usage": doc})
    see({"choices": [{"delta": doc, "finish_reason": doc}]})
