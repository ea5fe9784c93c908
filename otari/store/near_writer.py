"""The writer of a database whose disk nobody waits for: it writes in the event loop, when it is asked to.

For ledgers that are thrown away at the end of a run. Handing every operation to a thread and its result back costs more
than such a write, and a run of tests asks one thing after the other. So the first operations of a turn of the loop are
done at once, and their results are told before their commit; whoever reads finds what was told. When many ask at a
time, the others of the turn are done together at its end: that takes less time than one here and one there.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from otari.store.faults import of_the_store
from otari.store.writer import Item, Op, Writer, resolve, resolve_each

AT_ONCE = 2  # of a turn of the loop: what one request needs


class NearWriter(Writer):
    """See `Writer`; everything happens in the loop, and no commit waits for the disk."""

    flushes = False

    def __init__(self, conn: sqlite3.Connection, probe: Op) -> None:
        """See `Writer`."""
        super().__init__(conn, probe)
        self._told: list[Op] = []  # those of the open transaction
        self._timer: asyncio.TimerHandle | None = None  # while something waits in memory

    def start(self) -> None:
        """Nothing has to be started."""

    @property
    def healthy(self) -> bool:
        """False while something that must be written can not be, and after the end."""
        return self._open and not self._waiting

    def submit(self, op: Op, keep: bool, on_commit: Callable[[Any], object] | None) -> "asyncio.Future[Any]":
        """Run an operation, or queue it when there are many; it runs even if the future is cancelled."""
        if not self._open or self._queue or len(self._told) >= AT_ONCE:
            return super().submit(op, keep, on_commit)
        future = self._future()
        self._run_at_once(Item(op, future, keep, on_commit))
        self._nudge_soon()
        return future

    def _run_at_once(self, item: Item) -> None:
        try:
            value = self._run_within(item.op)
        except Exception as error:
            resolve_each([(item, None, self._failed(item, error))])
        else:
            resolve([item], [value])

    def stop(self) -> None:
        """Take nothing more, and write what was told and what is queued."""
        if self._open:
            self._open = False
            self._run_all()
            if self._waiting:
                self._retry()

    def join(self, timeout_s: float) -> bool:
        """There is nothing to wait for."""
        return True

    def land(self) -> None:
        """Commit what was told. What can not be committed waits in memory, like everything that must be kept."""
        told, self._told = self._told, []
        if not told:
            return
        try:
            self._conn.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            self._park_all(told, error)
            if not of_the_store(error):  # one of them is broken in itself, and the others can land now
                self._retry()
        else:
            self.commits += 1
            self.ops += len(told)

    def _nudge(self) -> None:
        self._nudging = False
        commits = self.commits
        self._run_all()
        landed = self.commits > commits
        if self._open and self._waiting and (landed or time.monotonic() >= self._retry_at):
            self._retry()
        if self._open and self._waiting and self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(self._patience(), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._nudge()

    def _run_all(self) -> None:
        while self._queue:
            self._run_at_once(self._queue.popleft())
        self.land()

    def _run_within(self, op: Op) -> Any:
        """The result of an operation in the open transaction; one that fails takes only itself out of it."""
        if not self._told:
            self._conn.execute("BEGIN IMMEDIATE")
        try:
            value = op(self._conn)
        except BaseException:
            self._roll_back()
            self._tell_again()
            raise
        self._told.append(op)
        return value

    def _tell_again(self) -> None:
        """Their transaction is gone, and their results are told: run them once more."""
        told, self._told = self._told, []
        if not told:
            return
        try:
            self._transact(told)
        except Exception as error:
            self._park_all(told, error)

    def _park_all(self, ops: list[Op], error: Exception) -> None:
        for op in ops:
            self._park(op, error)
