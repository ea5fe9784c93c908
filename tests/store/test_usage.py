"""Reading the ledger: order, cursors, ranges, sums, and the arithmetic of a row."""

import sqlite3
from dataclasses import replace

import pytest

from otari.domain import money
from otari.domain.errors import Kind, OtariError
from otari.domain.price import Price, Tier
from otari.store import accounts, keys, ledger, price_text, usage
from otari.store.ledger import Absorbed
from tests.store.ground import NOON, end, hold_row, in_memory

DAY_MS = 86_400_000
MIDNIGHT = NOON // DAY_MS * DAY_MS


def people() -> sqlite3.Connection:
    conn = in_memory()
    for user_id in ("alice", "bob"):
        accounts.add_user(conn, user_id, alias=user_id.title(), now_ms=NOON)
    return conn


def add(
    conn: sqlite3.Connection, number: int, user_id: str = "alice", at_ms: int = NOON, cost: int | None = 60
) -> None:
    held = hold_row(f"r{number}", user_id, created_at_ms=at_ms)
    assert ledger.hold(conn, held) is None
    assert ledger.settle(conn, held, end(cost, settled_at_ms=at_ms + 1))


def ids(rows: list[usage.UsageRow]) -> list[str]:
    return [row.id for row in rows]


def test_a_row_has_every_column_of_the_table() -> None:
    conn = people()
    add(conn, 1)
    cursor = conn.execute("SELECT * FROM usage")
    stored = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    assert usage.get_usage(conn, "r1")._asdict() == stored
    assert usage.find_usage(conn, "nope") is None
    with pytest.raises(OtariError, match="'nope' not found") as caught:
        usage.get_usage(conn, "nope")
    assert caught.value.kind is Kind.NOT_FOUND


def test_the_newest_comes_first_also_within_one_moment() -> None:
    conn = people()
    for number in range(12):
        add(conn, number, at_ms=NOON + number // 5)
    newest = [f"r{number}" for number in reversed(range(12))]
    assert ids(usage.list_usage(conn)) == newest
    assert ids(usage.list_usage(conn, skip=3, limit=4)) == newest[3:7]
    assert ids(usage.list_usage(conn, after="r7", limit=3)) == ["r6", "r5", "r4"]
    assert usage.list_usage(conn, after="r0") == []
    with pytest.raises(OtariError, match="'after'"):
        usage.list_usage(conn, after="nope")


def test_a_walk_by_cursor_is_not_disturbed_by_new_rows() -> None:
    conn = people()
    for number in range(10):
        add(conn, number)
    seen: list[str] = []
    while page := usage.list_usage(conn, limit=3, after=seen[-1] if seen else None):
        seen += ids(page)
        add(conn, 100 + len(seen), at_ms=NOON + len(seen))
    assert seen == [f"r{number}" for number in reversed(range(10))]


def test_a_range_has_its_beginning_and_not_its_end() -> None:
    conn = people()
    for number, at_ms in enumerate((NOON - 1, NOON, NOON + 5, NOON + 10)):
        add(conn, number, at_ms=at_ms)
    assert ids(usage.list_usage(conn, start_ms=NOON, end_ms=NOON + 10)) == ["r2", "r1"]
    assert ids(usage.list_usage(conn, start_ms=NOON + 10)) == ["r3"]
    assert ids(usage.list_usage(conn, end_ms=NOON)) == ["r0"]
    assert usage.list_usage(conn, start_ms=NOON + 5, end_ms=NOON + 5) == []


def test_rows_of_one_user_also_of_a_deleted_one() -> None:
    conn = people()
    for number in range(6):
        add(conn, number, ("alice", "bob")[number % 2])
    accounts.remove_user(conn, "bob", NOON)
    assert ids(usage.list_usage(conn, user_id="bob")) == ["r5", "r3", "r1"]
    assert ids(usage.list_usage(conn, user_id="bob", after="r5", limit=1)) == ["r3"]
    assert usage.list_usage(conn, user_id="'; DROP TABLE usage; --") == []


def test_what_is_under_way_is_not_listed() -> None:
    conn = people()
    ledger.hold(conn, hold_row("open"))
    assert usage.list_usage(conn) == []
    assert usage.get_usage(conn, "open").state == "open"


# ---- sums ----


def test_sums_by_day_model_key_and_user() -> None:
    conn = people()
    keys.add_key(conn, keys.issue("alice", key_id="k", key_name="laptop", now_ms=NOON)[0])
    add(conn, 1, at_ms=MIDNIGHT, cost=10)
    add(conn, 2, at_ms=MIDNIGHT + DAY_MS - 1, cost=20)
    add(conn, 3, "bob", at_ms=MIDNIGHT + DAY_MS, cost=None)
    held = hold_row("r4", key_id="k", key_name="laptop", provider="far", model="org/x:y", created_at_ms=MIDNIGHT)
    ledger.hold(conn, held)
    ledger.settle(conn, held, end(5, provider="far", model="org/x:y"), (Absorbed("a", "m", 500, "no", 1),))
    ledger.hold(conn, hold_row("open"))
    by_day = usage.totals_by(conn, by="day")
    assert [(total.name, total.requests, total.cost_nano) for total in by_day] == [
        ("2023-11-14", 3, 35),
        ("2023-11-15", 1, 0),
    ]
    assert (by_day[0].input_tokens, by_day[0].output_tokens) == (120, 60)
    assert [(t.name, t.requests, t.cost_nano) for t in usage.totals_by(conn, by="model")] == [
        ("stub:small", 3, 30),
        ("far:org/x:y", 1, 5),
    ]
    assert [(t.name, t.label, t.cost_nano) for t in usage.totals_by(conn, by="key")] == [
        ("", None, 30),
        ("k", "laptop", 5),
    ]
    assert [(t.name, t.label, t.requests) for t in usage.totals_by(conn, by="user")] == [
        ("alice", "Alice", 3),
        ("bob", "Bob", 1),
    ]
    only = usage.totals_by(conn, by="user", start_ms=MIDNIGHT + DAY_MS, end_ms=MIDNIGHT + 2 * DAY_MS)
    assert [total.name for total in only] == ["bob"]
    assert [total.name for total in usage.totals_by(conn, by="day", limit=1)] == ["2023-11-15"]  # the last ones


def test_the_largest_amounts_can_be_summed() -> None:
    conn = people()
    held = [hold_row(f"r{number}") for number in range(3)]
    for row in held:
        ledger.hold(conn, row)
    for row in held:
        ledger.settle(conn, row, end(money.MAX_NANO_USD))
    (total,) = usage.totals_by(conn, by="model")
    assert total.cost_nano == 3 * money.MAX_NANO_USD


# ---- the arithmetic of a row ----

PRICE = Price(
    1_000,
    2_000,
    100,
    source="api",
    request_pico=5_000,
    tiers=(Tier(40, input=3_000),),
)


def settled(conn: sqlite3.Connection, price: Price | None, **facts: object) -> usage.UsageRow:
    held = hold_row("r", rates=None if price is None else price_text.write_rates(price))
    assert ledger.hold(conn, held) is None
    assert ledger.settle(conn, held, end(**{"rates": held.rates, "price_source": "api", **facts}))  # type: ignore[arg-type]
    return usage.get_usage(conn, "r")


def test_a_row_explains_its_cost_by_itself() -> None:
    row = settled(people(), PRICE.for_input(40), cost_nano=165, cache_read_tokens=0)
    assert row.price == replace(PRICE.for_input(40), effective_at=0)
    assert row.price is not None
    assert row.price.tier == 40
    assert [(line.meter, line.count, line.rate_pico) for line in row.lines] == [
        ("input", 40, 3_000),
        ("output", 20, 2_000),
        ("request", 1, 5_000),
    ]
    assert sum(line.amount_pico for line in row.lines) == row.cost_nano * 1_000 if row.cost_nano else False


@pytest.mark.parametrize(
    ("price", "facts"),
    [
        (None, {"cost_nano": None}),
        (PRICE, {"state": "released", "status": "error", "cost_nano": 0}),
        (PRICE, {"flags": "usage_invalid,estimated", "input_tokens": None, "output_tokens": None}),
    ],
)
def test_rows_that_have_no_arithmetic(price: Price | None, facts: dict[str, object]) -> None:
    assert settled(people(), price and price.for_input(0), **facts).lines == ()


def test_counted_units_are_explained() -> None:
    image = Price(0, 0, image_pico=40_000_000_000, unit="image")
    facts = {"input_tokens": None, "output_tokens": None, "quantity": 3, "cost_nano": 120_000_000}
    row = settled(people(), image, **facts)
    assert [(line.meter, line.count) for line in row.lines] == [("image", 3)]
    assert row.price is not None
    assert row.price.unit == "image"


def test_an_absorbed_attempt_has_no_arithmetic() -> None:
    conn = people()
    held = hold_row("r")
    ledger.hold(conn, held)
    ledger.settle(conn, held, end(60), (Absorbed("a", "m", 500, "no", 1),))
    assert usage.get_usage(conn, "r.1").lines == ()
    assert ids(usage.list_usage(conn)) == ["r.1", "r"]
