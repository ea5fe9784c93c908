"""Finding the files of a stub script: one file, a folder of them, what they include, and what is shipped.

This follows `include` and reads YAML; what a script means is the matter of the stub.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from otari.config.document import MACHINE_MADE, MAX_BYTES, read_yaml
from otari.config.files import read_file
from otari.config.problems import ConfigError, nearest
from otari.config.shipped import shipped

STUB_SCRIPT = "stub.example.yaml"
PRESET = "preset:"
PRESETS = ("claude-code", "codex", "opencode")
SUFFIXES = (".yaml", ".yml", ".json")
_FILES_MAX = 1_000


class ScriptFile(NamedTuple):
    """What stands in one file as plain values, its name, and the line of every place in it."""

    doc: object
    name: str
    lines: dict[str, int]


def load_stub_script(path: str | None) -> object:
    """One script file as plain values (numbers with a point are floats: they go into JSON); None: the shipped example.

    Raises ConfigError with one line.
    """
    return (_shipped(STUB_SCRIPT) if path is None else _file(path)).doc


def load_stub_scripts(paths: Iterable[str]) -> tuple[ScriptFile, ...]:
    """All files that `paths` (files or folders) name, each behind the files that it includes; else the shipped example.

    A file that several include is taken once. Raises ConfigError: unreadable files and folders, broken YAML, unknown
    presets, includes that go round in a circle.
    """
    finder = _Finder()
    found = list(paths)
    for path in found:
        for name in _in_folder(path):
            finder.take(name, ())
    return tuple(finder.found) if found else (_shipped(STUB_SCRIPT),)


def load_recordings(folder: str) -> tuple[ScriptFile, ...]:
    """All recordings in a folder. Raises ConfigError with everything that can not be read."""
    problems: list[str] = []
    found: list[ScriptFile] = []
    for path in _names_in(folder):
        try:
            found.append(_parsed(read_file(path, MAX_BYTES * MACHINE_MADE)[0], path, MACHINE_MADE))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def parse_recording(data: bytes) -> object:
    """The values in a recording; None when it is not YAML."""
    try:
        return read_yaml(data, "", float, times=MACHINE_MADE)
    except ConfigError:
        return None


class _Finder:
    """Collects files in the order in which their rules count."""

    def __init__(self) -> None:
        self.found: list[ScriptFile] = []
        self._taken: set[str] = set()

    def take(self, name: str, within: tuple[str, ...]) -> None:
        """Take a file and what it includes; `within` are the files that led here."""
        place = name if name.startswith(PRESET) else os.path.realpath(name)
        if place in within:
            shown = " → ".join([*(os.path.basename(step) for step in within[within.index(place) :]), name])
            raise ConfigError([f"{within[-1]}: include goes round in a circle: {shown}"])
        if place in self._taken:
            return
        self._taken.add(place)
        if len(self._taken) > _FILES_MAX:
            raise ConfigError([f"{name}: more than {_FILES_MAX} script files"])
        script = _preset(name) if name.startswith(PRESET) else _file_within(name, within)
        for included in _includes(script):
            other = included if included.startswith(PRESET) else os.path.join(os.path.dirname(name), included)
            self.take(other, (*within, place))
        self.found.append(script)


def _includes(script: ScriptFile) -> Iterator[str]:
    told = script.doc.get("include") if isinstance(script.doc, dict) else None
    if told is None:
        return
    place = f"{script.name}, line {script.lines.get('include', 1)}: include"
    if not isinstance(told, list):
        raise ConfigError([f"{place}: must be a list of file names and presets"])
    for item in told:
        if not isinstance(item, str) or not item:
            raise ConfigError([f"{place}: must hold file names, and presets such as {PRESET}{PRESETS[0]}"])
        name = item.removeprefix(PRESET)
        if item.startswith(PRESET) and name not in PRESETS:
            known = ", ".join(PRESETS)
            raise ConfigError([f"{place}: there is no preset {name!r}{nearest(name, PRESETS) or f'; known: {known}'}"])
        yield item


def _in_folder(path: str) -> list[str]:
    """The script files in a folder, by name; a file is itself."""
    if not os.path.isdir(path):
        return [path]
    names = _names_in(path, SUFFIXES)
    if not names:
        raise ConfigError([f"{path}: no script in this folder (*.yaml, *.yml, *.json)"])
    return names


def _names_in(folder: str, endings: tuple[str, ...] = (".yaml",)) -> list[str]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(endings) and not name.startswith("."))
    except OSError as error:
        raise ConfigError([f"{folder}: can not be read ({error.strerror})"]) from None
    return [str(Path(folder, name)) for name in names]


def _file(path: str) -> ScriptFile:
    return _parsed(read_file(path, MAX_BYTES)[0], path)


def _file_within(path: str, within: tuple[str, ...]) -> ScriptFile:
    try:
        return _file(path)
    except ConfigError as error:
        if not within:
            raise
        includer = os.path.basename(within[-1])
        raise ConfigError([f"{problem} (included by {includer})" for problem in error.problems]) from None


def _preset(name: str) -> ScriptFile:
    return _shipped(f"stub.preset.{name.removeprefix(PRESET)}.yaml", name)


def _shipped(file: str, name: str = "the shipped script") -> ScriptFile:
    return _parsed(shipped(file), name)


def _parsed(data: bytes, name: str, times: int = 1) -> ScriptFile:
    lines: dict[str, int] = {}
    return ScriptFile(read_yaml(data, name, float, lines, times), name, lines)
