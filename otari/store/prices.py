"""Prices that the database knows, and how they meet those of the configuration.

A price row belongs to `provider:model` and a time from which it holds. A price that was set later wins over an older
one, wherever it came from, so a restart never brings back what the operator has replaced. Functions on a connection
inside a transaction.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from otari.domain.price import Price
from otari.store.pages import bounded, known_place
from otari.store.price_text import read_tiers, write_tiers


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A price as it is stored: for which model, from when on, since when."""

    model_key: str
    effective_at_ms: int
    price: Price
    source: str
    created_at_ms: int
    updated_at_ms: int

    @property
    def cursor(self) -> str:
        """What `list_prices` takes for `after`."""
        return f"{self.effective_at_ms}@{self.model_key}"


_COLUMNS = """
SELECT model_key, effective_at_ms, input_pico, output_pico, cache_read_pico, cache_write_pico, cache_write_1h_pico,
       reasoning_pico, request_pico, image_pico, second_pico, character_pico, unit, tiers,
       source, created_at_ms, updated_at_ms
FROM prices
"""


def _row(facts: tuple[Any, ...]) -> PriceRow:
    model_key, effective_at_ms, *rates, tiers, source, created_at_ms, updated_at_ms = facts
    read, written, cache_read, cache_write, cache_write_1h, reasoning, request, image, second, character, unit = rates
    price = Price(
        read,
        written,
        cache_read,
        cache_write,
        cache_write_1h,
        source=source,
        effective_at=effective_at_ms,
        reasoning=reasoning,
        request_pico=request,
        image_pico=image,
        second_pico=second,
        character_pico=character,
        unit=unit,
        tiers=read_tiers(tiers),
    )
    return PriceRow(model_key, effective_at_ms, price, source, created_at_ms, updated_at_ms)


_LOAD = _COLUMNS + " ORDER BY model_key, effective_at_ms DESC"


def load(conn: sqlite3.Connection) -> dict[str, tuple[Price, ...]]:
    """All price histories by `provider:model`, newest first, ready for `Catalog.set_prices`."""
    histories: dict[str, list[Price]] = {}
    for row in map(_row, conn.execute(_LOAD)):
        histories.setdefault(row.model_key, []).append(row.price)
    return {model_key: tuple(history) for model_key, history in histories.items()}


_LIST = _LOAD + " LIMIT ?1 OFFSET ?2"

_LIST_AFTER = (
    _COLUMNS
    + """
WHERE model_key > ?3 OR (model_key = ?3 AND effective_at_ms < ?4)
ORDER BY model_key, effective_at_ms DESC LIMIT ?1 OFFSET ?2
"""
)


def list_prices(
    conn: sqlite3.Connection, *, skip: int = 0, limit: int = 100, after: str | None = None
) -> list[PriceRow]:
    """All price rows, by model and then newest first, from behind the row with the cursor `after` on.

    A cursor is `TIME@provider:model`; the time is in epoch milliseconds, or as rows are shown with it.
    Raises OtariError(UNPROCESSABLE) for a page that can not be.
    """
    page = bounded(skip, limit)
    if after is None:
        return [_row(facts) for facts in conn.execute(_LIST, page)]
    time, _, model_key = after.partition("@")
    place = known_place(_cursor_ms(time) if model_key else None)
    return [_row(facts) for facts in conn.execute(_LIST_AFTER, (*page, model_key, place))]


def _cursor_ms(time: str) -> int | None:
    if time.isascii() and time.isdigit() and len(time) < 19:
        return int(time)
    try:
        point = datetime.fromisoformat(time)
        return round((point if point.tzinfo else point.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


_HISTORY = _COLUMNS + " WHERE model_key = ?1 ORDER BY effective_at_ms DESC"


def history(conn: sqlite3.Connection, model_key: str) -> list[PriceRow]:
    """All prices of a model, newest first."""
    return [_row(facts) for facts in conn.execute(_HISTORY, (model_key,))]


_EFFECTIVE = _COLUMNS + " WHERE model_key = ?1 AND effective_at_ms <= ?2 ORDER BY effective_at_ms DESC LIMIT 1"


def find_effective(conn: sqlite3.Connection, model_key: str, at_ms: int) -> PriceRow | None:
    """The row that is in force at a time, or None."""
    facts = conn.execute(_EFFECTIVE, (model_key, at_ms)).fetchone()
    return None if facts is None else _row(facts)


_FIND = _COLUMNS + " WHERE model_key = ?1 AND effective_at_ms = ?2"

_SET = """
INSERT INTO prices (
    model_key, effective_at_ms, input_pico, output_pico, cache_read_pico, cache_write_pico, cache_write_1h_pico,
    reasoning_pico, request_pico, image_pico, second_pico, character_pico, unit, tiers,
    source, created_at_ms, updated_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16)
ON CONFLICT (model_key, effective_at_ms) DO UPDATE SET
    input_pico = excluded.input_pico, output_pico = excluded.output_pico,
    cache_read_pico = excluded.cache_read_pico, cache_write_pico = excluded.cache_write_pico,
    cache_write_1h_pico = excluded.cache_write_1h_pico, reasoning_pico = excluded.reasoning_pico,
    request_pico = excluded.request_pico, image_pico = excluded.image_pico, second_pico = excluded.second_pico,
    character_pico = excluded.character_pico, unit = excluded.unit, tiers = excluded.tiers,
    source = excluded.source, updated_at_ms = excluded.updated_at_ms
"""


def set_price(
    conn: sqlite3.Connection, model_key: str, price: Price, effective_at_ms: int, source: str, now_ms: int
) -> PriceRow:
    """Write a price that holds from a time on; one with the same time is replaced. Its row comes back."""
    tokens = (price.input, price.output, price.cache_read, price.cache_write, price.cache_write_1h, price.reasoning)
    each = (price.request_pico, price.image_pico, price.second_pico, price.character_pico)
    shape = (price.unit, write_tiers(price.tiers))
    conn.execute(_SET, (model_key, effective_at_ms, *tokens, *each, *shape, source, now_ms))
    return _row(conn.execute(_FIND, (model_key, effective_at_ms)).fetchone())


_REMOVE = "DELETE FROM prices WHERE model_key = ?1 AND (?2 IS NULL OR effective_at_ms = ?2)"


def remove_prices(conn: sqlite3.Connection, model_key: str, effective_at_ms: int | None = None) -> int:
    """Remove one price of a model, or its whole history; how many rows there were."""
    return conn.execute(_REMOVE, (model_key, effective_at_ms)).rowcount


def adopt(conn: sqlite3.Connection, configured: Mapping[str, tuple[Price, ...]], now_ms: int) -> int:
    """Bring the prices of the configuration into the database; how many rows were new.

    A price with a time of its own is written once; what stands in the database at that time wins. A price without one
    (`effective_at` 0) holds from now on, but only if it differs from the last price that the configuration gave: an
    unchanged file must not override, at every restart, what was set over the API since.
    """
    known = load(conn)
    new = 0
    for model_key, prices in configured.items():
        rows = known.get(model_key, ())
        for price in prices:
            at_ms = price.effective_at or _from_now(price, rows, now_ms)
            if at_ms is not None and all(row.effective_at != at_ms for row in rows):
                set_price(conn, model_key, price, at_ms, price.source, now_ms)
                new += 1
    return new


def _from_now(price: Price, rows: tuple[Price, ...], now_ms: int) -> int | None:
    last = next((row for row in rows if row.source == price.source), None)
    return None if last is not None and replace(last, effective_at=0) == price else now_ms
