"""How a batch comes along: a bar that grows on a terminal, a line for every change elsewhere."""

import sys
import time
from collections.abc import Callable

import orjson

from otari.command.chart import whole_bar
from otari.command.screen import Screen, cells, harmless
from otari.command.show import Record

_BAR_CELLS = 30
_CLEAR = "\r\x1b[K"


class Progress:
    """Shows one batch again and again. In a pipe: state, requests, answered, failed, parted by tabs."""

    def __init__(self, screen: Screen, *, as_json: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds and never goes back."""
        self._screen = screen
        self._as_json = as_json
        self._clock = clock
        self._last = ""
        self._first: tuple[float, int] | None = None  # when the lines were first seen, and how many were done then

    def show(self, batch: Record) -> None:
        """How it stands now; in a pipe nothing, when that is nothing new."""
        if self._as_json:
            self._tell(orjson.dumps(batch).decode())
        elif self._screen.terminal:
            sys.stdout.write(_CLEAR + self._line(batch))
            sys.stdout.flush()
        else:
            counts = batch["request_counts"]
            facts = (batch["status"], counts["total"], counts["completed"], counts["failed"])
            self._tell("\t".join(str(fact) for fact in facts))

    def end(self) -> None:
        """That was the last of it."""
        if self._screen.terminal and not self._as_json:
            sys.stdout.write("\n")

    def _tell(self, line: str) -> None:
        if line != self._last:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            self._last = line

    def _line(self, batch: Record) -> str:
        screen, counts = self._screen, batch["request_counts"]
        total, failed = counts["total"], counts["failed"]
        done = counts["completed"] + failed
        words = [harmless(batch["status"])]
        if total:
            words.append(f"{done:,} of {total:,} ({100 * done // total} %)")
            if failed:
                words.append(f"{failed:,} failed")
            if left := self._left(batch["status"], done, total):
                words.append(left)
        text = "  ".join(words)
        room = min(_BAR_CELLS, screen.width - cells(text) - 3)
        if not total or room < 4:
            return text[: screen.width - 1]
        return f"{whole_bar(done, total, room, screen)}  {text}"

    def _left(self, status: str, done: int, total: int) -> str:
        """How long it will take if it goes on as it went; nothing when nobody can know."""
        if status != "in_progress":
            return ""
        now = self._clock()
        if self._first is None:
            self._first = now, done
        began, before = self._first
        if done <= before:
            return ""
        left_s = round((total - done) * (now - began) / (done - before))
        hours, minutes = divmod(left_s // 60, 60)
        return f"{hours}:{minutes:02}:{left_s % 60:02} left" if hours else f"{minutes}:{left_s % 60:02} left"
