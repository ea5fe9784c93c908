"""Files that users sent: whose they are, what they are called, how large they are. Their bytes are in `blobs.py`.

Functions on a connection inside a transaction; times in epoch milliseconds. Every statement that serves a caller names
the owner, so that a file of somebody else is no file.
"""

import re
import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.files import StoredFile

SWEPT_AT_ONCE = 100
_FILE_ID = re.compile(r"file-[0-9a-f]{32}")


class FileLimits(NamedTuple):
    """What may be kept: bytes of one file, files and bytes of one user, and for how long (None: until deleted)."""

    file_bytes: int
    user_files: int
    user_bytes: int
    kept_ms: int | None = None


def is_file_id(text: str) -> bool:
    """Whether `text` could be the id of a file; nothing else ever reaches a path."""
    return _FILE_ID.fullmatch(text) is not None


def not_found() -> OtariError:
    """404, the same words whether there is no such file, it has expired, or it is somebody else's."""
    return OtariError(Kind.NOT_FOUND, "File not found", param="file_id")


# ---- coming ----

_STANDING = "SELECT blocked FROM users WHERE user_id = ?1 AND deleted_at_ms IS NULL"
_TAKEN = "SELECT count(*), coalesce(sum(bytes), 0) FROM files WHERE user_id = ?1"


def room(conn: sqlite3.Connection, user_id: str, limits: FileLimits) -> int:
    """How many bytes one more file of this user may have.

    Raises OtariError: NOT_FOUND (user), FORBIDDEN (blocked, too many files, or no room at all).
    """
    user = conn.execute(_STANDING, (user_id,)).fetchone()
    if user is None:
        raise OtariError(Kind.NOT_FOUND, f"User '{user_id}' not found", param="user", code="user_not_found")
    if user[0]:
        raise OtariError(Kind.FORBIDDEN, f"User '{user_id}' is blocked", code="user_blocked")
    count, taken = conn.execute(_TAKEN, (user_id,)).fetchone()
    if count >= limits.user_files:
        raise _full(f"{limits.user_files} files", "too_many_files")
    if taken >= limits.user_bytes:
        raise no_room(limits)
    return min(limits.file_bytes, limits.user_bytes - int(taken))


def no_room(limits: FileLimits) -> OtariError:
    """403: with this file the user would keep more bytes than allowed."""
    return _full(f"{limits.user_bytes} bytes of files", "too_many_bytes")


def _full(what: str, code: str) -> OtariError:
    return OtariError(Kind.FORBIDDEN, f"A user may keep {what} at most: delete some first", param="file", code=code)


_ADD = """
INSERT INTO files
    (file_id, user_id, filename, media_type, purpose, bytes, digest, created_at_ms, expires_at_ms, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'partial')
"""


def add_file(conn: sqlite3.Connection, file: StoredFile, limits: FileLimits) -> None:
    """Note a file whose bytes are about to be put in their place; `show_file` makes it visible. Raises like `room`."""
    if file.size_bytes > room(conn, file.user_id, limits):
        raise no_room(limits)
    note_file(conn, file)


def note_file(conn: sqlite3.Connection, file: StoredFile) -> None:
    """The same for a file that the gateway makes: no limit keeps a user from what was made for it."""
    conn.execute(_ADD, file)


_SHOW = "UPDATE files SET state = 'whole' WHERE file_id = ?1"


def show_file(conn: sqlite3.Connection, file_id: str) -> None:
    """The bytes are on disk: from now on its owner sees the file."""
    conn.execute(_SHOW, (file_id,))


# ---- finding ----

_COLUMNS = """
SELECT file_id, user_id, filename, media_type, purpose, bytes, digest, created_at_ms, expires_at_ms FROM files
"""
_SEEN = " WHERE user_id = ?1 AND state = 'whole' AND (expires_at_ms IS NULL OR expires_at_ms > ?2)"
_FIND = _COLUMNS + _SEEN + " AND file_id = ?3"


def get_file(conn: sqlite3.Connection, user_id: str, file_id: str, now_ms: int) -> StoredFile:
    """A file of this user. Raises OtariError(NOT_FOUND)."""
    row = conn.execute(_FIND, (user_id, now_ms, file_id)).fetchone() if is_file_id(file_id) else None
    if row is None:
        raise not_found()
    return StoredFile(*row)


_AMONG = _SEEN + " AND (?3 IS NULL OR purpose = ?3) AND (?4 IS NULL OR file_id > ?4) AND (?5 IS NULL OR file_id < ?5)"
_OLDEST_FIRST = _COLUMNS + _AMONG + " ORDER BY file_id LIMIT ?6"
_NEWEST_FIRST = _COLUMNS + _AMONG + " ORDER BY file_id DESC LIMIT ?6"


class Listing(NamedTuple):
    """Which files of a list: of one purpose (None: of any), behind one id and before another, so many at most.

    The ids need not be those of files that are still there: a client may delete what it has seen while it goes on.
    """

    limit: int
    purpose: str | None = None
    later_than: str | None = None
    earlier_than: str | None = None
    oldest_first: bool = False


def list_files(conn: sqlite3.Connection, user_id: str, which: Listing, now_ms: int) -> tuple[list[StoredFile], bool]:
    """A page of the files of this user, and whether there are more behind it.

    Raises OtariError: NOT_FOUND (user), INVALID for a place that is no id of a file.
    """
    if conn.execute(_STANDING, (user_id,)).fetchone() is None:
        raise OtariError(Kind.NOT_FOUND, f"User '{user_id}' not found", param="user", code="user_not_found")
    for place in (which.later_than, which.earlier_than):
        if place is not None and not is_file_id(place):
            raise invalid("A list goes on behind the id of a file", "after")
    sql = _OLDEST_FIRST if which.oldest_first else _NEWEST_FIRST
    wanted = (user_id, now_ms, which.purpose, which.later_than, which.earlier_than, which.limit + 1)
    found = [StoredFile(*row) for row in conn.execute(sql, wanted)]
    return found[: which.limit], len(found) > which.limit


# ---- going ----

_HIDE = """
UPDATE files SET state = 'partial'
WHERE user_id = ?1 AND state = 'whole' AND (expires_at_ms IS NULL OR expires_at_ms > ?2) AND file_id = ?3
"""


def hide_file(conn: sqlite3.Connection, user_id: str, file_id: str, now_ms: int) -> None:
    """From now on nobody sees the file; `forget_files` follows its bytes. Raises OtariError(NOT_FOUND)."""
    if not is_file_id(file_id) or conn.execute(_HIDE, (user_id, now_ms, file_id)).rowcount != 1:
        raise not_found()


_HIDE_USELESS = """
UPDATE files SET state = 'partial' WHERE file_id IN (
    SELECT file_id FROM files
    WHERE state <> 'partial'
      AND (expires_at_ms <= ?1 OR user_id IN (SELECT user_id FROM users WHERE deleted_at_ms IS NOT NULL))
    LIMIT ?2)
RETURNING file_id
"""


def hide_useless(conn: sqlite3.Connection, now_ms: int) -> list[str]:
    """Hide some files that have expired or whose user was deleted; their ids."""
    return [row[0] for row in conn.execute(_HIDE_USELESS, (now_ms, SWEPT_AT_ONCE)).fetchall()]


_FORGET = "DELETE FROM files WHERE file_id = ?1 AND state = 'partial'"


def forget_files(conn: sqlite3.Connection, file_ids: Iterable[str]) -> None:
    """Their bytes are gone, or never came."""
    conn.executemany(_FORGET, [(file_id,) for file_id in file_ids])


# ---- after a stop ----

_PARTIAL = "SELECT file_id FROM files WHERE state = 'partial'"


def partial_files(conn: sqlite3.Connection) -> list[str]:
    """The ids of those that were coming or going when the last run ended."""
    return [row[0] for row in conn.execute(_PARTIAL)]


_INVENTORY = "SELECT file_id, bytes, state FROM files WHERE state <> 'partial'"
_MARK = "UPDATE files SET state = ?1 WHERE file_id = ?2 AND state <> 'partial'"


def mark_lost(conn: sqlite3.Connection, sizes: dict[str, int]) -> tuple[int, int]:
    """Hide files whose bytes are not there, show those whose bytes are there again; how many are lost, and found.

    `sizes` are the bytes of what lies in the folder, by id. Nothing is deleted: somebody may bring it back.
    """
    changes: list[tuple[str, str]] = []
    lost = 0
    rows: list[tuple[Any, ...]] = conn.execute(_INVENTORY).fetchall()
    for file_id, size_bytes, state in rows:
        now = "whole" if sizes.get(file_id) == size_bytes else "lost"
        lost += now == "lost"
        if now != state:
            changes.append((now, file_id))
    conn.executemany(_MARK, changes)
    return lost, sum(state == "whole" for state, _ in changes)
