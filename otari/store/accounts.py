"""Users and budgets: who may spend how much in which time. Keys are in `keys.py`, the money itself in
`ledger.py`.

Functions on a connection inside a transaction; amounts in nano-USD, times in epoch milliseconds. `metadata`
is JSON text as the edge wrote it.
"""

import sqlite3
import uuid
from dataclasses import dataclass

from otari.domain.errors import Kind, OtariError


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap per user. `max_nano` None = no cap, `duration_s` None = never starts over."""

    budget_id: str
    name: str | None
    max_nano: int | None
    duration_s: int | None
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True)
class User:
    """Who is charged. `spend_nano` counts since the period began, `reserved_nano` is held for open requests."""

    user_id: str
    alias: str | None
    blocked: bool
    budget_id: str | None
    spend_nano: int
    reserved_nano: int
    budget_started_at_ms: int | None
    next_reset_at_ms: int | None
    metadata: str
    created_at_ms: int
    updated_at_ms: int
    deleted_at_ms: int | None


# ---- budgets ----

_ADD_BUDGET = """
INSERT INTO budgets (budget_id, name, max_nano, duration_s, created_at_ms, updated_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?5)
"""


def add_budget(
    conn: sqlite3.Connection, *, max_nano: int | None, duration_s: int | None, name: str | None, now_ms: int
) -> Budget:
    """A new budget under a fresh id."""
    budget_id = str(uuid.uuid4())
    conn.execute(_ADD_BUDGET, (budget_id, name, max_nano, duration_s, now_ms))
    return Budget(budget_id, name, max_nano, duration_s, now_ms, now_ms)


_FIND_BUDGET = """
SELECT budget_id, name, max_nano, duration_s, created_at_ms, updated_at_ms FROM budgets WHERE budget_id = ?1
"""


def find_budget(conn: sqlite3.Connection, budget_id: str) -> Budget | None:
    """The budget, or None."""
    row = conn.execute(_FIND_BUDGET, (budget_id,)).fetchone()
    return None if row is None else Budget(*row)


# ---- users ----

# An id that was deleted comes back with nothing spent; its open holds stay held, its old keys stay inactive.
_ADD_USER = """
INSERT INTO users (
    user_id, alias, blocked, budget_id, budget_started_at_ms, next_reset_at_ms, metadata,
    created_at_ms, updated_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
ON CONFLICT (user_id) DO UPDATE SET
    alias = excluded.alias, blocked = excluded.blocked, budget_id = excluded.budget_id, spend_nano = 0,
    budget_started_at_ms = excluded.budget_started_at_ms, next_reset_at_ms = excluded.next_reset_at_ms,
    metadata = excluded.metadata, updated_at_ms = excluded.updated_at_ms, deleted_at_ms = NULL
WHERE deleted_at_ms IS NOT NULL
"""


def add_user(
    conn: sqlite3.Connection,
    user_id: str,
    *,
    alias: str | None = None,
    blocked: bool = False,
    budget_id: str | None = None,
    metadata: str = "{}",
    now_ms: int,
) -> User:
    """A new user, or a deleted one that comes back with nothing spent.

    Raises OtariError: CONFLICT when there is such a user, NOT_FOUND when there is no such budget.
    """
    started_ms, next_ms = _window(conn, budget_id, now_ms)
    facts = (user_id, alias, blocked, budget_id, started_ms, next_ms, metadata, now_ms)
    previous = find_user(conn, user_id)
    if conn.execute(_ADD_USER, facts).rowcount != 1:
        raise OtariError(Kind.CONFLICT, f"User with id '{user_id}' already exists", param="user_id")
    if previous is not None and previous.spend_nano:
        conn.execute(_LOG_SPEND, (user_id, previous.budget_id, previous.spend_nano, now_ms, next_ms))
    return get_user(conn, user_id)


_LOG_SPEND = """
INSERT INTO budget_resets (user_id, budget_id, previous_spend_nano, reset_at_ms, next_reset_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5)
"""

_FIND_USER = """
SELECT user_id, alias, blocked, budget_id, spend_nano, reserved_nano, budget_started_at_ms, next_reset_at_ms,
       metadata, created_at_ms, updated_at_ms, deleted_at_ms
FROM users WHERE user_id = ?1
"""


def find_user(conn: sqlite3.Connection, user_id: str) -> User | None:
    """The user, a deleted one too; or None."""
    row = conn.execute(_FIND_USER, (user_id,)).fetchone()
    if row is None:
        return None
    user_id, alias, blocked, *rest = row
    return User(user_id, alias, bool(blocked), *rest)


def get_user(conn: sqlite3.Connection, user_id: str) -> User:
    """The user who is there and not deleted. Raises OtariError(NOT_FOUND)."""
    user = find_user(conn, user_id)
    if user is None or user.deleted_at_ms is not None:
        raise OtariError(Kind.NOT_FOUND, f"User with id '{user_id}' not found")
    return user


_BLOCK = "UPDATE users SET blocked = ?2, updated_at_ms = ?3 WHERE user_id = ?1"


def set_blocked(conn: sqlite3.Connection, user_id: str, blocked: bool, now_ms: int) -> User:
    """Block a user, or let it ask again. Requests under way go on. Raises OtariError(NOT_FOUND)."""
    get_user(conn, user_id)
    conn.execute(_BLOCK, (user_id, blocked, now_ms))
    return get_user(conn, user_id)


_ASSIGN = """
UPDATE users SET budget_id = ?2, budget_started_at_ms = ?3, next_reset_at_ms = ?4, updated_at_ms = ?5
WHERE user_id = ?1
"""


def assign_budget(conn: sqlite3.Connection, user_id: str, budget_id: str | None, now_ms: int) -> User:
    """Put a user under a budget whose period begins now, or under none. What was spent still counts.

    Raises OtariError(NOT_FOUND) for an unknown user or budget.
    """
    get_user(conn, user_id)
    started_ms, next_ms = _window(conn, budget_id, now_ms)
    conn.execute(_ASSIGN, (user_id, budget_id, started_ms, next_ms, now_ms))
    return get_user(conn, user_id)


_REMOVE_USER = "UPDATE users SET deleted_at_ms = ?2, updated_at_ms = ?2 WHERE user_id = ?1"

_REMOVE_KEYS = "UPDATE keys SET is_active = 0 WHERE user_id = ?1"


def remove_user(conn: sqlite3.Connection, user_id: str, now_ms: int) -> None:
    """Mark a user as deleted and make its keys inactive; its history stays. Raises OtariError(NOT_FOUND).

    Callers use `KeyBook.remove_user`, which also takes effect on the keys in memory.
    """
    get_user(conn, user_id)
    conn.execute(_REMOVE_USER, (user_id, now_ms))
    conn.execute(_REMOVE_KEYS, (user_id,))


def _window(conn: sqlite3.Connection, budget_id: str | None, now_ms: int) -> tuple[int | None, int | None]:
    """When the period of a budget that is assigned now began (now), and when it ends."""
    if budget_id is None:
        return None, None
    budget = find_budget(conn, budget_id)
    if budget is None:
        raise OtariError(Kind.NOT_FOUND, f"Budget with id '{budget_id}' not found", param="budget_id")
    return now_ms, None if budget.duration_s is None else now_ms + budget.duration_s * 1000
