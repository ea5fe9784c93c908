"""Images: a prompt in, pictures out, in the shape of OpenAI's `/v1/images/generations`, at once or as events.

Flavours: "openai" takes requests as they are; "xai" has neither `size` nor `style`. Answers pass as they came.
"""

import re
from typing import Any

import orjson

from otari.dialects.envelope import body, read_boolean, read_integer, read_model
from otari.domain.chat import Doc, Usage
from otari.domain.errors import invalid
from otari.operations import events
from otari.operations.operation import (
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
    same_request,
)

MAX_IMAGES = 128
_MAX_PARTIAL, _MAX_FRAMES = 3, 16
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")

# Upper bounds for what a model writes as one picture, in tokens: 6,240 are the most that OpenAI names for pictures of
# up to 1536 x 1024; larger ones are bounded by their pixels.
_PICTURE_TOKENS = 10_000
_PIXELS_PER_TOKEN = 100
_GIF_FRAMES = 9  # unless the request says how many
_LOOK = ("background", "output_format", "quality", "size")
_LEFT_BY_XAI = ("size", "style")


class Images(JsonOperation):
    """The operation; see `Operation`."""

    name = "images"
    lack = "image generation"
    flavours = frozenset({"openai", "xai"})
    takes = (STREAM_TYPE,)
    tokens = False

    def read_envelope(self, request: Doc, size: int) -> Envelope:
        model = read_model(request)
        read_text(request, "prompt")
        for key in ("size", "quality", "style", "response_format", "output_format", "background"):
            check_text(request, key)
        count = read_integer(request, "n", MAX_IMAGES) or 1
        if request.get("partial_images") != 0:
            read_integer(request, "partial_images", _MAX_PARTIAL)
        return Envelope(
            model,
            read_user(request),
            prompt_tokens=size,
            output_tokens=count * _picture_tokens(request),
            quantity=count,
            stream=read_boolean(request, "stream"),
        )

    def write_request(self, request: Doc, place: Place) -> Sent:
        if place.flavour == "openai":
            return same_request(request, place.model)
        left = tuple(key for key in _LEFT_BY_XAI if request.get(key) is not None)
        return Sent(body({**public(request, *left), "model": place.model}), dropped=left)

    def read_answer(self, request: Doc, came: Came, place: Place, facts: Facts) -> Told:
        doc = read_doc(came)
        pictures = doc.get("data")
        if not isinstance(pictures, list):
            raise malformed("has no list of images")
        return Told(came.body, usage=events.usage_in(doc.get("usage")) or Usage(), quantity=len(pictures))

    def see(self, request: Doc, frame: bytes, place: Place, before: int) -> Seen:
        doc = events.document(frame)
        if doc.get("type") != "image_generation.completed":
            return events.plain(frame, doc)
        last = before + 1 >= _count(request)
        return Seen(frame, usage=events.usage_in(doc.get("usage")), quantity=1, terminal=last)

    def replay(self, request: Doc, told: Told) -> bytes:
        doc = orjson.loads(told.body)
        same = {key: doc[key] for key in _LOOK if key in doc}
        same |= {"type": "image_generation.completed", "created_at": doc.get("created")}
        shown = [{**same, **picture} for picture in doc["data"] if isinstance(picture, dict)]
        if shown and "usage" in doc:
            shown[-1]["usage"] = doc["usage"]
        return b"".join(map(events.frame, shown))

    def text(self, request: Doc) -> str:
        return str(request["prompt"])


IMAGES = Images()


def _count(request: Doc) -> int:
    return request.get("n") or 1


def _picture_tokens(request: Doc) -> int:
    """At most so many tokens are one picture of those that are asked for, with what is shown of it on the way."""
    size: Any = _SIZE.fullmatch(request.get("size") or "")
    pixels = int(size[1]) * int(size[2]) if size else 0
    whole = max(_PICTURE_TOKENS, pixels // _PIXELS_PER_TOKEN)
    if request.get("output_format") == "gif":
        whole *= _frames(request)
    return whole * (1 + (request.get("partial_images") or 0))


def _frames(request: Doc) -> int:
    frames = request.get("frame_count")
    if frames is None:
        return _GIF_FRAMES
    if type(frames) is not int or not 1 <= frames <= _MAX_FRAMES:
        raise invalid(f"frame_count must be an integer from 1 to {_MAX_FRAMES}.", "frame_count")
    return frames
