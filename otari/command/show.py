"""Printing records: tables and facts for people, tab-separated lines for programs, JSON for both.

A record is a mapping with the field names and values of the HTTP API: times are ISO texts, money is `Decimal`.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import orjson

from otari.command.screen import Screen, cells, harmless, shortened

Record = Mapping[str, Any]
Kind = Literal["text", "id", "money", "count", "time", "active"]

_RIGHT = ("money", "count")
_GAP = "  "
_READABLE = 16  # texts are cut to this before any id is: whoever sees an id may want to copy it
_LEAST = 8  # no column is cut below this


class Column(NamedTuple):
    """A column or fact: its title, the field of the record that it shows, and how.

    Columns of kind "text" are shortened first, then "id"; numbers and times never. "active" is a word that is green
    when it is good news: "active", "success".
    """

    title: str
    field: str
    kind: Kind = "text"


def table(columns: Sequence[Column], records: Sequence[Record], screen: Screen) -> list[str]:
    """Lines that show `records`: aligned under titles on a terminal, else their fields with tabs between them."""
    rows = [[value_text(record.get(c.field), c.kind, screen) for c in columns] for record in records]
    if not screen.terminal:
        return ["\t".join(row) for row in rows]
    for index, column in enumerate(columns):
        if column.kind == "money":
            _align_points(rows, index)
    widths = _fitted(columns, rows, screen.width)
    head = _GAP.join(_padded(c.title, w, c.kind) for c, w in zip(columns, widths, strict=True)).rstrip()
    lines = [screen.paint("head", head)]
    for row in rows:
        fields = zip(columns, row, widths, strict=True)
        lines.append(_GAP.join(_field(c, text, width, screen) for c, text, width in fields).rstrip())
    return lines


def facts(fields: Sequence[Column], record: Record, screen: Screen) -> list[str]:
    """One record, a line for each field: its title and its value."""
    texts = [(f, value_text(record.get(f.field), f.kind, screen)) for f in fields]
    if not screen.terminal:
        return [f"{f.field}\t{text}" for f, text in texts]
    width = max(len(f.title) for f in fields)
    return [f"{screen.paint('faint', f.title.ljust(width))}{_GAP}{_tinted(f, text, screen)}" for f, text in texts]


def zone_line(columns: Sequence[Column], screen: Screen) -> list[str]:
    """On a terminal, a line that says which times were shown, if any were."""
    if not screen.terminal or not any(c.kind == "time" for c in columns):
        return []
    zone = datetime.now().astimezone().strftime("%Z, UTC%z") if screen.local else "UTC"
    return [screen.paint("faint", f"times: {zone}")]


def print_lines(lines: Iterable[str]) -> None:
    """Print to standard output."""
    sys.stdout.write("".join(line + "\n" for line in lines))


def print_json(doc: object) -> None:
    """Print a document, money as exact numbers."""
    sys.stdout.write(orjson.dumps(doc, default=exact, option=orjson.OPT_INDENT_2).decode() + "\n")


def exact(value: object) -> orjson.Fragment:
    """For orjson: a `Decimal` as the JSON number that it is."""
    if isinstance(value, Decimal):
        return orjson.Fragment(decimal_text(value).encode())
    raise TypeError(f"{type(value).__name__} is not JSON")


def decimal_text(amount: Decimal) -> str:
    """An amount with all its digits, never an exponent: `0.000021`, `12.5`, `3`."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def value_text(value: object, kind: Kind, screen: Screen) -> str:
    """A value as one harmless word or line."""
    if value is None:
        return screen.nothing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal) or (kind == "money" and isinstance(value, int)):
        return decimal_text(Decimal(value))
    if kind == "count" and isinstance(value, int) and screen.terminal:
        return f"{value:,}"
    if kind == "time" and screen.terminal:
        return _time_text(str(value), screen)
    if isinstance(value, list | tuple):
        return harmless(", ".join(str(item) for item in value)) or "none"
    if isinstance(value, Mapping):
        return harmless(orjson.dumps(value, default=exact).decode())
    return harmless(str(value))


def _time_text(text: str, screen: Screen) -> str:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(None if screen.local else UTC).strftime("%Y-%m-%d %H:%M:%S")


def _align_points(rows: list[list[str]], index: int) -> None:
    """Fill the texts of a money column up, so that their decimal points stand under each other."""
    behind = [len(row[index].partition(".")[2]) for row in rows]
    most = max(behind, default=0)
    for row, digits in zip(rows, behind, strict=True):
        missing = most - digits + (1 if most and not digits else 0)
        row[index] += " " * missing


def _fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The width of each column: what it needs, or less of ids and texts when the screen demands it."""
    widths = [max([len(c.title), *(cells(row[i]) for row in rows)]) for i, c in enumerate(columns)]
    room = width - len(_GAP) * (len(columns) - 1)
    for kind, least in (("text", _READABLE), ("id", _LEAST), ("text", _LEAST)):
        shrinking = [i for i, c in enumerate(columns) if c.kind == kind]
        _shrink(widths, {i: max(least, len(columns[i].title)) for i in shrinking}, sum(widths) - room)
    return widths


def _shrink(widths: list[int], least: Mapping[int, int], over: int) -> None:
    """Take `over` columns in all from the widest of those that `least` names."""
    while over > 0:
        wide = [index for index, smallest in least.items() if widths[index] > smallest]
        if not wide:
            return
        widths[max(wide, key=lambda index: widths[index])] -= 1
        over -= 1


def _field(column: Column, text: str, width: int, screen: Screen) -> str:
    short = shortened(text, width, screen.ellipsis)
    padding = " " * (width - cells(short))
    painted = _tinted(column, short, screen)
    return padding + painted if column.kind in _RIGHT else painted + padding


def _padded(text: str, width: int, kind: Kind) -> str:
    return text.rjust(width) if kind in _RIGHT else text.ljust(width)


def _tinted(column: Column, text: str, screen: Screen) -> str:
    if text == screen.nothing:
        return screen.paint("faint", text)
    if column.kind == "active":
        return screen.paint("good" if text in ("active", "success") else "bad", text)
    return text
