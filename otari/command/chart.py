"""A small bar chart for the terminal: one line per name, its amount, a bar."""

from collections.abc import Sequence
from decimal import Decimal

from otari.command.screen import Screen

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LONGEST = 40
_SHORTEST = 6


def bars(amounts: Sequence[Decimal], room: int, screen: Screen) -> list[str]:
    """A bar for each amount, the largest one as long as `room` allows; empty texts where there is too little room.

    An amount that is not zero always shows at least its thinnest bar.
    """
    length = min(room, _LONGEST)
    most = max(amounts, default=Decimal(0))
    if length < _SHORTEST or most <= 0:
        return [""] * len(amounts)
    return [screen.paint("bar", _bar(amount, most, length, screen.unicode)) for amount in amounts]


def _bar(amount: Decimal, most: Decimal, length: int, unicode: bool) -> str:
    if amount <= 0:
        return ""
    if not unicode:
        return "#" * max(1, int(amount * length / most))
    eighths = max(1, int(amount * length * 8 / most))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def whole_bar(done: int, total: int, length: int, screen: Screen) -> str:
    """A bar of so many columns that is full when all is done; what is missing is faint."""
    full = int(done * length / total)
    filled, empty = ("█", "░") if screen.unicode else ("#", "-")
    return screen.paint("bar", filled * full) + screen.paint("faint", empty * (length - full))
