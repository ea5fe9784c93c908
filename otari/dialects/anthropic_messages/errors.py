"""Errors in the shape of Messages, and the error that a frame of a stream tells."""

import orjson

from otari.dialects.openai_errors import message_in
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError

# Error types by status, as the Anthropic API documents them; what is not here is the server's fault. 402 is a model
# without a price, which the client mends by naming another one.
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    416: "invalid_request_error",
    421: "invalid_request_error",
    422: "invalid_request_error",
    426: "invalid_request_error",
    429: "rate_limit_error",
    408: "timeout_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_KNOWN = frozenset(_TYPES.values()) | {"api_error", "billing_error"}
_NO_WORDS = "The provider reported an error without a message."


def error_object(error: OtariError) -> Doc:
    """`type` and `message`. A provider's own type is kept when it broke off in mid-answer: clients wait when it is
    overloaded, and do not when it is not."""
    told = error.code if error.kind is Kind.UPSTREAM and error.code in _KNOWN else None
    if error.kind is Kind.PAYMENT:
        told = "billing_error"
    return {"type": told or _TYPES.get(error.status, "api_error"), "message": error.message}


def write_error(error: OtariError) -> Doc:
    """The body of an HTTP error: `error` for Anthropic's clients, `detail` for Otari's own."""
    return {"type": "error", "error": error_object(error), "detail": error.message}


def stream_error(error: OtariError) -> bytes:
    """The last frame of a stream that broke."""
    return b"event: error\ndata: " + orjson.dumps({"type": "error", "error": error_object(error)}) + b"\n\n"


def failure_in(doc: Doc, kind: str) -> tuple[str, str | None] | None:
    """Message and code of the error that a frame of this kind (or a body) tells; None when it tells none.

    Spellings: the `error` event, an `error` object in a frame of no kind (servers that think in Chat Completions), and
    a last `stop_reason` of "error".
    """
    delta = doc.get("delta")
    broken = isinstance(delta, dict) and delta.get("stop_reason") == "error"
    if kind != "error" and not broken and not doc.get("error"):
        return None
    error = doc.get("error")
    code = (error.get("type") or error.get("code")) if isinstance(error, dict) else None
    words = message_in(doc) or (message_in(delta) if broken else "")
    return words or _NO_WORDS, str(code) if isinstance(code, str | int) else None
