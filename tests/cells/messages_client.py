"""A client of Messages: Anthropic's own types and stream helper, and what they demand of a stream."""

from typing import Any

import orjson

from otari.dialects import sse
from otari.domain.chat import Doc
from tests.dialects.anthropic_messages.sdk import accumulated, validated
from tests.dialects.anthropic_messages.sdk import asked as read_whole
from tests.dialects.told import frames_of

LOOK: Doc = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
ASKED: Doc = {"model": "m", "max_tokens": 900, "messages": [{"role": "user", "content": "Hi"}], "tools": [LOOK]}


def request(*, stream: bool) -> Doc:
    """A request for a whole answer or a stream."""
    return ASKED | ({"stream": True} if stream else {})


def check(stream: bytes) -> None:
    """A stream that ends well: every event is one in the eyes of Anthropic's types, its blocks one after the other."""
    kinds = [event.type for event in _blocks(validated(stream))]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_stop") == 1


def _blocks(events: list[Any]) -> list[Any]:
    """The events, once the order of their blocks is checked."""
    assert events[0].type == "message_start"
    assert [event.type for event in events].count("message_start") == 1
    following, open_block = 0, None
    for event in events:
        if event.type == "content_block_start":
            assert open_block is None
            assert event.index == following
            open_block, following = event.index, following + 1
        elif event.type == "content_block_delta":
            assert event.index == open_block
        elif event.type == "content_block_stop":
            assert event.index == open_block
            open_block = None
        elif event.type in ("message_delta", "message_stop"):
            assert open_block is None
    return events


def check_failed(stream: bytes) -> Doc:
    """A stream that ends with an error, and with nothing that looks like an ending; the error."""
    *frames, last = frames_of(stream)
    assert sse.event(last) == "error"
    doc: Doc = orjson.loads(sse.data(last))
    assert doc["type"] == "error"
    assert isinstance(doc["error"]["message"], str)
    before = validated(b"".join(frames))
    if before:
        _blocks(before)
    assert not any(event.type in ("message_delta", "message_stop") for event in before)
    error: Doc = doc["error"]
    return error


def gathered(stream: bytes) -> Doc:
    """The answer that the stream helper gathers."""
    return _plain(accumulated(stream).to_dict())


def asked(body: bytes) -> Doc:
    """The answer that the client reads from a whole one."""
    return _plain(read_whole(body).to_dict())


def _plain(told: Doc) -> Doc:
    """An answer with what both forms of it tell: how long tokens are cached is told only by the whole one, and that
    none are cached always by the stream."""
    cached = dict.fromkeys(("cache_read_input_tokens", "cache_creation_input_tokens"), 0)
    usage = {key: value for key, value in told["usage"].items() if value is not None and key != "cache_creation"}
    return {key: value for key, value in told.items() if value is not None} | {"usage": cached | usage}


def going_on(told: Doc, result: str) -> Doc:
    """The next request of a client that got this answer; every tool that was called said `result`."""
    ids = [block["id"] for block in told["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call_id, "content": result} for call_id in ids]
    answer = {"role": "assistant", "content": told["content"]}
    return ASKED | {"messages": [*ASKED["messages"], answer, {"role": "user", "content": results or "Go on."}]}
