"""Opening, reading, writing and closing the database: one writer with group commit, one reader, one process.

The only file (with `schema.py`, `writer.py` and `faults.py` beside it) that knows it is SQLite. Exceptions
of SQLite that tell of the disk become `OtariError(UNAVAILABLE, code="ledger_unavailable")` here.
"""

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import NoneType
from typing import Literal, TypeVar, cast

from otari.store import schema
from otari.store.faults import StoreError, StoreInUse, of_the_store, unavailable
from otari.store.writer import Writer

T = TypeVar("T")
Durability = Literal["full", "normal"]

CLOSE_S = 10.0
# Statements are few and all of them hot: the cache shall hold every one.
_CACHED_STATEMENTS = 256

# sqlite3 asks every value that is not exactly a number or a text how it wants to be written, twice and in vain, which
# costs more than writing it. Values of these types are many on the hot path, and now have their answer ready.
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(NoneType, lambda nothing: nothing)

log = logging.getLogger(__name__)


class Database:
    """An open database. Opened blocking at start; used and closed in one event loop."""

    def __init__(
        self, path: str, lock: int, conn: sqlite3.Connection, now_ms: Callable[[], int], writer: type[Writer] = Writer
    ) -> None:
        """For `open`, which has made sure that `conn` is ours alone and up to date."""
        self.path = path
        self._lock = lock
        self._conn = conn
        self._now_ms = now_ms
        self._writer = writer(conn, self._note_fault)
        # A whole read runs as one function in one thread. With aiosqlite every execute and fetch is a hop of
        # its own between threads: ten times the cost for a read of three calls, and no snapshot that spans
        # them.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="otari-reader")
        self._read_conn: sqlite3.Connection | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        durability: Durability = "full",
        now_ms: Callable[[], int],
        writer: type[Writer] = Writer,
    ) -> "Database":
        """Open or create the database, take it for this process alone and bring its schema up to date.
        Blocks.

        `durability`: "full" survives a power cut, "normal" may lose the last commits in one (never in a
        crash of the process). `now_ms` is the clock, in epoch milliseconds. `writer` says where it writes, and whether
        a commit waits for the disk at all. Raises StoreError with one line for the operator.
        """
        name = str(path)
        lock = _take(name)
        conn: sqlite3.Connection | None = None
        try:
            _make_private(name)
            conn = sqlite3.connect(
                name, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
            )
            schema.prepare(conn, name, durability if writer.flushes else "none", now_ms)
            opened = cls(name, lock, conn, now_ms, writer)
            opened._writer.start()
        except BaseException as error:
            if conn is not None:
                conn.close()
            os.close(lock)
            if isinstance(error, OSError | sqlite3.Error):
                raise StoreError(f"The database {name} can not be opened ({error})") from error
            raise
        return opened

    # ---- writing ----

    def write(
        self, op: Callable[[sqlite3.Connection], T], *, on_commit: Callable[[T], object] | None = None
    ) -> "asyncio.Future[T]":
        """Queue `op`; the future has its result after COMMIT.

        The operation is queued when this returns: cancelling the future does not take it back. Operations
        run in the order of their calls, and a failing one fails alone. `op` may run twice (when a neighbour
        fails), so it must change nothing but the database. `on_commit` hears the result in the event loop
        before the future does, even when nobody waits any more. The future raises what `op` raised, or
        OtariError(UNAVAILABLE).
        """
        return cast("asyncio.Future[T]", self._writer.submit(op, False, on_commit))

    def write_until_kept(self, op: Callable[[sqlite3.Connection], None]) -> "asyncio.Future[None]":
        """Like `write`, for what must not be lost: when the disk fails, `op` waits in memory and is tried
        again.

        The future is done when `op` is on disk, or when it waits (`healthy` is False as long as it does):
        nobody who has an answer to give is held up by a full disk.
        """
        return self._writer.submit(op, True, None)

    @property
    def healthy(self) -> bool:
        """False while something that must be written can not be, and after `close`."""
        return self._writer.healthy

    @property
    def waiting(self) -> int:
        """How many operations wait in memory for the disk."""
        return self._writer.waiting

    @property
    def commits(self) -> int:
        """Commits so far."""
        return self._writer.commits

    @property
    def ops(self) -> int:
        """Operations that were committed so far; `ops / commits` is what group commit gains."""
        return self._writer.ops

    def _note_fault(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "INSERT INTO settings (name, value) VALUES ('last_disk_fault_at_ms', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(self._now_ms()),),
        )

    # ---- reading ----

    async def read(self, op: Callable[[sqlite3.Connection], T]) -> T:
        """Run `op` on one snapshot of what is committed. It can not write, and must not keep rows for later.

        Raises what `op` raises, or OtariError(UNAVAILABLE).
        """
        if self._closed:
            raise unavailable()
        self._writer.land()
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, op)

    def _read(self, op: Callable[[sqlite3.Connection], T]) -> T:
        try:
            conn = self._read_conn
            if conn is None:
                conn = self._read_conn = _connect_reader(self.path)
            conn.execute("BEGIN")
            try:
                return op(conn)
            finally:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
        except sqlite3.Error as error:
            if of_the_store(error):
                raise unavailable(error) from error
            raise

    # ---- the end ----

    async def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Write what is queued, fold the log into the database, give the file free. Safe to call twice.

        False when that took longer than `timeout_s`: what was not written is recovered by the next start.
        """
        if self._closed:
            return True
        self._closed = True
        self._writer.stop()
        loop = asyncio.get_running_loop()
        if self._read_conn is not None:
            self._read_conn.interrupt()
        ended = await loop.run_in_executor(self._reader, self._shut, timeout_s)
        self._reader.shutdown(wait=False)
        return ended

    def _shut(self, timeout_s: float) -> bool:
        """In the reader's thread, as its last task."""
        if self._read_conn is not None:
            self._read_conn.close()
        if not self._writer.join(timeout_s):
            log.critical("the ledger did not come to rest in %.1f s; the next start recovers it", timeout_s)
            self._conn.interrupt()
            return False  # the lock stays ours until the process ends: the thread may still write
        try:
            self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            log.warning("the write-ahead log stays beside the database: %s", error)
        self._conn.close()
        os.close(self._lock)
        return True


def _connect_reader(path: str) -> sqlite3.Connection:
    conn = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    schema.set_common_pragmas(conn)
    conn.execute("PRAGMA query_only = ON")
    return conn


def _take(path: str) -> int:
    """Lock `<path>.lock` for this process, its id inside. The kernel frees the lock when we die."""
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise StoreError(f"The folder of the database {path} does not exist: create it first")
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"The database {path} can not be locked ({error.strerror}): check permissions") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        pid = os.pread(lock, 20, 0).strip()
        os.close(lock)
        raise StoreInUse(path, int(pid) if pid.isdigit() else None) from None
    except OSError as error:
        os.close(lock)
        raise StoreError(f"The database {path} can not be locked ({error.strerror})") from error
    return lock


def _make_private(path: str) -> None:
    """The file is for its owner only, from its first byte; SQLite gives its log files the same mode."""
    if os.path.isdir(path):
        raise StoreError(f"The database {path} is a folder: name a file")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(fd).st_mode & 0o077:
            os.fchmod(fd, 0o600)
    finally:
        # Safe for SQLite's own locks: no connection of this process has the file open yet.
        os.close(fd)
