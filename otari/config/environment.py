"""The environment of a configuration: `.env` files, `OTARI_` and `GATEWAY_` variables, `${NAME}` inside texts."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from otari.config.document import MAX_BYTES
from otari.config.problems import Problems, below

PREFIX = "OTARI_"
LEGACY_PREFIX = "GATEWAY_"

_REFERENCE = re.compile(r"\$(\$\{)|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class Substituted(str):
    """Text that came from the environment: it may stand for a number or a boolean, and it is never shown."""

    __slots__ = ()


def whole_environment(environ: Mapping[str, str], config_path: str | None, problems: Problems) -> dict[str, str]:
    """`environ`, and beneath it what `.env` beside the configuration file and `.env` in the working directory say."""
    folders = [Path(config_path).parent] if config_path is not None else []
    files = dict.fromkeys((folder / ".env").absolute() for folder in [*folders, Path()])  # each once, nearest first
    merged: dict[str, str] = {}
    for file in files:
        for name, value in _read_dotenv(file, problems).items():
            merged.setdefault(name, value)
    return {**merged, **environ}


def _read_dotenv(file: Path, problems: Problems) -> dict[str, str]:
    place = str(file)
    try:
        if not file.is_file():
            return {}
        if file.stat().st_size > MAX_BYTES:
            problems.error(place, f"larger than {MAX_BYTES // 1024} KiB")
            return {}
        lines = file.read_text("utf-8-sig").splitlines()
    except OSError as error:
        problems.warn(place, f"not read: {error.strerror or 'can not be opened'}")
        return {}
    except UnicodeDecodeError:
        problems.error(place, "not UTF-8 text")
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        assignment = _ASSIGNMENT.fullmatch(text)
        if assignment is None:
            problems.warn(f"{place}, line {number}", "not NAME=value, ignored")
        else:
            found[assignment["name"]] = _unquoted(assignment["value"])
    return found


def _unquoted(value: str) -> str:
    """The value as a shell would mean it: quotes taken off, a comment after blank space dropped."""
    if quoted := re.fullmatch(r"'([^']*)'\s*(?:#.*)?", value):
        return quoted[1]
    if quoted := re.fullmatch(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', value):
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), quoted[1])
    return re.sub(r"(?:^|\s)#.*", "", value).strip()


def scalar_variables(environ: Mapping[str, str], prefix: str, names: Iterable[str]) -> dict[str, Substituted]:
    """The keys of `names` that the environment sets: `port` from `<prefix>PORT`. An empty variable counts as unset."""
    values = {name: environ.get(prefix + name.upper(), "") for name in names}
    return {name: Substituted(value) for name, value in values.items() if value}


def interpolate(value: object, environ: Mapping[str, str], path: str, problems: Problems) -> object:
    """`value` with every `${NAME}` in its texts replaced; `$${` stands for `${`. Keys are left as they are."""
    if isinstance(value, Substituted):
        return value
    if isinstance(value, str):
        return _interpolated(value, environ, path, problems) if "${" in value else value
    if isinstance(value, dict):
        return {key: interpolate(item, environ, below(path, key), problems) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, environ, f"{path}[{index}]", problems) for index, item in enumerate(value)]
    return value


def _interpolated(text: str, environ: Mapping[str, str], path: str, problems: Problems) -> str:
    used: list[str] = []

    def replacement(found: re.Match[str]) -> str:
        if found[1]:
            return "${"
        name = found[2]
        used.append(name)
        if not _NAME.fullmatch(name) or not found[0].endswith("}"):
            problems.error(path, "a reference is written `${NAME}`; write `$${` for the characters `${` themselves")
        elif name not in environ:
            problems.error(path, f"environment variable {name} is not set")
        return environ.get(name, "")

    whole = _REFERENCE.sub(replacement, text)
    return Substituted(whole) if used else whole
