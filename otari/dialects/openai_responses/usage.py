"""Token counts in the Responses shape.

The wire counts cached tokens inside `input_tokens` and reasoning inside `output_tokens`, as the canonical form does.
Numbers are taken as they stand: whether they can be believed is asked later (`domain.money.believable`).
"""

from typing import Any

from otari.domain.chat import Doc, Usage
from otari.domain.money import believable


def read_usage(told: Any) -> Usage | None:
    """The usage in a `usage` object; None when it is not an object or tells nothing. Never raises."""
    if not isinstance(told, dict):
        return None
    of_input, of_output = _object(told, "input_tokens_details"), _object(told, "output_tokens_details")
    usage = Usage(
        input=told.get("input_tokens"),
        output=told.get("output_tokens"),
        cache_read=of_input.get("cached_tokens"),
        cache_write=of_input.get("cache_write_tokens"),
        reasoning=of_output.get("reasoning_tokens"),
    )
    return None if usage == Usage() else usage


def usage_in(doc: Doc) -> Usage | None:
    """The usage in a whole answer, or in the answer that an event of a stream holds."""
    told = read_usage(doc.get("usage"))
    response = doc.get("response")
    if told is None and isinstance(response, dict):
        return read_usage(response.get("usage"))
    return told


def write_usage(usage: Usage) -> Doc | None:
    """`usage` on the wire; None when nothing believable is known: a zero that nobody counted is worse than silence.

    When something is known the rest is filled with zeros, because clients demand the whole object or none.
    """
    if (usage.input is None and usage.output is None) or believable(usage) is None:
        return None
    read, written = usage.input or 0, usage.output or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": usage.cache_write or 0,
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": read + written,
    }


def _object(doc: Doc, key: str) -> Doc:
    value = doc.get(key)
    return value if isinstance(value, dict) else {}
