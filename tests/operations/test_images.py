"""Images: how many at most, what providers are told, what was made."""

from typing import Any

import orjson
import pytest

from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.operations import events
from otari.operations.images import IMAGES
from tests.operations.told import at, refusal, sent, told

PROMPT = {"model": "p:m", "prompt": "a lighthouse"}
ANSWER = {
    "created": 1,
    "data": [{"b64_json": "AA=="}, {"b64_json": "AQ=="}],
    "size": "1024x1024",
    "usage": {"input_tokens": 3, "output_tokens": 400, "total_tokens": 403},
}


def test_openai_gets_the_request_as_it_is_and_xai_without_what_it_refuses() -> None:
    asked = {**PROMPT, "size": "1024x1024", "style": "vivid", "quality": "high", "n": 2, "user": "u", "new": 1}
    same = {key: value for key, value in asked.items() if key != "user"}
    assert sent(IMAGES, asked, "openai")[0] == {**same, "model": "m"}
    body, dropped = sent(IMAGES, asked, "xai")
    assert dropped == ("size", "style")
    assert body == {"prompt": "a lighthouse", "quality": "high", "n": 2, "new": 1, "model": "m"}
    assert sent(IMAGES, PROMPT, "xai")[1] == ()


@pytest.mark.parametrize(
    ("more", "quantity", "tokens"),
    [
        ({}, 1, 10_000),
        ({"n": 4}, 4, 40_000),
        ({"n": 128}, 128, 1_280_000),
        ({"size": "3840x2160"}, 1, 82_944),
        ({"size": "1000x1000"}, 1, 10_000),
        ({"size": "1024x1024"}, 1, 10_485),
        ({"size": "auto"}, 1, 10_000),
        ({"partial_images": 3}, 1, 40_000),
        ({"partial_images": 0}, 1, 10_000),
        ({"output_format": "gif"}, 1, 90_000),
        ({"output_format": "gif", "frame_count": 2, "n": 2}, 2, 40_000),
    ],
)
def test_the_hold_is_bounded_by_how_many_and_how_large(more: dict[str, Any], quantity: int, tokens: int) -> None:
    envelope = IMAGES.read_envelope({**PROMPT, **more}, 50)
    assert (envelope.quantity, envelope.output_tokens, envelope.prompt_tokens) == (quantity, tokens, 50)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": 1_000_000}, "n"),
        ({"n": True}, "n"),
        ({"n": "2"}, "n"),
        ({"size": 1024}, "size"),
        ({"stream": "yes"}, "stream"),
        ({"partial_images": 4}, "partial_images"),
        ({"partial_images": -1}, "partial_images"),
        ({"output_format": "gif", "frame_count": 1_000_000}, "frame_count"),
        ({"response_format": []}, "response_format"),
    ],
)
def test_what_is_no_request_is_refused_by_the_name_of_its_field(change: dict[str, Any], param: str) -> None:
    assert refusal(IMAGES, {**PROMPT, **change}).param == param


def test_an_answer_keeps_its_bytes_and_its_pictures_are_counted() -> None:
    got = told(IMAGES, PROMPT, ANSWER, "openai")
    assert got.body == orjson.dumps(ANSWER)
    assert (got.quantity, got.usage) == (2, Usage(input=3, output=400))
    assert told(IMAGES, PROMPT, {"created": 1, "data": []}, "openai").quantity == 0
    assert told(IMAGES, PROMPT, {"created": 1, "data": [{"url": "u"}]}, "xai").usage == Usage()


def test_an_answer_without_pictures_is_a_failure_of_the_provider() -> None:
    for answer in ({"created": 1}, {"data": "x"}, {"error": {"message": "no"}}):
        with pytest.raises(OtariError) as raised:
            told(IMAGES, PROMPT, answer, "openai")
        assert raised.value.kind is Kind.UPSTREAM


def test_the_last_picture_ends_the_events() -> None:
    partial = events.frame({"type": "image_generation.partial_image", "b64_json": "AA=="})
    completed = events.frame({"type": "image_generation.completed", "b64_json": "AA==", "usage": ANSWER["usage"]})
    asked = {**PROMPT, "n": 2, "stream": True}
    seen = IMAGES.see(asked, partial, at("openai"), 0)
    assert (seen.frame, seen.terminal, seen.quantity) == (partial, False, 0)
    first, last = (IMAGES.see(asked, completed, at("openai"), before) for before in (0, 1))
    assert (first.quantity, first.terminal, last.terminal) == (1, False, True)
    assert first.usage == Usage(input=3, output=400)
    assert IMAGES.see(PROMPT, completed, at("openai"), 0).terminal


def test_a_whole_answer_can_be_told_as_events() -> None:
    shown = IMAGES.replay(PROMPT, told(IMAGES, PROMPT, ANSWER, "openai"))
    docs = [events.document(frame + b"\n\n") for frame in shown.split(b"\n\n")[:-1]]
    assert [doc["type"] for doc in docs] == ["image_generation.completed"] * 2
    assert [doc["b64_json"] for doc in docs] == ["AA==", "AQ=="]
    assert "usage" not in docs[0]
    assert docs[1]["usage"] == ANSWER["usage"]
    assert docs[0]["size"] == "1024x1024"


@pytest.mark.parametrize(
    ("frame", "terminal", "failed"),
    [
        (b": keepalive\n\n", False, None),
        (b"data: [DONE]\n\n", True, None),
        (b"data: not json\n\n", False, None),
        (b"data: {broken\n\n", False, None),
        (b"data: [1]\n\n", False, None),
        (b'data: {"type": "some.other"}\n\n', False, None),
        (b'event: error\ndata: {"error": {"message": "too much"}}\n\n', False, "too much"),
        (b'data: {"type": "error", "message": "too much"}\n\n', False, "too much"),
    ],
)
def test_other_events_pass_end_or_fail(frame: bytes, terminal: bool, failed: str | None) -> None:
    seen = IMAGES.see(PROMPT, frame, at("openai"), 0)
    assert (seen.frame, seen.terminal, seen.failed) == (frame, terminal, failed)
