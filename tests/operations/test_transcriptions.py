"""Transcriptions: forms for every provider, and text with how long the recording was."""

from typing import Any

import orjson
import pytest

from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.money import audio_tokens
from otari.operations import events
from otari.operations.multipart import Form
from otari.operations.operation import Came, Told
from otari.operations.transcriptions import TRANSCRIPTIONS, Upload
from tests.operations.recordings import Recording, wav
from tests.operations.told import FACTS, at, refusal

RECORDING = wav(7)


def upload(*fields: tuple[str, str], model: str = "p:m", data: bytes = RECORDING) -> Upload:
    return Upload((("model", model), *fields), "talk.wav", "audio/wav", Recording(data), "otari-b")


def sent(request: Upload, flavour: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    written = TRANSCRIPTIONS.write_request(request, at(flavour))
    assert isinstance(written.body, Form)
    assert written.content_type == "multipart/form-data; boundary=otari-b"
    assert written.body.file == ("file", "talk.wav", "audio/wav", request.file)
    return written.body.fields, written.dropped


def told(answer: Any, kind: str = "application/json", *fields: tuple[str, str]) -> Told:
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    return TRANSCRIPTIONS.read_answer(upload(*fields), Came(body, kind), at("openai"), FACTS)


# ---- requests ----


def test_openai_gets_the_form_as_it_is_but_for_the_model_and_what_is_ours() -> None:
    fields = (
        ("user", "u"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("new", "1"),
    )
    assert sent(upload(*fields), "openai") == (
        (("model", "m"), ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment"), ("new", "1")),
        (),
    )


def test_mistral_and_cohere_get_what_they_know() -> None:
    fields = (
        ("response_format", "json"),
        ("prompt", "names"),
        ("language", "de"),
        ("timestamp_granularities[]", "word"),
    )
    assert sent(upload(*fields), "mistral") == (
        (("model", "m"), ("language", "de"), ("timestamp_granularities", "word")),
        ("prompt",),
    )
    assert sent(upload(*fields, ("stream", "false")), "cohere") == (
        (("model", "m"), ("language", "de")),
        ("prompt", "timestamp_granularities[]"),
    )


@pytest.mark.parametrize(
    ("field", "flavour", "words"),
    [
        (("response_format", "srt"), "mistral", "does not support response_format 'srt' of transcriptions"),
        (("response_format", "verbose_json"), "cohere", "does not support response_format 'verbose_json'"),
        (("stream", "true"), "cohere", "does not support transcriptions as events"),
    ],
)
def test_what_a_provider_can_not_do_is_named(field: tuple[str, str], flavour: str, words: str) -> None:
    with pytest.raises(OtariError, match=words) as raised:
        TRANSCRIPTIONS.write_request(upload(field), at(flavour))
    assert (raised.value.kind, raised.value.param) == (Kind.INVALID, field[0])


def test_the_bounds_come_from_the_recording() -> None:
    envelope = TRANSCRIPTIONS.read_envelope(upload(("user", "u"), ("prompt", "ä"), ("stream", "True")), 0)
    assert (envelope.quantity, envelope.user, envelope.stream) == (7, "u", True)
    assert envelope.prompt_tokens == audio_tokens(len(RECORDING)) + len("p:m") + 1 + 2 + 4
    assert envelope.output_tokens == 1_070


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (upload(model=""), "model"),
        (upload(model=" "), "model"),
        (upload(model="x" * 513), "model"),
        (upload(("model", "p:dear")), "model"),
        (upload(("stream", "maybe")), "stream"),
        (upload(("stream", "true"), ("stream", "false")), "stream"),
        (upload(("response_format", "json"), ("response_format", "srt")), "response_format"),
        (upload(data=b""), "file"),
    ],
)
def test_what_is_no_request_is_refused_by_the_name_of_its_field(request_: Upload, param: str) -> None:
    assert refusal(TRANSCRIPTIONS, request_).param == param


# ---- answers ----


@pytest.mark.parametrize(
    ("answer", "usage", "seconds"),
    [
        ({"text": "a", "usage": {"type": "duration", "seconds": 12}}, Usage(), 12),
        ({"text": "a", "usage": {"type": "duration", "seconds": 12.5}}, Usage(), 13),
        ({"text": "a", "usage": {"type": "duration", "seconds": 0.2}}, Usage(), 1),
        ({"text": "a", "duration": 12.4, "language": "en"}, Usage(), 12),
        (
            {"text": "a", "usage": {"type": "tokens", "input_tokens": 9, "output_tokens": 2}},
            Usage(input=9, output=2),
            None,
        ),
        (
            {"text": "a", "usage": {"prompt_tokens": 4, "completion_tokens": 2, "prompt_audio_seconds": 30}},
            Usage(input=4, output=2),
            30,
        ),
        ({"text": "a"}, Usage(), None),
        ({"text": "a", "duration": -1}, Usage(), None),
        ({"text": "a", "duration": 1e30}, Usage(), None),
        ({"text": "a", "duration": "9"}, Usage(), None),
    ],
)
def test_json_keeps_its_bytes_and_tells_what_was_used(answer: Any, usage: Usage, seconds: int | None) -> None:
    got = told(answer)
    assert got == (orjson.dumps(answer), "application/json", usage, seconds, "a")


def test_other_formats_are_plain_text() -> None:
    for kind in ("text/plain", "text/vtt", "application/x-subrip"):
        assert told(b"WEBVTT\n", kind) == (b"WEBVTT\n", "text/plain; charset=utf-8", Usage(), None, "WEBVTT\n")


def test_what_nobody_tells_is_taken_from_the_file() -> None:
    assert TRANSCRIPTIONS.measured(upload()) == (7, True)
    assert TRANSCRIPTIONS.written(upload(), "so many", len) == 7
    assert TRANSCRIPTIONS.text(upload(("prompt", "names"))) == "names"


@pytest.mark.parametrize("answer", [b"not json", b"[1]", b'{"error": {"message": "no"}}'])
def test_what_is_no_answer_is_a_failure_of_the_provider(answer: bytes) -> None:
    with pytest.raises(OtariError) as raised:
        told(answer)
    assert raised.value.kind is Kind.UPSTREAM


# ---- events ----


def test_openais_events_pass_and_the_last_one_tells_usage() -> None:
    delta = events.frame({"type": "transcript.text.delta", "delta": "Hel"})
    done = events.frame({"type": "transcript.text.done", "text": "Hello", "usage": {"type": "duration", "seconds": 3}})
    first, last = (TRANSCRIPTIONS.see(upload(), frame, at("openai"), 0) for frame in (delta, done))
    assert (first.frame, first.text, first.terminal) == (delta, "Hel", False)
    assert (last.frame, last.quantity, last.terminal) == (done, 3, True)


def test_mistrals_events_become_openais() -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6, "prompt_audio_seconds": 30}
    frames = [
        events.frame({"type": "transcription.language", "audio_language": "en"}),
        events.frame({"type": "transcription.text.delta", "text": "Hel"}),
        events.frame({"type": "transcription.segment", "text": "Hello", "start": 0, "end": 1}),
        events.frame({"type": "transcription.done", "model": "m", "text": "Hello", "usage": usage, "language": "en"}),
    ]
    seen = [TRANSCRIPTIONS.see(upload(), frame, at("mistral"), 0) for frame in frames]
    assert [each.frame for each in (seen[0], seen[2])] == [b"", b""]
    assert events.document(seen[1].frame) == {"type": "transcript.text.delta", "delta": "Hel"}
    assert events.document(seen[3].frame)["type"] == "transcript.text.done"
    assert events.document(seen[3].frame)["text"] == "Hello"
    assert (seen[3].usage, seen[3].quantity, seen[3].terminal) == (Usage(input=4, output=2), 30, True)


def test_a_whole_answer_can_be_told_as_events() -> None:
    usage = {"type": "duration", "seconds": 3}
    first, last, _ = TRANSCRIPTIONS.replay(upload(), told({"text": "Hello", "usage": usage})).split(b"\n\n")
    assert orjson.loads(first.removeprefix(b"data: ")) == {"type": "transcript.text.delta", "delta": "Hello"}
    done = {"type": "transcript.text.done", "text": "Hello", "usage": usage}
    assert orjson.loads(last.removeprefix(b"data: ")) == done
    assert b"Hi" in TRANSCRIPTIONS.replay(upload(), told(b"Hi", "text/plain"))
