"""What the tests of the store stand on: a clock that is set by hand, databases, rows to hold and to settle."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from otari.store import schema
from otari.store.db import Database, Durability
from otari.store.ledger import Hold, Settlement
from otari.store.writer import Writer
from tests.store.unflushed import UnflushedWriter

T = TypeVar("T")
NOON = 1_700_000_000_000
RATES = '{"input":1000,"output":1000}'


class Clock:
    """Epoch milliseconds that move only when told."""

    def __init__(self, now_ms: int = NOON) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def opened(folder: Path, *, durability: Durability | None = None, clock: Callable[[], int] | None = None) -> Database:
    """The database of a test, in its folder; it waits for the disk where a durability is asked for."""
    writer = UnflushedWriter if durability is None else Writer
    return Database.open(folder / "otari.db", durability=durability or "full", now_ms=clock or Clock(), writer=writer)


def in_loop(folder: Path, scene: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    """Run `scene` with an open database, and close that whatever happens."""

    async def run() -> T:
        db = opened(folder)
        try:
            return await scene(db)
        finally:
            await db.close()

    return asyncio.run(run())


def in_memory() -> sqlite3.Connection:
    """A connection with the whole schema, for functions that only need a transaction."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("PRAGMA foreign_keys = ON")
    schema.migrate(conn, ":memory:", schema.shipped(), lambda: NOON)
    return conn


class Gate:
    """An operation that holds the writer up, so that what is queued behind it is one group."""

    def __init__(self, db: Database) -> None:
        self._go_on = threading.Event()
        self.done = db.write(lambda _: self._go_on.wait(10))

    def open(self) -> None:
        self._go_on.set()


def fault(code: int = sqlite3.SQLITE_IOERR) -> sqlite3.OperationalError:
    """What SQLite raises when the disk fails."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


def hold_row(request_id: str, user_id: str = "alice", hold_nano: int = 100, **facts: Any) -> Hold:
    """A row to be held."""
    row = Hold(
        id=request_id,
        user_id=user_id,
        key_id=None,
        key_name=None,
        endpoint="/v1/chat/completions",
        selector="stub:small",
        provider="stub",
        model="small",
        stream=False,
        hold_nano=hold_nano,
        hold_prompt_nano=hold_nano // 4,
        hold_estimated=False,
        counts_toward_budget=True,
        counts_toward_key=False,
        rates=RATES,
        price_source="config",
        created_at_ms=NOON,
    )
    return row._replace(**facts)


def end(cost_nano: int | None = 60, **facts: Any) -> Settlement:
    """The end of a row."""
    row = Settlement(
        state="settled",
        status="success",
        provider="stub",
        model="small",
        http_status=200,
        over_hold=False,
        input_tokens=40,
        output_tokens=20,
        cache_read_tokens=None,
        cache_write_tokens=None,
        cache_write_1h_tokens=None,
        reasoning_tokens=None,
        quantity=None,
        cost_nano=cost_nano,
        rates=RATES,
        price_source="config",
        usage_source="provider",
        flags="",
        error=None,
        attempt_position=1,
        settled_at_ms=NOON + 1_000,
        first_byte_ms=100,
        total_ms=1_000,
    )
    return row._replace(**facts)


def released(**facts: Any) -> Settlement:
    """The end of a row for which no provider worked."""
    return end(0, state="released", status="error", http_status=502, **facts)


def money(conn: sqlite3.Connection, user_id: str = "alice") -> tuple[int, int]:
    """What a user has spent, and what is reserved."""
    row = conn.execute("SELECT spend_nano, reserved_nano FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0]), int(row[1])


def key_money(conn: sqlite3.Connection, key_id: str) -> tuple[int, int]:
    """What was spent with a key that has a budget of its own, and what is reserved."""
    row = conn.execute("SELECT spend_nano, reserved_nano FROM keys WHERE key_id = ?", (key_id,)).fetchone()
    return int(row[0]), int(row[1])


_BOOKS = """
SELECT user_id, spend_nano, reserved_nano,
    (SELECT coalesce(sum(cost_nano), 0) FROM usage u WHERE u.user_id = users.user_id AND counts_toward_budget = 1),
    (SELECT coalesce(sum(previous_spend_nano), 0) FROM budget_resets r
     WHERE r.user_id = users.user_id AND r.key_id IS NULL),
    (SELECT coalesce(sum(hold_nano), 0) FROM usage u
     WHERE u.user_id = users.user_id AND state = 'open' AND counts_toward_budget = 1)
FROM users
UNION ALL
SELECT key_id, spend_nano, reserved_nano,
    (SELECT coalesce(sum(cost_nano), 0) FROM usage u WHERE u.key_id = keys.key_id AND counts_toward_key = 1),
    (SELECT coalesce(sum(previous_spend_nano), 0) FROM budget_resets r WHERE r.key_id = keys.key_id),
    (SELECT coalesce(sum(hold_nano), 0) FROM usage u
     WHERE u.key_id = keys.key_id AND state = 'open' AND counts_toward_key = 1)
FROM keys
"""


def assert_books_agree(conn: sqlite3.Connection) -> None:
    """Every account, of users and of keys, is the sum of its rows: charges since the last reset, and open holds."""
    for name, spend, reserved, charged, before, held in conn.execute(_BOOKS).fetchall():
        assert spend + before == charged, name
        assert reserved == held, name
