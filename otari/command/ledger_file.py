"""The ledger's file itself: read beside a running gateway without its lock, written only while no gateway holds it."""

import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from otari.command.trouble import EXIT_LEDGER, Trouble
from otari.store import schema

T = TypeVar("T")
_BUSY_MS = 5_000


def read_ledger(path: str, op: Callable[[sqlite3.Connection], T]) -> T:
    """Run `op` on one snapshot of the ledger; nothing can be written. Raises Trouble when the file is not usable."""
    _check_there(path)
    conn: sqlite3.Connection | None = None
    try:
        conn = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        conn.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        conn.execute("PRAGMA trusted_schema = OFF")
        conn.execute("PRAGMA query_only = ON")
        _check_ours(conn, path)
        conn.execute("BEGIN")
        return op(conn)
    except sqlite3.Error as error:
        raise Trouble(f"the ledger {path} can not be read ({error})", EXIT_LEDGER) from error
    finally:
        if conn is not None:
            conn.close()


def write_ledger(path: str, durability: Any, now_ms: int, op: Callable[[Any], Awaitable[T]]) -> T:
    """Take the ledger for this process and run `op` with the open `Database`.

    Raises Trouble when there is no such file, StoreInUse when a gateway has it, StoreError when it can not be used.
    """
    _check_there(path)
    # Only writing needs the writer's thread and its event loop: reading stays quick.
    import asyncio

    from otari.store.db import Database

    async def run() -> T:
        db = Database.open(path, durability=durability, now_ms=lambda: now_ms)
        try:
            return await op(db)
        finally:
            await db.close()

    return asyncio.run(run())


def _check_there(path: str) -> None:
    # A new ledger is made by the gateway alone: a command with the wrong folder must not leave an empty one behind.
    if not os.path.exists(path):
        hint = "name its configuration with --config, or its gateway with --url"
        raise Trouble(f"there is no ledger at {path}: {hint}", EXIT_LEDGER)


def _check_ours(conn: sqlite3.Connection, path: str) -> None:
    """It is a ledger, with the schema that this program knows."""
    if conn.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise Trouble(f"the file {path} is no ledger of Otari", EXIT_LEDGER)
    version, known = conn.execute("PRAGMA user_version").fetchone()[0], len(schema.shipped())
    if version != known:
        hint = "start the gateway once to bring it up to date" if version < known else "use that release"
        raise Trouble(f"the ledger {path} was written by another release (version {version}): {hint}", EXIT_LEDGER)
