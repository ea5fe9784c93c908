"""JSON files that people read: what fits on a line stands on one."""

from collections.abc import Iterable
from typing import Any

import orjson

_WIDTH = 118


def readable(value: Any) -> str:
    """`value` as JSON text; objects and lists that fit on a line are not spread over several."""
    return _told(value, 0, 0) + "\n"


def _told(value: Any, indent: int, used: int) -> str:
    """`used` is what stands before the value on its line, or after it."""
    flat = _flat(value)
    if indent + used + len(flat) <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + 2
    if isinstance(value, dict):
        lines = []
        for key, told in value.items():
            name = _flat(key) + ": "
            lines.append(name + _told(told, inner, len(name) + 1))
        return _spread("{", lines, "}", indent)
    return _spread("[", [_told(told, inner, 1) for told in value], "]", indent)


def _spread(opening: str, lines: Iterable[str], closing: str, indent: int) -> str:
    gap = "\n" + " " * (indent + 2)
    return opening + gap + f",{gap}".join(lines) + "\n" + " " * indent + closing


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_flat(key)}: {_flat(told)}" for key, told in value.items())
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return orjson.dumps(value).decode()
