"""What is wrong with a configuration: every problem is collected with its place, and told in one error."""

import difflib
import re
from collections.abc import Iterable

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
_SHOWN_CHARACTERS = 60
_MOST_ERRORS = 100


class ConfigError(Exception):
    """The configuration can not be used. `problems` are lines for people, each with its place; none holds a secret."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Problems:
    """The problems and warnings found so far, in the order they were met."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def error(self, place: str, text: str) -> None:
        """`place` (a path in the configuration, or a variable) can not be used as it is.

        Raises ConfigError when there are more problems than anybody wants to read.
        """
        self.errors.append(f"{place}: {text}")
        if len(self.errors) == _MOST_ERRORS:
            raise ConfigError([*self.errors, f"these are the first {_MOST_ERRORS} problems; there may be more"])

    def warn(self, place: str, text: str) -> None:
        """`place` can be used, but not as its author may think."""
        self.warnings.append(f"{place}: {text}")

    def raise_errors(self) -> None:
        """Raise ConfigError with every error, if there is one."""
        if self.errors:
            raise ConfigError(self.errors)


def below(path: str, key: str) -> str:
    """The path of `key` inside `path`: `providers.openai`; keys with odd characters stand in quotes."""
    shown = key if _PLAIN_KEY.fullmatch(key) else shown_text(key)
    return f"{path}.{shown}" if path else shown


def shown_text(text: str) -> str:
    """`text` in quotes, escaped, cut to a readable length."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` with the known name that looks most like `name`, or nothing."""
    found = difflib.get_close_matches(name[:_SHOWN_CHARACTERS], list(known), n=1)
    return f"; did you mean `{found[0]}`?" if found else ""
