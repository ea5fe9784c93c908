"""Holds and charges: every statement that moves money, on a connection inside a transaction.

A row of `usage` is written as 'open' with its hold before anything is sent, and finished exactly once: settled,
released or recovered. Every user has an account, and so has every key with a budget of its own: `spend_nano` is the sum
of all charges since the budget's period began and `reserved_nano` the sum of all open holds; both change in the
transaction that changes the row. A row says which accounts it counts toward: not the user's for a key that is excluded
from the budget, the key's only if it had a budget at admission. All amounts are integers of nano-USD, all times epoch
milliseconds.
"""

import enum
import sqlite3
from typing import Literal, NamedTuple

from otari.store import periods


class Refused(enum.Enum):
    """Why a hold was not taken."""

    NO_USER = "no such user"
    BLOCKED = "the user is blocked"
    OVER_BUDGET = "spend, open holds and this one are more than the user's budget"
    NO_KEY = "the key was deleted or made inactive"
    KEY_OVER_BUDGET = "spend, open holds and this one are more than the key's budget"
    KNOWN_ID = "the request id was used before"


class Hold(NamedTuple):
    """What is written when a request is admitted. The order of the fields is the order of `_INSERT_OPEN`.

    `hold_prompt_nano` is the prompt's part of `hold_nano`. Provider, model and rates are those of the first attempt;
    the settlement replaces them by those of the attempt that answered. `rates` is JSON text (`price_text.write_rates`),
    None for an unpriced model. `counts_toward_budget` is False for keys that spare the user's account,
    `counts_toward_key` is True for keys with a budget of their own.
    """

    id: str
    user_id: str
    key_id: str | None
    key_name: str | None
    endpoint: str
    selector: str
    provider: str
    model: str
    stream: bool
    hold_nano: int
    hold_prompt_nano: int
    hold_estimated: bool
    counts_toward_budget: bool
    counts_toward_key: bool
    rates: str | None
    price_source: str
    created_at_ms: int


class Settlement(NamedTuple):
    """How a row ends. The order of the fields is the order of `_FINISH`; `cost_nano` None = unpriced."""

    state: Literal["settled", "released"]
    status: Literal["success", "error"]
    provider: str
    model: str
    http_status: int
    over_hold: bool
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    quantity: int | None
    cost_nano: int | None
    rates: str | None
    price_source: str
    usage_source: str
    flags: str
    error: str | None
    attempt_position: int
    settled_at_ms: int
    first_byte_ms: int | None
    total_ms: int
    dropped: str = ""


class Absorbed(NamedTuple):
    """An attempt that gave no byte of an answer, so that another was tried; not charged."""

    provider: str
    model: str
    http_status: int | None
    error: str
    total_ms: int


# ---- hold ----

# One statement decides and takes, so two requests can not both see the last money. An account without a cap is held
# to the largest amount that the column can tell.
_RESERVE = """
UPDATE users SET reserved_nano = reserved_nano + ?1
WHERE user_id = ?2 AND blocked = 0 AND deleted_at_ms IS NULL
  AND (next_reset_at_ms IS NULL OR next_reset_at_ms > ?3)
  AND spend_nano + reserved_nano + ?1 <= coalesce(
      (SELECT max_nano FROM budgets WHERE budgets.budget_id = users.budget_id), 9000000000000000000)
"""

_RESERVE_KEY = """
UPDATE keys SET reserved_nano = reserved_nano + ?1
WHERE key_id = ?2 AND is_active = 1
  AND (next_reset_at_ms IS NULL OR next_reset_at_ms > ?3)
  AND spend_nano + reserved_nano + ?1 <= coalesce(
      (SELECT max_nano FROM budgets WHERE budgets.budget_id = keys.budget_id), 9000000000000000000)
"""

_INSERT_OPEN = """
INSERT INTO usage (
    id, request_id, user_id, key_id, key_name, endpoint, selector, provider, model, stream, state,
    hold_nano, hold_prompt_nano, hold_estimated, counts_toward_budget, counts_toward_key, rates, price_source,
    created_at_ms)
VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'open', ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT (id) DO NOTHING
"""

_GIVE_BACK = "UPDATE users SET reserved_nano = reserved_nano - ?1 WHERE user_id = ?2"

_GIVE_BACK_KEY = "UPDATE keys SET reserved_nano = reserved_nano - ?1 WHERE key_id = ?2"


def hold(conn: sqlite3.Connection, row: Hold) -> Refused | None:
    """Take `row.hold_nano` of the user's and of the key's budget, and write the open row; None when done, else why not.

    Both accounts give, or neither does. A hold of nothing (free and unpriced models) asks only for a user who may go
    on. When a budget's period is over, it starts over first.
    """
    refused = _reserve(conn, row)
    if refused is None and row.counts_toward_key and row.hold_nano:
        refused = _reserve_of_key(conn, row)
    if refused is not None:
        return refused
    if conn.execute(_INSERT_OPEN, tuple(row)).rowcount == 1:  # sqlite3 is quicker with a plain tuple
        return None
    _give_back(conn, row)
    if row.hold_nano and row.counts_toward_key:
        conn.execute(_GIVE_BACK_KEY, (row.hold_nano, row.key_id))
    return Refused.KNOWN_ID


def _reserve(conn: sqlite3.Connection, row: Hold) -> Refused | None:
    taking = row.hold_nano and row.counts_toward_budget
    facts = (row.hold_nano, row.user_id, row.created_at_ms)
    if taking and conn.execute(_RESERVE, facts).rowcount == 1:
        return None
    refused = _standing(conn, row.user_id, row.created_at_ms)
    if refused is not None or not taking:
        return refused
    # Good standing, yet refused: the period is over and has started anew just now, or there is not enough money.
    return None if conn.execute(_RESERVE, facts).rowcount == 1 else Refused.OVER_BUDGET


def _reserve_of_key(conn: sqlite3.Connection, row: Hold) -> Refused | None:
    """The key's part, when the user's is taken: gives that back when it refuses."""
    facts = (row.hold_nano, row.key_id, row.created_at_ms)
    if conn.execute(_RESERVE_KEY, facts).rowcount == 1:
        return None
    refused = _standing_of_key(conn, row)
    if refused is None and conn.execute(_RESERVE_KEY, facts).rowcount == 1:
        return None
    _give_back(conn, row)
    return refused or Refused.KEY_OVER_BUDGET


def _give_back(conn: sqlite3.Connection, row: Hold) -> None:
    if row.hold_nano and row.counts_toward_budget:
        conn.execute(_GIVE_BACK, (row.hold_nano, row.user_id))


_STANDING = "SELECT blocked, deleted_at_ms, next_reset_at_ms FROM users WHERE user_id = ?1"


def _standing(conn: sqlite3.Connection, user_id: str, now_ms: int) -> Refused | None:
    """Whether the user may ask at all; starts the budget's period over when it is due."""
    user = conn.execute(_STANDING, (user_id,)).fetchone()
    if user is None or user[1] is not None:
        return Refused.NO_USER
    if user[0]:
        return Refused.BLOCKED
    if user[2] is not None and user[2] <= now_ms:
        periods.start_over(conn, user_id, now_ms)
    return None


_STANDING_OF_KEY = "SELECT is_active, next_reset_at_ms FROM keys WHERE key_id = ?1"


def _standing_of_key(conn: sqlite3.Connection, row: Hold) -> Refused | None:
    assert row.key_id is not None  # it counts toward the key
    key = conn.execute(_STANDING_OF_KEY, (row.key_id,)).fetchone()
    if key is None or not key[0]:
        return Refused.NO_KEY
    if key[1] is not None and key[1] <= row.created_at_ms:
        periods.start_key_over(conn, row.key_id, row.created_at_ms)
    return None


_LEFT = """
SELECT spend_nano + reserved_nano + ?2 <= coalesce(max_nano, 9000000000000000000)
   AND (?2 > 0 OR max_nano IS NULL OR spend_nano + reserved_nano < max_nano)
FROM users LEFT JOIN budgets USING (budget_id) WHERE user_id = ?1
"""

_LEFT_OF_KEY = """
SELECT spend_nano + reserved_nano + ?2 <= coalesce(max_nano, 9000000000000000000)
   AND (?2 > 0 OR max_nano IS NULL OR spend_nano + reserved_nano < max_nano)
FROM keys LEFT JOIN budgets USING (budget_id) WHERE key_id = ?1
"""


def check(conn: sqlite3.Connection, row: Hold) -> Refused | None:
    """Whether `hold` would be refused for user, key or budget, without taking anything and without a row.

    For requests that are refused anyway (no price), so that the refusals keep their order. When the hold is not known
    either (0), an account whose budget is used up is over it.
    """
    refused = _standing(conn, row.user_id, row.created_at_ms)
    if refused is not None:
        return refused
    if row.counts_toward_budget and not conn.execute(_LEFT, (row.user_id, row.hold_nano)).fetchone()[0]:
        return Refused.OVER_BUDGET
    if not row.counts_toward_key:
        return None
    refused = _standing_of_key(conn, row)
    if refused is not None:
        return refused
    return None if conn.execute(_LEFT_OF_KEY, (row.key_id, row.hold_nano)).fetchone()[0] else Refused.KEY_OVER_BUDGET


# ---- settle ----

_FINISH = """
UPDATE usage SET
    state = ?, status = ?, provider = ?, model = ?, http_status = ?, over_hold = ?,
    input_tokens = ?, output_tokens = ?, cache_read_tokens = ?, cache_write_tokens = ?, cache_write_1h_tokens = ?,
    reasoning_tokens = ?, quantity = ?, cost_nano = ?, rates = ?, price_source = ?, usage_source = ?, flags = ?,
    error = ?, attempt_position = ?, settled_at_ms = ?, first_byte_ms = ?, total_ms = ?,
    dropped = ?
WHERE id = ? AND state = 'open'
"""

# A charge that no column could hold would make the settlement fail for ever: the sum stops at its largest value.
_CHARGE = """
UPDATE users SET
    spend_nano = CASE
        WHEN spend_nano > 9000000000000000000 - ?1 THEN 9000000000000000000 ELSE spend_nano + ?1 END,
    reserved_nano = reserved_nano - ?2
WHERE user_id = ?3
"""

_CHARGE_KEY = """
UPDATE keys SET
    spend_nano = CASE
        WHEN spend_nano > 9000000000000000000 - ?1 THEN 9000000000000000000 ELSE spend_nano + ?1 END,
    reserved_nano = reserved_nano - ?2
WHERE key_id = ?3
"""

_TOUCH_KEY = "UPDATE keys SET last_used_at_ms = ?1 WHERE key_id = ?2"


def settle(
    conn: sqlite3.Connection,
    held: Hold,
    end: Settlement,
    absorbed: tuple[Absorbed, ...] = (),
    key_used: bool = False,
) -> bool:
    """Finish the open row of `held`: charge `end.cost_nano`, give the hold back, add rows for absorbed attempts.

    False, and nothing changed, when the row was not open any more: a request is charged once. `key_used` also notes
    the time on the key.
    """
    if conn.execute(_FINISH, (*end, held.id)).rowcount != 1:
        return False
    _charge(conn, held, end.cost_nano or 0)
    if absorbed:
        _insert_absorbed(conn, held, absorbed, end.settled_at_ms)
    if key_used:
        conn.execute(_TOUCH_KEY, (end.settled_at_ms, held.key_id))
    return True


def _charge(conn: sqlite3.Connection, held: Hold, cost_nano: int) -> None:
    if not cost_nano and not held.hold_nano:
        return
    if held.counts_toward_budget:
        conn.execute(_CHARGE, (cost_nano, held.hold_nano, held.user_id))
    if held.counts_toward_key:
        conn.execute(_CHARGE_KEY, (cost_nano, held.hold_nano, held.key_id))


_INSERT_ABSORBED = """
INSERT INTO usage (
    id, request_id, user_id, key_id, key_name, endpoint, selector, provider, model, stream, counts_toward_budget,
    state, status, http_status, hold_nano, hold_prompt_nano, hold_estimated, cost_nano, price_source, usage_source,
    error, attempt_position, created_at_ms, settled_at_ms, total_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'settled', 'absorbed', ?, 0, 0, 0, 0, 'none', 'none', ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""


def _insert_absorbed(conn: sqlite3.Connection, held: Hold, absorbed: tuple[Absorbed, ...], settled_at_ms: int) -> None:
    for position, attempt in enumerate(absorbed, 1):
        who = (held.user_id, held.key_id, held.key_name, held.endpoint, held.selector)
        what = (attempt.provider, attempt.model, held.stream, held.counts_toward_budget)
        how = (attempt.http_status, attempt.error, position)
        times = (held.created_at_ms, settled_at_ms, attempt.total_ms)
        conn.execute(_INSERT_ABSORBED, (f"{held.id}.{position}", held.id, *who, *what, *how, *times))


# ---- without a hold of its own ----


def book(conn: sqlite3.Connection, row: Hold, end: Settlement) -> bool:
    """Write the row of something that was done under another row's hold, and charge `end.cost_nano`.

    `row.hold_nano` is 0. Nobody is asked for leave: it has been done. False, and nothing changed, when there is a row
    of this id already.
    """
    assert not row.hold_nano  # settling would give it back
    if conn.execute(_INSERT_OPEN, tuple(row)).rowcount != 1:
        return False
    return settle(conn, row, end)


def give_back(conn: sqlite3.Connection, row: Hold) -> None:
    """Give back what a row holds, for one that is taken back as if it had not been."""
    _give_back(conn, row)
    if row.hold_nano and row.counts_toward_key:
        conn.execute(_GIVE_BACK_KEY, (row.hold_nano, row.key_id))
