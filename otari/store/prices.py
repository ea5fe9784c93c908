"""Prices that the database knows, and how they meet those of the configuration.

A price row belongs to `provider:model` and a time from which it holds. A price that was set later wins over
an older one, wherever it came from, so a restart never brings back what the operator has replaced.
"""

import sqlite3
from collections.abc import Mapping

from otari.domain.catalog import Price

_LOAD = """
SELECT model_key, input_pico, output_pico, cache_read_pico, cache_write_pico, cache_write_1h_pico, source,
       effective_at_ms
FROM prices ORDER BY model_key, effective_at_ms DESC
"""


def load(conn: sqlite3.Connection) -> dict[str, tuple[Price, ...]]:
    """All price histories by `provider:model`, newest first, ready for `Catalog.set_prices`."""
    histories: dict[str, list[Price]] = {}
    for model_key, *facts in conn.execute(_LOAD):
        histories.setdefault(model_key, []).append(Price(*facts))
    return {model_key: tuple(history) for model_key, history in histories.items()}


_SET = """
INSERT INTO prices (
    model_key, effective_at_ms, input_pico, output_pico, cache_read_pico, cache_write_pico,
    cache_write_1h_pico, source, created_at_ms, updated_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
ON CONFLICT (model_key, effective_at_ms) DO UPDATE SET
    input_pico = excluded.input_pico, output_pico = excluded.output_pico,
    cache_read_pico = excluded.cache_read_pico, cache_write_pico = excluded.cache_write_pico,
    cache_write_1h_pico = excluded.cache_write_1h_pico, source = excluded.source,
    updated_at_ms = excluded.updated_at_ms
"""


def set_price(conn: sqlite3.Connection, model_key: str, price: Price, now_ms: int) -> None:
    """Write a price that holds from `price.effective_at` on; one with the same time is replaced."""
    rates = (price.input, price.output, price.cache_read, price.cache_write, price.cache_write_1h)
    conn.execute(_SET, (model_key, price.effective_at, *rates, price.source, now_ms))


_REMOVE = "DELETE FROM prices WHERE model_key = ?1 AND (?2 IS NULL OR effective_at_ms = ?2)"


def remove_prices(conn: sqlite3.Connection, model_key: str, effective_at_ms: int | None = None) -> int:
    """Remove one price of a model, or its whole history; how many rows there were."""
    return conn.execute(_REMOVE, (model_key, effective_at_ms)).rowcount


def adopt(conn: sqlite3.Connection, configured: Mapping[str, tuple[Price, ...]], now_ms: int) -> int:
    """Bring the prices of the configuration into the database; how many rows were new.

    A price with a time of its own is written once; what stands in the database at that time wins. A price
    without one (`effective_at` 0) holds from now on, but only if it differs from the last price that the
    configuration gave: an unchanged file must not override, at every restart, what was set over the API
    since.
    """
    known = load(conn)
    new = 0
    for model_key, history in configured.items():
        rows = known.get(model_key, ())
        for price in history:
            timed = price if price.effective_at else _from_now(price, rows, now_ms)
            if timed is not None and all(row.effective_at != timed.effective_at for row in rows):
                set_price(conn, model_key, timed, now_ms)
                new += 1
    return new


def _from_now(price: Price, rows: tuple[Price, ...], now_ms: int) -> Price | None:
    last = next((row for row in rows if row.source == price.source), None)
    if last is not None and _rates(last) == _rates(price):
        return None
    return Price(*_rates(price), source=price.source, effective_at=now_ms)


def _rates(price: Price) -> tuple[int, int, int | None, int | None, int | None]:
    return (price.input, price.output, price.cache_read, price.cache_write, price.cache_write_1h)
