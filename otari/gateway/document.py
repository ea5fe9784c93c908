"""The body of a request as one JSON object: parsed once, refused with a clear word when it is none."""

import hashlib
import json  # noqa: TID251  only json can show integers as they were written; see _refuse_great_integers
from typing import Any

import orjson

from otari.domain.chat import Doc
from otari.domain.errors import invalid

_LABEL_MAX_CHARS = 255
_INT64 = 1 << 63
_DIGITS_TO_ZERO = bytes.maketrans(b"0123456789", b"0000000000")
# Whoever looks at every fifth byte sees three digits in a row wherever there are 19: a fifth of the work.
_STRIDE, _SEEN_OF_A_LONG_RUN = 5, b"000"
_LONG_RUN = b"0" * 19


def read_document(raw: bytes) -> Doc:
    """The JSON object in `raw` (UTF-8). When a key stands twice, the last one counts, for us and for the upstream.

    Raises OtariError(INVALID) for anything that is not a JSON object, for lone surrogates, for nesting beyond 1024
    levels (all by orjson) and for integers outside 64 bits, which would silently become another number.
    """
    if not raw.strip():
        raise invalid("The request body is empty: send a JSON object", code="invalid_json")
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The request body is not valid JSON: {_reason(error)}", code="invalid_json") from None
    if not isinstance(doc, dict):
        raise invalid("The request body must be a JSON object", code="invalid_json")
    if _SEEN_OF_A_LONG_RUN in raw[::_STRIDE].translate(_DIGITS_TO_ZERO) and _LONG_RUN in raw.translate(_DIGITS_TO_ZERO):
        _refuse_great_integers(raw)
    return doc


def session_label(doc: Doc) -> str | None:
    """The client's own name for what a request belongs to. Raises OtariError(INVALID)."""
    label = doc.get("session_label")
    if label is None:
        return None
    if not isinstance(label, str) or len(label) > _LABEL_MAX_CHARS:
        raise invalid(f"session_label must be a string of at most {_LABEL_MAX_CHARS} characters", "session_label")
    return label or None


def fingerprint(endpoint: str, doc: Doc) -> bytes:
    """SHA-256 of an endpoint and a document, its keys in order: blanks and the order of keys make no difference.

    Raises OtariError(INVALID) for a document that is nested deeper than JSON writers go.
    """
    try:
        ordered = orjson.dumps(doc, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise invalid("The request is nested too deeply: at most 250 levels can be told apart.") from None
    return hashlib.sha256(endpoint.encode() + b"\n" + ordered).digest()


def _reason(error: orjson.JSONDecodeError) -> str:
    """Where and why, without a word of the body (it may hold secrets)."""
    return f"{error.msg.split(':')[0]} (line {error.lineno}, column {error.colno})"


def _refuse_great_integers(raw: bytes) -> None:
    """orjson reads an integer beyond 64 bits as a float; the text of the number is needed to tell the two apart."""

    def checked(digits: str) -> int:
        if len(digits) > 20 or not -_INT64 <= int(digits) < _INT64:
            raise invalid("The request body holds an integer outside 64 bits", code="invalid_json")
        return int(digits)

    def plain(text: str) -> Any:
        return text

    try:
        json.loads(raw, parse_int=checked, parse_float=plain)
    except RecursionError:
        raise invalid("The request body is nested too deeply", code="invalid_json") from None
