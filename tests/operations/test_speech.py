"""Speech: characters are what it is measured by; sound comes as it is, or out of base64."""

import base64
from typing import Any

import orjson
import pytest

from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.operations import events
from otari.operations.operation import Came
from otari.operations.speech import SPEECH
from tests.operations.told import FACTS, at, refusal, sent, told

HELLO = {"model": "p:m", "input": "Hello, Ærø", "voice": "alloy"}


def test_openai_gets_the_request_as_it_is() -> None:
    asked = {**HELLO, "instructions": "slow", "user": "u"}
    assert sent(SPEECH, asked, "openai") == (
        {"model": "m", "input": "Hello, Ærø", "voice": "alloy", "instructions": "slow"},
        (),
    )


def test_mistral_calls_the_voice_otherwise_and_has_no_speed() -> None:
    asked = {**HELLO, "speed": 2, "instructions": "slow", "response_format": "wav", "stream_format": "audio"}
    assert sent(SPEECH, asked, "mistral") == (
        {"input": "Hello, Ærø", "voice_id": "alloy", "response_format": "wav", "model": "m"},
        ("speed", "instructions"),
    )
    assert sent(SPEECH, {**HELLO, "voice": {"id": "v1"}}, "mistral")[0]["voice_id"] == "v1"
    with pytest.raises(OtariError, match=r"^Provider acme does not support speech as events"):
        sent(SPEECH, {**HELLO, "stream_format": "sse"}, "mistral")


def test_characters_are_counted_and_tokens_bounded() -> None:
    envelope = SPEECH.read_envelope(HELLO, 80)
    assert (envelope.quantity, envelope.prompt_tokens, envelope.output_tokens) == (10, 80, 130)
    assert SPEECH.read_envelope({**HELLO, "speed": 0.25}, 80).output_tokens == 220
    assert SPEECH.read_envelope({**HELLO, "stream_format": "sse"}, 80).stream
    assert SPEECH.measured(HELLO) == (10, False)
    assert SPEECH.written(HELLO, "", len) == 14
    assert SPEECH.written({**HELLO, "speed": 2}, "", len) == 7


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": ["a"]}, "input"),
        ({"voice": None}, "voice"),
        ({"voice": ""}, "voice"),
        ({"voice": 5}, "voice"),
        ({"voice": {}}, "voice"),
        ({"response_format": 5}, "response_format"),
        ({"instructions": {}}, "instructions"),
        ({"speed": "fast"}, "speed"),
        ({"speed": 0}, "speed"),
        ({"speed": 1e300}, "speed"),
        ({"speed": True}, "speed"),
        ({"stream_format": "mp3"}, "stream_format"),
    ],
)
def test_what_is_no_request_is_refused_by_the_name_of_its_field(change: dict[str, Any], param: str) -> None:
    assert refusal(SPEECH, {**HELLO, **change}).param == param


@pytest.mark.parametrize(
    ("wanted", "told_type", "media"),
    [
        (None, "audio/mpeg", "audio/mpeg"),
        ("wav", "audio/x-wav", "audio/x-wav"),
        (None, "application/octet-stream", "audio/mpeg"),
        ("opus", "application/octet-stream", "audio/opus"),
        ("pcm", "", "audio/L16"),
        ("new", "application/octet-stream", "application/octet-stream"),
    ],
)
def test_the_type_is_the_providers_word_else_that_of_the_format(wanted: str | None, told_type: str, media: str) -> None:
    assert SPEECH.media({**HELLO, "response_format": wanted}, told_type) == media


def test_sound_in_json_is_unpacked() -> None:
    packed = base64.b64encode(b"RIFF").decode()
    got = told(SPEECH, {**HELLO, "response_format": "wav"}, {"audio_data": packed}, "mistral")
    assert (got.body, got.content_type, got.usage) == (b"RIFF", "audio/wav", Usage())
    usage = {"prompt_tokens": 2, "completion_tokens": 9}
    assert told(SPEECH, HELLO, {"audio_data": packed, "usage": usage}, "mistral").usage == Usage(input=2, output=9)
    whole = SPEECH.read_answer(HELLO, Came(b"ID3", "audio/mpeg"), at("openai"), FACTS)
    assert (whole.body, whole.content_type) == (b"ID3", "audio/mpeg")


@pytest.mark.parametrize("data", [None, "", "!", 5, {"a": 1}])
def test_json_without_sound_is_a_failure_of_the_provider(data: Any) -> None:
    with pytest.raises(OtariError) as raised:
        told(SPEECH, HELLO, {"audio_data": data}, "mistral")
    assert raised.value.kind is Kind.UPSTREAM


def test_events_end_with_the_usage() -> None:
    delta = events.frame({"type": "speech.audio.delta", "audio": "AA=="})
    done = events.frame({"type": "speech.audio.done", "usage": {"input_tokens": 2, "output_tokens": 9}})
    assert SPEECH.see(HELLO, delta, at("openai"), 0).frame == delta
    seen = SPEECH.see(HELLO, done, at("openai"), 0)
    assert (seen.frame, seen.terminal, seen.usage) == (done, True, Usage(input=2, output=9))


def test_whole_sound_can_be_told_as_events() -> None:
    packed = {"audio_data": base64.b64encode(b"abc").decode(), "usage": {"input_tokens": 2, "output_tokens": 9}}
    first, last = SPEECH.replay(HELLO, told(SPEECH, HELLO, packed, "openai")).split(b"\n\n")[:2]
    assert orjson.loads(first.removeprefix(b"data: ")) == {"type": "speech.audio.delta", "audio": "YWJj"}
    assert orjson.loads(last.removeprefix(b"data: ")) == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 2, "output_tokens": 9, "total_tokens": 11},
    }
