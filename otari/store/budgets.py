"""Budgets: caps that users and keys are put under, and the history of their periods.

One budget may serve many accounts; each has a counter of its own. Functions on a connection inside a transaction;
amounts in nano-USD, times in epoch milliseconds.
"""

import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from otari.domain.errors import Kind, OtariError
from otari.domain.money import NANO_PER_USD
from otari.domain.periods import Alignment, Window, first_window
from otari.store.changes import changed
from otari.store.pages import BEFORE_ALL, bounded, known_place

_CHANGEABLE = frozenset({"name", "max_nano", "duration_s", "reset_alignment"})
_NAMED = 5  # so many of those who hold a budget are named when it can not go


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap per account. `max_nano` None = no cap; neither `duration_s` nor `reset_alignment` = never starts over."""

    budget_id: str
    name: str | None
    max_nano: int | None
    duration_s: int | None
    reset_alignment: Alignment | None
    created_at_ms: int
    updated_at_ms: int


class Reset(NamedTuple):
    """One account starting over. `key_id` None = the user's own account; `seq` is its place in the history."""

    seq: int
    user_id: str
    key_id: str | None
    budget_id: str | None
    previous_spend_nano: int
    reset_at_ms: int
    next_reset_at_ms: int | None


class Totals(NamedTuple):
    """All accounts under a budget together."""

    user_count: int
    spend_nano: int
    reserved_nano: int


_ADD = """
INSERT INTO budgets (budget_id, name, max_nano, duration_s, reset_alignment, created_at_ms, updated_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
"""


def add_budget(
    conn: sqlite3.Connection,
    *,
    name: str | None = None,
    max_nano: int | None = None,
    duration_s: int | None = None,
    reset_alignment: Alignment | None = None,
    now_ms: int,
) -> Budget:
    """A new budget under a fresh id. Raises OtariError(CONFLICT) for a length and an alignment at once."""
    budget = Budget(str(uuid.uuid4()), name, max_nano, duration_s, reset_alignment, now_ms, now_ms)
    _check_period(budget)
    conn.execute(_ADD, (budget.budget_id, name, max_nano, duration_s, reset_alignment, now_ms))
    return budget


_COLUMNS = "SELECT budget_id, name, max_nano, duration_s, reset_alignment, created_at_ms, updated_at_ms FROM budgets"

_FIND = _COLUMNS + " WHERE budget_id = ?1"


def find_budget(conn: sqlite3.Connection, budget_id: str) -> Budget | None:
    """The budget, or None."""
    row = conn.execute(_FIND, (budget_id,)).fetchone()
    return None if row is None else Budget(*row)


def get_budget(conn: sqlite3.Connection, budget_id: str) -> Budget:
    """The budget. Raises OtariError(NOT_FOUND)."""
    budget = find_budget(conn, budget_id)
    if budget is None:
        raise OtariError(Kind.NOT_FOUND, f"Budget with id '{budget_id}' not found", param="budget_id")
    return budget


_LIST = _COLUMNS + (" WHERE (created_at_ms, budget_id) > (?3, ?4) ORDER BY created_at_ms, budget_id LIMIT ?1 OFFSET ?2")


def list_budgets(
    conn: sqlite3.Connection, *, skip: int = 0, limit: int = 100, after: str | None = None
) -> list[Budget]:
    """Budgets in the order of their creation, from behind `after` on. Raises OtariError(UNPROCESSABLE)."""
    place = BEFORE_ALL
    if after is not None:
        place = known_place(find_budget(conn, after)).created_at_ms, after
    return [Budget(*row) for row in conn.execute(_LIST, (*bounded(skip, limit), *place))]


_CHANGE = """
UPDATE budgets SET name = ?2, max_nano = ?3, duration_s = ?4, reset_alignment = ?5, updated_at_ms = ?6
WHERE budget_id = ?1
"""

# Accounts whose period has an end keep it: the new length counts from there.
_BEGIN_PERIODS = """
UPDATE users SET budget_started_at_ms = ?2, next_reset_at_ms = ?3
WHERE budget_id = ?1 AND next_reset_at_ms IS NULL
"""

_BEGIN_PERIODS_OF_KEYS = """
UPDATE keys SET budget_started_at_ms = ?2, next_reset_at_ms = ?3
WHERE budget_id = ?1 AND next_reset_at_ms IS NULL
"""


def change_budget(conn: sqlite3.Connection, budget_id: str, changes: Mapping[str, Any], now_ms: int) -> Budget:
    """Change the named facts; None clears one. A new cap is in force at once, for all accounts under the budget.

    A new length or alignment counts from the next boundary on; accounts without one begin their period now.
    Raises OtariError: NOT_FOUND, CONFLICT for a length and an alignment at once.
    """
    budget = replace(changed(get_budget(conn, budget_id), changes, _CHANGEABLE), updated_at_ms=now_ms)
    _check_period(budget)
    facts = (budget_id, budget.name, budget.max_nano, budget.duration_s, budget.reset_alignment, now_ms)
    conn.execute(_CHANGE, facts)
    window = first_window(budget.duration_s, budget.reset_alignment, now_ms)
    if window.next_reset_at_ms is not None:
        conn.execute(_BEGIN_PERIODS, (budget_id, *window))
        conn.execute(_BEGIN_PERIODS_OF_KEYS, (budget_id, *window))
    return budget


_USERS_UNDER = "SELECT user_id FROM users WHERE budget_id = ?1 AND deleted_at_ms IS NULL ORDER BY user_id LIMIT ?2"

_KEYS_UNDER = "SELECT coalesce(key_name, key_id) FROM keys WHERE budget_id = ?1 ORDER BY 1 LIMIT ?2"

_COUNT_UNDER = """
SELECT (SELECT count(*) FROM users WHERE budget_id = ?1 AND deleted_at_ms IS NULL),
       (SELECT count(*) FROM keys WHERE budget_id = ?1)
"""

_FORGET_DELETED = "UPDATE users SET budget_id = NULL WHERE budget_id = ?1 AND deleted_at_ms IS NOT NULL"

_REMOVE = "DELETE FROM budgets WHERE budget_id = ?1"


def remove_budget(conn: sqlite3.Connection, budget_id: str) -> None:
    """Delete a budget that nobody is under; the history of its periods stays.

    Raises OtariError: NOT_FOUND, CONFLICT that names the users and keys under it (without it they would have no cap).
    """
    get_budget(conn, budget_id)
    users, keys = conn.execute(_COUNT_UNDER, (budget_id,)).fetchone()
    if users or keys:
        under = [_named("user", users, conn.execute(_USERS_UNDER, (budget_id, _NAMED)).fetchall())] if users else []
        under += [_named("key", keys, conn.execute(_KEYS_UNDER, (budget_id, _NAMED)).fetchall())] if keys else []
        raise OtariError(
            Kind.CONFLICT,
            f"Budget with id '{budget_id}' is in use by {' and '.join(under)}: take it from them first",
            param="budget_id",
            code="budget_in_use",
        )
    conn.execute(_FORGET_DELETED, (budget_id,))
    conn.execute(_REMOVE, (budget_id,))


def _named(noun: str, count: int, rows: list[tuple[str]]) -> str:
    names = ", ".join(f"'{row[0]}'" for row in rows)
    more = f" and {count - len(rows)} more" if count > len(rows) else ""
    return f"{count} {noun}{'s' if count > 1 else ''} ({names}{more})"


_RESETS = """
SELECT seq, user_id, key_id, budget_id, previous_spend_nano, reset_at_ms, next_reset_at_ms
FROM budget_resets WHERE budget_id = ?1 AND (?4 IS NULL OR seq < ?4) ORDER BY seq DESC LIMIT ?2 OFFSET ?3
"""


def list_resets(
    conn: sqlite3.Connection, budget_id: str, *, skip: int = 0, limit: int = 100, after: str | None = None
) -> list[Reset]:
    """How accounts under a budget started over, newest first; `after` is the `seq` of the last one seen.

    Raises OtariError: NOT_FOUND, UNPROCESSABLE for a cursor that is none.
    """
    get_budget(conn, budget_id)
    place = None
    if after is not None:
        place = known_place(int(after) if after.isascii() and after.isdigit() and len(after) < 19 else None)
    return [Reset(*row) for row in conn.execute(_RESETS, (budget_id, *bounded(skip, limit), place))]


# Whole USD and the rest are summed apart: two of the largest amounts together are more than SQLite can add.
_TOTALS = """
SELECT (SELECT count(*) FROM users WHERE budget_id = ?1 AND deleted_at_ms IS NULL),
       coalesce(sum(spend_nano / 1000000000), 0), coalesce(sum(spend_nano % 1000000000), 0),
       coalesce(sum(reserved_nano / 1000000000), 0), coalesce(sum(reserved_nano % 1000000000), 0)
FROM (
    SELECT spend_nano, reserved_nano FROM users WHERE budget_id = ?1 AND deleted_at_ms IS NULL
    UNION ALL SELECT spend_nano, reserved_nano FROM keys WHERE budget_id = ?1
) AS accounts
"""


def totals(conn: sqlite3.Connection, budget_id: str) -> Totals:
    """How many users are under a budget, and what all its accounts (those of keys too) have spent and hold."""
    users, spent_usd, spent_rest, held_usd, held_rest = conn.execute(_TOTALS, (budget_id,)).fetchone()
    return Totals(users, spent_usd * NANO_PER_USD + spent_rest, held_usd * NANO_PER_USD + held_rest)


def window_of(conn: sqlite3.Connection, budget_id: str | None, now_ms: int) -> Window:
    """The period of an account that is put under a budget now. Raises OtariError(NOT_FOUND)."""
    if budget_id is None:
        return Window(None, None)
    budget = get_budget(conn, budget_id)
    return first_window(budget.duration_s, budget.reset_alignment, now_ms)


def _check_period(budget: Budget) -> None:
    if budget.duration_s is not None and budget.reset_alignment is not None:
        raise OtariError(
            Kind.CONFLICT,
            "A budget has either 'budget_duration_sec' or 'reset_alignment', not both: clear one of them with null",
            param="reset_alignment",
        )
