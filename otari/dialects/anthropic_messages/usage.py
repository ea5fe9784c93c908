"""Token counts in the shape of Messages: cached tokens stand beside `input_tokens`, not in it.

Numbers are taken as they stand: whether they can be believed is asked later (`domain.money.believable`).
"""

from typing import Any

from otari.domain.chat import Doc, Usage
from otari.domain.money import believable

_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")


def laid_over(earlier: Doc, later: Any) -> Doc:
    """The counts of a stream so far, with what a later frame tells laid over them: the last number of each counts."""
    if not isinstance(later, dict):
        return earlier
    return earlier | {key: value for key, value in later.items() if value is not None}


def read_usage(told: Any, *, begins: bool = False) -> Usage | None:
    """The usage in a `usage` object; None when it tells nothing. Never raises.

    `begins` says that it stands in the first frame of a stream: its output is a placeholder there and not told.
    """
    if not isinstance(told, dict):
        return None
    details, split = _object(told, "output_tokens_details"), _object(told, "cache_creation")
    write = told.get("cache_creation_input_tokens")
    if write is None and split:
        write = _sum([value for value in split.values() if value is not None])
    usage = Usage(
        input=_input(told, write),
        output=None if begins else told.get("output_tokens"),
        cache_read=told.get("cache_read_input_tokens"),
        cache_write=write,
        cache_write_1h=split.get("ephemeral_1h_input_tokens"),
        reasoning=details.get("thinking_tokens"),
    )
    return None if usage == Usage() else usage


def _input(told: Doc, write: Any) -> Any:
    plain = told.get("input_tokens")
    if plain is None:
        return None
    return _sum([count for count in (plain, told.get("cache_read_input_tokens"), write) if count is not None])


def _sum(counts: list[Any]) -> Any:
    """The sum; the first count that is no count at all in its place, so that it stays unbelievable."""
    odd = [count for count in counts if type(count) is not int or count < 0]
    return odd[0] if odd else sum(counts)


def write_usage(usage: Usage) -> Doc:
    """`usage` on the wire, with nothing in it that is not known or not believable."""
    if believable(usage) is None:
        return {}
    doc: Doc = {}
    read, write = usage.cache_read, usage.cache_write
    if usage.input is not None:
        doc["input_tokens"] = max(0, usage.input - (read or 0) - (write or 0))
    doc |= {key: count for key, count in zip(_CACHED, (read, write), strict=True) if count is not None}
    if usage.cache_write_1h is not None:
        short = max(0, (write or 0) - usage.cache_write_1h)
        doc["cache_creation"] = {
            "ephemeral_5m_input_tokens": short,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.output is not None:
        doc["output_tokens"] = usage.output
    if usage.reasoning is not None:
        doc["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return doc


def _object(doc: Doc, key: str) -> Doc:
    value = doc.get(key)
    return value if isinstance(value, dict) else {}
