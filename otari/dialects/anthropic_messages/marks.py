"""What Anthropic's wire has no place for, carried through clients inside values that they return unread.

Clients of this dialect give back signatures, redacted thinking and tool ids exactly as they got them. So a signature
of another family travels inside a signature that begins with `otari1:`, and the signature of a tool call (Gemini)
inside a block of redacted thinking. Nothing of that may reach Anthropic, who would refuse it. Tool ids in characters
that this wire does not allow travel encoded.
"""

import base64
import binascii
import re
from typing import NamedTuple

import orjson

PREFIX = "otari1:"
FAMILY = "anthropic"

_LEGAL_ID = re.compile(r"[a-zA-Z0-9_-]+")  # what Anthropic allows in the id of a tool call
_ID_PREFIX = "otari1_"


class Mark(NamedTuple):
    """What a marked value carries: whose thinking it is, the signature, and the tool call that it belongs to."""

    family: str | None = None
    signature: str | None = None
    call_id: str | None = None


def is_mark(value: object) -> bool:
    """Whether a signature, or the data of redacted thinking, is this gateway's own."""
    return isinstance(value, str) and value.startswith(PREFIX)


def write_mark(mark: Mark) -> str:
    """The mark as one string without blanks."""
    told = {key: value for key, value in mark._asdict().items() if value is not None}
    return PREFIX + base64.urlsafe_b64encode(orjson.dumps(told)).decode()


def read_mark(value: str) -> Mark | None:
    """What a marked value carries; None for any other value. A damaged mark carries nothing, but is a mark."""
    if not is_mark(value):
        return None
    try:
        told = orjson.loads(base64.urlsafe_b64decode(value[len(PREFIX) :]))
    except (binascii.Error, ValueError):
        return Mark()
    if not isinstance(told, dict):
        return Mark()
    known = {key: told[key] for key in Mark._fields if isinstance(told.get(key), str)}
    return Mark(**known)


def write_id(call_id: str) -> str:
    """An id of a tool call in the characters of this wire; `read_id` gives the same id back."""
    if _LEGAL_ID.fullmatch(call_id) and not call_id.startswith(_ID_PREFIX):
        return call_id
    return _ID_PREFIX + base64.urlsafe_b64encode(call_id.encode()).decode().rstrip("=")


def read_id(call_id: str) -> str:
    """The id that was written as `call_id`."""
    if not call_id.startswith(_ID_PREFIX):
        return call_id
    coded = call_id[len(_ID_PREFIX) :]
    try:
        told = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        return call_id
    return told if write_id(told) == call_id else call_id
