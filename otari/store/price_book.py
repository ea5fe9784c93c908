"""Changes of prices: written first, in force in the catalog as soon as they are committed."""

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from otari.domain.catalog import Catalog
from otari.domain.price import Price
from otari.store import prices
from otari.store.db import Database
from otari.store.prices import PriceRow


class _Changed(NamedTuple):
    history: tuple[Price, ...]
    row: PriceRow | None
    removed: int


class PriceBook:
    """The prices of the database, laid over the catalog that every request looks them up in."""

    def __init__(self, db: Database, catalog: Catalog, now_ms: Callable[[], int]) -> None:
        self._db = db
        self._catalog = catalog
        self._now_ms = now_ms

    async def load(self) -> None:
        """Lay all prices of the database over the catalog."""
        for model_key, history in (await self._db.read(prices.load)).items():
            self._catalog.set_prices(model_key, history)

    async def set(
        self, model_key: str, price: Price, *, effective_at_ms: int | None = None, source: str = "api"
    ) -> PriceRow:
        """Write a price of `provider:model` that holds from a time on (None: from now on)."""
        now_ms = self._now_ms()
        at_ms = now_ms if effective_at_ms is None else effective_at_ms

        def op(conn: sqlite3.Connection) -> _Changed:
            row = prices.set_price(conn, model_key, price, at_ms, source, now_ms)
            return _Changed(_history(conn, model_key), row, 0)

        row = (await self._change(model_key, op)).row
        assert row is not None  # it was just written
        return row

    async def remove(self, model_key: str, effective_at_ms: int | None = None) -> int:
        """Remove one price of a model, or its whole history; how many rows there were."""

        def op(conn: sqlite3.Connection) -> _Changed:
            removed = prices.remove_prices(conn, model_key, effective_at_ms)
            return _Changed(_history(conn, model_key), None, removed)

        return (await self._change(model_key, op)).removed

    async def refresh(self, model_key: str) -> None:
        """Take in what stands in the database for a model, whoever wrote it."""
        await self._change(model_key, lambda conn: _Changed(_history(conn, model_key), None, 0))

    async def _change(self, model_key: str, op: Callable[[sqlite3.Connection], _Changed]) -> _Changed:
        # In the writer's order, and told before the caller is: a caller who is gone changes nothing about it.
        return await self._db.write(op, on_commit=lambda done: self._catalog.set_prices(model_key, done.history))


def _history(conn: sqlite3.Connection, model_key: str) -> tuple[Price, ...]:
    return tuple(row.price for row in prices.history(conn, model_key))
