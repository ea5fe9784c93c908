"""What can be wrong with the store: at start, and which errors of SQLite tell of the disk."""

import sqlite3

from otari.domain.errors import Kind, OtariError


class StoreError(Exception):
    """The store can not be opened. The message is one line for the operator and says what to do."""


class StoreInUse(StoreError):
    """Another process holds the database. `pid` is its process id; None when it did not write one."""

    def __init__(self, path: str, pid: int | None) -> None:
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"The database {path} is in use by {owner}: stop it, or choose another file with `database_url`"
        )
        self.pid = pid


# Primary result codes that tell of the disk, the file or memory: the same statement may well succeed later.
_OF_THE_STORE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,  # by our own close
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


def of_the_store(error: BaseException) -> bool:
    """True for a fault of disk, file or lock; False for a fault of one statement or of our own code."""
    # Extended codes (SQLITE_IOERR_FSYNC, …) carry the primary code in their low byte.
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_STORE


def unavailable(error: BaseException | None = None) -> OtariError:
    """503: nothing can be written down now, so nothing that costs money is started."""
    return OtariError(
        Kind.UNAVAILABLE,
        "The ledger can not be written at the moment, please retry",
        code="ledger_unavailable",
        retry_after=1.0,
        detail=None if error is None else f"{type(error).__name__}: {error}",
    )
