"""Budgets' periods in the ledger: an account starts over on its boundary, lazily, and what it had spent is kept.

On a connection inside a transaction. Nothing runs by the clock: the first request after a boundary finds it passed,
today or after a restart, and the boundary stays where it was.
"""

import sqlite3

from otari.domain.periods import window_at

_PERIOD = """
SELECT u.user_id, u.spend_nano, u.next_reset_at_ms, u.budget_id, b.duration_s, b.reset_alignment
FROM users u LEFT JOIN budgets b ON b.budget_id = u.budget_id WHERE u.user_id = ?1
"""

_START_OVER = "UPDATE users SET spend_nano = 0, budget_started_at_ms = ?2, next_reset_at_ms = ?3 WHERE user_id = ?1"

_PERIOD_OF_KEY = """
SELECT k.user_id, k.spend_nano, k.next_reset_at_ms, k.budget_id, b.duration_s, b.reset_alignment
FROM keys k LEFT JOIN budgets b ON b.budget_id = k.budget_id WHERE k.key_id = ?1
"""

_START_KEY_OVER = "UPDATE keys SET spend_nano = 0, budget_started_at_ms = ?2, next_reset_at_ms = ?3 WHERE key_id = ?1"

_LOG_RESET = """
INSERT INTO budget_resets (user_id, key_id, budget_id, previous_spend_nano, reset_at_ms, next_reset_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
"""


def start_over(conn: sqlite3.Connection, user_id: str, now_ms: int) -> None:
    """Begin the period that `now_ms` lies in: spend 0, the boundary moved on without drift.

    Open holds stay; they are charged to the new period. A clock that goes back resets nothing a second time. If the
    budget has lost its period, it has no end any more.
    """
    _begin(conn, _PERIOD, _START_OVER, user_id, None, now_ms)


def start_key_over(conn: sqlite3.Connection, key_id: str, now_ms: int) -> None:
    """The same for a key's own account."""
    _begin(conn, _PERIOD_OF_KEY, _START_KEY_OVER, key_id, key_id, now_ms)


def _begin(conn: sqlite3.Connection, find: str, start: str, account_id: str, key_id: str | None, now_ms: int) -> None:
    user_id, spend_nano, boundary_ms, budget_id, duration_s, alignment = conn.execute(find, (account_id,)).fetchone()
    if boundary_ms is None or boundary_ms > now_ms:
        return
    started_ms, next_ms = window_at(duration_s, alignment, boundary_ms, now_ms)
    conn.execute(start, (account_id, started_ms, next_ms))
    conn.execute(_LOG_RESET, (user_id, key_id, budget_id, spend_nano, started_ms, next_ms))


def log_forgotten(
    conn: sqlite3.Connection, user_id: str, budget_id: str | None, spend_nano: int, now_ms: int, next_ms: int | None
) -> None:
    """Note what a user had spent who comes back with nothing spent."""
    conn.execute(_LOG_RESET, (user_id, None, budget_id, spend_nano, now_ms, next_ms))
