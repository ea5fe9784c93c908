"""What must be known of every Responses request before anything else: checks, bounds, and the edited body.

Shapes follow the public OpenAI API reference. A null is the same as an absent key, and items of unknown types pass.
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
from otari.dialects.openai_responses.carrier import is_carrier
from otari.domain.chat import Doc
from otari.domain.errors import invalid
from otari.domain.money import IMAGE_TOKENS, MAX_TOKENS, REMOTE_FILE_TOKENS, audio_tokens, document_tokens

ROLES = ("system", "developer", "user", "assistant")
STORED = ("previous_response_id", "conversation", "prompt")  # what makes the provider read more than it is sent


def read_envelope(doc: Doc, size: int) -> Envelope:
    """Check a request and peek at it; see `Dialect.read_envelope`. The wire always tells usage."""
    model = read_model(doc)
    items = _items(doc)
    for index, item in enumerate(items):
        _check_item(item, f"input[{index}]")
    read_objects(doc, "tools")
    refuse_missing_features(doc)
    for key in ("temperature", "top_p"):
        check_number(doc, key)
    for key in ("reasoning", "text", "metadata", "stream_options"):
        check_object(doc, key)
    for key in ("instructions", "user"):
        if doc.get(key) is not None and not isinstance(doc[key], str):
            raise invalid(f"{key} must be a string.", key)
    unseen = sum(REMOTE_FILE_TOKENS for key in STORED if doc.get(key) is not None)
    return Envelope(
        model=model,
        stream=read_boolean(doc, "stream"),
        user=doc.get("user") or None,
        prompt_tokens=size + unseen + sum(map(_item_correction, items)),
        output_tokens=read_integer(doc, "max_output_tokens", MAX_TOKENS),
        choices=1,
        wants_usage=True,
    )


def needs_state(doc: Doc) -> str | None:
    """The field of a checked request that only a provider with a store can honour; None when there is none.

    Who speaks another dialect to the provider must refuse it. An absent `store` asks for nothing.
    """
    for key in (*STORED, "background", "store"):
        if doc.get(key) not in (None, False):
            return key
    told = doc.get("input")
    for index, item in enumerate(told if isinstance(told, list) else ()):
        if item.get("type") == "item_reference":
            return f"input[{index}]"
    return None


def same_request(doc: Doc, model: str) -> bytes:
    """The body for an upstream that speaks this dialect; see `Dialect.same_request`. `doc` stays as it is.

    Reasoning that this gateway has marked (see `carrier`) is another family's and would be refused: it stays behind.
    """
    edited = {key: value for key, value in doc.items() if not is_private(key, value)}
    edited["model"] = model
    items = edited.get("input")
    if isinstance(items, list) and any(map(_is_marked, items)):
        edited["input"] = [item for item in items if not _is_marked(item)]
    return body(edited)


def _is_marked(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning" and is_carrier(item.get("encrypted_content"))


# ---- checks ---------------------------------------------------------------------------------------------------------


def _items(doc: Doc) -> list[Doc]:
    """The items of `input`; [] for a text."""
    told = doc.get("input")
    if isinstance(told, str):
        return []
    if not told and (told is not None or not any(doc.get(key) is not None for key in STORED)):
        raise invalid("input must be a string or a list of at least one item.", "input")
    if told is not None and not isinstance(told, list):
        raise invalid("input must be a string or a list of items.", "input")
    return read_objects(doc, "input")


def _check_item(item: Doc, name: str) -> None:
    kind, role = item.get("type"), item.get("role")
    if kind is not None and not isinstance(kind, str):
        raise invalid(f"{name}.type must be a string.", f"{name}.type")
    if not kind and role is None:
        raise invalid(f"{name} needs a type, or a role if it is a message.", name)
    if kind in ("message", None, ""):
        if role not in ROLES:
            raise invalid(f"{name}.role must be one of {', '.join(ROLES)}.", f"{name}.role")
        _check_content(item.get("content"), f"{name}.content")
    elif kind == "additional_tools":
        read_objects(item, "tools")
    elif kind.endswith("_call_output"):
        output = item.get("output")
        if isinstance(output, list):
            _check_content(output, f"{name}.output")


def _check_content(content: Any, name: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise invalid(f"{name} must be a string, a list of content parts (objects), or null.", name)


# ---- media ---------------------------------------------------------------------------------------------------------


def _item_correction(item: Doc) -> int:
    """What to add to the bytes of the body so that media count by their size rules and not by their base64 text."""
    parts = item.get("content") or item.get("output")
    if isinstance(parts, dict):  # a screenshot
        parts = [parts]
    return sum(_part_correction(part) for part in parts) if isinstance(parts, list) else 0


def _part_correction(part: Any) -> int:
    match part:
        case {"type": "input_image" | "image_url" | "computer_screenshot"}:
            url = part.get("image_url")
            url = url.get("url") if isinstance(url, dict) else url
            return IMAGE_TOKENS - (len(url) if isinstance(url, str) and data_url.is_data_url(url) else 0)
        case {"type": "input_audio", "input_audio": {"data": str(data)}}:
            return audio_tokens(data_url.decoded_bytes(data)) - len(data)
        case {"type": "input_file", "file_data": str(data)}:
            return _document_tokens(data) - len(data)
        case {"type": "input_file"}:
            return REMOTE_FILE_TOKENS
    return 0


def _document_tokens(data: str) -> int:
    """Only a PDF is known to be much larger than its text; of any other file each byte may be a token."""
    size = data_url.decoded_bytes(data)
    start = data.partition(",")[2] if data_url.is_data_url(data) else data
    pdf = data_url.sniff(start[:24]) == "application/pdf"
    return document_tokens(size) if pdf else max(size, document_tokens(0))
