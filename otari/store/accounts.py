"""Users: who is charged. Budgets are in `budgets.py`, keys in `keys.py`, the money itself in `ledger.py`.

Functions on a connection inside a transaction; amounts in nano-USD, times in epoch milliseconds. `metadata` is JSON
text as the edge wrote it.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from otari.domain.errors import Kind, OtariError
from otari.store import periods
from otari.store.budgets import window_of
from otari.store.changes import changed
from otari.store.model_lists import read_models, write_models
from otari.store.pages import BEFORE_ALL, bounded, known_place

_CHANGEABLE = frozenset({"alias", "blocked", "budget_id", "allowed_models", "metadata"})


@dataclass(frozen=True, slots=True)
class User:
    """Who is charged. `spend_nano` counts since the period began, `reserved_nano` is held for open requests.

    `allowed_models` None = any model, an empty list = none (`domain.catalog.allows`).
    """

    user_id: str
    alias: str | None
    blocked: bool
    budget_id: str | None
    spend_nano: int
    reserved_nano: int
    budget_started_at_ms: int | None
    next_reset_at_ms: int | None
    allowed_models: tuple[str, ...] | None
    metadata: str
    created_at_ms: int
    updated_at_ms: int
    deleted_at_ms: int | None


# ---- finding ----

_COLUMNS = """
SELECT user_id, alias, blocked, budget_id, spend_nano, reserved_nano, budget_started_at_ms, next_reset_at_ms,
       allowed_models, metadata, created_at_ms, updated_at_ms, deleted_at_ms
FROM users
"""

_FIND = _COLUMNS + " WHERE user_id = ?1"


def find_user(conn: sqlite3.Connection, user_id: str) -> User | None:
    """The user, a deleted one too; or None."""
    row = conn.execute(_FIND, (user_id,)).fetchone()
    return None if row is None else _user(row)


def get_user(conn: sqlite3.Connection, user_id: str) -> User:
    """The user who is there and not deleted. Raises OtariError(NOT_FOUND)."""
    user = find_user(conn, user_id)
    if user is None or user.deleted_at_ms is not None:
        raise OtariError(Kind.NOT_FOUND, f"User with id '{user_id}' not found", param="user_id")
    return user


def _user(row: tuple[Any, ...]) -> User:
    user = User(*row)
    return replace(user, blocked=bool(user.blocked), allowed_models=read_models(row[8]))


_LIST = _COLUMNS + (
    " WHERE deleted_at_ms IS NULL AND (created_at_ms, user_id) > (?3, ?4)"
    " ORDER BY created_at_ms, user_id LIMIT ?1 OFFSET ?2"
)


def list_users(conn: sqlite3.Connection, *, skip: int = 0, limit: int = 100, after: str | None = None) -> list[User]:
    """Users who are not deleted, in the order of their creation, from behind the user `after` on.

    Raises OtariError(UNPROCESSABLE) for a page that can not be.
    """
    place = BEFORE_ALL
    if after is not None:
        place = known_place(find_user(conn, after)).created_at_ms, after
    return [_user(row) for row in conn.execute(_LIST, (*bounded(skip, limit), *place))]


_LIMITED = "SELECT user_id, allowed_models FROM users WHERE allowed_models IS NOT NULL"


def load_limits(conn: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """The allowed models of every user who has such a list."""
    return {user_id: read_models(text) or () for user_id, text in conn.execute(_LIMITED)}


# ---- changing ----

# An id that was deleted comes back with nothing spent; its open holds stay held, its old keys stay inactive.
_ADD = """
INSERT INTO users (
    user_id, alias, blocked, budget_id, budget_started_at_ms, next_reset_at_ms, allowed_models, metadata,
    created_at_ms, updated_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
ON CONFLICT (user_id) DO UPDATE SET
    alias = excluded.alias, blocked = excluded.blocked, budget_id = excluded.budget_id, spend_nano = 0,
    budget_started_at_ms = excluded.budget_started_at_ms, next_reset_at_ms = excluded.next_reset_at_ms,
    allowed_models = excluded.allowed_models, metadata = excluded.metadata, updated_at_ms = excluded.updated_at_ms,
    deleted_at_ms = NULL
WHERE deleted_at_ms IS NOT NULL
"""


def add_user(
    conn: sqlite3.Connection,
    user_id: str,
    *,
    alias: str | None = None,
    blocked: bool = False,
    budget_id: str | None = None,
    allowed_models: tuple[str, ...] | None = None,
    metadata: str = "{}",
    now_ms: int,
) -> User:
    """A new user, or a deleted one that comes back with nothing spent.

    Raises OtariError: CONFLICT when there is such a user, NOT_FOUND when there is no such budget.
    """
    window = window_of(conn, budget_id, now_ms)
    previous = find_user(conn, user_id)
    facts = (user_id, alias, blocked, budget_id, *window, write_models(allowed_models), metadata, now_ms)
    if conn.execute(_ADD, facts).rowcount != 1:
        raise OtariError(Kind.CONFLICT, f"User with id '{user_id}' already exists", param="user_id")
    if previous is not None and previous.spend_nano:
        spent_nano, next_ms = previous.spend_nano, window.next_reset_at_ms
        periods.log_forgotten(conn, user_id, previous.budget_id, spent_nano, now_ms, next_ms)
    return get_user(conn, user_id)


_CHANGE = """
UPDATE users SET alias = ?2, blocked = ?3, budget_id = ?4, budget_started_at_ms = ?5, next_reset_at_ms = ?6,
    allowed_models = ?7, metadata = ?8, updated_at_ms = ?9
WHERE user_id = ?1
"""


def change_user(conn: sqlite3.Connection, user_id: str, changes: Mapping[str, Any], now_ms: int) -> User:
    """Change the named facts of a user; None clears one. Requests under way go on.

    Another budget's period begins now, and what was spent still counts; the same budget again changes nothing.
    Raises OtariError(NOT_FOUND) for an unknown user or budget.
    """
    before = get_user(conn, user_id)
    user = changed(before, changes, _CHANGEABLE)
    if user.budget_id != before.budget_id:
        started_ms, next_ms = window_of(conn, user.budget_id, now_ms)
        user = replace(user, budget_started_at_ms=started_ms, next_reset_at_ms=next_ms)
    user = replace(user, updated_at_ms=now_ms)
    period = (user.budget_id, user.budget_started_at_ms, user.next_reset_at_ms)
    conn.execute(
        _CHANGE, (user_id, user.alias, user.blocked, *period, write_models(user.allowed_models), user.metadata, now_ms)
    )
    return user


_REMOVE = "UPDATE users SET deleted_at_ms = ?2, updated_at_ms = ?2 WHERE user_id = ?1"

_SILENCE_KEYS = "UPDATE keys SET is_active = 0, updated_at_ms = ?2 WHERE user_id = ?1"


def remove_user(conn: sqlite3.Connection, user_id: str, now_ms: int) -> None:
    """Mark a user as deleted and make its keys inactive; its history stays. Raises OtariError(NOT_FOUND).

    Callers use `UserBook.remove`, which also takes effect on what is in memory.
    """
    get_user(conn, user_id)
    conn.execute(_REMOVE, (user_id, now_ms))
    conn.execute(_SILENCE_KEYS, (user_id, now_ms))
