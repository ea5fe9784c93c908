"""Prices on disk and how those of the configuration come in."""

from otari.domain.catalog import Price
from otari.store import prices
from tests.store.ground import NOON, in_memory

SMALL = "stub:small"


def test_prices_come_back_as_they_were_set_newest_first() -> None:
    conn = in_memory()
    old = Price(1, 2, 3, 4, 5, source="api", effective_at=10)
    new = Price(6, 7, source="api", effective_at=20)
    prices.set_price(conn, SMALL, old, NOON)
    prices.set_price(conn, SMALL, new, NOON)
    assert prices.load(conn) == {SMALL: (new, old)}


def test_a_price_with_the_same_time_is_replaced() -> None:
    conn = in_memory()
    prices.set_price(conn, SMALL, Price(1, 2, 3, source="api", effective_at=10), NOON)
    prices.set_price(conn, SMALL, Price(4, 5, source="api", effective_at=10), NOON + 1)
    assert prices.load(conn) == {SMALL: (Price(4, 5, source="api", effective_at=10),)}
    assert conn.execute("SELECT created_at_ms, updated_at_ms FROM prices").fetchall() == [(NOON, NOON + 1)]


def test_one_price_or_a_whole_history_is_removed() -> None:
    conn = in_memory()
    for at in (1, 2, 3):
        prices.set_price(conn, SMALL, Price(at, at, effective_at=at), NOON)
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
    prices.set_price(conn, SMALL, Price(9, 9, source="api", effective_at=NOON + 5), NOON + 5)
    assert prices.adopt(conn, configured, NOON + 10) == 0
    assert prices.load(conn)[SMALL][0] == Price(9, 9, source="api", effective_at=NOON + 5)


def test_a_changed_configuration_holds_from_the_next_start() -> None:
    conn = in_memory()
    prices.adopt(conn, {SMALL: (Price(1, 2),)}, NOON)
    assert prices.adopt(conn, {SMALL: (Price(1, 3),)}, NOON + 10) == 1
    assert prices.load(conn)[SMALL][0] == Price(1, 3, effective_at=NOON + 10)


def test_a_dated_price_is_written_once_and_the_database_wins() -> None:
    conn = in_memory()
    prices.set_price(conn, SMALL, Price(9, 9, source="api", effective_at=50), NOON)
    dated = {SMALL: (Price(1, 2, effective_at=50), Price(3, 4, effective_at=60))}
    assert prices.adopt(conn, dated, NOON) == 1
    assert prices.adopt(conn, dated, NOON) == 0
    assert prices.load(conn)[SMALL] == (
        Price(3, 4, effective_at=60),
        Price(9, 9, source="api", effective_at=50),
    )
