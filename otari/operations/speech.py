"""Speech: a text in, sound out, in the shape of OpenAI's `/v1/audio/speech`, piece by piece or as events.

Flavours: "openai" takes requests as they are; "mistral" calls the voice otherwise and answers with base64 in JSON.
"""

import base64
import binascii
import math
from collections.abc import Callable

from otari.dialects.envelope import body, check_number, read_model
from otari.domain.chat import Doc, Usage
from otari.domain.errors import invalid
from otari.operations import events
from otari.operations.operation import (
    JSON_TYPE,
    STREAM_TYPE,
    Came,
    Envelope,
    Facts,
    JsonOperation,
    Place,
    Seen,
    Sent,
    Told,
    check_text,
    malformed,
    public,
    read_doc,
    read_text,
    read_user,
    renamed,
    same_request,
    unsupported,
)

MEDIA = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/L16",
}
_SLOWEST, _FASTEST = 0.25, 4.0
# Speech has about 15 characters a second, and OpenAI's models write about 20 tokens a second.
_TOKENS_PER_CHARACTER = 1.4
_BOUND_PER_CHARACTER, _BOUND_AT_LEAST = 3, 100
_LEFT_BY_MISTRAL = ("speed", "instructions")


class Speech(JsonOperation):
    """The operation; see `Operation`."""

    name = "speech"
    lack = "speech"
    flavours = frozenset({"openai", "mistral"})
    takes = ("audio/", "application/octet-stream", STREAM_TYPE)
    tokens = False
    pieces = True

    def read_envelope(self, request: Doc, size: int) -> Envelope:
        model = read_model(request)
        text = read_text(request, "input")
        if not isinstance(request.get("voice"), str | dict) or not request["voice"]:
            raise invalid("voice must be the name of a voice, or an object with its id.", "voice")
        for key in ("response_format", "instructions"):
            check_text(request, key)
        check_number(request, "speed")
        speed = _speed(request)
        if request.get("stream_format") not in (None, "audio", "sse"):
            raise invalid("stream_format must be audio or sse.", "stream_format")
        return Envelope(
            model,
            read_user(request),
            prompt_tokens=size,
            output_tokens=_BOUND_AT_LEAST + math.ceil(len(text) * _BOUND_PER_CHARACTER / min(speed, 1.0)),
            quantity=len(text),
            stream=request.get("stream_format") == "sse",
        )

    def write_request(self, request: Doc, place: Place) -> Sent:
        if place.flavour == "openai":
            return same_request(request, place.model)
        if request.get("stream_format") == "sse":
            raise unsupported(place, "speech as events: leave out stream_format", "stream_format")
        voice = request["voice"]
        if isinstance(voice, dict):
            voice = voice.get("id")
        left = tuple(key for key in _LEFT_BY_MISTRAL if request.get(key) is not None)
        asked = renamed({**public(request, "stream_format", *left), "voice": voice}, {"voice": "voice_id"})
        return Sent(body({**asked, "model": place.model}), dropped=left)

    def read_answer(self, request: Doc, came: Came, place: Place, facts: Facts) -> Told:
        """Sound that came whole. In JSON it is base64 (Mistral)."""
        if came.content_type != JSON_TYPE:
            return Told(came.body, self.media(request, came.content_type))
        doc = read_doc(came)
        try:
            sound = base64.b64decode(doc.get("audio_data") or b"", validate=True)
        except (binascii.Error, TypeError, ValueError):
            sound = b""
        if not sound:
            raise malformed("holds no sound")
        return Told(sound, self.media(request, ""), usage=events.usage_in(doc.get("usage")) or Usage())

    def see(self, request: Doc, frame: bytes, place: Place, before: int) -> Seen:
        doc = events.document(frame)
        if doc.get("type") != "speech.audio.done":
            return events.plain(frame, doc)
        return Seen(frame, usage=events.usage_in(doc.get("usage")), terminal=True)

    def replay(self, request: Doc, told: Told) -> bytes:
        done: Doc = {"type": "speech.audio.done"}
        if told.usage.input is not None and told.usage.output is not None:
            total = told.usage.input + told.usage.output
            counts = {"input_tokens": told.usage.input, "output_tokens": told.usage.output, "total_tokens": total}
            done["usage"] = counts
        sound = base64.b64encode(told.body).decode()
        return events.frame({"type": "speech.audio.delta", "audio": sound}) + events.frame(done)

    def text(self, request: Doc) -> str:
        return "\n".join([request["input"], str(request.get("instructions") or "")])

    def measured(self, request: Doc) -> tuple[int, bool]:
        return len(request["input"]), False

    def written(self, request: Doc, said: str, count: Callable[[str], int]) -> int:
        return math.ceil(len(request["input"]) * _TOKENS_PER_CHARACTER / _speed(request))

    def media(self, request: Doc, content_type: str) -> str:
        """The provider's own word, where it has one for sound."""
        if content_type.startswith("audio/"):
            return content_type
        return MEDIA.get(request.get("response_format") or "mp3", "application/octet-stream")


SPEECH = Speech()


def _speed(request: Doc) -> float:
    speed = request.get("speed")
    if speed is None:
        return 1.0
    if not _SLOWEST <= speed <= _FASTEST:
        raise invalid(f"speed must be a number from {_SLOWEST} to {_FASTEST}.", "speed")
    return float(speed)
