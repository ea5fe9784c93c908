"""Errors in Google's shape: a number, a message, and the word that the number stands for."""

from typing import Any

import orjson

from otari.dialects.openai_errors import message_in
from otari.domain.chat import Doc
from otari.domain.errors import OtariError

NO_WORDS = "The provider reported an error without a message."
# google.rpc.Code by HTTP status, as Google's API design guide maps them; what is not here is the server's fault.
_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    421: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def error_object(error: OtariError) -> Doc:
    """`code`, `message`, `status`, and how long to wait when that is known."""
    word = error.code if error.code in _WORDS.values() else _WORDS.get(error.status, "INTERNAL")
    told: Doc = {"code": error.status, "message": error.message, "status": word}
    if error.retry_after is not None:
        told["details"] = [{"@type": _RETRY_INFO, "retryDelay": f"{error.retry_after:g}s"}]
    return told


def write_error(error: OtariError) -> Doc:
    """The body of an HTTP error: `error` for Google's clients, `detail` for Otari's own."""
    return {"error": error_object(error), "detail": error.message}


def stream_error(error: OtariError) -> bytes:
    """The last frame of a stream that broke."""
    return b"data: " + orjson.dumps({"error": error_object(error)}) + b"\r\n\r\n"


def failure_in(doc: Any) -> tuple[str, str | None] | None:
    """Message and code of the error that a frame tells; None when it tells none. Its code is Google's word for it."""
    error = doc.get("error") if isinstance(doc, dict) else None
    if not error:
        return None
    code = (error.get("status") or error.get("code")) if isinstance(error, dict) else None
    return message_in({"error": error}) or NO_WORDS, str(code) if isinstance(code, str | int) else None
