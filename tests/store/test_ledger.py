"""Holds, charges, periods and recovery: no request is free, none is charged twice."""

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from otari.domain.chat import Usage
from otari.domain.errors import OtariError
from otari.domain.money import MAX_NANO_USD
from otari.domain.money import cost as cost_of
from otari.domain.price import Price
from otari.store import accounts, budgets, ledger, recovery
from otari.store.db import Database
from otari.store.ledger import Absorbed, Refused
from otari.store.recovery import OnCrash
from tests.store.ground import (
    NOON,
    RATES,
    assert_books_agree,
    end,
    fault,
    hold_row,
    in_loop,
    in_memory,
    money,
    released,
)

DAY_MS = 86_400_000


def with_alice(max_nano: int | None = 1_000, duration_s: int | None = None) -> sqlite3.Connection:
    """A ledger where alice has a budget."""
    conn = in_memory()
    budget = budgets.add_budget(conn, max_nano=max_nano, duration_s=duration_s, name=None, now_ms=NOON)
    accounts.add_user(conn, "alice", budget_id=budget.budget_id, now_ms=NOON)
    return conn


def row(conn: sqlite3.Connection, request_id: str) -> dict[str, Any]:
    """One usage row by column name."""
    cursor = conn.execute("SELECT * FROM usage WHERE id = ?", (request_id,))
    return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))


# ---- hold ----


def test_a_hold_is_reserved_and_written() -> None:
    conn = with_alice()
    assert ledger.hold(conn, hold_row("r1", hold_nano=400, key_id="k", key_name="laptop", stream=True)) is None
    assert money(conn) == (0, 400)
    written = row(conn, "r1")
    assert {name: value for name, value in written.items() if value is not None} == {
        "seq": 1,
        "id": "r1",
        "request_id": "r1",
        "user_id": "alice",
        "key_id": "k",
        "key_name": "laptop",
        "endpoint": "/v1/chat/completions",
        "selector": "stub:small",
        "provider": "stub",
        "model": "small",
        "stream": 1,
        "state": "open",
        "hold_nano": 400,
        "hold_prompt_nano": 100,
        "hold_estimated": 0,
        "over_hold": 0,
        "dropped": "",
        "counts_toward_budget": 1,
        "counts_toward_key": 0,
        "rates": RATES,
        "price_source": "config",
        "flags": "",
        "attempt_position": 1,
        "created_at_ms": NOON,
    }


def test_the_last_money_goes_to_one() -> None:
    conn = with_alice(max_nano=1_000)
    assert ledger.hold(conn, hold_row("r1", hold_nano=600)) is None
    assert ledger.hold(conn, hold_row("r2", hold_nano=401)) is Refused.OVER_BUDGET
    assert ledger.hold(conn, hold_row("r3", hold_nano=400)) is None  # up to the cap itself
    assert money(conn) == (0, 1_000)
    assert conn.execute("SELECT count(*) FROM usage").fetchone()[0] == 2


def test_what_is_spent_counts() -> None:
    conn = with_alice(max_nano=1_000)
    ledger.hold(conn, hold_row("r1", hold_nano=600))
    ledger.settle(conn, hold_row("r1", hold_nano=600), end(600))
    assert ledger.hold(conn, hold_row("r2", hold_nano=401)) is Refused.OVER_BUDGET


@pytest.mark.parametrize("hold_nano", [0, 100])
def test_who_may_not_ask_is_told_apart(hold_nano: int) -> None:
    conn = with_alice()
    accounts.add_user(conn, "bob", blocked=True, now_ms=NOON)
    accounts.add_user(conn, "carol", now_ms=NOON)
    accounts.remove_user(conn, "carol", NOON)
    for user_id, refused in [("ghost", Refused.NO_USER), ("bob", Refused.BLOCKED), ("carol", Refused.NO_USER)]:
        assert ledger.hold(conn, hold_row("r", user_id, hold_nano)) is refused
    assert conn.execute("SELECT count(*) FROM usage").fetchone()[0] == 0


def test_a_free_request_passes_even_when_the_budget_is_used_up() -> None:
    conn = with_alice(max_nano=0)
    assert ledger.hold(conn, hold_row("r", hold_nano=0)) is None


def test_a_user_without_a_cap_is_reserved_for_too() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    ledger.hold(conn, hold_row("r", hold_nano=10**15))
    assert money(conn) == (0, 10**15)


def test_no_hold_can_overflow_the_account() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    assert ledger.hold(conn, hold_row("r1", hold_nano=MAX_NANO_USD)) is None
    assert ledger.hold(conn, hold_row("r2", hold_nano=MAX_NANO_USD)) is Refused.OVER_BUDGET


def test_a_request_id_is_used_once() -> None:
    conn = with_alice()
    ledger.hold(conn, hold_row("r", hold_nano=100))
    assert ledger.hold(conn, hold_row("r", hold_nano=100)) is Refused.KNOWN_ID
    assert money(conn) == (0, 100)


def test_a_check_takes_nothing() -> None:
    conn = with_alice(max_nano=100)
    assert ledger.check(conn, hold_row("r", hold_nano=100)) is None
    assert ledger.check(conn, hold_row("r", hold_nano=101)) is Refused.OVER_BUDGET
    assert ledger.check(conn, hold_row("r", hold_nano=0)) is None
    assert ledger.check(conn, hold_row("r", "ghost", 0)) is Refused.NO_USER
    ledger.hold(conn, hold_row("r", hold_nano=100))
    assert ledger.check(conn, hold_row("r2", hold_nano=0)) is Refused.OVER_BUDGET
    assert money(conn) == (0, 100)


# ---- settle ----


def test_a_settlement_charges_the_truth_and_gives_the_hold_back() -> None:
    conn = with_alice()
    held = hold_row("r", hold_nano=400)
    ledger.hold(conn, held)
    assert ledger.settle(conn, held, end(150, flags="estimated,client_gone"))
    assert money(conn) == (150, 0)
    written = row(conn, "r")
    assert (written["state"], written["status"], written["cost_nano"]) == ("settled", "success", 150)
    assert written["flags"] == "estimated,client_gone"
    assert written["settled_at_ms"] == NOON + 1_000


def test_a_second_settlement_changes_nothing_and_is_told() -> None:
    conn = with_alice()
    held = hold_row("r", hold_nano=400)
    ledger.hold(conn, held)
    assert ledger.settle(conn, held, end(150))
    before = row(conn, "r")
    assert not ledger.settle(conn, held, end(399), (Absorbed("a", "b", 500, "late", 1),))
    assert not ledger.settle(conn, held, released())
    assert row(conn, "r") == before
    assert money(conn) == (150, 0)
    assert conn.execute("SELECT count(*) FROM usage").fetchone()[0] == 1


def test_what_was_never_held_can_not_be_settled() -> None:
    conn = with_alice()
    assert not ledger.settle(conn, hold_row("r"), end(150))
    assert money(conn) == (0, 0)


def test_a_cost_above_the_hold_is_charged_and_the_next_is_refused() -> None:
    conn = with_alice(max_nano=1_000)
    held = hold_row("r1", hold_nano=100)
    ledger.hold(conn, held)
    ledger.settle(conn, held, end(5_000, over_hold=True))
    assert money(conn) == (5_000, 0)
    assert row(conn, "r1")["over_hold"] == 1
    assert ledger.hold(conn, hold_row("r2", hold_nano=1)) is Refused.OVER_BUDGET


def test_an_unpriced_request_has_no_cost() -> None:
    conn = with_alice()
    held = hold_row("r", hold_nano=0, rates=None, price_source="none")
    ledger.hold(conn, held)
    assert ledger.settle(conn, held, end(None))
    assert row(conn, "r")["cost_nano"] is None
    assert money(conn) == (0, 0)


def test_the_account_stops_at_its_largest_amount() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    for request_id in ("r1", "r2"):
        held = hold_row(request_id, hold_nano=1)
        assert ledger.hold(conn, held) is None
        if request_id == "r1":
            assert ledger.settle(conn, held, end(MAX_NANO_USD - 5))
    assert ledger.settle(conn, held, end(MAX_NANO_USD))
    assert money(conn) == (MAX_NANO_USD, 0)


def test_absorbed_attempts_have_rows_of_their_own() -> None:
    conn = with_alice()
    held = hold_row("r", hold_nano=100)
    ledger.hold(conn, held)
    failed = (Absorbed("a", "small", 503, "overloaded", 20), Absorbed("b", "small", None, "no connection", 30))
    ledger.settle(conn, held, end(60, attempt_position=3), failed)
    rows = conn.execute(
        "SELECT id, request_id, provider, status, http_status, cost_nano, attempt_position FROM usage ORDER BY id"
    ).fetchall()
    assert rows == [
        ("r", "r", "stub", "success", 200, 60, 3),
        ("r.1", "r", "a", "absorbed", 503, 0, 1),
        ("r.2", "r", "b", "absorbed", None, 0, 2),
    ]
    assert_books_agree(conn)


def test_the_sums_of_two_users_are_exact_over_ten_thousand_rows() -> None:
    conn = with_alice(max_nano=None)
    accounts.add_user(conn, "bob", now_ms=NOON)
    dice = random.Random(7)
    spent = {"alice": 0, "bob": 0}
    conn.execute("BEGIN")
    for number in range(10_000):
        held = hold_row(f"r{number}", dice.choice(("alice", "bob")), dice.randrange(1, 10**12))
        assert ledger.hold(conn, held) is None
        rates = Price(dice.randrange(10**7), dice.randrange(10**7), cache_read=dice.randrange(10**6))
        cost = cost_of(Usage(dice.randrange(10**6), dice.randrange(10**5), dice.randrange(10**6)), rates)
        assert ledger.settle(conn, held, end(cost))
        spent[held.user_id] += cost
    conn.execute("COMMIT")
    assert {user_id: money(conn, user_id) for user_id in spent} == {u: (spent[u], 0) for u in spent}
    assert_books_agree(conn)


# ---- periods ----


def test_a_period_starts_over_once_and_never_drifts() -> None:
    conn = with_alice(max_nano=100, duration_s=86_400)
    held = hold_row("r1", hold_nano=100)
    ledger.hold(conn, held)
    ledger.settle(conn, held, end(100))
    late = NOON + DAY_MS - 1
    assert ledger.hold(conn, hold_row("r2", hold_nano=1, created_at_ms=late)) is Refused.OVER_BUDGET
    # 40 and a half days later: one reset, its boundary where whole days put it.
    assert ledger.hold(conn, hold_row("r3", hold_nano=100, created_at_ms=NOON + 40 * DAY_MS + DAY_MS // 2)) is None
    assert money(conn) == (0, 100)
    user = accounts.get_user(conn, "alice")
    assert user.budget_started_at_ms == NOON + 40 * DAY_MS
    assert user.next_reset_at_ms == NOON + 41 * DAY_MS
    assert conn.execute("SELECT previous_spend_nano, reset_at_ms FROM budget_resets").fetchall() == [
        (100, NOON + 40 * DAY_MS)
    ]
    assert_books_agree(conn)


def test_a_clock_that_goes_back_resets_nothing_again() -> None:
    conn = with_alice(max_nano=100, duration_s=86_400)
    later = NOON + DAY_MS
    held = hold_row("r1", hold_nano=60, created_at_ms=later)
    ledger.hold(conn, held)
    ledger.settle(conn, held, end(60, settled_at_ms=later))
    back = later - 2 * DAY_MS
    assert ledger.hold(conn, hold_row("r2", hold_nano=60, created_at_ms=back)) is Refused.OVER_BUDGET
    assert money(conn) == (60, 0)
    assert conn.execute("SELECT count(*) FROM budget_resets").fetchone()[0] == 1


def test_open_holds_are_charged_to_the_new_period() -> None:
    conn = with_alice(max_nano=1_000, duration_s=86_400)
    held = [hold_row(f"r{number}", hold_nano=50) for number in range(10)]
    for hold in held:
        ledger.hold(conn, hold)
    assert ledger.hold(conn, hold_row("later", hold_nano=0, created_at_ms=NOON + DAY_MS)) is None
    assert money(conn) == (0, 500)
    for hold in held:
        ledger.settle(conn, hold, end(30, settled_at_ms=NOON + DAY_MS))
    assert money(conn) == (300, 0)
    assert_books_agree(conn)


def test_a_budget_that_lost_its_duration_resets_once_more_and_then_no_more() -> None:
    conn = with_alice(max_nano=100, duration_s=86_400)
    conn.execute("UPDATE budgets SET duration_s = NULL")
    assert ledger.hold(conn, hold_row("r1", hold_nano=1, created_at_ms=NOON + DAY_MS)) is None
    assert accounts.get_user(conn, "alice").next_reset_at_ms is None


# ---- recovery ----


@pytest.mark.parametrize(("on_crash", "cost"), [("hold", 400), ("prompt_only", 100), ("release", 0)])
def test_what_a_crash_left_open_is_ended_by_the_rule(on_crash: OnCrash, cost: int) -> None:
    conn = with_alice(max_nano=None)
    for request_id in ("done", "open1", "open2"):
        ledger.hold(conn, hold_row(request_id, hold_nano=400))
    ledger.settle(conn, hold_row("done", hold_nano=400), end(7))
    assert recovery.recover(conn, on_crash, NOON + 5) == (2, 2 * cost)
    assert money(conn) == (7 + 2 * cost, 0)
    written = row(conn, "open1")
    assert (written["state"], written["cost_nano"], written["flags"]) == ("recovered", cost, "estimated")
    assert row(conn, "done")["state"] == "settled"
    assert_books_agree(conn)
    assert recovery.recover(conn, on_crash, NOON + 6) == (0, 0)
    assert not ledger.settle(conn, hold_row("open1", hold_nano=400), end(9))


def test_an_unpriced_row_is_recovered_without_a_cost() -> None:
    conn = with_alice()
    ledger.hold(conn, hold_row("r", hold_nano=0, rates=None, price_source="none"))
    assert recovery.recover(conn, "hold", NOON) == (1, 0)
    assert row(conn, "r")["cost_nano"] is None


def test_a_hold_for_a_later_priced_target_is_recovered_with_its_cost() -> None:
    conn = with_alice()
    ledger.hold(conn, hold_row("r", hold_nano=100, rates=None, price_source="none"))
    assert recovery.recover(conn, "hold", NOON) == (1, 100)
    assert row(conn, "r")["cost_nano"] == 100
    assert_books_agree(conn)


def test_recovery_makes_the_reserved_sum_exact() -> None:
    conn = with_alice()
    ledger.hold(conn, hold_row("r", hold_nano=100))
    conn.execute("UPDATE users SET reserved_nano = 777")  # as another program might have left it
    recovery.recover(conn, "hold", NOON)
    assert money(conn) == (100, 0)


def test_recovery_with_a_clock_behind_ends_no_row_before_its_beginning() -> None:
    conn = with_alice()
    ledger.hold(conn, hold_row("r", hold_nano=100))
    recovery.recover(conn, "hold", NOON - DAY_MS)
    assert row(conn, "r")["settled_at_ms"] == NOON


def test_the_last_stamp_is_the_newest() -> None:
    conn = with_alice()
    assert recovery.last_stamp(conn) == 0
    ledger.hold(conn, hold_row("r", hold_nano=1))
    assert recovery.last_stamp(conn) == NOON


# ---- a disk that fails at every statement in turn ----


class FailsOnce:
    """A connection whose k-th statement fails as a disk does."""

    def __init__(self, conn: sqlite3.Connection, fails_at: int) -> None:
        self._conn = conn
        self._left = fails_at

    @property
    def in_transaction(self) -> bool:
        return self._conn.in_transaction

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._left -= 1
        if self._left == 0:
            raise fault()
        return self._conn.execute(sql, *values)

    @property
    def has_failed(self) -> bool:
        return self._left <= 0


def test_whichever_statement_fails_the_books_agree_and_the_charge_lands(tmp_path: Path) -> None:
    async def round_at(db: Database, fails_at: int) -> bool:
        real = db._writer._conn
        broken = FailsOnce(real, fails_at)
        db._writer._conn = broken  # type: ignore[assignment]
        held = hold_row(f"r{fails_at}")

        def settle(conn: sqlite3.Connection) -> None:
            ledger.settle(conn, held, end(60), (Absorbed("a", "m", 500, "no", 1),))

        with contextlib.suppress(OtariError):
            assert await db.write(lambda conn: ledger.hold(conn, held)) is None
        await db.write_until_kept(settle)
        db._writer._conn = real
        await db.write(lambda _: None)
        await db.write(lambda _: None)  # the writer has turned to what waits before it takes this
        await db.read(assert_books_agree)
        state = await db.read(lambda conn: conn.execute("SELECT state FROM usage WHERE id = ?", (held.id,)).fetchone())
        assert state in (None, ("settled",))  # never held, or charged
        assert db.healthy
        return not broken.has_failed

    async def scene(db: Database) -> int:
        await db.write(lambda conn: accounts.add_user(conn, "alice", now_ms=NOON))
        fails_at = 1
        while not await round_at(db, fails_at):
            fails_at += 1
        return fails_at

    assert in_loop(tmp_path, scene) > 8


# ---- what it costs ----


def test_the_writes_of_a_request_build_no_tables_in_memory() -> None:
    """A list of three words in a CHECK makes SQLite build one at every write: a third of what a request costs it."""
    conn = with_alice()
    written: list[str] = []
    conn.set_trace_callback(written.append)
    held = hold_row("r1")
    assert ledger.hold(conn, held) is None
    assert ledger.settle(conn, held, end(300))
    conn.set_trace_callback(None)
    assert len(written) >= 4
    for sql in written:
        assert "OpenEphemeral" not in {step[1] for step in conn.execute("EXPLAIN " + sql)}, sql
