"""Token counts in the Chat Completions shape, with the differences between providers evened out.

The wire counts cached tokens inside `prompt_tokens` and reasoning inside `completion_tokens`. Numbers are taken as they
stand: whether they can be believed is asked later (`domain.money.believable`).
"""

from typing import Any

from otari.dialects.losses import Drop
from otari.domain.chat import Doc, Usage
from otari.domain.money import believable


def read_usage(told: Any) -> Usage | None:
    """The usage in a `usage` object; None when it is not an object or tells nothing. Never raises."""
    if not isinstance(told, dict):
        return None
    of_prompt = _object(told, "prompt_tokens_details")
    of_completion = _object(told, "completion_tokens_details")
    usage = Usage(
        input=told.get("prompt_tokens"),
        output=told.get("completion_tokens"),
        cache_read=_first(of_prompt, told, keys=("cached_tokens", "prompt_cache_hit_tokens")),
        cache_write=_first(of_prompt, told, keys=("cache_write_tokens", "cache_creation_input_tokens")),
        reasoning=of_completion.get("reasoning_tokens"),
    )
    if usage == Usage():
        return None
    return _with_reasoning_inside(usage, told.get("total_tokens"))


def _with_reasoning_inside(usage: Usage, total: object) -> Usage:
    """xAI counts reasoning beside the completion; the total gives it away."""
    read, written, reasoning = usage.input, usage.output, usage.reasoning
    if any(type(count) is not int for count in (total, read, written, reasoning)) or not reasoning:
        return usage
    if total != (read or 0) + (written or 0) + reasoning:
        return usage
    return usage.merged(Usage(output=(written or 0) + reasoning))


def usage_in(doc: Doc) -> Usage | None:
    """The usage in a whole answer or a chunk: top level, or where Groq (`x_groq`) and Moonshot (the choice) put it."""
    told = read_usage(doc.get("usage"))
    if told is None and "x_groq" in doc:
        told = read_usage(_object(doc, "x_groq").get("usage"))
    choices = doc.get("choices")
    for choice in choices if told is None and isinstance(choices, list) else ():
        if isinstance(choice, dict) and "usage" in choice:
            told = told or read_usage(choice["usage"])
    return told


def write_usage(usage: Usage) -> Doc | None:
    """`usage` on the wire; None when nothing believable is known: a zero that nobody counted is worse than silence."""
    if (usage.input is None and usage.output is None) or believable(usage) is None:
        return None
    read, written = usage.input or 0, usage.output or 0
    doc: Doc = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    of_prompt = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
    of_prompt = {key: count for key, count in of_prompt.items() if count is not None}
    if of_prompt:
        doc["prompt_tokens_details"] = of_prompt
    if usage.reasoning is not None:
        doc["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return doc


def name_lifetimes(usage: Usage, drop: Drop) -> None:
    """Name how long written tokens stay in the cache: neither of OpenAI's wires tells it."""
    if usage.cache_write_1h:
        drop("usage.cache_creation")


def _object(doc: Doc, key: str) -> Doc:
    value = doc.get(key)
    return value if isinstance(value, dict) else {}


def _first(*docs: Doc, keys: tuple[str, ...]) -> Any:
    """The first of `keys` that one of the docs tells: OpenAI's place, then DeepSeek's, Moonshot's and LiteLLM's."""
    return next((doc[key] for doc in docs for key in keys if doc.get(key) is not None), None)
