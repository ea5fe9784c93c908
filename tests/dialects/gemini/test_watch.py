"""Streams that pass by unchanged: what is noticed, and that nothing is missed."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.dialects.dialect import Seen
from otari.dialects.gemini import GEMINI
from otari.dialects.gemini.watch import payload
from otari.domain.chat import Finish, Reply, Text, Usage, unfold
from otari.domain.money import believable
from otari.gateway.relay import SameDialectRelay
from tests.dialects.gemini.golden import STREAMS, VECTORS, answer, cases, frame_of, stream_of
from tests.dialects.gemini.test_reader import odd_frames
from tests.dialects.told import frames_of, read_all, told
from tests.domain.strategies import json_values, some_text


def see(frame: Any) -> Seen:
    return GEMINI.see(frame_of(frame), wants_usage=True)


def watched(stream: bytes) -> tuple[Usage, bool, str | None]:
    """Usage, finish and failure, as one who only looks at notable frames gathers them."""
    usage, finishes, failed = Usage(), False, None
    for frame in frames_of(stream):
        seen = GEMINI.see(frame, wants_usage=True)
        assert seen.keep
        assert not seen.terminal
        if GEMINI.notable(frame) < 0:
            assert seen in (Seen(), Seen(content=True))
            continue
        usage = usage if seen.usage is None else usage.merged(seen.usage)
        finishes, failed = finishes or seen.finishes, failed or seen.failed
    return usage, finishes, failed


@pytest.mark.parametrize("name", STREAMS)
def test_the_watcher_and_the_reader_agree(name: str) -> None:
    stream = (VECTORS / name).read_bytes()
    expected = told(read_all(GEMINI.reader(), stream))["usage"]
    usage, finishes, failed = watched(stream)
    assert (finishes, failed) == (True, None)
    assert (usage.input, usage.output) == (expected["input_total"], expected["output_total"])


# Frames that make no sense to a reader pass by all the same: the client sees what came.
NOT_SEEN = ("stream.pieces_", "stream.broken_json")


@pytest.mark.parametrize(("name", "case"), cases("stream"))
def test_the_watcher_agrees_on_strange_streams_too(name: str, case: dict[str, Any]) -> None:
    expected = case["expected"]
    _, finishes, failed = watched(stream_of(case["frames"]))
    if "error" not in expected:
        assert failed is None
        assert finishes or "tools" in expected
    elif expected["message"].startswith("The provider's stream") or name.startswith(NOT_SEEN):
        assert failed is None
    else:
        assert failed == expected["message"]


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
@pytest.mark.parametrize("name", STREAMS)
def test_what_is_only_watched_passes_byte_for_byte(name: str, size: int) -> None:
    stream = (VECTORS / name).read_bytes()
    relay = SameDialectRelay(GEMINI, wants_usage=True, clean=str)
    passed = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert passed + relay.end() == stream
    assert (relay.finished, relay.terminal, relay.failure) == (True, False, None)


def test_what_frames_mean() -> None:
    assert see(answer({"text": "a"})) == Seen(content=True)
    assert see(answer({"text": "", "thought": True})) == Seen()
    assert see(answer({"functionCall": {"name": "f"}})) == Seen(content=True)
    assert see(answer(reason="STOP")) == Seen(finishes=True)
    assert see(answer(reason="FINISH_REASON_UNSPECIFIED")) == Seen()
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 1}
    assert see(answer({"text": "a"}, usageMetadata=usage)) == Seen(content=True, usage=Usage(3, 3, reasoning=1))
    assert see({"promptFeedback": {"blockReason": "OTHER"}}) == Seen(finishes=True)
    assert see(answer({"text": "a"}) | {"promptFeedback": {"blockReason": "OTHER"}}) == Seen(content=True)
    assert see(answer(reason="MALFORMED_FUNCTION_CALL")).failed
    assert see({"error": {"message": "no"}}) == Seen(failed="no")
    assert see([{"error": {"message": "no"}}]) == Seen(failed="no")
    assert see(": comment\n\n") == see("data: {not json\n\n") == see([1]) == see(7) == Seen()


def test_the_first_notable_place_is_told() -> None:
    block = stream_of([answer({"text": "a"})] * 3)
    assert GEMINI.notable(block) == -1
    stop = frame_of(answer(reason="STOP"))
    at = GEMINI.notable(block + stop + stop)
    assert sse.start_of(block + stop + stop, at) == len(block)


@given(some_text)
def test_words_of_the_model_end_nothing(text: str) -> None:
    quoted = f'{text} "finishReason":"STOP" {{"error":{{}}}} "usageMetadata"'
    frame = answer({"text": quoted})
    assert see(frame) == Seen(content=True)
    assert GEMINI.notable(frame_of(frame)) == -1


@given(st.text('data: {}"\n\r\\x', max_size=60))
def test_the_quick_look_at_a_frame_sees_what_the_thorough_one_does(text: str) -> None:
    for frame in (text.encode(), f"data: {text}\r\n\r\n".encode()):
        for whole in sse.split(frame):
            assert payload(whole) == sse.data(whole)


@given(st.lists(odd_frames | json_values, max_size=3))
@settings(deadline=None)
def test_no_frame_makes_the_watcher_stumble(docs: list[Any]) -> None:
    for doc in docs:
        seen = GEMINI.see(b"data: " + orjson.dumps(doc) + b"\n\n", wants_usage=False)
        if seen.usage is not None:
            believable(seen.usage)
        if isinstance(doc, dict):
            GEMINI.usage_in(doc)
            GEMINI.text_in(doc)


def test_what_we_write_is_seen_as_we_meant_it() -> None:
    reply = Reply("i", "m", (Text("Hi"),), Finish.END, Usage(12, 3, 4, reasoning=1))
    writer = GEMINI.writer()
    assert watched(b"".join(map(writer.write, unfold(reply)))) == (reply.usage, True, None)
