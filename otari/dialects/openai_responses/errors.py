"""Errors inside a Responses stream. Error bodies of HTTP answers have the shape of `openai_errors`.

Two events tell one failure: `error`, on which OpenAI's SDKs raise, and `response.failed`, which Codex waits for.
"""

from typing import Any

import orjson

from otari.dialects.openai_errors import error_object, message_in
from otari.dialects.openai_responses.response import echo_of, head_of, response_doc
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError

NO_WORDS = "The provider reported an error without a message."
FAILED = ("response.failed", "response.cancelled")
# The words that the wire allows in `response.error.code`, of those that can come here.
_CODES = {Kind.RATE_LIMITED: "rate_limit_exceeded", Kind.BUDGET: "rate_limit_exceeded", Kind.INVALID: "invalid_prompt"}
_KNOWN_CODES = ("server_error", "rate_limit_exceeded", "invalid_prompt", "bio_policy", "data_residency_mismatch")


def failure_frames(error: OtariError, response: Doc, sequence: int) -> bytes:
    """The two last frames of a stream that broke; `response` is all that is known of the answer.

    The `error` event says everything twice: flat, as the typed model of the event has it, and as the object that makes
    the SDKs raise.
    """
    told = error_object(error)
    flat = {key: told[key] for key in ("code", "message", "param")}
    event = {"type": "error", "sequence_number": sequence, **flat, "error": told}
    code = error.code if error.code in _KNOWN_CODES else _CODES.get(error.kind, "server_error")
    failed = response | {"status": "failed", "error": {"code": code, "message": error.message}}
    end = {"type": "response.failed", "sequence_number": sequence + 1, "response": failed}
    return frame(b"error", event) + frame(b"response.failed", end)


def stream_error(error: OtariError, now_s: float) -> bytes:
    """The same when nothing is known of the stream; see `Dialect.stream_error`."""
    return failure_frames(error, response_doc(head_of("", "", int(now_s)), echo_of(None)), 0)


def sign_of_life(now_s: float) -> bytes:
    """An event that tells nothing new, for clients that do not count comments (Codex) while the upstream is silent."""
    response = response_doc(head_of("", "", int(now_s)), echo_of(None))
    event = {"type": "response.in_progress", "sequence_number": 0, "response": response}
    return frame(b"response.in_progress", event)


def frame(name: bytes, doc: Doc) -> bytes:
    """One event: clients go by its name or by the `type` in its data."""
    return b"event: " + name + b"\ndata: " + orjson.dumps(doc) + b"\n\n"


def failure_in(kind: Any, doc: Doc) -> tuple[str, str | None] | None:
    """Message and code of the error that an event of type `kind` tells; None when it tells none.

    Besides the two events of the wire: an `error` object alone, as servers send it that know Chat Completions better.
    """
    response = doc.get("response")
    if isinstance(response, dict) and (kind in FAILED or response.get("status") in ("failed", "cancelled")):
        return failure_of(response)
    if kind == "error" or (kind is None and doc.get("error")):
        return _told(doc.get("error") or doc)
    return None


def failure_of(response: Doc) -> tuple[str, str | None]:
    """Message and code of a response that failed."""
    return _told(response.get("error"))


def _told(error: Any) -> tuple[str, str | None]:
    words = error if isinstance(error, str) else message_in(error)
    code = (error.get("code") or error.get("type")) if isinstance(error, dict) else None
    return words or NO_WORDS, str(code) if isinstance(code, str | int) else None
