"""Reading the ledger: its rows, newest first, and their sums.

Rows come in the order of their arrival (`created_at_ms`, `seq`), which never changes: stamps do not go back, so new
rows only come in front. Functions on a connection inside a transaction; amounts in nano-USD, times in epoch
milliseconds; a range of time has its beginning and not its end.
"""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from otari.domain import money
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.price import Price
from otari.store.pages import bounded, known_place
from otari.store.price_text import read_rates

By = Literal["day", "model", "key", "user"]

_ALWAYS_MS = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UsageRow(NamedTuple):
    """A row of the ledger, as the table has it; the order of the fields is that of `_COLUMNS`."""

    seq: int
    id: str
    request_id: str
    user_id: str
    key_id: str | None
    key_name: str | None
    endpoint: str
    selector: str
    provider: str
    model: str
    stream: bool
    state: Literal["open", "settled", "released", "recovered"]
    status: Literal["success", "error", "absorbed"] | None
    http_status: int | None
    hold_nano: int
    hold_prompt_nano: int
    hold_estimated: bool
    over_hold: bool
    counts_toward_budget: bool
    counts_toward_key: bool
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
    usage_source: str | None
    flags: str
    error: str | None
    attempt_position: int
    created_at_ms: int
    settled_at_ms: int | None
    first_byte_ms: int | None
    total_ms: int | None
    dropped: str

    @property
    def usage(self) -> Usage:
        """What was counted."""
        return Usage(
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
            self.reasoning_tokens,
        )

    @property
    def price(self) -> Price | None:
        """The rates that applied, those of a tier included; None when the model had no price."""
        return read_rates(self.rates, self.price_source)

    @property
    def lines(self) -> tuple[money.Line, ...]:
        """The arithmetic of `cost_nano`, from what stands in the row alone; the sum of the lines, rounded, is the cost.

        Empty when the model had no price and when no provider worked. A recovered row has no arithmetic: it is charged
        by its hold. So is a row whose numbers could not be believed or counted anew (`usage_invalid`, no tokens).
        """
        price, usage = self.price, self.usage
        by_hold = usage == Usage() and "usage_invalid" in self.flags.split(",")
        if price is None or self.state != "settled" or self.status == "absorbed" or by_hold:
            return ()
        return money.explain(usage, price, self.quantity or 0)


_COLUMNS = """
SELECT seq, id, request_id, user_id, key_id, key_name, endpoint, selector, provider, model, stream, state, status,
       http_status, hold_nano, hold_prompt_nano, hold_estimated, over_hold, counts_toward_budget, counts_toward_key,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
       quantity, cost_nano, rates, price_source, usage_source, flags, error, attempt_position, created_at_ms,
       settled_at_ms, first_byte_ms, total_ms, dropped
FROM usage
"""


def _row(facts: tuple[Any, ...]) -> UsageRow:
    row = UsageRow(*facts)
    return row._replace(
        stream=bool(row.stream),
        hold_estimated=bool(row.hold_estimated),
        over_hold=bool(row.over_hold),
        counts_toward_budget=bool(row.counts_toward_budget),
        counts_toward_key=bool(row.counts_toward_key),
    )


_FIND = _COLUMNS + " WHERE id = ?1"


def find_usage(conn: sqlite3.Connection, row_id: str) -> UsageRow | None:
    """The row, or None."""
    facts = conn.execute(_FIND, (row_id,)).fetchone()
    return None if facts is None else _row(facts)


def get_usage(conn: sqlite3.Connection, row_id: str) -> UsageRow:
    """The row. Raises OtariError(NOT_FOUND)."""
    row = find_usage(conn, row_id)
    if row is None:
        raise OtariError(Kind.NOT_FOUND, f"Usage entry with id '{row_id}' not found", param="id")
    return row


# Without a cursor, the place is in front of everything. What is under way has no place in a list of what was used.
_IN_RANGE = """
WHERE state <> 'open' AND created_at_ms >= ?3 AND created_at_ms < ?4
  AND (created_at_ms, seq) < (?5, ?6)
"""
_NEWEST_FIRST = " ORDER BY created_at_ms DESC, seq DESC LIMIT ?1 OFFSET ?2"

_LIST = _COLUMNS + _IN_RANGE + _NEWEST_FIRST

_LIST_OF_USER = _COLUMNS + _IN_RANGE + " AND user_id = ?7" + _NEWEST_FIRST


def list_usage(
    conn: sqlite3.Connection,
    *,
    user_id: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    skip: int = 0,
    limit: int = 100,
    after: str | None = None,
) -> list[UsageRow]:
    """Rows that have ended, newest first, from behind the row with the id `after` on. Absorbed attempts are among them.

    Raises OtariError(UNPROCESSABLE) for a page that can not be.
    """
    place = (_ALWAYS_MS, 0)
    page = bounded(skip, limit)
    if after is not None:
        last = known_place(find_usage(conn, after))
        place = (last.created_at_ms, last.seq)
    facts = (*page, *_range(start_ms, end_ms), *place)
    rows = conn.execute(_LIST, facts) if user_id is None else conn.execute(_LIST_OF_USER, (*facts, user_id))
    return [_row(row) for row in rows]


class UsageTotal(NamedTuple):
    """Sums over the rows of a day, a model, a key or a user; `label` is what people call the key or the user."""

    name: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost_nano: int
    label: str | None = None


# What the rows are grouped by, and what people call a group. A row without a key is one of the master key.
_GROUPS: dict[By, tuple[str, str, str]] = {
    "day": ("created_at_ms / 86400000", "NULL", "name DESC"),
    "model": ("provider || ':' || model", "NULL", "whole DESC, rest DESC, name"),
    "key": ("coalesce(key_id, '')", "max(key_name)", "whole DESC, rest DESC, name"),
    "user": ("user_id", "(SELECT alias FROM users WHERE users.user_id = usage.user_id)", "whole DESC, rest DESC, name"),
}

# An absorbed attempt is a part of a request that has a row of its own. Whole USD and the rest are summed apart: two of
# the largest amounts together are more than SQLite can add.
_TOTALS = """
SELECT {name} AS name, count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
       coalesce(sum(cost_nano / 1000000000), 0) AS whole, coalesce(sum(cost_nano % 1000000000), 0) AS rest, {label}
FROM usage
WHERE status IN ('success', 'error') AND created_at_ms >= ?1 AND created_at_ms < ?2
GROUP BY 1 ORDER BY {order} LIMIT ?3
"""


def totals_by(
    conn: sqlite3.Connection, *, by: By, start_ms: int | None = None, end_ms: int | None = None, limit: int = 1_000
) -> list[UsageTotal]:
    """Sums by UTC day (the last ones, oldest first), or by model, key or user (dearest first).

    A key's name is its id, and "" stands for the master key. Raises OtariError(UNPROCESSABLE) for a limit that can not
    be.
    """
    name, label, order = _GROUPS[by]
    most, _ = bounded(0, limit)
    sql = _TOTALS.format(name=name, label=label, order=order)
    rows = conn.execute(sql, (*_range(start_ms, end_ms), most)).fetchall()
    if by == "day":
        return [_total((_date(day), *sums)) for day, *sums in reversed(rows)]
    return [_total(row) for row in rows]


def _total(row: tuple[Any, ...]) -> UsageTotal:
    name, requests, read, written, whole, rest, label = row
    return UsageTotal(name, requests, read, written, whole * money.NANO_PER_USD + rest, label)


def _range(start_ms: int | None, end_ms: int | None) -> tuple[int, int]:
    return -_ALWAYS_MS if start_ms is None else start_ms, _ALWAYS_MS if end_ms is None else end_ms


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()
