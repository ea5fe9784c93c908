"""Prices on disk and how those of the configuration come in."""

import sqlite3
from dataclasses import replace

import pytest

from otari.domain.errors import OtariError
from otari.domain.price import Price, Tier
from otari.store import price_text, prices
from otari.store.prices import PriceRow
from otari.store.records import iso
from tests.store.ground import NOON, in_memory

SMALL = "stub:small"


def put(conn: sqlite3.Connection, price: Price, now_ms: int = NOON) -> PriceRow:
    return prices.set_price(conn, SMALL, price, price.effective_at, price.source, now_ms)


def test_prices_come_back_as_they_were_set_newest_first() -> None:
    conn = in_memory()
    old = Price(1, 2, 3, 4, 5, source="api", effective_at=10)
    new = Price(6, 7, source="api", effective_at=20)
    put(conn, old)
    put(conn, new)
    assert prices.load(conn) == {SMALL: (new, old)}


def test_a_price_with_the_same_time_is_replaced() -> None:
    conn = in_memory()
    put(conn, Price(1, 2, 3, source="api", effective_at=10))
    put(conn, Price(4, 5, source="api", effective_at=10), NOON + 1)
    assert prices.load(conn) == {SMALL: (Price(4, 5, source="api", effective_at=10),)}
    assert conn.execute("SELECT created_at_ms, updated_at_ms FROM prices").fetchall() == [(NOON, NOON + 1)]


def test_one_price_or_a_whole_history_is_removed() -> None:
    conn = in_memory()
    for at in (1, 2, 3):
        put(conn, Price(at, at, effective_at=at))
    assert prices.remove_prices(conn, SMALL, 2) == 1
    assert prices.remove_prices(conn, SMALL, 2) == 0
    assert prices.remove_prices(conn, SMALL) == 2
    assert prices.load(conn) == {}


def test_a_price_of_the_configuration_holds_from_its_first_start() -> None:
    conn = in_memory()
    assert prices.adopt(conn, {SMALL: (Price(1, 2),)}, NOON) == 1
    assert prices.load(conn) == {SMALL: (Price(1, 2, effective_at=NOON),)}


def test_a_restart_does_not_override_what_was_set_since() -> None:
    conn = in_memory()
    configured = {SMALL: (Price(1, 2),)}
    prices.adopt(conn, configured, NOON)
    put(conn, Price(9, 9, source="api", effective_at=NOON + 5), NOON + 5)
    assert prices.adopt(conn, configured, NOON + 10) == 0
    assert prices.load(conn)[SMALL][0] == Price(9, 9, source="api", effective_at=NOON + 5)


def test_a_changed_configuration_holds_from_the_next_start() -> None:
    conn = in_memory()
    prices.adopt(conn, {SMALL: (Price(1, 2),)}, NOON)
    assert prices.adopt(conn, {SMALL: (Price(1, 3),)}, NOON + 10) == 1
    assert prices.load(conn)[SMALL][0] == Price(1, 3, effective_at=NOON + 10)


def test_a_dated_price_is_written_once_and_the_database_wins() -> None:
    conn = in_memory()
    put(conn, Price(9, 9, source="api", effective_at=50))
    dated = {SMALL: (Price(1, 2, effective_at=50), Price(3, 4, effective_at=60))}
    assert prices.adopt(conn, dated, NOON) == 1
    assert prices.adopt(conn, dated, NOON) == 0
    assert prices.load(conn)[SMALL] == (
        Price(3, 4, effective_at=60),
        Price(9, 9, source="api", effective_at=50),
    )


# ---- all meters, lists, histories ----

WHOLE = Price(
    1,
    2,
    3,
    4,
    5,
    source="api",
    effective_at=10,
    reasoning=6,
    request_pico=7,
    image_pico=8,
    second_pico=9,
    character_pico=10,
    unit="image",
    tiers=(Tier(100, input=11, cache_write_1h=12), Tier(200, output=13, reasoning=14)),
)


def test_every_meter_and_tier_comes_back() -> None:
    conn = in_memory()
    row = put(conn, WHOLE)
    assert row == PriceRow(SMALL, 10, WHOLE, "api", NOON, NOON)
    assert prices.load(conn) == {SMALL: (WHOLE,)}
    changed = put(conn, Price(1, 2, source="api", effective_at=10), NOON + 1)
    assert (changed.price, changed.created_at_ms, changed.updated_at_ms) == (
        Price(1, 2, source="api", effective_at=10),
        NOON,
        NOON + 1,
    )


def test_a_restart_finds_tiers_unchanged() -> None:
    conn = in_memory()
    configured = {SMALL: (Price(1, 2, tiers=(Tier(100, input=3),), request_pico=4),)}
    assert prices.adopt(conn, configured, NOON) == 1
    assert prices.adopt(conn, configured, NOON + 10) == 0
    assert prices.adopt(conn, {SMALL: (Price(1, 2, tiers=(Tier(101, input=3),), request_pico=4),)}, NOON + 20) == 1


def test_the_price_in_force_and_the_history() -> None:
    conn = in_memory()
    rows = {at: put(conn, Price(at, at, source="api", effective_at=at)) for at in (10, 20, 30)}
    assert prices.find_effective(conn, SMALL, 9) is None
    assert prices.find_effective(conn, SMALL, 29) == rows[20]
    assert prices.find_effective(conn, "stub:other", 99) is None
    assert prices.history(conn, SMALL) == [rows[30], rows[20], rows[10]]
    assert prices.history(conn, "stub:other") == []


def test_all_prices_are_listed_by_model_and_then_newest_first() -> None:
    conn = in_memory()
    keys = ["openai:gpt@5", "a:b", "z:org/model:free"]
    for key in keys:
        for at in (0, 5, 7):
            prices.set_price(conn, key, Price(at, 1), at, "api", NOON)
    whole = prices.list_prices(conn)
    assert [(row.model_key, row.effective_at_ms) for row in whole] == [
        (k, at) for k in sorted(keys) for at in (7, 5, 0)
    ]
    for place, row in enumerate(whole):
        assert prices.list_prices(conn, after=row.cursor) == whole[place + 1 :]
        shown = f"{iso(row.effective_at_ms)}@{row.model_key}"
        assert prices.list_prices(conn, after=shown) == whole[place + 1 :]
    assert prices.list_prices(conn, skip=1, limit=3, after=whole[1].cursor) == whole[3:6]
    for odd in ("", "x", "x@a:b", "5@", "@a:b", "9" * 30 + "@a:b"):
        with pytest.raises(OtariError, match="'after'"):
            prices.list_prices(conn, after=odd)


def test_the_rates_of_a_row_come_back_as_a_price() -> None:
    reached = WHOLE.for_input(250)
    text = price_text.write_rates(reached)
    found = price_text.read_rates(text, "api")
    assert found == replace(reached, effective_at=0)
    assert found is not None
    assert found.tier == 200
    assert price_text.write_rates(Price(1, 2)) == '{"input":1,"output":2}'
    assert price_text.read_rates(None, "none") is None
