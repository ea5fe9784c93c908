"""Holds, charges and recovery: every statement that moves money, on a connection inside a transaction.

A row of `usage` is written as 'open' with its hold before anything is sent, and finished exactly once:
settled, released or recovered. `users.spend_nano` is the sum of all charges since the budget's period began,
`users.reserved_nano` the sum of all open holds; both change in the transaction that changes the row. All
amounts are integers of nano-USD, all times epoch milliseconds.
"""

import enum
import sqlite3
from typing import Literal, NamedTuple

OnCrash = Literal["hold", "prompt_only", "release"]


class Refused(enum.Enum):
    """Why a hold was not taken."""

    NO_USER = "no such user"
    BLOCKED = "the user is blocked"
    OVER_BUDGET = "spend, open holds and this one are more than the budget"
    KNOWN_ID = "the request id was used before"


class Hold(NamedTuple):
    """What is written when a request is admitted. The order of the fields is the order of `_INSERT_OPEN`.

    `hold_prompt_nano` is the prompt's part of `hold_nano`. Provider, model and rates are those of the first
    attempt; the settlement replaces them by those of the attempt that answered.
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
    input_pico: int | None
    output_pico: int | None
    cache_read_pico: int | None
    cache_write_pico: int | None
    cache_write_1h_pico: int | None
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
    cost_nano: int | None
    input_pico: int | None
    output_pico: int | None
    cache_read_pico: int | None
    cache_write_pico: int | None
    cache_write_1h_pico: int | None
    price_source: str
    usage_source: str
    flags: str
    error: str | None
    attempt_position: int
    settled_at_ms: int
    first_byte_ms: int | None
    total_ms: int


class Absorbed(NamedTuple):
    """An attempt that gave no byte of an answer, so that another was tried; not charged."""

    provider: str
    model: str
    http_status: int | None
    error: str
    total_ms: int


class Recovery(NamedTuple):
    """What a start found: rows that were open, and what was charged for them."""

    rows: int
    charged_nano: int


# ---- hold ----

# One statement decides and takes, so two requests can not both see the last money. A user without a cap is
# held to the largest amount that the column can tell.
_RESERVE = """
UPDATE users SET reserved_nano = reserved_nano + ?1
WHERE user_id = ?2 AND blocked = 0 AND deleted_at_ms IS NULL
  AND (next_reset_at_ms IS NULL OR next_reset_at_ms > ?3)
  AND spend_nano + reserved_nano + ?1 <= coalesce(
      (SELECT max_nano FROM budgets WHERE budgets.budget_id = users.budget_id), 9000000000000000000)
"""

_INSERT_OPEN = """
INSERT INTO usage (
    id, request_id, user_id, key_id, key_name, endpoint, selector, provider, model, stream, state,
    hold_nano, hold_prompt_nano, hold_estimated,
    input_pico, output_pico, cache_read_pico, cache_write_pico, cache_write_1h_pico, price_source,
    created_at_ms)
VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'open', ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
ON CONFLICT (id) DO NOTHING
"""

_GIVE_BACK = "UPDATE users SET reserved_nano = reserved_nano - ?1 WHERE user_id = ?2"


def hold(conn: sqlite3.Connection, row: Hold) -> Refused | None:
    """Take `row.hold_nano` of the user's budget and write the open row; None when done, else why not.

    A hold of nothing (free and unpriced models) asks only for a user who may go on. When the budget's period
    is over, it starts over first.
    """
    refused = _reserve(conn, row.user_id, row.hold_nano, row.created_at_ms)
    if refused is not None:
        return refused
    if conn.execute(_INSERT_OPEN, row).rowcount == 1:
        return None
    if row.hold_nano:
        conn.execute(_GIVE_BACK, (row.hold_nano, row.user_id))
    return Refused.KNOWN_ID


def _reserve(conn: sqlite3.Connection, user_id: str, hold_nano: int, now_ms: int) -> Refused | None:
    if hold_nano and conn.execute(_RESERVE, (hold_nano, user_id, now_ms)).rowcount == 1:
        return None
    refused = _standing(conn, user_id, now_ms)
    if refused is not None or not hold_nano:
        return refused
    # Good standing, yet refused: the period is over and has started anew just now, or there is not enough
    # money.
    taken = conn.execute(_RESERVE, (hold_nano, user_id, now_ms)).rowcount == 1
    return None if taken else Refused.OVER_BUDGET


_STANDING = "SELECT blocked, deleted_at_ms, next_reset_at_ms FROM users WHERE user_id = ?1"


def _standing(conn: sqlite3.Connection, user_id: str, now_ms: int) -> Refused | None:
    """Whether the user may ask at all; starts the budget's period over when it is due."""
    user = conn.execute(_STANDING, (user_id,)).fetchone()
    if user is None or user[1] is not None:
        return Refused.NO_USER
    if user[0]:
        return Refused.BLOCKED
    if user[2] is not None and user[2] <= now_ms:
        start_over(conn, user_id, now_ms)
    return None


_LEFT = """
SELECT spend_nano + reserved_nano + ?2 <= coalesce(max_nano, 9000000000000000000)
   AND (?2 > 0 OR max_nano IS NULL OR spend_nano + reserved_nano < max_nano)
FROM users LEFT JOIN budgets USING (budget_id) WHERE user_id = ?1
"""


def check(conn: sqlite3.Connection, user_id: str, hold_nano: int, now_ms: int) -> Refused | None:
    """Whether `hold` would be refused for user or budget, without taking anything and without a row.

    For requests that are refused anyway (no price), so that the refusals keep their order. When the hold is
    not known either (0), a user whose budget is used up is over it.
    """
    refused = _standing(conn, user_id, now_ms)
    if refused is not None:
        return refused
    return None if conn.execute(_LEFT, (user_id, hold_nano)).fetchone()[0] else Refused.OVER_BUDGET


# ---- periods ----

_PERIOD = """
SELECT u.spend_nano, u.next_reset_at_ms, u.budget_id, b.duration_s
FROM users u LEFT JOIN budgets b ON b.budget_id = u.budget_id WHERE u.user_id = ?1
"""

_START_OVER = """
UPDATE users SET spend_nano = 0, budget_started_at_ms = ?2, next_reset_at_ms = ?3, updated_at_ms = ?4
WHERE user_id = ?1
"""

_LOG_RESET = """
INSERT INTO budget_resets (user_id, budget_id, previous_spend_nano, reset_at_ms, next_reset_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5)
"""


def start_over(conn: sqlite3.Connection, user_id: str, now_ms: int) -> None:
    """Begin the period that `now_ms` lies in: spend 0, the boundary moved on by whole durations, so it never
    drifts.

    Open holds stay; they are charged to the new period. A clock that goes back resets nothing a second time.
    If the budget has lost its duration, the period has no end any more.
    """
    spend_nano, boundary_ms, budget_id, duration_s = conn.execute(_PERIOD, (user_id,)).fetchone()
    if boundary_ms is None or boundary_ms > now_ms:
        return
    next_ms: int | None = None
    started_ms = boundary_ms
    if duration_s is not None:
        length_ms = duration_s * 1000
        started_ms += (now_ms - boundary_ms) // length_ms * length_ms
        next_ms = started_ms + length_ms
    conn.execute(_START_OVER, (user_id, started_ms, next_ms, now_ms))
    conn.execute(_LOG_RESET, (user_id, budget_id, spend_nano, started_ms, next_ms))


# ---- settle ----

_FINISH = """
UPDATE usage SET
    state = ?, status = ?, provider = ?, model = ?, http_status = ?, over_hold = ?,
    input_tokens = ?, output_tokens = ?, cache_read_tokens = ?, cache_write_tokens = ?, cache_write_1h_tokens
    = ?, reasoning_tokens = ?, cost_nano = ?,
    input_pico = ?, output_pico = ?, cache_read_pico = ?, cache_write_pico = ?, cache_write_1h_pico = ?,
    price_source = ?, usage_source = ?, flags = ?, error = ?, attempt_position = ?, settled_at_ms = ?,
    first_byte_ms = ?, total_ms = ?
WHERE id = ? AND state = 'open'
"""

# A charge that no column could hold would make the settlement fail for ever: the sum stops at its largest
# value.
_CHARGE = """
UPDATE users SET
    spend_nano = CASE
        WHEN spend_nano > 9000000000000000000 - ?1 THEN 9000000000000000000 ELSE spend_nano + ?1 END,
    reserved_nano = reserved_nano - ?2
WHERE user_id = ?3
"""

_TOUCH_KEY = "UPDATE keys SET last_used_at_ms = ?1 WHERE key_id = ?2"


def settle(
    conn: sqlite3.Connection,
    held: Hold,
    end: Settlement,
    absorbed: tuple[Absorbed, ...] = (),
    key_used: bool = False,
) -> bool:
    """Finish the open row of `held`: charge `end.cost_nano`, give the hold back, add rows for absorbed
    attempts.

    False, and nothing changed, when the row was not open any more: a request is charged once. `key_used`
    also notes the time on the key.
    """
    if conn.execute(_FINISH, (*end, held.id)).rowcount != 1:
        return False
    cost_nano = end.cost_nano or 0
    if cost_nano or held.hold_nano:
        conn.execute(_CHARGE, (cost_nano, held.hold_nano, held.user_id))
    if absorbed:
        _insert_absorbed(conn, held, absorbed, end.settled_at_ms)
    if key_used:
        conn.execute(_TOUCH_KEY, (end.settled_at_ms, held.key_id))
    return True


_INSERT_ABSORBED = """
INSERT INTO usage (
    id, request_id, user_id, key_id, key_name, endpoint, selector, provider, model, stream, state, status,
    http_status, hold_nano, hold_prompt_nano, hold_estimated, cost_nano, price_source, usage_source, error,
    attempt_position, created_at_ms, settled_at_ms, total_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'settled', 'absorbed', ?, 0, 0, 0, 0, 'none', 'none', ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""


def _insert_absorbed(conn: sqlite3.Connection, held: Hold, absorbed: tuple[Absorbed, ...], settled_at_ms: int) -> None:
    for position, attempt in enumerate(absorbed, 1):
        who = (held.user_id, held.key_id, held.key_name, held.endpoint, held.selector)
        what = (attempt.provider, attempt.model, held.stream, attempt.http_status, attempt.error, position)
        times = (held.created_at_ms, settled_at_ms, attempt.total_ms)
        conn.execute(_INSERT_ABSORBED, (f"{held.id}.{position}", held.id, *who, *what, *times))


# ---- recovery ----

_CHARGES = {
    "hold": "hold_nano",
    "prompt_only": "hold_prompt_nano",
    "release": "0",
}

_OPEN_SUMS = "SELECT user_id, count(*), sum({charge}) FROM usage WHERE state = 'open' GROUP BY user_id"

# An unpriced row (it has no rates) has no cost, only an end.
_RECOVER = """
UPDATE usage SET
    state = 'recovered', status = 'error', usage_source = 'estimated', flags = 'estimated',
    cost_nano = CASE WHEN input_pico IS NULL AND hold_nano = 0 THEN NULL ELSE {charge} END,
    error = 'the gateway stopped while this request was under way', settled_at_ms = CASE WHEN created_at_ms >
    ?1 THEN created_at_ms ELSE ?1 END
WHERE state = 'open'
"""

_NOTHING_RESERVED = "UPDATE users SET reserved_nano = 0 WHERE reserved_nano <> 0"


def recover(conn: sqlite3.Connection, on_crash: OnCrash, now_ms: int) -> Recovery:
    """End every open row: its process is gone, and what the provider did for it will never be known.

    Charged is the hold, the prompt's part of it, or nothing. Only for the start, when no other request is
    under way: afterwards nothing is open, so nothing is reserved.
    """
    charge = _CHARGES[on_crash]
    sums = conn.execute(_OPEN_SUMS.format(charge=charge)).fetchall()
    conn.execute(_RECOVER.format(charge=charge), (now_ms,))
    for user_id, _, charged_nano in sums:
        conn.execute(_CHARGE, (charged_nano, 0, user_id))
    conn.execute(_NOTHING_RESERVED)
    return Recovery(sum(row[1] for row in sums), sum(row[2] for row in sums))


_LAST_STAMP = "SELECT max(created_at_ms) FROM usage"


def last_stamp(conn: sqlite3.Connection) -> int:
    """The newest `created_at_ms` of all rows, 0 when there is none: no later row may be older."""
    stamp = conn.execute(_LAST_STAMP).fetchone()[0]
    return 0 if stamp is None else int(stamp)
