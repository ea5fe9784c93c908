"""What the Responses wire has no place for, carried through clients inside `encrypted_content`.

Clients of this dialect give reasoning items back exactly as they got them, because nobody but the maker can read their
`encrypted_content`. So the thinking of other families is marked in there, with its signature if it has one, and so are
redacted thinking and the signature of a tool call (Gemini), behind a prefix that no provider uses. Nothing of that may
reach a provider.
"""

import base64
import binascii
from typing import Any, NamedTuple

import orjson

PREFIX = "otari1:"
FAMILY = "openai"  # whose `encrypted_content` goes back byte for byte to an upstream of this dialect


class Carried(NamedTuple):
    """A signature or redacted thinking of `family`; `call_id` names the tool call that a signature belongs to."""

    family: str | None = None
    signature: str | None = None
    redacted: str | None = None
    call_id: str | None = None


def write_carrier(carried: Carried) -> str:
    """The value as one string that a client returns unread."""
    told = {key: value for key, value in carried._asdict().items() if value is not None}
    return PREFIX + base64.urlsafe_b64encode(orjson.dumps(told)).decode()


def is_carrier(value: Any) -> bool:
    """Whether an `encrypted_content` is this gateway's own."""
    return isinstance(value, str) and value.startswith(PREFIX)


def read_carrier(value: str) -> Carried | None:
    """What is carried; None for the value of a provider. A damaged carrier carries nothing, but is one."""
    if not is_carrier(value):
        return None
    try:
        told = orjson.loads(base64.urlsafe_b64decode(value[len(PREFIX) :]))
    except (binascii.Error, ValueError):
        return Carried()
    if not isinstance(told, dict):
        return Carried()
    return Carried(**{key: told[key] for key in Carried._fields if isinstance(told.get(key), str)})


def encrypted_content(family: str | None, signature: str | None, redacted: str | None) -> str | None:
    """The `encrypted_content` of thinking that is told to a client; None for OpenAI's own without one.

    OpenAI's own goes as it is, unless it looks like a carrier (the upstream is a gateway like this one). Thinking of
    others has a carrier even when there is nothing to carry: clients give back only reasoning that has such content,
    and some servers of chat completions want their thinking back while tools are being used.
    """
    if family == FAMILY and redacted is None and not is_carrier(signature):
        return signature
    return write_carrier(Carried(family, signature, redacted))
