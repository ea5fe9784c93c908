"""What the place that we print to can show: width, colour, characters; and texts made harmless for it."""

import os
import sys
import unicodedata
from dataclasses import dataclass
from typing import TextIO

_CODES = {"head": "1", "faint": "2", "good": "32", "bad": "31", "bar": "36"}
_JOINER = "\u200d"  # inside many emoji; the only invisible character that may pass
_WIDTH_ELSEWHERE = 80
_NARROWEST = 20


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the output goes. On a pipe `terminal` is False and nothing is cut, coloured or aligned.

    `local` shows times in the zone of this machine instead of UTC.
    """

    terminal: bool = False
    width: int = _WIDTH_ELSEWHERE
    colour: bool = False
    unicode: bool = True
    local: bool = False

    def paint(self, style: str, text: str) -> str:
        """`text` in a style (head, faint, good, bad, bar), where colours are shown."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and text else text

    @property
    def ellipsis(self) -> str:
        """What stands for characters that were left out."""
        return "…" if self.unicode else "~"

    @property
    def nothing(self) -> str:
        """What stands for a value that is not there."""
        if not self.terminal:
            return ""
        return "–" if self.unicode else "-"


def screen_of(stream: TextIO, *, local: bool = False) -> Screen:
    """What `stream` can show. NO_COLOR (any value) and TERM=dumb switch colours off, COLUMNS sets the width."""
    terminal = stream.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Screen(
        terminal=terminal,
        width=max(_NARROWEST, _columns(stream)),
        colour=terminal and not plain,
        unicode=_writes(stream, "█…–"),
        local=local,
    )


def stdout_screen(*, local: bool = False) -> Screen:
    """The screen of standard output, which from now on writes what its encoding lacks as escapes."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return screen_of(sys.stdout, local=local)


def _columns(stream: TextIO) -> int:
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH_ELSEWHERE
    except (OSError, ValueError):  # no terminal, or a stream without a file
        return _WIDTH_ELSEWHERE


def _writes(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def harmless(text: str) -> str:
    """`text` on one line, with everything that a terminal would obey or hide written as an escape.

    Names and ids come from clients: one must not be able to move the cursor, to begin a line or to split a field.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == _JOINER else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def cells(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(_cells_of(c) for c in text)


def _cells_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shortened(text: str, width: int, mark: str) -> str:
    """`text` in at most `width` columns: its beginning and its end, with `mark` where some are left out."""
    if cells(text) <= width:
        return text
    if width <= 1:
        return mark[:width]
    room = width - len(mark)
    tail = _first(text[::-1], room // 3)[::-1]  # ids and model names differ at both ends, at the beginning more often
    return _first(text, room - cells(tail)) + mark + tail


def _first(text: str, width: int) -> str:
    """As many characters from the beginning as fit."""
    taken = 0
    for index, character in enumerate(text):
        taken += _cells_of(character)
        if taken > width:
            return text[:index]
    return text
