"""The writer of a database whose disk nobody waits for: it writes in the event loop itself.

For ledgers that are thrown away at the end of a run. Handing every operation to a thread and its result back costs more
than such a write, and a run of tests asks one thing after the other. Operations of one turn of the loop share a commit.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

from otari.store.writer import Writer


class NearWriter(Writer):
    """See `Writer`; everything happens in the loop, and no commit waits for the disk."""

    flushes = False

    def start(self) -> None:
        """Nothing has to be started."""

    @property
    def healthy(self) -> bool:
        """False while something that must be written can not be, and after the end."""
        return self._open and not self._waiting

    def stop(self) -> None:
        """Take nothing more, and write what was queued."""
        if self._open:
            self._open = False
            self._nudge()
            if self._waiting:
                self._retry()

    def join(self, timeout_s: float) -> bool:
        """There is nothing to wait for."""
        return True

    def _nudge(self) -> None:
        self._nudging = False
        with contextlib.suppress(sqlite3.ProgrammingError):  # a nudge after the end: the connection is closed
            while self._queue:
                self._turn()

    def _tell(self, hear: Callable[..., None], *facts: Any) -> None:
        hear(*facts)
