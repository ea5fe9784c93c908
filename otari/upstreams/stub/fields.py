"""Strict reading of one map of a parsed script: every problem is noted with its place, none is raised.

A reader takes the keys that it knows out of a `Fields` and ends with `done`, which notes all the others. So
one look at a script tells everything that is wrong with it.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>ms|s|m)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
MAX_PAUSE_S = 3600.0


class Problems:
    """What is wrong with a script, in the order it was found. `lines` says where in the file each place stands."""

    def __init__(self, source: str, lines: Mapping[str, int] | None = None) -> None:
        self.source = source
        self.lines = lines or {}
        self.found: list[str] = []

    def note(self, path: str, text: str) -> None:
        """Note that `path` (as `rules[0].when.user`; "" is the whole script) is wrong."""
        place = self.place(path)
        self.found.append(f"{place}: {path}: {text}" if path else f"{place}: {text}")

    def place(self, path: str) -> str:
        """Where `path` stands: the file and, where it is known, the line; of what is missing, that of what lacks it."""
        at = path
        while at and at not in self.lines:
            at = at[: max(at.rfind("."), at.rfind("["), 0)]
        line = self.lines.get(at)
        return self.source if line is None else f"{self.source}, line {line}"


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not known: the nearest known one, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.55)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


class Fields:
    """One map of the script and the keys of it that nobody has taken yet."""

    def __init__(self, doc: Mapping[object, object], path: str, problems: Problems) -> None:
        self.path = path
        self.problems = problems
        self.left: dict[str, object] = {}
        self._taken: list[str] = []
        for key, value in doc.items():
            if isinstance(key, str):
                self.left[key] = value
            else:
                problems.note(path, _odd_key(key))

    def at(self, name: str) -> str:
        """The path of the key `name`."""
        return f"{self.path}.{name}" if self.path else name

    def note(self, name: str, text: str) -> None:
        """Note that the value of `name` is wrong."""
        self.problems.note(self.at(name), text)

    def take(self, name: str) -> object:
        """The raw value of `name`; None when the script does not have it."""
        self._taken.append(name)
        return self.left.pop(name, None)

    def has(self, name: str) -> bool:
        """Whether `name` stands in the script and was not taken yet."""
        return name in self.left

    def text(self, name: str) -> str | None:
        """A text, or None."""
        value = self.take(name)
        return None if value is None else text_of(value, self.at(name), self.problems)

    def whole(self, name: str, least: int = 0, most: int = 2**53) -> int | None:
        """A whole number from `least` to `most`, or None."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        bounds = f"from {least} to {most}" if most < 2**53 else f"of at least {least}"
        self.note(name, f"must be a whole number {bounds}")
        return None

    def number(self, name: str, most: float = 1e6) -> float | None:
        """A number from 0 to `most`, or None."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
            return float(value)
        self.note(name, f"must be a number from 0 to {most:g}")
        return None

    def duration(self, name: str) -> float | None:
        """A duration in seconds, or None."""
        value = self.take(name)
        return None if value is None else duration_of(value, self.at(name), self.problems)

    def flag(self, name: str) -> bool | None:
        """true or false, or None."""
        value = self.take(name)
        if value is None or isinstance(value, bool):
            return value
        self.note(name, "must be true or false")
        return None

    def word(self, name: str, known: Iterable[str]) -> str | None:
        """One of the known words, or None."""
        value = self.take(name)
        return None if value is None else word_of(value, known, self.at(name), self.problems)

    def fields(self, name: str) -> "Fields | None":
        """The map under `name`, or None."""
        value = self.take(name)
        return None if value is None else fields_of(value, self.at(name), self.problems)

    def items(self, name: str) -> list[tuple[str, object]]:
        """The list under `name` as (path, value); empty when there is none."""
        value = self.take(name)
        if value is None:
            return []
        if isinstance(value, list):
            return [(f"{self.at(name)}[{i}]", item) for i, item in enumerate(value)]
        self.note(name, f"must be a list, not {kind_of(value)}")
        return []

    def one_or_more(self, name: str) -> list[tuple[str, object]]:
        """A value or a list of values under `name` as (path, value); empty when there is none."""
        if isinstance(self.left.get(name), list):
            found = self.items(name)
            if not found:
                self.note(name, "must not be an empty list")
            return found
        value = self.take(name)
        return [] if value is None else [(self.at(name), value)]

    def done(self, also: Iterable[str] = ()) -> None:
        """Note every key that was not taken, with the nearest one that could have been meant."""
        known = {*self._taken, *also}
        for key in self.left:
            # `on` is a word that some YAML readers take for true, so that no key of a script is called so.
            meant = "when" if key == "on" and "when" in known else key
            self.note(key, f"unknown key; {nearest(meant, known)}")


def kind_of(value: object) -> str:
    """What a value is, in the words of a script's author."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"{str(value).lower()} (quote it to mean text)"
        case int() | float():
            return "a number (quote it to mean text)"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a map"
    return f"a {type(value).__name__} (quote it to mean text)"


def text_of(value: object, path: str, problems: Problems) -> str | None:
    """`value` when it is text that can travel as UTF-8, else None and a problem."""
    if not isinstance(value, str):
        problems.note(path, f"must be text, not {kind_of(value)}")
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        problems.note(path, "holds half of a surrogate pair, which UTF-8 can not carry")
        return None
    return value


def fields_of(value: object, path: str, problems: Problems) -> Fields | None:
    """`value` as Fields when it is a map, else None and a problem."""
    if isinstance(value, dict):
        return Fields(value, path, problems)
    problems.note(path, f"must be a map, not {kind_of(value)}")
    return None


def word_of(value: object, known: Iterable[str], path: str, problems: Problems) -> str | None:
    """`value` when it is one of the `known` words, else None and a problem."""
    names = sorted(known)
    if isinstance(value, str) and value in names:
        return value
    hint = nearest(value, names) if isinstance(value, str) else f"known: {', '.join(names)}"
    shown = repr(value) if isinstance(value, str) else kind_of(value)
    problems.note(path, f"{shown} is not known here; {hint}")
    return None


def duration_of(value: object, path: str, problems: Problems) -> float | None:
    """`300ms`, `2s`, `1.5s`, `1m` or a bare 0 in seconds, else None and a problem."""
    if value == 0 and isinstance(value, int | float) and not isinstance(value, bool):
        return 0.0
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        problems.note(path, "must be a duration such as 300ms or 2s")
        return None
    seconds = float(found["number"]) * _SECONDS[found["unit"]]
    if seconds > MAX_PAUSE_S:
        problems.note(path, f"must not be longer than {MAX_PAUSE_S:g}s")
        return None
    return seconds


def _odd_key(key: object) -> str:
    if isinstance(key, bool):
        words = "on, yes, true" if key else "off, no, false"
        return f"a key that YAML reads as {str(key).lower()} ({words}); did you mean 'when'? Else quote the key"
    return f"the key {key!r} is {kind_of(key)}; keys are text"
