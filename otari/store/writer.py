"""The one writer of the database: a thread that takes operations in order and commits many of them at once.

A commit costs a flush of the disk whatever it holds, so all operations that came while the last one was
flushed share the next. Who waits learns of its result only after COMMIT. It knows transactions, not tables.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from otari.store.faults import of_the_store, unavailable

GROUP_MAX = 256
WAITING_MAX = 10_000
RETRY_FIRST_S = 0.05
RETRY_LAST_S = 5.0
# How long the members of a failed group are tried one by one before the rest is refused unseen: a locked
# database takes its whole busy timeout per member, and nobody may wait for 256 of those.
SINGLY_S = 5.0

log = logging.getLogger(__name__)

Op = Callable[[sqlite3.Connection], Any]


class Item(NamedTuple):
    """One operation in the queue.

    `keep`: it must land, if not now then later; such a one has no listener. `on_commit` runs in the loop.
    """

    op: Op
    future: "asyncio.Future[Any]"
    keep: bool
    on_commit: Callable[[Any], object] | None


class Writer:
    """Owns the writing connection from `start` to `stop`; its methods are for the event loop.

    `flushes` says whether commits wait for the disk, as the durability of the database asks.
    """

    flushes = True

    def __init__(self, conn: sqlite3.Connection, probe: Op) -> None:
        """`probe` is a small write: after a fault of the disk it is retried until it lands."""
        self._conn = conn
        self._probe = probe
        self._queue: deque[Item] = deque()
        self._sleep = threading.Lock()  # held while there is nothing to do; released to wake the thread
        self._sleep.acquire()
        self._nudging = False
        self._waiting: deque[Op] = deque()
        self._group: list[Item] = []  # what is being run now
        self._pause_s = RETRY_FIRST_S
        self._retry_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = True
        self._thread = threading.Thread(target=self._run, name="otari-writer", daemon=True)
        self.commits = 0
        self.ops = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """False while something that must be written can not be, and after the end."""
        return self._open and not self._waiting and self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many operations wait in memory for the disk."""
        return len(self._waiting)

    def submit(self, op: Op, keep: bool, on_commit: Callable[[Any], object] | None) -> "asyncio.Future[Any]":
        """Queue an operation; it runs even if the future is cancelled."""
        future = self._future()
        if self._open:
            self._queue.append(Item(op, future, keep, on_commit))
            self._nudge_soon()
        else:
            future.set_exception(unavailable())
        return future

    def land(self) -> None:
        """Called before a read: what has been told as written must be found by it. Here it has landed before."""

    def _future(self) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None:
                raise RuntimeError("a database belongs to the event loop that used it first")
            self._loop = loop
        return loop.create_future()

    def _nudge_soon(self) -> None:
        if not self._nudging and self._loop is not None:  # one for all of this turn of the loop: waking is dear
            self._nudging = True
            self._loop.call_soon(self._nudge)

    def _nudge(self) -> None:
        self._nudging = False
        with contextlib.suppress(RuntimeError):  # it has been woken and has not looked yet
            self._sleep.release()

    def stop(self) -> None:
        """Take nothing more; the thread ends when all that was queued is done. The connection stays open."""
        if self._open:
            self._open = False
            self._nudge()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; False when it has not. Blocks: not for the event loop."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # ---- everything below runs in the writer's thread ----

    def _run(self) -> None:
        try:
            while self._turn():
                pass
            if self._waiting:
                self._retry()
        except BaseException:
            self._open = False
            log.critical("the writer of the ledger has ended: nothing can be admitted any more", exc_info=True)
            self._deliver([(item, None, unavailable()) for item in self._group])
        finally:
            self._open = False
            self._refuse_rest()
        if self._waiting:
            # Their rows are open on disk: the next start recovers them, so they are charged and not
            # forgotten.
            log.critical("%d operations could not be written before the end", len(self._waiting))

    def _turn(self) -> bool:
        """Wait for operations and run one group of them. False when told to stop and nothing is left."""
        queue = self._queue
        if not queue and self._open:
            self._sleep.acquire(timeout=self._patience())
        group = self._group = []
        while queue and len(group) < GROUP_MAX:
            group.append(queue.popleft())
        landed = self._run_group(group) if group else False
        if self._waiting and (landed or time.monotonic() >= self._retry_at):
            self._retry()
        return bool(queue) or self._open

    def _patience(self) -> float:
        """How long to sleep at most; -1 = until woken."""
        return max(0.0, self._retry_at - time.monotonic()) if self._waiting else -1

    def _run_group(self, group: list[Item]) -> bool:
        """Run a group in one transaction, or each member alone if that fails. True when it landed whole."""
        try:
            values = self._transact([item.op for item in group])
        except Exception as error:
            if len(group) == 1:
                self._deliver([(group[0], None, self._failed(group[0], error))])
            else:
                self._run_singly(group)
            return False
        self._tell(resolve, group, values)
        return True

    def _run_singly(self, group: list[Item]) -> None:
        """Only the guilty member of a failed group shall fail."""
        deadline = time.monotonic() + SINGLY_S
        outcomes: list[tuple[Item, Any, BaseException | None]] = []
        fault: Exception | None = None
        for item in group:
            if fault is not None and time.monotonic() > deadline:
                outcomes.append((item, None, self._failed(item, fault)))
                continue
            try:
                outcomes.append((item, self._transact([item.op])[0], None))
            except Exception as error:
                fault = error if of_the_store(error) else fault
                outcomes.append((item, None, self._failed(item, error)))
        self._deliver(outcomes)

    def _transact(self, ops: list[Op]) -> list[Any]:
        """Run `ops` between BEGIN and COMMIT; nothing of them stays when anything fails."""
        conn = self._conn
        try:
            conn.execute("BEGIN IMMEDIATE")
            values = [op(conn) for op in ops]
            conn.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self.commits += 1
        self.ops += len(ops)
        return values

    def _roll_back(self) -> None:
        # SQLite ends the transaction by itself after some faults of the disk.
        if self._conn.in_transaction:
            try:
                self._conn.execute("ROLLBACK")
            except sqlite3.Error:
                log.exception("a transaction of the ledger could not be rolled back")

    def _failed(self, item: Item, error: Exception) -> BaseException | None:
        """What the one who waits is told; None when the operation is kept in memory and will land later."""
        if not of_the_store(error):
            return error
        if item.keep and len(self._waiting) < WAITING_MAX:
            self._park(item.op, error)
            return None
        if item.keep:
            log.critical("more than %d operations wait for the disk: one is left to recovery", WAITING_MAX)
        elif not self._waiting:
            self._park(self._probe, error)
        return unavailable(error)

    def _park(self, op: Op, error: Exception) -> None:
        if not self._waiting:
            log.error("the ledger can not be written: %s; retrying until it can", error)
            self._retry_at = time.monotonic() + self._pause_s
        self._waiting.append(op)

    def _retry(self) -> None:
        """Write what waits, in its order, until all is written or the disk fails again."""
        while self._waiting:
            batch = [self._waiting[i] for i in range(min(len(self._waiting), GROUP_MAX))]
            try:
                self._transact(batch)
            except Exception as error:
                if of_the_store(error):
                    self._pause_s = min(self._pause_s * 2, RETRY_LAST_S)
                    self._retry_at = time.monotonic() + self._pause_s
                    return
                self._retry_singly(len(batch))
            else:
                for _ in batch:
                    self._waiting.popleft()
        self._pause_s = RETRY_FIRST_S
        log.warning("the ledger can be written again; everything that waited is on disk")

    def _retry_singly(self, count: int) -> None:
        """One of the first `count` that wait is broken in itself: take it out, so that the others land."""
        for _ in range(count):
            try:
                self._transact([self._waiting[0]])
            except Exception as error:
                if of_the_store(error):
                    return
                log.critical("an operation of the ledger is refused for good", exc_info=error)
            self._waiting.popleft()

    def _refuse_rest(self) -> None:
        """After the end of the thread nothing in the queue may be waited for in vain."""
        while self._queue:
            self._deliver([(self._queue.popleft(), None, unavailable())])

    def _deliver(self, outcomes: list[tuple[Item, Any, BaseException | None]]) -> None:
        self._tell(resolve_each, outcomes)

    def _tell(self, hear: Callable[..., None], *facts: Any) -> None:
        """One call into the loop for a whole group: waking the loop costs more than a result."""
        loop = self._loop
        assert loop is not None  # operations only come through `submit`
        try:
            loop.call_soon_threadsafe(hear, *facts)
        except RuntimeError:
            log.warning("results of the ledger came after the end of the event loop")


def resolve(group: list[Item], values: list[Any]) -> None:
    """In the loop: a group that landed whole."""
    for (_, future, _, on_commit), value in zip(group, values, strict=True):
        if on_commit is not None:
            _hear(on_commit, value)
        if not future.done():
            future.set_result(value)


def resolve_each(outcomes: list[tuple[Item, Any, BaseException | None]]) -> None:
    """In the loop: results and errors of single operations."""
    for item, value, error in outcomes:
        if error is None and item.on_commit is not None:
            _hear(item.on_commit, value)
        if item.future.done():
            continue
        if error is None:
            item.future.set_result(value)
        else:
            item.future.set_exception(error)


def _hear(on_commit: Callable[[Any], object], value: Any) -> None:
    """Run a listener; its own fault must not keep others from their results."""
    try:
        on_commit(value)
    except Exception:
        log.exception("a listener of a committed write failed")
