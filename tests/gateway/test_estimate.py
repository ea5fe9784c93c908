"""Local counts: near enough to charge by, whatever was cut."""

import orjson
import pytest

from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.tokens import Approximate
from otari.gateway.estimate import StreamMeter, prompt_tokens

COUNTER = Approximate()


def frame(text: str) -> bytes:
    delta = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return b"data: " + orjson.dumps(delta) + b"\n\n"


@pytest.mark.parametrize("frames", [0, 1, 2, 50, 5_000])
@pytest.mark.parametrize("together", [1, 7, 400])
def test_a_stream_of_one_token_a_frame_counts_its_frames(frames: int, together: int) -> None:
    meter = StreamMeter(OPENAI_CHAT)
    words = [frame(" word") for _ in range(frames)]
    for start in range(0, frames, together):
        meter.saw(b"".join(words[start : start + together]))
    assert frames <= meter.output_tokens(COUNTER) <= frames * 1.4 + 1


def test_long_texts_in_few_frames_count_by_their_length() -> None:
    meter = StreamMeter(OPENAI_CHAT)
    for _ in range(200):
        meter.saw(frame("twelve words of plain text are in this frame, more or less. " * 10))
    told = 200 * COUNTER.count("twelve words of plain text are in this frame, more or less. " * 10)
    assert 0.7 * told <= meter.output_tokens(COUNTER) <= 1.5 * told


def test_comments_alone_are_no_output() -> None:
    meter = StreamMeter(OPENAI_CHAT)
    meter.saw(b": keepalive\n\n" * 20)
    assert meter.output_tokens(COUNTER) == 0


def test_pictures_do_not_count_by_the_length_of_their_data() -> None:
    text = {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}]}]}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    shown = {"messages": [{"role": "user", "content": [*text["messages"][0]["content"], picture]}]}
    assert prompt_tokens(shown, COUNTER) < prompt_tokens(text, COUNTER) + 10
