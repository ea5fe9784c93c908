"""Users and budgets."""

import pytest

from otari.domain.errors import Kind, OtariError
from otari.store import accounts, ledger
from tests.store.ground import NOON, assert_books_agree, end, hold_row, in_memory, money


def test_a_budget_is_found_as_it_was_added() -> None:
    conn = in_memory()
    budget = accounts.add_budget(conn, max_nano=5, duration_s=60, name="team", now_ms=NOON)
    assert accounts.find_budget(conn, budget.budget_id) == budget
    assert accounts.find_budget(conn, "nope") is None


def test_a_user_begins_its_period_when_the_budget_is_assigned() -> None:
    conn = in_memory()
    budget = accounts.add_budget(conn, max_nano=5, duration_s=60, name=None, now_ms=NOON)
    user = accounts.add_user(conn, "alice", alias="Alice", budget_id=budget.budget_id, metadata='{"a":1}', now_ms=NOON)
    assert (user.budget_started_at_ms, user.next_reset_at_ms) == (NOON, NOON + 60_000)
    assert (user.alias, user.blocked, user.metadata, user.spend_nano) == ("Alice", False, '{"a":1}', 0)
    assert accounts.find_user(conn, "alice") == user
    later = accounts.assign_budget(conn, "alice", None, NOON + 1)
    assert (later.budget_id, later.budget_started_at_ms, later.next_reset_at_ms) == (None, None, None)
    again = accounts.assign_budget(conn, "alice", budget.budget_id, NOON + 7)
    assert again.next_reset_at_ms == NOON + 60_007


def test_a_user_is_added_once() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    with pytest.raises(OtariError, match="User with id 'alice' already exists") as caught:
        accounts.add_user(conn, "alice", now_ms=NOON)
    assert caught.value.kind is Kind.CONFLICT


def test_an_unknown_budget_is_told() -> None:
    conn = in_memory()
    with pytest.raises(OtariError, match="Budget with id 'nope' not found") as caught:
        accounts.add_user(conn, "alice", budget_id="nope", now_ms=NOON)
    assert caught.value.kind is Kind.NOT_FOUND


def test_an_unknown_user_is_told() -> None:
    conn = in_memory()
    for change in (
        lambda: accounts.set_blocked(conn, "ghost", True, NOON),
        lambda: accounts.assign_budget(conn, "ghost", None, NOON),
        lambda: accounts.remove_user(conn, "ghost", NOON),
    ):
        with pytest.raises(OtariError, match="User with id 'ghost' not found"):
            change()


def test_blocking_is_reversible() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    assert accounts.set_blocked(conn, "alice", True, NOON).blocked
    assert not accounts.set_blocked(conn, "alice", False, NOON).blocked


def test_a_deleted_user_keeps_its_history_and_comes_back_with_nothing_spent() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    for request_id in ("r1", "r2"):
        ledger.hold(conn, hold_row(request_id))
    ledger.settle(conn, hold_row("r1"), end(60))
    accounts.remove_user(conn, "alice", NOON)
    deleted = accounts.find_user(conn, "alice")
    assert deleted is not None
    assert deleted.deleted_at_ms == NOON
    assert ledger.settle(conn, hold_row("r2"), end(40))  # what was under way is still charged
    assert money(conn) == (100, 0)
    back = accounts.add_user(conn, "alice", now_ms=NOON + 1)
    assert (back.spend_nano, back.deleted_at_ms) == (0, None)
    assert conn.execute("SELECT count(*) FROM usage").fetchone()[0] == 2
    assert_books_agree(conn)
