"""Errors in the OpenAI shape, and the message inside whatever shape of error body a provider sends."""

from typing import Any

import orjson

from otari.domain.chat import Doc
from otari.domain.errors import OtariError


def write_error(error: OtariError) -> Doc:
    """The body of an HTTP error: `error` for the OpenAI clients, `detail` for Otari's own."""
    return {"detail": error.message, "error": error_object(error)}


def stream_error(error: OtariError) -> bytes:
    """The last frame of a stream that broke."""
    return b"data: " + orjson.dumps({"error": error_object(error)}) + b"\n\n"


def error_object(error: OtariError) -> Doc:
    """`message`, `type`, `param` and `code`, as OpenAI names them."""
    return {"message": error.message, "type": error.kind.value, "param": error.param, "code": error.code}


def read_error(body: bytes) -> str:
    """The message in a provider's error body; "" when there is none (also for HTML and plain text)."""
    try:
        return message_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        return ""


def message_in(doc: Any, depth: int = 5) -> str:
    """The message in a parsed error, at most `depth` levels down.

    Known spellings: `{"error": {"message"}}` (OpenAI, Anthropic, Google, OpenRouter), the same inside a list (Google's
    streams), `{"error": "text"}` (Ollama), `{"message"}` (vLLM, Cohere, Bedrock), `{"detail": "text"}` and
    `{"detail": [{"loc", "msg"}]}` (FastAPI).
    """
    if isinstance(doc, list):
        return next((text for entry in doc if (text := message_in(entry, depth - 1))), "") if depth else ""
    if not isinstance(doc, dict) or not depth:
        return ""
    for key in ("error", "message", "Message", "detail"):
        value = doc.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, list):
            text = "; ".join(filter(None, map(_complaint, value)))
        else:
            text = message_in(value, depth - 1)
        if text:
            return text
    return ""


def failure_in(doc: Doc) -> tuple[str, str | None] | None:
    """Message and code of the error that a frame of a Chat Completions stream tells; None when it tells none.

    Three spellings: an `error` object alone (OpenAI), `"object": "error"` (vLLM), and an `error` object beside a last
    choice whose finish reason is "error" (OpenRouter).
    """
    error = doc.get("error")
    if error:
        told = error if isinstance(error, dict) else {}
        return message_in({"error": error}) or _NO_WORDS, _code(told)
    if doc.get("object") == "error":
        return message_in(doc) or _NO_WORDS, _code(doc)
    choices = doc.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("finish_reason") in BROKEN:
            return message_in(choice) or _NO_WORDS, _code(choice)
    return None


def error_in_list(told: Any) -> Doc:
    """The error that Google's servers tell inside a list, as other servers send it; {} when there is none."""
    entries = told if isinstance(told, list) else []
    return next((entry for entry in entries if isinstance(entry, dict) and entry.get("error")), {})


# Finish reasons that mean "the provider broke off" (OpenRouter, Mistral; Z.ai; DeepSeek).
BROKEN = ("error", "network_error", "insufficient_system_resource")
_NO_WORDS = "The provider reported an error without a message."


def _complaint(entry: Any) -> str:
    """One entry of a list of validation errors, with the place it speaks of."""
    if not isinstance(entry, dict) or not isinstance(entry.get("msg"), str):
        return message_in(entry, 1)
    place = entry.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {entry['msg']}" if where else str(entry["msg"])


def _code(told: Doc) -> str | None:
    code = told.get("code") or told.get("type")
    return str(code) if isinstance(code, str | int) else None
