"""Making a database ours: is it one of ours, is it whole, is its schema the one that this program knows.

Migrations are numbered SQL files, applied in order, each in its own transaction, and recorded by name. A
file is never edited after a release.
"""

import pkgutil
import sqlite3
import time
from collections.abc import Callable

from otari.store.faults import StoreError

APPLICATION_ID = 0x4F544152  # "OTAR"
# In order. They are named, since to find out what is in the folder takes longer than to read and apply all of them.
MIGRATIONS = (
    "0001_first_floor.sql",
    "0002_translation.sql",
    "0003_reports.sql",
    "0004_files.sql",
    "0005_batches.sql",
    "0006_output_lifetime.sql",
)
# STRICT tables came with 3.37; releases before 3.38 are not tested.
OLDEST_SQLITE = (3, 38, 0)
# A check reads every page; a start may not wait for that on a ledger of years.
CHECK_S = 1.0
_STEPS_BETWEEN_LOOKS = 10_000

SYNCHRONOUS = {"full": "FULL", "normal": "NORMAL", "none": "OFF"}


def prepare(conn: sqlite3.Connection, path: str, durability: str, now_ms: Callable[[], int]) -> None:
    """Check the database behind `conn`, set its pragmas and bring its schema up to date.

    Raises StoreError: not a database, another program's, damaged, read-only, or of a newer release.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(str(n) for n in OLDEST_SQLITE)
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: {needed} or newer is needed")
    try:
        _check_owner(conn, path)
        _check_whole(conn, path)
        _set_pragmas(conn, path, durability)
        migrate(conn, path, shipped(), now_ms)
    except sqlite3.Error as error:
        raise _told(error, path) from error


def _check_owner(conn: sqlite3.Connection, path: str) -> None:
    owner = conn.execute("PRAGMA application_id").fetchone()[0]
    empty = conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if owner == APPLICATION_ID or (owner == 0 and empty):
        return
    raise StoreError(f"The database {path} belongs to another program (application_id {owner}): choose another file")


def _check_whole(conn: sqlite3.Connection, path: str) -> None:
    deadline = time.monotonic() + CHECK_S
    conn.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        verdict = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        verdict = "ok"  # as far as the time allowed
    finally:
        conn.set_progress_handler(None, 0)
    if verdict != "ok":
        raise StoreError(f"The database {path} is damaged ({_line(verdict)}): restore it from a copy")


def _set_pragmas(conn: sqlite3.Connection, path: str, durability: str) -> None:
    if durability == "none":  # before the log is made: that waits for the disk, longer than all the rest takes
        conn.execute("PRAGMA synchronous = OFF")
    mode = conn.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"The database {path} can not use a write-ahead log: it needs a local disk")
    conn.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
    conn.execute("PRAGMA foreign_keys = ON")
    conn.execute("PRAGMA wal_autocheckpoint = 1000")
    conn.execute("PRAGMA journal_size_limit = 67108864")
    set_common_pragmas(conn)


def set_common_pragmas(conn: sqlite3.Connection) -> None:
    """What both the writing and the reading connection need."""
    conn.execute("PRAGMA busy_timeout = 5000")
    conn.execute("PRAGMA trusted_schema = OFF")
    conn.execute("PRAGMA cell_size_check = ON")
    conn.execute("PRAGMA temp_store = MEMORY")


def shipped() -> list[tuple[str, str]]:
    """The migrations of this release: file name and SQL, in order."""
    return [(name, _sql(name)) for name in MIGRATIONS]


def _sql(name: str) -> str:
    data = pkgutil.get_data("otari.store", f"migrations/{name}")
    assert data is not None, "the loader of otari.store gives no data"
    return data.decode()


def migrate(conn: sqlite3.Connection, path: str, files: list[tuple[str, str]], now_ms: Callable[[], int]) -> None:
    """Apply those of `files` that the database has not seen. Raises StoreError when it has seen others."""
    conn.execute(
        "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY NOT NULL, applied_at_ms INTEGER NOT NULL) STRICT"
    )
    seen = {row[0] for row in conn.execute("SELECT name FROM migrations")}
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    unknown = sorted(seen - {name for name, _ in files})
    if unknown or version > len(files):
        what = unknown[-1] if unknown else f"version {version}"
        raise StoreError(
            f"The database {path} was written by a newer release (it has {what}): use that release, or another file"
        )
    for number, (name, sql) in enumerate(files, 1):
        if name not in seen:
            _apply(conn, number, name, sql, now_ms())


def _apply(conn: sqlite3.Connection, number: int, name: str, sql: str, now_ms: int) -> None:
    # `executescript` would commit a transaction that was begun outside of it, so the script brings its own.
    quoted = name.replace("'", "''")
    script = (
        f"BEGIN IMMEDIATE;\n{sql}\n"
        f"INSERT INTO migrations (name, applied_at_ms) VALUES ('{quoted}', {int(now_ms)});\n"
        f"PRAGMA user_version = {number};\nPRAGMA application_id = {APPLICATION_ID};\nCOMMIT;"
    )
    try:
        conn.executescript(script)
    except sqlite3.Error:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def _told(error: sqlite3.Error, path: str) -> StoreError:
    """One clear line for what SQLite said."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"The file {path} is not a database: choose another file")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreError(f"The database {path} is damaged ({_line(error)}): restore it from a copy")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreError(f"The database {path} can not be written ({_line(error)}): check its permissions")
    return StoreError(f"The database {path} can not be opened ({_line(error)})")


def _line(text: object) -> str:
    return " ".join(str(text).split())
