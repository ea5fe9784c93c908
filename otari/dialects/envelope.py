"""What the first look at a request has in common in all dialects: gateway keys, missing features, one check per kind.

A null is the same as an absent key.
"""

from collections.abc import Collection

import orjson

from otari.domain.chat import Doc
from otari.domain.errors import invalid

MAX_MODEL_CHARS = 512

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


def extras_in(doc: Doc, consumed: Collection[str]) -> Doc:
    """The `extras` of a request: what it says under keys that its reader has not `consumed` and that may be sent on."""
    return {
        key: value
        for key, value in doc.items()
        if key not in consumed and value is not None and not is_private(key, value)
    }


def refuse_missing_features(doc: Doc) -> None:
    """Raise OtariError(INVALID) for gateway features that a request asks for and that this gateway does not have.

    `tools` must have been checked to be a list of objects.
    """
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


def body(doc: Doc) -> bytes:
    """A request as it is sent on. Raises OtariError(INVALID) when it is nested deeper than JSON writers go."""
    try:
        return orjson.dumps(doc)
    except orjson.JSONEncodeError:
        raise invalid("The request is nested too deeply: at most 250 levels can be sent on.") from None


# ---- one check per kind of value -----------------------------------------------------------------------------------


def read_model(doc: Doc) -> str:
    """The `model` of a request."""
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


def read_objects(doc: Doc, key: str) -> list[Doc]:
    """A list of objects, [] when absent."""
    values = doc.get(key)
    if values is None:
        return []
    if not isinstance(values, list):
        raise invalid(f"{key} must be a list of objects.", key)
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise invalid(f"{key}[{index}] must be an object.", f"{key}[{index}]")
    return values


def read_boolean(doc: Doc, key: str, name: str | None = None) -> bool:
    """True or false; an absent key is false. `name` is what a refusal calls it."""
    value = doc.get(key)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{name or key} must be true or false.", name or key)
    return value is True


def read_integer(doc: Doc, key: str, most: int) -> int | None:
    """An integer from 1 to `most`, None when absent."""
    value = doc.get(key)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        raise invalid(f"{key} must be an integer from 1 to {most}.", key)
    return value


def check_number(doc: Doc, key: str) -> None:
    """Raise OtariError(INVALID) unless the key is a number or absent."""
    value = doc.get(key)
    if value is not None and type(value) not in (int, float):
        raise invalid(f"{key} must be a number.", key)


def check_object(doc: Doc, key: str) -> None:
    """Raise OtariError(INVALID) unless the key is an object or absent."""
    value = doc.get(key)
    if value is not None and not isinstance(value, dict):
        raise invalid(f"{key} must be an object.", key)
