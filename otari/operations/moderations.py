"""Moderations: texts and images in, flags and scores out, in the shape of OpenAI's `/v1/moderations`.

Flavours: "openai" takes requests as they are; "mistral" takes texts only, has categories of its own and sets no flag.
Categories without a value are left out of answers: client libraries do not expect them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from otari.dialects.envelope import body, read_model
from otari.domain.chat import Doc, Usage
from otari.domain.errors import OtariError, invalid
from otari.domain.money import IMAGE_TOKENS
from otari.operations.operation import (
    Came,
    Envelope,
    Facts,
    JsonOperation,
    Place,
    Sent,
    Told,
    count_in,
    malformed,
    public,
    read_doc,
    read_user,
    same_request,
    unsupported,
    write_doc,
)

_TABLES = ("categories", "category_scores", "category_applied_input_types")


@dataclass(frozen=True, slots=True)
class Moderations(JsonOperation):
    """The operation; see `Operation`. With `raw` every result also tells what the provider wrote, as `provider_raw`."""

    raw: bool = False

    name = "moderations"
    lack = "moderation"
    flavours = frozenset({"openai", "mistral"})
    tokens = False

    def read_envelope(self, request: Doc, size: int) -> Envelope:
        model = read_model(request)
        _check_input(request.get("input"))
        return Envelope(model, read_user(request), prompt_tokens=size + sum(_images(request["input"])))

    def write_request(self, request: Doc, place: Place) -> Sent:
        if place.flavour == "openai":
            return same_request(request, place.model)
        texts = _texts(request["input"], place)
        return Sent(body({**public(request), "input": texts, "model": place.model}))

    def read_answer(self, request: Doc, came: Came, place: Place, facts: Facts) -> Told:
        doc = read_doc(came)
        results = doc.get("results")
        if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
            raise malformed("has no list of results")
        usage = _usage(doc)
        changed = [self._result(result) for result in results]
        if changed == results and isinstance(doc.get("id"), str):
            return Told(came.body, usage=usage)
        name = doc["id"] if isinstance(doc.get("id"), str) else f"modr-{facts.name}"
        return Told(write_doc({"id": name, "model": place.model, **doc, "results": changed}), usage=usage)

    def text(self, request: Doc) -> str:
        return "\n".join(_all_texts(request["input"]))

    def _result(self, result: Doc) -> Doc:
        told = {key: _without_null(value) if key in _TABLES else value for key, value in result.items()}
        if not isinstance(told.get("flagged"), bool):
            categories = told.get("categories")
            told = {"flagged": isinstance(categories, dict) and any(categories.values()), **told}
        return {**told, "provider_raw": result} if self.raw else told


MODERATIONS, MODERATIONS_RAW = Moderations(), Moderations(raw=True)


def _without_null(table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    return {key: value for key, value in table.items() if value is not None}


def _usage(doc: Doc) -> Usage:
    tokens = count_in(doc.get("usage"), "prompt_tokens", "total_tokens")
    return Usage() if tokens is None else Usage(input=tokens, output=0)


# ---- requests ----


def _check_input(told: Any) -> None:
    if isinstance(told, str):
        return
    if not isinstance(told, list) or not all(isinstance(part, str | dict) for part in told):
        raise invalid("input must be a string, a list of strings, or a list of text and image_url objects.", "input")
    if not told:
        raise invalid("input must not be an empty list.", "input")
    for index, part in enumerate(told):
        if isinstance(part, dict):
            _check_part(part, f"input[{index}]")


def _check_part(part: Doc, name: str) -> None:
    match part:
        case {"type": "text", "text": str()} | {"type": "image_url", "image_url": {"url": str()}}:
            return
    raise _bad_part(name)


def _bad_part(name: str) -> OtariError:
    words = f'{name} must be {{"type": "text", "text": …}} or {{"type": "image_url", "image_url": {{"url": …}}}}.'
    return invalid(words, name)


def _images(told: Any) -> Iterator[int]:
    """What to add to the bytes of a request for each image, so that it counts as one and not as its base64."""
    for part in told if isinstance(told, list) else ():
        if isinstance(part, dict) and part["type"] == "image_url":
            url = part["image_url"]["url"]
            yield IMAGE_TOKENS - (len(url) if url.startswith("data:") else 0)


def _texts(told: Any, place: Place) -> Any:
    """The input for a provider that reads nothing but text."""
    if isinstance(told, str):
        return told
    if any(isinstance(part, dict) and part["type"] != "text" for part in told):
        raise unsupported(place, "multimodal moderation", "input")
    return list(_all_texts(told))


def _all_texts(told: Any) -> Iterator[str]:
    for part in [told] if isinstance(told, str) else told:
        if isinstance(part, str):
            yield part
        elif part["type"] == "text":
            yield part["text"]
