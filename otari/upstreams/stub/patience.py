"""Regular expressions that can not hold up everything else: a search that takes too long is given up.

A pattern such as `(a+)+$` tries every way to divide a text, and thirty letters are enough for minutes. Python's engine
looks for signals while it searches, so an alarm can end it; signals come to the main thread only, where the gateway
runs. Elsewhere searches are not limited.
"""

import re
import signal
import threading
from types import FrameType
from typing import NoReturn

LIMIT_S = 0.25


class TooSlow(Exception):
    """A search did not end in time. `pattern` is what was searched for."""

    def __init__(self, pattern: str) -> None:
        super().__init__(f"the pattern /{pattern}/ takes longer than {LIMIT_S:g} s")
        self.pattern = pattern


class _Alarm(Exception):
    pass


def _ring(number: int, frame: FrameType | None) -> NoReturn:
    raise _Alarm


def search(regex: re.Pattern[str], text: str, limit_s: float = LIMIT_S) -> re.Match[str] | None:
    """`regex.search(text)`. Raises TooSlow."""
    if threading.current_thread() is not threading.main_thread():
        return regex.search(text)
    if signal.getsignal(signal.SIGALRM) is not _ring:
        signal.signal(signal.SIGALRM, _ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            return regex.search(text)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Alarm:
        raise TooSlow(regex.pattern) from None
