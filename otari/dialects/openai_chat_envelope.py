"""What must be known of every Chat Completions request before anything else: checks, bounds, and the edited body.

Shapes follow the public OpenAI API reference. A null is the same as an absent key.
"""

from typing import Any

import orjson

from otari.dialects import data_url
from otari.dialects.dialect import Envelope
from otari.domain.chat import Doc
from otari.domain.errors import OtariError, invalid
from otari.domain.money import IMAGE_TOKENS, MAX_TOKENS, REMOTE_FILE_TOKENS, audio_tokens, document_tokens

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_MODEL_CHARS = 512
MAX_CHOICES = 128

# Keys that speak to this gateway, and keys with which a client would choose where a request goes and who pays for it.
_PRIVATE = frozenset(
    [
        "user",
        "mcp_servers",
        "mcp_server_ids",
        "guardrails",
        "tools_header",
        "max_tool_iterations",
        "session_label",
        "api_key",
        "api_base",
        "base_url",
        "api_version",
        "organization",
        "client",
        "credentials",
    ]
)
_NOT_YET = ("mcp_servers", "mcp_server_ids", "guardrails")
_GATEWAY_TOOLS = {
    "otari_code_execution": ("no sandbox", "OTARI_SANDBOX_URL"),
    "otari_web_search": ("no search backend", "OTARI_WEB_SEARCH_URL"),
}


def is_private(key: str, value: object) -> bool:
    """Whether a top-level key of a request never goes to a provider. OpenRouter's `provider` is an object: it goes."""
    return key in _PRIVATE or key.startswith("aws_") or (key == "provider" and isinstance(value, str))


def refuse_missing_features(doc: Doc) -> None:
    """Raise OtariError(INVALID) for gateway features that a request asks for and that this gateway does not have."""
    for key in _NOT_YET:
        if doc.get(key) is not None:
            raise invalid(f"{key} is not available on this gateway. Remove {key} from the request.", key)
    for tool in doc.get("tools") or ():
        kind = tool.get("type")
        if isinstance(kind, str) and kind in _GATEWAY_TOOLS:
            lack, setting = _GATEWAY_TOOLS[kind]
            raise invalid(
                f"{kind} tool requested but {lack} is configured on this gateway. "
                f"Set {setting} on the gateway, or remove {kind} from `tools`.",
                "tools",
            )


def read_envelope(doc: Doc, size: int) -> Envelope:
    """Check a request and peek at it; see `Dialect.read_envelope`."""
    model = _model(doc)
    messages = _objects(doc, "messages")
    if not messages:
        raise invalid("messages must be a list of at least one message.", "messages")
    has_parts = False
    for index, message in enumerate(messages):
        has_parts |= _check_message(message, f"messages[{index}]")
    _objects(doc, "tools")
    refuse_missing_features(doc)
    for key in ("temperature", "top_p"):
        _number(doc, key)
    options = doc.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise invalid("stream_options must be an object.", "stream_options")
    limits = [_integer(doc, key, MAX_TOKENS) for key in ("max_tokens", "max_completion_tokens")]
    return Envelope(
        model=model,
        stream=_boolean(doc, "stream"),
        user=_user(doc),
        prompt_tokens=size + _media_correction(messages) if has_parts else size,
        output_tokens=max((limit for limit in limits if limit is not None), default=None),
        choices=_integer(doc, "n", MAX_CHOICES) or 1,
        wants_usage=_boolean(options or {}, "include_usage", "stream_options.include_usage"),
    )


def same_request(doc: Doc, model: str, *, stream_usage: bool) -> bytes:
    """The body for an upstream that speaks this dialect; see `Dialect.same_request`. `doc` stays as it is."""
    edited = {key: value for key, value in doc.items() if not is_private(key, value)}
    edited["model"] = model
    if stream_usage and doc.get("stream") is True:
        edited["stream_options"] = {**(doc.get("stream_options") or {}), "include_usage": True}
    try:
        return orjson.dumps(edited)
    except orjson.JSONEncodeError:
        raise invalid("The request is nested too deeply: at most 250 levels can be sent on.") from None


# ---- one check per kind of value -----------------------------------------------------------------------------------


def _model(doc: Doc) -> str:
    model = doc.get("model")
    if model is None or model == "":
        raise invalid("Invalid request: model is required", "model")
    if not isinstance(model, str):
        raise invalid("model must be a string.", "model")
    if not model.strip():
        raise invalid("Invalid request: model is required", "model")
    if len(model) > MAX_MODEL_CHARS:
        raise invalid(f"model must have at most {MAX_MODEL_CHARS} characters.", "model")
    return model


def _user(doc: Doc) -> str | None:
    user = doc.get("user")
    if user is not None and not isinstance(user, str):
        raise invalid("user must be a string.", "user")
    return user or None


def _objects(doc: Doc, key: str) -> list[Doc]:
    values = doc.get(key)
    if values is None:
        return []
    if not isinstance(values, list):
        raise invalid(f"{key} must be a list of objects.", key)
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise invalid(f"{key}[{index}] must be an object.", f"{key}[{index}]")
    return values


def _boolean(doc: Doc, key: str, name: str | None = None) -> bool:
    value = doc.get(key)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{name or key} must be true or false.", name or key)
    return value is True


def _integer(doc: Doc, key: str, most: int) -> int | None:
    value = doc.get(key)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        raise invalid(f"{key} must be an integer from 1 to {most}.", key)
    return value


def _number(doc: Doc, key: str) -> None:
    value = doc.get(key)
    if value is not None and type(value) not in (int, float):
        raise invalid(f"{key} must be a number.", key)


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
    body: Any = part.get(kind) if isinstance(kind, str) else None
    match kind, body:
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
