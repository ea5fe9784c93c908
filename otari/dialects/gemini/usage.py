"""Token counts in the shape of `usageMetadata`: thoughts stand beside the candidates, cached tokens in the prompt.

Numbers are taken as they stand: whether they can be believed is asked later (`domain.money.believable`).
"""

from typing import Any

from otari.domain.chat import Doc, Usage
from otari.domain.money import believable


def laid_over(earlier: Doc, later: Any) -> Doc:
    """The counts of a stream so far, with what a later frame tells laid over them: the last number of each counts."""
    if not isinstance(later, dict):
        return earlier
    return earlier | {key: value for key, value in later.items() if value is not None}


def read_usage(told: Any) -> Usage | None:
    """The usage in a `usageMetadata` object; None when it tells nothing. Never raises."""
    if not isinstance(told, dict):
        return None
    thoughts = told.get("thoughtsTokenCount")
    usage = Usage(
        input=_sum(told.get("promptTokenCount"), told.get("toolUsePromptTokenCount")),
        output=_sum(told.get("candidatesTokenCount"), None if _holds_thoughts(told) else thoughts),
        cache_read=told.get("cachedContentTokenCount"),
        reasoning=thoughts,
    )
    return None if usage == Usage() else usage


def _holds_thoughts(told: Doc) -> bool:
    """Whether a server counts the thoughts in the candidates, against the rule; the total gives it away."""
    counts = [told.get(key) for key in ("totalTokenCount", "candidatesTokenCount", "thoughtsTokenCount")]
    read = _sum(told.get("promptTokenCount"), told.get("toolUsePromptTokenCount"))
    if any(type(count) is not int for count in (*counts, read)) or not counts[2]:
        return False
    return bool(counts[0] == read + counts[1])


def _sum(*told: Any) -> Any:
    """The sum of what is told; the first count that is no count at all in its place, so that it stays unbelievable."""
    counts = [count for count in told if count is not None]
    odd = [count for count in counts if type(count) is not int or count < 0]
    return odd[0] if odd else sum(counts) if counts else None


def write_usage(usage: Usage) -> Doc | None:
    """`usage` on the wire; None when nothing believable is known: a zero that nobody counted is worse than silence."""
    if (usage.input is None and usage.output is None) or believable(usage) is None:
        return None
    doc: Doc = {}
    if usage.input is not None:
        doc["promptTokenCount"] = usage.input
    if usage.cache_read is not None:
        doc["cachedContentTokenCount"] = usage.cache_read
    if usage.output is not None:
        doc["candidatesTokenCount"] = max(0, usage.output - (usage.reasoning or 0))
    if usage.reasoning is not None:
        doc["thoughtsTokenCount"] = usage.reasoning
    counted = (doc.get(key, 0) for key in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"))
    return doc | {"totalTokenCount": sum(counted)}
