"""Transcriptions: a form with a sound file in, text out, in the shape of OpenAI's `/v1/audio/transcriptions`.

Flavours: "openai" takes forms as they are; "mistral" and "cohere" answer JSON only, and Mistral has events of its own.
What a provider does not tell is taken from the file: seconds by what its head says.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import orjson

from otari.dialects.envelope import MAX_MODEL_CHARS, is_private
from otari.domain.chat import Doc, Usage
from otari.domain.errors import invalid
from otari.domain.money import audio_tokens
from otari.domain.ports import Body
from otari.operations import events, sound
from otari.operations.multipart import File, Form
from otari.operations.operation import (
    JSON_TYPE,
    STREAM_TYPE,
    Came,
    Envelope,
    Facts,
    Place,
    Seen,
    Sent,
    Told,
    read_doc,
    unsupported,
)

TEXT_TYPE = "text/plain; charset=utf-8"
FILE_FIELD = "file"
_SINGLE = ("model", "language", "prompt", "response_format", "temperature", "stream", "user")
_JSON_FORMATS = ("", "json")  # what providers answer that know no other
_FOR_COHERE = ("model", "language", "temperature")
_NOT_FOR_MISTRAL = ("prompt", "include[]", "chunking_strategy")
_MOST_SECONDS = 1_000_000_000
# What a model writes of a second of fast speech, in tokens, and of the file's frame in other formats than plain text.
_TOKENS_PER_SECOND, _TOKENS_AT_LEAST = 10, 1_000


class Sound(Body, sound.Readable, Protocol):
    """A sound file that was sent."""


class Upload(NamedTuple):
    """A form as it was read: its fields in their order, and its file. `boundary` is for sending it on."""

    fields: tuple[tuple[str, str], ...]
    name: str
    content_type: str | None
    file: Sound
    boundary: str

    def find(self, name: str) -> str:
        """The value of a field; "" when there is none."""
        return next((value for key, value in self.fields if key == name), "")


class Transcriptions:
    """The operation; see `Operation`."""

    name = "transcriptions"
    lack = "transcription"
    flavours = frozenset({"openai", "mistral", "cohere"})
    takes = ("text/", "application/x-subrip", STREAM_TYPE)
    tokens = False
    pieces = False

    def read_envelope(self, request: Upload, size: int) -> Envelope:
        model = request.find("model")
        if not model.strip():
            raise invalid("Invalid request: model is required", "model")
        if len(model) > MAX_MODEL_CHARS:
            raise invalid(f"model must have at most {MAX_MODEL_CHARS} characters.", "model")
        names = [name for name, _ in request.fields]
        for name in _SINGLE:
            if names.count(name) > 1:
                raise invalid(f"{name} stands {names.count(name)} times in the form: send it once.", name)
        if request.file.size == 0:
            raise invalid("file is empty.", FILE_FIELD)
        seconds = sound.at_most(request.file)
        fields = sum(len(value.encode("utf-8", "replace")) for _, value in request.fields)
        return Envelope(
            model,
            request.find("user") or None,
            prompt_tokens=fields + audio_tokens(request.file.size),
            output_tokens=_TOKENS_AT_LEAST + seconds * _TOKENS_PER_SECOND,
            quantity=seconds,
            stream=_streams(request),
        )

    def write_request(self, request: Upload, place: Place) -> Sent:
        left: tuple[str, ...] = ()
        fields = [(name, value) for name, value in request.fields if not is_private(name, value)]
        if place.flavour != "openai":
            _refuse_what_only_openai_has(request, place)
            left = tuple(dict.fromkeys(name for name, _ in fields if _leaves(place, name)))
            fields = [(name.removesuffix("[]"), value) for name, value in fields if _takes(place, name)]
        fields = [(name, place.model if name == "model" else value) for name, value in fields]
        file = File(FILE_FIELD, request.name, request.content_type, request.file)
        form = Form(fields, file, request.boundary)
        return Sent(form, form.content_type, left)

    def read_answer(self, request: Upload, came: Came, place: Place, facts: Facts) -> Told:
        if came.content_type != JSON_TYPE:
            return Told(came.body, TEXT_TYPE, text=came.body.decode("utf-8", "replace"))
        doc = read_doc(came)
        usage = events.usage_in(doc.get("usage")) or Usage()
        return Told(came.body, usage=usage, quantity=_seconds_in(doc), text=str(doc.get("text") or ""))

    def see(self, request: Upload, frame: bytes, place: Place, before: int) -> Seen:
        doc = events.document(frame)
        match doc.get("type"):
            case "transcript.text.done" | "transcription.done":
                seconds = _seconds_in(doc) or 0
                told = frame if place.flavour == "openai" else events.frame({**doc, "type": "transcript.text.done"})
                return Seen(told, events.usage_in(doc.get("usage")), seconds, terminal=True)
            case "transcript.text.delta":
                return Seen(frame, text=str(doc.get("delta") or ""))
            case "transcription.text.delta":
                text = str(doc.get("text") or "")
                return Seen(events.frame({"type": "transcript.text.delta", "delta": text}), text=text)
            case "transcription.language" | "transcription.segment":
                return Seen(b"")  # the client's wire has no such events; the last one tells the same
        return events.plain(frame, doc)

    def replay(self, request: Upload, told: Told) -> bytes:
        done: Doc = {"type": "transcript.text.done", "text": told.text}
        if told.content_type == JSON_TYPE and (usage := orjson.loads(told.body).get("usage")):
            done["usage"] = usage
        return events.frame({"type": "transcript.text.delta", "delta": told.text}) + events.frame(done)

    def text(self, request: Upload) -> str:
        return request.find("prompt")

    def measured(self, request: Upload) -> tuple[int, bool]:
        return sound.about(request.file), True

    def written(self, request: Upload, said: str, count: Callable[[str], int]) -> int:
        return count(said)

    def media(self, request: Upload, content_type: str) -> str:
        return content_type


TRANSCRIPTIONS = Transcriptions()


def _streams(request: Upload) -> bool:
    told = request.find("stream").lower()
    if told not in ("", "true", "false", "1", "0"):
        raise invalid("stream must be true or false.", "stream")
    return told in ("true", "1")


def _refuse_what_only_openai_has(request: Upload, place: Place) -> None:
    wanted = request.find("response_format")
    if wanted not in _JSON_FORMATS:
        raise unsupported(place, f"response_format {wanted[:40]!r} of transcriptions", "response_format")
    if place.flavour == "cohere" and _streams(request):
        raise unsupported(place, "transcriptions as events: leave out stream", "stream")


def _takes(place: Place, name: str) -> bool:
    """Whether a provider that is not OpenAI has this field."""
    if name == "response_format":
        return False
    return name in _FOR_COHERE if place.flavour == "cohere" else name not in _NOT_FOR_MISTRAL


def _leaves(place: Place, name: str) -> bool:
    """Whether something is lost with this field; what says no more than the default is not."""
    return name not in ("response_format", "stream") and not _takes(place, name)


# ---- answers ----


def _seconds_in(doc: Doc) -> int | None:
    """How long the sound was, by an answer or its last event."""
    usage = doc.get("usage")
    told = [doc.get("duration")]
    if isinstance(usage, dict):
        told = [usage.get("seconds"), usage.get("prompt_audio_seconds"), *told]
    for seconds in told:
        if isinstance(seconds, int | float) and 0 < seconds <= _MOST_SECONDS:
            return max(1, int(seconds + 0.5))  # vendors round to the nearest second
    return None
