"""Streams that pass by unchanged: what is noticed, and that nothing is missed."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.anthropic_messages.watch import payload
from otari.dialects.dialect import Seen
from otari.domain.chat import Finish, Reply, Text, Usage, unfold
from otari.domain.money import believable
from otari.gateway.relay import SameDialectRelay
from tests.dialects.anthropic_messages.golden import VECTORS, cases, frame_of, stream_of
from tests.dialects.told import frames_of, told
from tests.domain.strategies import json_values, some_text

STREAMS = sorted(VECTORS.glob("1*_msg_*.sse"))


def see(frame: Any) -> Seen:
    return ANTHROPIC_MESSAGES.see(frame_of(frame), wants_usage=True)


def watched(stream: bytes) -> tuple[Usage, bool, bool, str | None]:
    """Usage, finish, end and failure, as one who only looks at notable frames gathers them."""
    usage, finishes, terminal, failed = Usage(), False, False, None
    for frame in frames_of(stream):
        seen = ANTHROPIC_MESSAGES.see(frame, wants_usage=True)
        assert seen.keep
        if ANTHROPIC_MESSAGES.notable(frame) < 0:
            assert seen in (Seen(), Seen(content=True))
            continue
        usage = usage if seen.usage is None else usage.merged(seen.usage)
        finishes, terminal, failed = finishes or seen.finishes, terminal or seen.terminal, failed or seen.failed
    return usage, finishes, terminal, failed


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_the_watcher_and_the_reader_agree(path: Any) -> None:
    stream = path.read_bytes()
    reader = ANTHROPIC_MESSAGES.reader()
    events = [event for frame in frames_of(stream) for event in reader.read(frame)]
    expected = told(events)
    usage, finishes, terminal, failed = watched(stream)
    if "error" in expected:
        assert (failed, terminal) == (expected["message"], False)
        assert usage.output is None  # what the first frame says of the output is a placeholder
        return
    assert (finishes, terminal, failed) == (True, True, None)
    assert (usage.input, usage.output) == (expected["usage"]["input_total"], expected["usage"]["output_total"])


@pytest.mark.parametrize(("name", "case"), cases("stream"))
def test_the_watcher_agrees_on_strange_streams_too(name: str, case: dict[str, Any]) -> None:
    expected = case["expected"]
    _, finishes, terminal, failed = watched(stream_of(case["frames"]))
    if "error" not in expected:
        assert failed is None
        assert finishes or terminal or "tools" in expected
    elif expected["message"].startswith("The provider's stream") or name in NOT_SEEN:
        assert failed is None
    else:
        assert failed == expected["message"]


# Frames that make no sense to a reader pass by all the same: the client sees what came.
NOT_SEEN = {"stream.arguments_without_start", "stream.restart", "stream.broken_json"}


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_what_is_only_watched_passes_byte_for_byte(path: Any, size: int) -> None:
    stream = path.read_bytes()
    relay = SameDialectRelay(ANTHROPIC_MESSAGES, wants_usage=True, clean=str)
    passed = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    if relay.failure is None:
        assert relay.terminal
        assert passed == stream
    else:
        assert "Overloaded" in relay.failure.message
        assert passed == stream[: stream.index(b"event: error")]


def test_what_frames_mean() -> None:
    assert see({"type": "ping"}) == Seen()
    assert see({"type": "content_block_delta", "index": 0, "delta": {}}) == Seen(content=True)
    assert see({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}) == Seen()
    assert see({"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t"}}) == Seen(content=True)
    assert see({"type": "message_stop"}) == Seen(terminal=True)
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
    assert see(delta) == Seen(usage=Usage(output=3), finishes=True)
    assert see({"type": "message_delta", "delta": {"stop_reason": None}}) == Seen()
    assert see("event: error\ndata: {}\n\n").failed
    assert see(": comment\n\n") == Seen()
    assert see("data: {not json\n\n") == Seen()
    assert see("data: [1]\n\n") == Seen()
    assert see("event: message_stop\r\ndata: {}\r\n\r\n") == Seen(terminal=True)


def test_the_first_notable_place_is_told() -> None:
    block = b"".join(frame_of({"type": "ping", "n": n}) for n in range(3))
    assert ANTHROPIC_MESSAGES.notable(block) == -1
    stop = frame_of({"type": "message_stop"})
    at = ANTHROPIC_MESSAGES.notable(block + stop + stop)
    assert sse.start_of(block + stop + stop, at) == len(block)


@given(some_text)
def test_words_of_the_model_end_nothing(text: str) -> None:
    quoted = f'{text} "type":"message_stop" event: error {{"error":{{}}}}'
    frame = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": quoted}}
    assert see(frame) == Seen(content=True)


@given(st.text('eventda: {}"\n\r\\x', max_size=60))
def test_the_quick_look_at_a_frame_sees_what_the_thorough_one_does(text: str) -> None:
    for frame in (text.encode(), f"event: x\ndata: {text}\n\n".encode()):
        for whole in sse.split(frame):
            assert payload(whole) == sse.data(whole)


odd_frames = st.fixed_dictionaries(
    {"type": st.sampled_from(["message_start", "message_delta", "content_block_start", "error", ""])},
    optional=dict.fromkeys(["message", "delta", "usage", "error", "content_block"], json_values),
)


@given(st.lists(json_values | odd_frames, max_size=3))
@settings(deadline=None)
def test_no_frame_makes_the_watcher_stumble(docs: list[Any]) -> None:
    for doc in docs:
        seen = ANTHROPIC_MESSAGES.see(b"data: " + orjson.dumps(doc) + b"\n\n", wants_usage=False)
        if seen.usage is not None:
            believable(seen.usage)


def test_what_we_write_is_seen_as_we_meant_it() -> None:
    reply = Reply("i", "m", (Text("Hi"),), Finish.END, Usage(12, 3, 4, 5))
    writer = ANTHROPIC_MESSAGES.writer(input_tokens=9)
    stream = b"".join(map(writer.write, unfold(reply)))
    assert watched(stream) == (reply.usage, True, True, None)
