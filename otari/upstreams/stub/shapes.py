"""The shape of an answer: which fields there are, and of what type. That a provider's wire has changed shows there."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from otari.dialects import sse
from otari.domain.chat import Doc

Shape = Mapping[str, frozenset[str]]
_EVENT = "chunk"  # what events are called that do not name themselves


def shape_of(body: bytes, *, stream: bool) -> Shape:
    """The fields of an answer by their place, each with its types; of a stream those of all its events together."""
    found: dict[str, set[str]] = {}
    for doc in _events(body) if stream else _document(body):
        name = f"{doc.get('type', _EVENT)} " if stream else ""
        for place, kind in _fields(doc, ""):
            found.setdefault(name + place, set()).add(kind)
    return {place: frozenset(kinds) for place, kinds in found.items()}


def changes(before: Shape, now: Shape) -> Iterator[str]:
    """What is different, one line each."""
    for place in sorted(now.keys() - before.keys()):
        yield f"added: {place} ({_told(now[place])})"
    for place in sorted(before.keys() - now.keys()):
        yield f"removed: {place} ({_told(before[place])})"
    for place in sorted(before.keys() & now.keys()):
        # A field that is null now and then, or always, tells nothing about its type.
        mine, other = before[place] - {"null"}, now[place] - {"null"}
        if mine and other and mine != other:
            yield f"changed: {place} ({_told(mine)} → {_told(other)})"


def _told(kinds: Iterable[str]) -> str:
    return " or ".join(sorted(kinds))


def _events(body: bytes) -> Iterator[Doc]:
    framer = sse.Framer()
    frames = [*sse.split(framer.feed(body)), framer.rest()]
    for frame in frames:
        data = b"".join(line.partition(b":")[2].strip() for line in frame.splitlines() if line.startswith(b"data:"))
        if data and data != b"[DONE]":
            yield from _document(data)


def _document(body: bytes) -> Iterator[Doc]:
    try:
        doc = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    if isinstance(doc, dict):
        yield doc


def _fields(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every field with its type. Entries of lists are one place; empty lists have none."""
    match value:
        case dict():
            for key, item in value.items():
                yield from _fields(item, f"{place}.{key}" if place else key)
        case list():
            yield place, "list"
            for item in value:
                yield from _fields(item, f"{place}[]")
        case None:
            yield place, "null"
        case bool():
            yield place, "true or false"
        case int() | float():
            yield place, "number"
        case _:
            yield place, "text"
