"""What must be known of every generateContent request before anything else: checks, bounds, and the edited body.

Shapes follow Google's public API reference, names as its JSON has them (`systemInstruction`). A null is the same as an
absent key. The model and whether the answer is streamed stand in the URL; who knows them may put them into the document
as `model` and `stream`.
"""

from typing import Any

from otari.dialects import data_url
from otari.dialects.dialect import Envelope
from otari.dialects.envelope import (
    body,
    check_number,
    check_object,
    is_private,
    read_boolean,
    read_integer,
    read_model,
    read_objects,
    refuse_missing_features,
)
from otari.dialects.gemini.media import PDF
from otari.domain.chat import Doc
from otari.domain.errors import invalid
from otari.domain.money import IMAGE_TOKENS, MAX_TOKENS, REMOTE_FILE_TOKENS, audio_tokens, document_tokens

ROLES = ("user", "model", "function")
_MOST_CHOICES = 8
_OF_THE_URL = ("model", "stream")
# Gemini counts 258 tokens a picture and up to about 300 a second of film, which has at least 20,000 bytes a second.
_VIDEO_BYTES_PER_TOKEN = 50


def read_envelope(doc: Doc, size: int) -> Envelope:
    """Check a request and peek at it; see `Dialect.read_envelope`. The wire always tells usage."""
    contents = read_objects(doc, "contents")
    if not contents:
        raise invalid("contents must be a list of at least one content.", "contents")
    parts = [part for index, content in enumerate(contents) for part in _parts(content, f"contents[{index}]")]
    for index, content in enumerate(contents):
        if content.get("role") not in (None, "", *ROLES):
            raise invalid(f"contents[{index}].role must be user or model.", f"contents[{index}].role")
    check_object(doc, "systemInstruction")
    _parts(doc.get("systemInstruction") or {}, "systemInstruction")
    read_objects(doc, "tools")
    refuse_missing_features(doc)
    check_object(doc, "toolConfig")
    limit, choices = _check_generation(doc)
    unseen = REMOTE_FILE_TOKENS if needs_state(doc) else 0
    return Envelope(
        model=model_in(doc),
        stream=read_boolean(doc, "stream"),
        user=None,
        prompt_tokens=size + unseen + sum(map(_correction, parts)),
        output_tokens=limit,
        choices=choices,
        wants_usage=True,
    )


def model_in(doc: Doc) -> str:
    """The model that a document names, "" when it names none. Raises OtariError(INVALID) when it is no name."""
    return read_model(doc).removeprefix("models/") if doc.get("model") is not None else ""


def needs_state(doc: Doc) -> str | None:
    """The field that only Google can honour, because it keeps what is meant."""
    return "cachedContent" if doc.get("cachedContent") is not None else None


def same_request(doc: Doc) -> bytes:
    """The body for an upstream that speaks this dialect; see `Dialect.same_request`. `doc` stays as it is."""
    return body({key: value for key, value in doc.items() if key not in _OF_THE_URL and not is_private(key, value)})


# ---- checks --------------------------------------------------------------------------------------------------------


def _parts(content: Doc, name: str) -> list[Doc]:
    field = f"{name}.parts"
    parts = read_objects({field: content.get("parts")}, field)
    for index, part in enumerate(parts):
        text = part.get("text")
        if text is not None and not isinstance(text, str):
            raise invalid(f"{field}[{index}].text must be a string.", f"{field}[{index}].text")
    return parts


def _check_generation(doc: Doc) -> tuple[int | None, int]:
    """The limit of tokens and the number of answers."""
    check_object(doc, "generationConfig")
    config = {f"generationConfig.{key}": value for key, value in (doc.get("generationConfig") or {}).items()}
    for key in ("temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty"):
        check_number(config, f"generationConfig.{key}")
    check_object(config, "generationConfig.thinkingConfig")
    stop = config.get("generationConfig.stopSequences")
    if stop is not None and not (isinstance(stop, list) and all(isinstance(text, str) for text in stop)):
        field = "generationConfig.stopSequences"
        raise invalid(f"{field} must be a list of strings.", field)
    limit = read_integer(config, "generationConfig.maxOutputTokens", MAX_TOKENS)
    return limit, read_integer(config, "generationConfig.candidateCount", _MOST_CHOICES) or 1


# ---- media ---------------------------------------------------------------------------------------------------------


def _correction(part: Doc) -> int:
    """What to add to the bytes of the body so that media count by their size rules and not by their base64 text."""
    answer = part.get("functionResponse")
    inner = answer.get("parts") if isinstance(answer, dict) else None
    parts = [part, *(inner if isinstance(inner, list) else ())]
    return sum(_media_correction(entry) for entry in parts if isinstance(entry, dict))


def _media_correction(part: Any) -> int:
    match part:
        case {"inlineData": {"data": str(data), **rest}}:
            return _inline_tokens(rest.get("mimeType"), data) - len(data)
        case {"fileData": {"mimeType": str(media_type)}} if media_type.startswith("image/"):
            return IMAGE_TOKENS
        case {"fileData": dict()}:
            return REMOTE_FILE_TOKENS
    return 0


def _inline_tokens(told: Any, data: str) -> int:
    """Only media and PDF are known to be much larger than their text; of any other file each byte may be a token."""
    size = data_url.decoded_bytes(data)
    media_type = told.lower() if isinstance(told, str) and told else data_url.sniff(data[:24]) or ""
    if media_type.startswith("image/"):
        return IMAGE_TOKENS
    if media_type.startswith("audio/"):
        return audio_tokens(size)
    if media_type.startswith("video/"):
        return size // _VIDEO_BYTES_PER_TOKEN + IMAGE_TOKENS
    return document_tokens(size) if media_type == PDF else max(size, document_tokens(0))
