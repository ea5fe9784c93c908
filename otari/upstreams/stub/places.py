"""Places in the body of a request, written `messages[0].content` or `metadata.run`."""

import re
from typing import Any

import orjson

_STEP = re.compile(r"(?:(?:^|\.)(?P<name>[^.\[\]]+))|\[(?P<index>\d{1,6})\]")
MISSING = object()


def read_place(text: str) -> tuple[str | int, ...] | None:
    """The steps to a place; None when `text` is not written as one."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            return None
        steps.append(found["name"] if found["name"] is not None else int(found["index"]))
        at = found.end()
    return tuple(steps) or None


def look(doc: Any, steps: tuple[str | int, ...]) -> Any:
    """What is there; MISSING when nothing is."""
    for step in steps:
        named = isinstance(step, str) and isinstance(doc, dict) and step in doc
        if not named and not (isinstance(step, int) and isinstance(doc, list) and step < len(doc)):
            return MISSING
        doc = doc[step]
    return doc


def shown(value: Any) -> str:
    """A value as text: text as it is, everything else as JSON, nothing as nothing."""
    if value is MISSING:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
