"""Texts with places to fill: `${user}`, `${city}`, `${lorem:12}`. No logic, on purpose.

`$${` stands for a literal `${`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from otari.upstreams.stub.places import look, read_place, shown

_PLACE = re.compile(r"\$\$\{|\$\{(?P<name>[^{}]*)\}")
_LOREM_PLACE = re.compile(r"lorem:(?P<words>\d{1,5})")
NAMES = ("user", "model", "turn", "call", "tool_result", "session")
BODY = "body."  # what stands behind it is a place in the body of the request
_LOREM_TEXT = """
lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore
magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo consequat
"""
_LOREM = _LOREM_TEXT.split()


def lorem(words: int, seed: int) -> str:
    """`words` words of filler text that depend on nothing but the two numbers."""
    start = seed % len(_LOREM)
    return " ".join(_LOREM[(start + i) % len(_LOREM)] for i in range(words))


def unknown_places(text: str, groups: Iterable[str]) -> Iterator[str]:
    """The names of places in `text` that nothing fills.

    `groups` are the named groups of the rule's patterns.
    """
    known = {*NAMES, *groups}
    for found in _PLACE.finditer(text):
        name = found["name"]
        if name is None or name in known or _LOREM_PLACE.fullmatch(name) is not None:
            continue
        if not name.startswith(BODY) or read_place(name.removeprefix(BODY)) is None:
            yield name


def fill(text: str, values: Mapping[str, str], seed: int, body: Any = None) -> str:
    """`text` with every place filled from `values`, or from the `body`; what is not there becomes empty."""

    def value(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return "${"
        if name.startswith(BODY):
            return shown(look(body, read_place(name.removeprefix(BODY)) or ()))
        words = _LOREM_PLACE.fullmatch(name)
        return lorem(int(words["words"]), seed) if words else values.get(name, "")

    return _PLACE.sub(value, text)


def fill_all(value: Any, values: Mapping[str, str], seed: int, body: Any = None) -> Any:
    """A JSON value with every text in it filled; keys stay as they are."""
    match value:
        case str():
            return fill(value, values, seed, body)
        case list():
            return [fill_all(item, values, seed, body) for item in value]
        case dict():
            return {key: fill_all(item, values, seed, body) for key, item in value.items()}
    return value


def texts_in(value: object) -> Iterator[str]:
    """Every text inside a JSON value that `fill_all` would fill."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from texts_in(item)
        case dict():
            for item in value.values():
                yield from texts_in(item)
