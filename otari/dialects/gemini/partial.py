"""Arguments of a call that come value by value: `partialArgs`, each with the path of its place.

Paths are JSON Paths (RFC 9535) of names and numbers only: `$.a.b[0]['c d']`.
"""

import itertools
import re
from typing import Any

import orjson

from otari.domain.chat import Doc

_STEP = re.compile(r"""\.([^.\[\]'"]+)|\[(\d{1,6})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_ESCAPED = re.compile(r"\\(.)")
_MAX_STEPS = 100
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class Arguments:
    """The arguments of one call as they grow. Methods raise ValueError for what makes no sense."""

    def __init__(self) -> None:
        self._root: Doc = {}
        self._growing: str | None = None  # the path of a text that goes on

    def lay(self, whole: Any) -> None:
        """Arguments that came as they are."""
        if isinstance(whole, dict):
            self._root |= whole

    def put(self, told: Any) -> None:
        """One value, or more of a text that has begun."""
        path = told.get("jsonPath") if isinstance(told, dict) else None
        if not isinstance(path, str):
            raise ValueError("a value without a path")
        steps, value = _steps(path), _value(told)
        place: Any = self._root
        for step, following in itertools.pairwise(steps):
            place = _inner(place, step, [] if isinstance(following, int) else {})
        before = _inner(place, steps[-1], value)
        if self._growing == path and isinstance(before, str) and isinstance(value, str):
            place[steps[-1]] = before + value
        else:
            place[steps[-1]] = value
        self._growing = path if told.get("willContinue") is True else None

    def text(self, *, whole: bool) -> str:
        """The arguments as JSON text; without its last bracket when the call was cut off, so that nobody takes it for
        whole."""
        try:
            told = orjson.dumps(self._root).decode()
        except orjson.JSONEncodeError:
            raise ValueError("arguments that are nested too deeply") from None
        return told if whole else told[:-1]


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 1
    while path.startswith("$") and at < len(path) and len(steps) < _MAX_STEPS:
        found = _STEP.match(path, at)
        if found is None:
            break
        name, number, single, double = found.groups()
        quoted = single if single is not None else double
        steps.append(int(number) if number is not None else name if name is not None else _ESCAPED.sub(r"\1", quoted))
        at = found.end()
    if not steps or at != len(path) or isinstance(steps[0], int):
        raise ValueError("a path that leads nowhere")
    return steps


def _inner(place: Any, step: str | int, empty: Any) -> Any:
    """What stands at one step of a path; `empty` is put there when nothing does."""
    if isinstance(place, dict) and isinstance(step, str):
        return place.setdefault(step, empty)
    if isinstance(place, list) and isinstance(step, int) and step <= len(place):
        if step == len(place):
            place.append(empty)
        return place[step]
    raise ValueError("a path that contradicts another one")


def _value(told: Doc) -> Any:
    for key in _VALUES:
        if key in told:
            value = told[key]
            if key == "nullValue":
                return None
            if key == "numberValue" and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
                return int(value)  # the wire knows no integers
            return value
    return ""  # a text that has only been announced
