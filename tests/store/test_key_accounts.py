"""Keys with a budget of their own, and keys that spare their user's."""

import sqlite3
from typing import Any

import pytest

from otari.store import accounts, budgets, keys, ledger, recovery
from otari.store.ledger import Absorbed, Hold, Refused
from otari.store.recovery import OnCrash
from tests.store.ground import NOON, assert_books_agree, end, hold_row, in_memory, key_money, money, released

HOUR_MS = 3_600_000


def with_caps(user_nano: int | None = 1_000, key_nano: int | None = 500) -> sqlite3.Connection:
    """Alice has a budget, and her key one of an hour."""
    conn = in_memory()
    hers = budgets.add_budget(conn, max_nano=user_nano, now_ms=NOON)
    its = budgets.add_budget(conn, max_nano=key_nano, duration_s=3_600, now_ms=NOON)
    accounts.add_user(conn, "alice", budget_id=hers.budget_id, now_ms=NOON)
    keys.add_key(conn, keys.issue("alice", key_id="k", budget_id=its.budget_id, now_ms=NOON)[0])
    return conn


def row(number: int, hold_nano: int, created_at_ms: int = NOON, **facts: Any) -> Hold:
    plain = hold_row(f"r{number}", hold_nano=hold_nano, key_id="k", created_at_ms=created_at_ms, counts_toward_key=True)
    return plain._replace(**facts)


def test_a_hold_takes_from_both_or_from_none() -> None:
    conn = with_caps()
    assert ledger.hold(conn, row(1, 400)) is None
    assert (money(conn), key_money(conn, "k")) == ((0, 400), (0, 400))
    assert ledger.hold(conn, row(2, 101)) is Refused.KEY_OVER_BUDGET
    assert (money(conn), key_money(conn, "k")) == ((0, 400), (0, 400))
    assert ledger.hold(conn, hold_row("other", hold_nano=600)) is None  # the user may still
    assert ledger.hold(conn, row(3, 100)) is Refused.OVER_BUDGET
    assert (money(conn), key_money(conn, "k")) == ((0, 1_000), (0, 400))
    assert_books_agree(conn)


def test_a_settlement_charges_both() -> None:
    conn = with_caps()
    held = row(1, 400)
    ledger.hold(conn, held)
    assert ledger.settle(conn, held, end(150), (Absorbed("a", "b", 500, "no", 1),))
    assert (money(conn), key_money(conn, "k")) == ((150, 0), (150, 0))
    released_row = row(2, 300)
    ledger.hold(conn, released_row)
    assert ledger.settle(conn, released_row, released())
    assert (money(conn), key_money(conn, "k")) == ((150, 0), (150, 0))
    assert_books_agree(conn)


def test_a_request_id_that_was_used_takes_nothing_from_either() -> None:
    conn = with_caps()
    ledger.hold(conn, row(1, 100))
    assert ledger.hold(conn, row(1, 100)) is Refused.KNOWN_ID
    assert (money(conn), key_money(conn, "k")) == ((0, 100), (0, 100))


def test_a_key_that_is_gone_or_inactive_is_told_and_takes_nothing() -> None:
    conn = with_caps()
    keys.change_key(conn, "k", {"is_active": False}, NOON)
    assert ledger.hold(conn, row(1, 100)) is Refused.NO_KEY
    keys.remove_key(conn, "k")
    assert ledger.hold(conn, row(1, 100)) is Refused.NO_KEY
    assert ledger.check(conn, row(1, 100)) is Refused.NO_KEY
    assert money(conn) == (0, 0)


def test_a_key_that_is_deleted_under_way_still_charges_its_user() -> None:
    conn = with_caps()
    held = row(1, 100)
    ledger.hold(conn, held)
    keys.remove_key(conn, "k")
    assert ledger.settle(conn, held, end(60))
    assert money(conn) == (60, 0)
    assert_books_agree(conn)


def test_a_key_s_period_starts_over_by_itself() -> None:
    conn = with_caps(user_nano=10_000)
    held = row(1, 500)
    ledger.hold(conn, held)
    ledger.settle(conn, held, end(500))
    assert ledger.hold(conn, row(2, 1, NOON + HOUR_MS - 1)) is Refused.KEY_OVER_BUDGET
    assert ledger.hold(conn, row(2, 1, NOON + 3 * HOUR_MS + 5)) is None
    key = keys.get_key(conn, "k")
    assert (key.spend_nano, key.reserved_nano) == (0, 1)
    assert (key.budget_started_at_ms, key.next_reset_at_ms) == (NOON + 3 * HOUR_MS, NOON + 4 * HOUR_MS)
    assert money(conn) == (500, 1)  # the user's account goes on
    assert key.budget_id is not None
    (reset,) = budgets.list_resets(conn, key.budget_id)
    assert (reset.user_id, reset.key_id, reset.previous_spend_nano) == ("alice", "k", 500)
    assert_books_agree(conn)


def test_a_check_asks_both_and_takes_nothing() -> None:
    conn = with_caps()
    assert ledger.check(conn, row(1, 500)) is None
    assert ledger.check(conn, row(1, 501)) is Refused.KEY_OVER_BUDGET
    assert ledger.check(conn, row(1, 1_001)) is Refused.OVER_BUDGET
    ledger.hold(conn, row(1, 500))
    assert ledger.check(conn, row(2, 0)) is Refused.KEY_OVER_BUDGET
    assert key_money(conn, "k") == (0, 500)


def test_an_excluded_key_is_logged_with_its_cost_and_spares_the_user() -> None:
    conn = with_caps(user_nano=0)
    held = row(1, 400, counts_toward_budget=False, counts_toward_key=False)
    assert ledger.hold(conn, held) is None
    assert ledger.settle(conn, held, end(150), (Absorbed("a", "b", 500, "no", 1),))
    assert (money(conn), key_money(conn, "k")) == ((0, 0), (0, 0))
    assert conn.execute("SELECT cost_nano, counts_toward_budget FROM usage ORDER BY seq").fetchall() == [
        (150, 0),
        (0, 0),
    ]
    assert_books_agree(conn)


def test_an_excluded_key_still_keeps_to_its_own_budget() -> None:
    conn = with_caps(user_nano=0)
    assert ledger.hold(conn, row(1, 400, counts_toward_budget=False)) is None
    assert ledger.hold(conn, row(2, 400, counts_toward_budget=False)) is Refused.KEY_OVER_BUDGET
    assert (money(conn), key_money(conn, "k")) == ((0, 0), (0, 400))


def test_an_excluded_key_of_a_blocked_user_is_refused() -> None:
    conn = with_caps()
    accounts.change_user(conn, "alice", {"blocked": True}, NOON)
    assert ledger.hold(conn, row(1, 400, counts_toward_budget=False)) is Refused.BLOCKED


@pytest.mark.parametrize(("on_crash", "cost"), [("hold", 400), ("prompt_only", 100), ("release", 0)])
def test_recovery_ends_the_holds_of_keys_too(on_crash: OnCrash, cost: int) -> None:
    conn = with_caps()
    ledger.hold(conn, row(1, 400)._replace(hold_prompt_nano=100))
    ledger.hold(conn, row(2, 50, counts_toward_budget=False))
    recovery.recover(conn, on_crash, NOON)
    second = {"hold": 50, "prompt_only": 12, "release": 0}[on_crash]
    assert (money(conn), key_money(conn, "k")) == ((cost, 0), (cost + second, 0))
    assert_books_agree(conn)


def test_the_largest_holds_of_many_can_be_recovered() -> None:
    conn = in_memory()
    for user_id in ("alice", "bob", "carol"):
        accounts.add_user(conn, user_id, now_ms=NOON)
        assert ledger.hold(conn, hold_row(user_id, user_id, 9 * 10**18)) is None
    assert recovery.recover(conn, "hold", NOON) == (3, 27 * 10**18)
    assert money(conn) == (9 * 10**18, 0)
