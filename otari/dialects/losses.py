"""The list of what a translation could not carry: short, stable names, each once."""

import re
from collections.abc import Callable, Collection
from typing import Any

from otari.domain.errors import invalid

Drop = Callable[[str], None]

MAX_NAME_CHARS = 80
MAX_NAMES = 100
AND_MORE = "and more"
CITATIONS = "citations"  # the pages that a text is taken from, where the wire has no place for them
_UNFIT = re.compile(r"[^A-Za-z0-9_.\- ]+")  # a name goes into a header, and may hold words of the client's


def collector(dropped: list[str] | None) -> Drop:
    """A function that adds a name to `dropped` if it is not there; one that does nothing when `dropped` is None.

    The last of `MAX_NAMES` is AND_MORE: a provider could make up names without end.
    """

    def drop(name: str) -> None:
        name = _UNFIT.sub("_", name)[:MAX_NAME_CHARS]
        if dropped is not None and len(dropped) < MAX_NAMES and name not in dropped:
            dropped.append(name if len(dropped) < MAX_NAMES - 1 else AND_MORE)

    return drop


def says_something(value: Any) -> bool:
    """Whether a value of an answer tells more than its absence: not nulls, zeros, and what holds nothing else."""
    if isinstance(value, dict):
        return any(map(says_something, value.values()))
    if isinstance(value, list):
        return any(map(says_something, value))
    return bool(value)


def name_unread(doc: Any, known: Collection[str], drop: Drop, where: str = "") -> None:
    """Name every key of an object of an answer that says something and is not `known`: nobody reads it.

    `where` is what stands before the names.
    """
    for key, value in doc.items() if isinstance(doc, dict) else ():
        if key not in known and says_something(value):
            drop(where + key)


# Keys that say nothing which a translated request does not say: how a stream is told (always whole), and another
# spelling of what has a canonical home.
_SAID_ELSEWHERE = frozenset(["stream_options", "max_completion_tokens"])
_NOTHING: tuple[Any, ...] = (None, False, "", "auto", [], {})
# Keys at which other values say nothing: the vendors' defaults, and what a translated answer tells anyway.
_NOTHING_AT: dict[str, tuple[Any, ...]] = {
    "include": (None, [], ["reasoning.encrypted_content"]),
    "modalities": (None, [], ["text"]),
    "service_tier": (None, "auto", "default"),
    "text.verbosity": (None, "medium"),
    "truncation": (None, "disabled"),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
}
_READ_OF_REASONING = ("effort", "max_tokens")  # of the object of OpenRouter's


def lost_key(key: str, value: Any) -> str | None:
    """The name of what is lost when a key of another dialect's `extras` is left out; None when that is nothing.

    Raises OtariError(INVALID) for an answer in sound: silence would do harm.
    """
    if key == "modalities" and isinstance(value, list) and "audio" in value:
        raise invalid("This model answers in text: remove audio from modalities.", "modalities")
    if key == "reasoning" and isinstance(value, dict):
        rest = [inner for inner in value if inner not in _READ_OF_REASONING and value[inner] not in _NOTHING]
        return f"reasoning.{rest[0]}" if rest else None
    if key in _SAID_ELSEWHERE or value in _NOTHING_AT.get(key, _NOTHING):
        return None
    return key
