"""Looking at a Chat Completions stream that passes by unchanged: usage, endings, errors; nothing is re-encoded."""

import orjson

from otari.dialects import sse
from otari.dialects.dialect import Seen
from otari.dialects.openai_chat.thinking import reasoning_text
from otari.dialects.openai_errors import error_in_list, failure_in
from otari.dialects.openai_usage import usage_in
from otari.domain.chat import Doc

# What a chunk may hold besides usage and still be nothing but the usage chunk. Everything else in it (citations,
# filter results) is for the client, whatever it asked for.
_ONLY_USAGE = frozenset(
    [
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "system_fingerprint",
        "service_tier",
        "obfuscation",
        "provider",
        "x_groq",
        "timings",  # of llama.cpp: how long it took, nothing of the answer
    ]
)
_NOTHING, _CONTENT = Seen(), Seen(content=True)
_CONTENT_KEYS = ("content", "tool_calls", "refusal", "function_call", "audio", "images")


_NOTABLE = (b'"usage":{', b'"usage": {', b'"finish_reason":"', b'"finish_reason": "', b"[DONE]", b'"error"')


def notable(block: bytes) -> int:
    """Where in a block of frames usage, a finish reason, an error or the end may first be told; -1 = nowhere.

    A null after `"usage":` or `"finish_reason":` says nothing, and most chunks of most providers have one.
    """
    return sse.first_of(_NOTABLE, block)


def see(frame: bytes, *, wants_usage: bool) -> Seen:
    """What one frame means to the one who watches; see `Dialect.see`. Never raises."""
    raw = sse.data(frame).strip()
    if not raw:
        return _NOTHING
    if raw == b"[DONE]":
        return Seen(terminal=True)
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _NOTHING
    return _see(doc if isinstance(doc, dict) else error_in_list(doc), wants_usage)


def _see(doc: Doc, wants_usage: bool) -> Seen:
    failure = failure_in(doc)
    usage = usage_in(doc)
    told = doc.get("choices")
    choices = [choice for choice in told if isinstance(choice, dict)] if isinstance(told, list) else []
    content = any(map(_has_content, choices))
    finishes = any(isinstance(choice.get("finish_reason"), str) for choice in choices)
    if failure is None and usage is None and not finishes:
        return _CONTENT if content else _NOTHING
    unasked = usage is not None and not wants_usage and told in (None, []) and failure is None
    return Seen(
        keep=not (unasked and _only_usage(doc)),
        content=content,
        usage=usage,
        finishes=finishes and failure is None,
        failed=failure[0] if failure is not None else None,
    )


def _only_usage(doc: Doc) -> bool:
    return all(key in _ONLY_USAGE or value in (None, [], {}, "") for key, value in doc.items())


def _has_content(choice: Doc) -> bool:
    delta = choice.get("delta") or choice.get("message")
    if not isinstance(delta, dict):
        return False
    return any(delta.get(key) for key in _CONTENT_KEYS) or bool(reasoning_text(delta))
