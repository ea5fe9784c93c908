"""What must be known of every Chat Completions request before anything else: checks, bounds, and the edited body.

Shapes follow the public OpenAI API reference. A null is the same as an absent key.
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
from otari.domain.chat import Doc
from otari.domain.errors import OtariError, invalid
from otari.domain.money import IMAGE_TOKENS, MAX_TOKENS, REMOTE_FILE_TOKENS, audio_tokens, document_tokens

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_CHOICES = 128


def read_envelope(doc: Doc, size: int) -> Envelope:
    """Check a request and peek at it; see `Dialect.read_envelope`."""
    model = read_model(doc)
    messages = read_objects(doc, "messages")
    if not messages:
        raise invalid("messages must be a list of at least one message.", "messages")
    has_parts = False
    for index, message in enumerate(messages):
        has_parts |= _check_message(message, f"messages[{index}]")
    read_objects(doc, "tools")
    refuse_missing_features(doc)
    for key in ("temperature", "top_p"):
        check_number(doc, key)
    check_object(doc, "stream_options")
    options = doc.get("stream_options")
    limits = [read_integer(doc, key, MAX_TOKENS) for key in ("max_tokens", "max_completion_tokens")]
    return Envelope(
        model=model,
        stream=read_boolean(doc, "stream"),
        user=_user(doc),
        prompt_tokens=size + _media_correction(messages) if has_parts else size,
        output_tokens=max((limit for limit in limits if limit is not None), default=None),
        choices=read_integer(doc, "n", MAX_CHOICES) or 1,
        wants_usage=read_boolean(options or {}, "include_usage", "stream_options.include_usage"),
    )


def same_request(doc: Doc, model: str, *, stream_usage: bool) -> bytes:
    """The body for an upstream that speaks this dialect; see `Dialect.same_request`. `doc` stays as it is."""
    edited = {key: value for key, value in doc.items() if not is_private(key, value)}
    edited["model"] = model
    if stream_usage and doc.get("stream") is True:
        edited["stream_options"] = {**(doc.get("stream_options") or {}), "include_usage": True}
    return body(edited)


# ---- checks ---------------------------------------------------------------------------------------------------------


def _user(doc: Doc) -> str | None:
    user = doc.get("user")
    if user is not None and not isinstance(user, str):
        raise invalid("user must be a string.", "user")
    return user or None


def _check_message(message: Doc, name: str) -> bool:
    """Whether the content of the message is a list of parts."""
    role = message.get("role")
    if role is None or role == "":
        raise invalid(f"{name}: 'role' is required", f"{name}.role")
    if not isinstance(role, str) or role not in ROLES:
        raise invalid(f"{name}.role must be one of {', '.join(ROLES)}.", f"{name}.role")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return False
    if not isinstance(content, list):
        raise _bad_content(name)
    for part in content:
        if not isinstance(part, dict):
            raise _bad_content(name)
    return True


def _bad_content(name: str) -> OtariError:
    return invalid(f"{name}.content must be a string, a list of content parts (objects), or null.", f"{name}.content")


# ---- media ---------------------------------------------------------------------------------------------------------


def _media_correction(messages: list[Doc]) -> int:
    """What to add to the bytes of the body so that media count by their size rules and not by their base64 text."""
    return sum(
        _part_correction(part)
        for message in messages
        if isinstance(content := message.get("content"), list)
        for part in content
    )


def _part_correction(part: Doc) -> int:
    kind = part.get("type")
    told: Any = part.get(kind) if isinstance(kind, str) else None
    match kind, told:
        case "image_url", {"url": str(url)} | str(url):
            return IMAGE_TOKENS - (len(url) if data_url.is_data_url(url) else 0)
        case "input_audio", {"data": str(data)}:
            return audio_tokens(data_url.decoded_bytes(data)) - len(data)
        case "file", {"file_data": str(data)}:
            return _document_tokens(data) - len(data)
        case "file" | "video_url" | "document_url", dict() | str():
            return REMOTE_FILE_TOKENS
        case _:
            return 0


def _document_tokens(data: str) -> int:
    """Only a PDF is known to be much larger than its text; of any other file each byte may be a token."""
    size = data_url.decoded_bytes(data)
    start = data.partition(",")[2] if data_url.is_data_url(data) else data
    pdf = data_url.sniff(start[:24]) == "application/pdf"
    return document_tokens(size) if pdf else max(size, document_tokens(0))
