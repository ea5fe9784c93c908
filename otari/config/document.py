"""YAML text → plain values: mappings with text keys, lists, text, whole numbers, exact fractions, booleans, null.

Stricter than a general YAML reader, because a configuration is read by people: a key that stands twice is an error,
keys are always the text that was written (`on` stays "on"), only `true` and `false` are booleans, tags are refused,
and a document can neither nest endlessly nor blow up through aliases. Nothing but this module reads YAML.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NoReturn

import yaml

from otari.config.problems import ConfigError, shown_text

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_ALIASES = 100
MAX_VALUES = 100_000
MACHINE_MADE = 64  # times as much may stand in a file that no person has written

_MAX_DIGITS = 28  # what a Decimal keeps exactly
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_FRACTION = re.compile(
    r"[-+]?(?P<digits>[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE](?P<exponent>[-+]?[0-9]+))?"
)
_CONSTANTS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Fraction = Callable[[str], object]


def read_yaml(
    data: bytes,
    source: str,
    fraction: Fraction = Decimal,
    lines: dict[str, int] | None = None,
    times: int = 1,
) -> object:
    """The one document in `data` (UTF-8), None when it is empty. `fraction` makes a value of a number with a point.

    `lines` gets the line of every value, by its place as `rules[0].when`; `times` as much as usual may stand in it.
    Raises ConfigError with one line that names `source` and, where there is one, the line.
    """
    if len(data) > MAX_BYTES * times:
        raise ConfigError([f"{source}: larger than {MAX_BYTES * times // 1024} KiB"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{source}, line {line}: not UTF-8 text"]) from None
    try:
        return _Reader(text, source, fraction, lines, MAX_VALUES * times).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}, line {mark.line + 1}" if mark is not None else source
        raise ConfigError([f"{place}: not valid YAML: {error.problem or error.context}"]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([f"{source}, line {line}: not valid YAML: {error.reason}"]) from None
    except yaml.YAMLError:
        raise ConfigError([f"{source}: not valid YAML"]) from None


class _Reader:
    """Builds values straight from parser events, so that limits hold before anything is built."""

    def __init__(
        self, text: str, source: str, fraction: Fraction, lines: dict[str, int] | None, most_values: int
    ) -> None:
        self._most_values = most_values
        self._lines = lines
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._source = source
        self._fraction = fraction
        self._anchors: dict[str, tuple[object, int]] = {}
        self._aliases = 0
        self._values = 0

    def document(self) -> object:
        found: list[object] = []
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if found:
                    self._fail(event, "a second document begins; only one is allowed")
                found.append(self._value(next(self._events), 0, ""))
        return found[0] if found else None

    def _value(self, event: yaml.Event, depth: int, place: str) -> object:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._values
        self._count(event, 1)
        if depth > MAX_DEPTH:
            self._fail(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(event, depth, place)
        else:
            value = self._mapping(event, depth, place)
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._values - before)
        return value

    def _alias(self, event: yaml.AliasEvent) -> object:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            self._fail(event, f"alias *{event.anchor} names nothing that ended before it")
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._fail(event, f"more than {MAX_ALIASES} aliases")
        value, size = known
        self._count(event, size)
        return value

    def _count(self, event: yaml.Event, more: int) -> None:
        self._values += more
        if self._values > self._most_values:
            self._fail(event, f"more than {self._most_values} values, aliases followed")

    def _list(self, start: yaml.Event, depth: int, place: str) -> list[object]:
        self._refuse_tag(start)
        items: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1, self._place(event, f"{place}[{len(items)}]")))
        return items

    def _place(self, event: yaml.Event, place: str) -> str:
        """`place`, whose line is noted."""
        if self._lines is not None:
            self._lines[place] = _line(event)
        return place

    def _mapping(self, start: yaml.Event, depth: int, place: str) -> dict[str, object]:
        self._refuse_tag(start)
        mapping: dict[str, object] = {}
        lines: dict[str, int] = {}
        merged: list[dict[str, object]] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
                self._fail(event, "a key must be plain text")
            key = event.value
            value = self._value(next(self._events), depth + 1, self._place(event, f"{place}.{key}" if place else key))
            if key == "<<" and event.implicit[0]:
                merged += self._merged(event, value)
                continue
            if key == "" and event.implicit[0]:
                self._fail(event, "a key is missing before `:`")
            if key in lines:
                self._fail(event, f"key {shown_text(key)} stands twice (first on line {lines[key]})")
            lines[key] = _line(event)
            mapping[key] = value
        for other in merged:
            for key, value in other.items():
                mapping.setdefault(key, value)
        return mapping

    def _merged(self, event: yaml.Event, value: object) -> list[dict[str, object]]:
        given = value if isinstance(value, list) else [value]
        mappings = [mapping for mapping in given if isinstance(mapping, dict)]
        if len(mappings) < len(given):
            self._fail(event, "`<<` takes a mapping or a list of mappings")
        return mappings

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text = event.value
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._refuse_tag(event)
        if event.tag is not None or not event.implicit[0]:
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        number = text.replace("_", "")
        if _INTEGER.fullmatch(text):
            if len(number) > _MAX_DIGITS:
                self._fail(event, f"a number of more than {_MAX_DIGITS} digits")
            return int(number)
        if found := _FRACTION.fullmatch(text):
            exponent = found["exponent"] or "0"
            if len(found["digits"]) > _MAX_DIGITS or len(exponent) > 4 or abs(int(exponent)) > _MAX_DIGITS:
                self._fail(event, f"a number of more than {_MAX_DIGITS} digits")
            return self._fraction(number)
        return text

    def _refuse_tag(self, event: yaml.Event) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
            self._fail(event, f"the tag {shown_text(tag)} is not allowed")

    def _fail(self, event: yaml.Event, text: str) -> NoReturn:
        raise ConfigError([f"{self._source}, line {_line(event)}: {text}"])


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1
