"""Prices, set and read directly in the ledger."""

import sqlite3

import pytest

from otari.domain.price import Price
from otari.store import prices
from otari.store.db import Database
from tests.command.ground import NOON, Desk, furnish


@pytest.fixture(autouse=True)
def _ledger(desk: Desk) -> None:
    desk.write(furnish)


def test_a_price_is_set_exactly_and_shown_as_it_is_at_a_time(desk: Desk) -> None:
    old = desk.run(
        "prices", "set", "openai/gpt/5:x", "--input", "1.25", "--output", "10", "--effective-at", "2020-01-01"
    )
    assert old.code == 0
    rates = ("--input", "0.000001", "--output", "2.500000", "--cache-read", "0", "--per-request", "0.000000000001")
    desk.run("prices", "set", "openai:gpt/5:x", *rates)
    now = desk.run("prices", "show", "openai:gpt/5:x", "--json").json
    assert now["input_price_per_million"] == 0.000001
    assert now["cache_read_price_per_million"] == 0
    assert now["cache_write_price_per_million"] is None
    assert ["price_per_request", "0.000000000001"] in desk.run("prices", "show", "openai:gpt/5:x").rows
    then = desk.run("prices", "show", "openai:gpt/5:x", "--at", "2021-06-01")
    assert ["input_price_per_million", "1.25"] in then.rows
    assert ["origin", "api"] in then.rows
    history = desk.run("prices", "history", "openai:gpt/5:x")
    assert [row[2] for row in history.rows] == ["0.000001", "1.25"]
    assert desk.run("prices").rows == history.rows


def test_a_price_without_a_row_is_told(desk: Desk) -> None:
    desk.run("prices", "set", "a:b", "--input", "1", "--output", "1", "--effective-at", "7d")  # from next week on
    assert desk.run("prices", "show", "a:b").refused(1, "Pricing for model 'a:b' not found")
    assert desk.run("prices", "history", "x:y").refused(1, "Pricing for model 'x:y' not found")


def test_one_price_or_all_of_a_model_are_deleted(desk: Desk) -> None:
    for at in ("2020-01-01", "2021-01-01", "2022-01-01"):
        desk.run("prices", "set", "a:b", "--input", "1", "--output", "1", "--effective-at", at)
    assert desk.run("prices", "delete", "a:b", "--effective-at", "2021-01-01").out == "deleted the price of a:b\n"
    assert len(desk.run("prices").rows) == 2
    assert desk.run("prices", "delete", "a:b", "--effective-at", "2021-01-01").refused(
        1, "with effective_at 2021-01-01"
    )
    assert desk.run("prices", "delete", "a:b", "--all").out == "deleted all prices of a:b\n"
    assert desk.run("prices", "delete", "a:b", "--all").refused(1, "not found")


def test_more_prices_than_one_page(desk: Desk) -> None:
    def op(conn: sqlite3.Connection) -> None:
        for number in range(1_500):
            prices.set_price(conn, f"a:{number % 3}@b", Price(number, 0), NOON + number, "api", NOON)

    async def many(db: Database) -> None:
        await db.write(op)

    desk.write(many)
    found = desk.run("prices").rows
    assert len({tuple(row[:2]) for row in found}) == 1_500
    assert found == sorted(sorted(found, key=lambda row: row[1], reverse=True), key=lambda row: row[0])
    assert len(desk.run("prices", "list", "--limit", "7").rows) == 7
