"""Batches: their rows, and the results of those that have not ended. Their input is in `batch_shelf.py`.

Functions on a connection inside a transaction; times in epoch milliseconds. Every statement that serves a caller names
the owner, so that a batch of somebody else is no batch.
"""

import re
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from otari.domain.batch import Batch, Ending, Kept, LineProblem, LineResult, NewBatch, batch_not_found
from otari.domain.errors import Kind, OtariError, invalid
from otari.store.ledger import Settlement

OPEN_MAX = 100  # batches of one user that have not ended
WINDOW_MS = 24 * 3_600_000
_BATCH_ID = re.compile(r"batch_[0-9a-f]{32}")


def is_batch_id(text: str) -> bool:
    """Whether `text` could be the id of a batch; nothing else ever reaches a path."""
    return _BATCH_ID.fullmatch(text) is not None


# ---- coming ----

_STANDING = "SELECT blocked FROM users WHERE user_id = ?1 AND deleted_at_ms IS NULL"

_OPEN_OF_USER = """
SELECT count(*) FROM batches
WHERE user_id = ?1 AND state IN ('validating', 'in_progress', 'finalizing', 'cancelling')
"""

_ADD = """
INSERT INTO batches (
    batch_id, user_id, key_id, endpoint, selector, provider, input_file_id, metadata, completion_window, total,
    output_lifetime_s, state, created_at_ms, expires_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'validating', ?, ?)
"""


def check_room(conn: sqlite3.Connection, user_id: str) -> None:
    """Whether the user may begin another batch.

    Raises OtariError: NOT_FOUND (user), FORBIDDEN (blocked), RATE_LIMITED when too many have not ended.
    """
    user = conn.execute(_STANDING, (user_id,)).fetchone()
    if user is None:
        raise OtariError(Kind.NOT_FOUND, f"User '{user_id}' not found", param="user", code="user_not_found")
    if user[0]:
        raise OtariError(Kind.FORBIDDEN, f"User '{user_id}' is blocked", code="user_blocked")
    if conn.execute(_OPEN_OF_USER, (user_id,)).fetchone()[0] >= OPEN_MAX:
        told = f"A user may have {OPEN_MAX} batches that have not ended: wait for one, or cancel it"
        raise OtariError(Kind.RATE_LIMITED, told, code="too_many_batches", retry_after=60.0)


def add_batch(conn: sqlite3.Connection, batch_id: str, new: NewBatch, now_ms: int) -> Batch:
    """Note a batch whose input is on disk. Raises like `check_room`."""
    check_room(conn, new.user_id)
    conn.execute(_ADD, (batch_id, *new, now_ms, now_ms + WINDOW_MS))
    return _get(conn, batch_id)


# ---- finding ----

_COLUMNS = """
SELECT batch_id, user_id, key_id, endpoint, selector, provider, input_file_id, completion_window, metadata, state,
    ending, total, completed, failed, input_tokens, cache_read_tokens, output_tokens, reasoning_tokens, errors,
    output_file_id, error_file_id, created_at_ms, expires_at_ms, in_progress_at_ms, finalizing_at_ms, completed_at_ms,
    failed_at_ms, expired_at_ms, cancelling_at_ms, cancelled_at_ms, remote_state, remote_id, output_lifetime_s
FROM batches
"""
_ONE = _COLUMNS + " WHERE batch_id = ?1"
_ONE_OF_USER = _COLUMNS + " WHERE batch_id = ?1 AND user_id = ?2 AND (?3 IS NULL OR provider IN (?3, ''))"
_PAGE = _COLUMNS + (
    " WHERE user_id = ?1 AND (?2 IS NULL OR provider IN (?2, '')) AND (?3 IS NULL OR batch_id < ?3)"
    " ORDER BY batch_id DESC LIMIT ?4"
)
_UNFINISHED = _COLUMNS + (" WHERE state IN ('validating', 'in_progress', 'finalizing', 'cancelling') ORDER BY batch_id")


def _get(conn: sqlite3.Connection, batch_id: str) -> Batch:
    row = conn.execute(_ONE, (batch_id,)).fetchone()
    if row is None:
        raise batch_not_found(batch_id)
    return Batch(*row)


def get_batch(conn: sqlite3.Connection, batch_id: str) -> Batch:
    """A batch, for those who carry it out. Raises OtariError(NOT_FOUND)."""
    return _get(conn, batch_id)


def get_batch_of(conn: sqlite3.Connection, user_id: str, batch_id: str, provider: str | None = None) -> Batch:
    """A batch of this user (and of this provider, if one is named). Raises OtariError(NOT_FOUND)."""
    row = conn.execute(_ONE_OF_USER, (batch_id, user_id, provider)).fetchone()
    if row is None:
        raise batch_not_found(batch_id)
    return Batch(*row)


class BatchListing(NamedTuple):
    """Which batches of a list: so many at most, behind one id, of one provider."""

    limit: int
    after: str | None = None
    provider: str | None = None


def list_batches(conn: sqlite3.Connection, user_id: str, which: BatchListing) -> tuple[list[Batch], bool]:
    """A page of the batches of this user, newest first, and whether there are more behind it.

    Raises OtariError: NOT_FOUND (user), INVALID for a place that is no id of a batch.
    """
    if conn.execute(_STANDING, (user_id,)).fetchone() is None:
        raise OtariError(Kind.NOT_FOUND, f"User '{user_id}' not found", param="user", code="user_not_found")
    if which.after is not None and not is_batch_id(which.after):
        raise invalid("A list goes on behind the id of a batch", "after")
    wanted = (user_id, which.provider, which.after, which.limit + 1)
    found = [Batch(*row) for row in conn.execute(_PAGE, wanted)]
    return found[: which.limit], len(found) > which.limit


def unfinished(conn: sqlite3.Connection) -> list[Batch]:
    """Every batch that has not ended, oldest first."""
    return [Batch(*row) for row in conn.execute(_UNFINISHED)]


# ---- on its way ----

_BEGIN = """
UPDATE batches SET state = 'in_progress', selector = ?2, provider = ?3, total = ?4, in_progress_at_ms = ?5
WHERE batch_id = ?1 AND state = 'validating'
"""


def begin_batch(conn: sqlite3.Connection, batch_id: str, selector: str, provider: str, total: int, now_ms: int) -> bool:
    """Its lines are fine: it is in progress. False when it is not being validated any more."""
    return conn.execute(_BEGIN, (batch_id, selector, provider, total, now_ms)).rowcount == 1


_REFUSE = """
UPDATE batches SET state = 'failed', errors = ?2, failed_at_ms = ?3
WHERE batch_id = ?1 AND state IN ('validating', 'in_progress')
"""


def refuse_batch(conn: sqlite3.Connection, batch_id: str, problems: Sequence[LineProblem], now_ms: int) -> bool:
    """It failed as a whole, before any line was carried out. False when it has been cancelled."""
    return conn.execute(_REFUSE, (batch_id, _told(problems), now_ms)).rowcount == 1


def _told(problems: Sequence[LineProblem]) -> str:
    return orjson.dumps([problem._asdict() for problem in problems]).decode()


_CANCEL = """
UPDATE batches SET state = 'cancelling', cancelling_at_ms = ?3
WHERE batch_id = ?1 AND user_id = ?2 AND state IN ('validating', 'in_progress')
"""


def cancel_batch(
    conn: sqlite3.Connection, user_id: str, batch_id: str, provider: str | None, now_ms: int
) -> tuple[Batch, bool]:
    """Ask for its end; the batch, and whether that was news. Raises OtariError: NOT_FOUND, CONFLICT when it has ended
    or is about to.
    """
    batch = get_batch_of(conn, user_id, batch_id, provider)
    if batch.state in ("cancelling", "cancelled"):
        return batch, False
    if conn.execute(_CANCEL, (batch_id, user_id, now_ms)).rowcount != 1:
        told = f"Batch '{batch_id}' can not be cancelled any more (status: {batch.state})"
        raise OtariError(Kind.CONFLICT, told, param="batch_id", code="batch_not_cancellable")
    return get_batch_of(conn, user_id, batch_id), True


_CANCEL_ALL = """
UPDATE batches SET state = 'cancelling', cancelling_at_ms = ?2
WHERE user_id = ?1 AND state IN ('validating', 'in_progress')
RETURNING batch_id
"""


def cancel_batches_of(conn: sqlite3.Connection, user_id: str, now_ms: int) -> list[Batch]:
    """Ask for the end of every batch of a user who goes; those are they."""
    cancelled = [row[0] for row in conn.execute(_CANCEL_ALL, (user_id, now_ms)).fetchall()]
    return [_get(conn, batch_id) for batch_id in cancelled]


# ---- results ----

_KEEP = """
INSERT INTO batch_results (batch_id, line, custom_id, request_id, http_status, body, code, message)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (batch_id, line) DO NOTHING
"""

_COUNT = """
UPDATE batches SET completed = completed + ?2, failed = failed + ?3, input_tokens = input_tokens + ?4,
    cache_read_tokens = cache_read_tokens + ?5, output_tokens = output_tokens + ?6,
    reasoning_tokens = reasoning_tokens + ?7
WHERE batch_id = ?1
"""


def keep_result(conn: sqlite3.Connection, kept: Kept, end: Settlement | None = None) -> bool:
    """The result of a line, and what `end` says it used. False, and nothing changed, when it has one already."""
    batch_id, result = kept
    if conn.execute(_KEEP, (batch_id, *result)).rowcount != 1:
        return False
    told: tuple[int | None, ...] = (0, 0, 0, 0)
    if end is not None:
        told = (end.input_tokens, end.cache_read_tokens, end.output_tokens, end.reasoning_tokens)
    conn.execute(_COUNT, (batch_id, result.succeeded, not result.succeeded, *(number or 0 for number in told)))
    return True


_DONE = "SELECT line FROM batch_results WHERE batch_id = ?1"


def done_lines(conn: sqlite3.Connection, batch_id: str) -> set[int]:
    """The lines that have a result."""
    return {row[0] for row in conn.execute(_DONE, (batch_id,))}


_RESULTS = """
SELECT line, custom_id, request_id, http_status, body, code, message FROM batch_results
WHERE batch_id = ?1 AND line > ?2 ORDER BY line LIMIT ?3
"""


def results_behind(conn: sqlite3.Connection, batch_id: str, line: int, most: int) -> list[LineResult]:
    """The next results behind a line, in the order of the lines."""
    return [LineResult(*row) for row in conn.execute(_RESULTS, (batch_id, line, most))]


# ---- the end ----

_WIND_UP = """
UPDATE batches SET ending = ?2, finalizing_at_ms = ?3,
    state = CASE WHEN state = 'cancelling' THEN state ELSE 'finalizing' END, errors = ?4
WHERE batch_id = ?1 AND state IN ('validating', 'in_progress', 'finalizing', 'cancelling')
"""


def wind_up(
    conn: sqlite3.Connection, batch_id: str, ending: Ending, problems: Sequence[LineProblem], now_ms: int
) -> Batch:
    """No line will be carried out any more: its results can be written. Asked again, the first ending stands.

    A batch that was cancelled while its last line ran ends as cancelled all the same: its owner was told so.
    """
    batch = _get(conn, batch_id)
    if batch.ending is None:
        ending = "cancelled" if batch.state == "cancelling" else ending
        conn.execute(_WIND_UP, (batch_id, ending, now_ms, _told(problems)))
    return _get(conn, batch_id)


def has_owner(conn: sqlite3.Connection, user_id: str) -> bool:
    """Whether there is anybody who could have the files of a batch."""
    return conn.execute(_STANDING, (user_id,)).fetchone() is not None


_FINISH = """
UPDATE batches SET state = ending, output_file_id = ?2, error_file_id = ?3,
    failed = CASE WHEN ending = 'completed' THEN failed ELSE total - completed END,
    failed_at_ms = CASE WHEN ending = 'failed' THEN ?4 END,
    completed_at_ms = CASE WHEN ending = 'completed' THEN ?4 END,
    expired_at_ms = CASE WHEN ending = 'expired' THEN ?4 END,
    cancelled_at_ms = CASE WHEN ending = 'cancelled' THEN ?4 END
WHERE batch_id = ?1 AND state IN ('finalizing', 'cancelling') AND ending IS NOT NULL
"""


def finish_batch(
    conn: sqlite3.Connection, batch_id: str, output_file_id: str | None, error_file_id: str | None, now_ms: int
) -> bool:
    """It has ended: these are its files. What was not carried out counts as failed. False when it had ended before."""
    return conn.execute(_FINISH, (batch_id, output_file_id, error_file_id, now_ms)).rowcount == 1


_FORGET = """
DELETE FROM batch_results WHERE rowid IN (SELECT rowid FROM batch_results WHERE batch_id = ?1 LIMIT ?2)
"""


def forget_results(conn: sqlite3.Connection, batch_id: str, most: int) -> int:
    """Delete some results of a batch that has ended (its files have them); how many that were."""
    return conn.execute(_FORGET, (batch_id, most)).rowcount


_LEFT_OVER = """
SELECT DISTINCT batch_id FROM batch_results JOIN batches USING (batch_id)
WHERE state IN ('completed', 'failed', 'expired', 'cancelled')
"""


def ended_with_results(conn: sqlite3.Connection) -> list[str]:
    """The ids of batches that have ended and whose results are still here."""
    return [row[0] for row in conn.execute(_LEFT_OVER)]
