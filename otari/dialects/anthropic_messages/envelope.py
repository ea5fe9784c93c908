"""What must be known of every Messages request before anything else: checks, bounds, and the edited body.

Shapes follow the public Anthropic API reference. A null is the same as an absent key.
"""

import re
from collections.abc import Iterable
from typing import Any

from otari.dialects import data_url
from otari.dialects.anthropic_messages.marks import is_mark
from otari.dialects.anthropic_messages.media import PDF
from otari.dialects.anthropic_messages.thinking import lacks_thinking
from otari.dialects.anthropic_messages.tools import own_shape
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
from otari.domain.errors import invalid
from otari.domain.money import IMAGE_TOKENS, MAX_TOKENS, REMOTE_FILE_TOKENS, document_tokens

ROLES = ("user", "assistant", "system")
_TELEMETRY = re.compile(r"user_.*_account_.*_session_.*", re.DOTALL)


def read_envelope(doc: Doc, size: int) -> Envelope:
    """Check a request and peek at it; see `Dialect.read_envelope`."""
    envelope = read_count(doc, size)
    limit = read_integer(doc, "max_tokens", MAX_TOKENS)
    if limit is None:
        raise invalid("max_tokens is required: the most tokens that the answer may have.", "max_tokens")
    return envelope._replace(output_tokens=limit)


def read_count(doc: Doc, size: int) -> Envelope:
    """The same for a request that only asks for its size in tokens: it needs no `max_tokens`."""
    model = read_model(doc)
    messages = read_objects(doc, "messages")
    if not messages:
        raise invalid("messages must be a list of at least one message.", "messages")
    has_blocks = _check_content(doc.get("system"), "system", required=False)
    for index, message in enumerate(messages):
        has_blocks |= _check_message(message, f"messages[{index}]")
    read_objects(doc, "tools")
    refuse_missing_features(doc)
    for key in ("temperature", "top_p", "top_k"):
        check_number(doc, key)
    for key in ("metadata", "thinking", "tool_choice", "output_config"):
        check_object(doc, key)
    _check_stop(doc)
    return Envelope(
        model=model,
        stream=read_boolean(doc, "stream"),
        user=named_user(doc),
        prompt_tokens=size + _media_correction(messages) if has_blocks else size,
        output_tokens=None,
        choices=1,
        wants_usage=True,
    )


def named_user(doc: Doc) -> str | None:
    """The user that `metadata.user_id` names; None for what coding clients put there about themselves.

    Those are a JSON object as text, or `user_…_account_…_session_…`: never the name of a user of this gateway.
    Raises OtariError(INVALID) when it is no string.
    """
    metadata = doc.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if user is None:
        return None
    if not isinstance(user, str):
        raise invalid("metadata.user_id must be a string.", "metadata.user_id")
    told = user.strip()
    if not told or told.startswith("{") or _TELEMETRY.fullmatch(told):
        return None
    return user


def same_request(doc: Doc, model: str) -> bytes:
    """The body for an upstream that speaks this dialect; see `Dialect.same_request`. `doc` stays as it is.

    Beside `model` and the gateway's keys only what is foreign to the wire changes: functions in the shape of Chat
    Completions become tools, and thinking that this gateway has marked as another model's is taken out.
    """
    edited = {key: value for key, value in doc.items() if not is_private(key, value)}
    edited["model"] = model
    tools = doc.get("tools") or ()
    if any(tool.get("type") == "function" for tool in tools):
        edited["tools"] = [own_shape(tool) for tool in tools]
    if any(map(_is_marked, _blocks(doc["messages"]))):
        edited["messages"] = _unmarked(doc["messages"])
        if lacks_thinking(edited):
            del edited["thinking"]
    return body(edited)


def _blocks(messages: list[Doc]) -> Iterable[Doc]:
    return (
        block
        for message in messages
        if message["role"] == "assistant" and isinstance(message["content"], list)
        for block in message["content"]
    )


def _is_marked(block: Doc) -> bool:
    return is_mark(block.get("signature")) or (block.get("type") == "redacted_thinking" and is_mark(block.get("data")))


def _unmarked(messages: list[Doc]) -> list[Doc]:
    kept = []
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant" and isinstance(content, list) and any(map(_is_marked, content)):
            content = [block for block in content if not _is_marked(block)]
            if not content:
                continue
        kept.append(message | {"content": content})
    return kept


# ---- checks --------------------------------------------------------------------------------------------------------


def _check_message(message: Doc, name: str) -> bool:
    """Whether the content of the message is a list of blocks."""
    role = message.get("role")
    if role is None or role == "":
        raise invalid(f"{name}: 'role' is required", f"{name}.role")
    if not isinstance(role, str) or role not in ROLES:
        raise invalid(f"{name}.role must be one of {', '.join(ROLES)}.", f"{name}.role")
    return _check_content(message.get("content"), f"{name}.content", required=True)


def _check_content(content: Any, name: str, *, required: bool) -> bool:
    if isinstance(content, str) or (content is None and not required):
        return False
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise invalid(f"{name} must be a string or a list of content blocks (objects).", name)
    return True


def _check_stop(doc: Doc) -> None:
    stop = doc.get("stop_sequences")
    if stop is not None and not (isinstance(stop, list) and all(isinstance(text, str) for text in stop)):
        raise invalid("stop_sequences must be a list of strings.", "stop_sequences")


# ---- media ---------------------------------------------------------------------------------------------------------


def _media_correction(messages: list[Doc]) -> int:
    """What to add to the bytes of the body so that media count by their size rules and not by their base64 text."""
    return sum(_correction(message["content"]) for message in messages)


def _correction(content: Any) -> int:
    """The same for content, and for the content of results and documents in it, at any depth."""
    total = 0
    waiting = [content]
    while waiting:
        value = waiting.pop()
        for block in value if isinstance(value, list) else ():
            if isinstance(block, dict):
                total += _block_correction(block)
                source = block.get("source")
                waiting += [block.get("content"), source.get("content") if isinstance(source, dict) else None]
    return total


def _block_correction(block: Doc) -> int:
    match block:
        case {"type": "image", "source": {"type": "base64", "data": str(data)}}:
            return IMAGE_TOKENS - len(data)
        case {"type": "image", "source": {"url": str(url)}}:
            return IMAGE_TOKENS - (len(url) if data_url.is_data_url(url) else 0)
        case {"type": "image"}:
            return IMAGE_TOKENS
        case {"type": "document", "source": {"type": "base64", "data": str(data), **rest}}:
            size = data_url.decoded_bytes(data)
            pdf = PDF in (rest.get("media_type"), data_url.sniff(data[:24]))
            return (document_tokens(size) if pdf else max(size, document_tokens(0))) - len(data)
        case {"type": "document", "source": {"type": "url" | "file"}} | {"type": "container_upload"}:
            return REMOTE_FILE_TOKENS
    return 0
