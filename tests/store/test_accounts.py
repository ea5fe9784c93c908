"""Users: added once, changed by name, deleted without losing their history."""

import pytest

from otari.domain.errors import Kind, OtariError
from otari.store import accounts, budgets, ledger
from tests.store.ground import NOON, assert_books_agree, end, hold_row, in_memory, money


def test_a_user_begins_its_period_when_the_budget_is_assigned() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, max_nano=5, duration_s=60, name=None, now_ms=NOON)
    user = accounts.add_user(conn, "alice", alias="Alice", budget_id=budget.budget_id, metadata='{"a":1}', now_ms=NOON)
    assert (user.budget_started_at_ms, user.next_reset_at_ms) == (NOON, NOON + 60_000)
    assert (user.alias, user.blocked, user.metadata, user.spend_nano) == ("Alice", False, '{"a":1}', 0)
    assert accounts.find_user(conn, "alice") == user
    later = accounts.change_user(conn, "alice", {"budget_id": None}, NOON + 1)
    assert (later.budget_id, later.budget_started_at_ms, later.next_reset_at_ms) == (None, None, None)
    again = accounts.change_user(conn, "alice", {"budget_id": budget.budget_id}, NOON + 7)
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
        lambda: accounts.change_user(conn, "ghost", {"blocked": True}, NOON),
        lambda: accounts.remove_user(conn, "ghost", NOON),
    ):
        with pytest.raises(OtariError, match="User with id 'ghost' not found"):
            change()


def test_blocking_is_reversible() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    assert accounts.change_user(conn, "alice", {"blocked": True}, NOON).blocked
    assert not accounts.change_user(conn, "alice", {"blocked": False}, NOON).blocked


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


def test_changes_are_by_name_and_none_clears() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", alias="A", allowed_models=("openai:*",), metadata='{"a":1}', now_ms=NOON)
    user = accounts.change_user(conn, "alice", {"alias": None, "metadata": "{}"}, NOON + 1)
    assert (user.alias, user.metadata, user.allowed_models) == (None, "{}", ("openai:*",))
    assert (user.created_at_ms, user.updated_at_ms) == (NOON, NOON + 1)
    assert accounts.get_user(conn, "alice") == user
    for allowed in ((), None, ("a:b", 'odd "name"')):
        accounts.change_user(conn, "alice", {"allowed_models": allowed}, NOON)
        assert accounts.get_user(conn, "alice").allowed_models == allowed
    with pytest.raises(TypeError, match="spend_nano"):
        accounts.change_user(conn, "alice", {"spend_nano": 0}, NOON)


def test_an_unknown_budget_changes_nothing() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    with pytest.raises(OtariError, match="Budget with id 'nope' not found"):
        accounts.change_user(conn, "alice", {"budget_id": "nope", "alias": "A"}, NOON)
    assert accounts.get_user(conn, "alice").alias is None


def test_users_are_listed_in_the_order_of_their_creation_without_the_deleted() -> None:
    conn = in_memory()
    names = ["zoe", "a/b", "it's", 'q"q', "%_", "🐍", "bob"]
    for number, name in enumerate(names):
        accounts.add_user(conn, name, now_ms=NOON + number)
    accounts.remove_user(conn, "it's", NOON)
    left = [name for name in names if name != "it's"]
    assert [user.user_id for user in accounts.list_users(conn)] == left
    assert [user.user_id for user in accounts.list_users(conn, skip=1, limit=2)] == left[1:3]
    assert [user.user_id for user in accounts.list_users(conn, after="it's")] == left[2:]  # its place is still known
    with pytest.raises(OtariError, match="'after'"):
        accounts.list_users(conn, after="ghost")


def test_walking_by_cursor_sees_each_user_once_whatever_is_added_and_deleted_meanwhile() -> None:
    conn = in_memory()
    for number in range(30):
        accounts.add_user(conn, f"u{number:02}", now_ms=NOON)
    seen: list[str] = []
    while page := accounts.list_users(conn, limit=7, after=seen[-1] if seen else None):
        seen += [user.user_id for user in page]
        accounts.remove_user(conn, seen[-1], NOON)
        if len(seen) < 30:  # else there would always be one more
            accounts.add_user(conn, f"later{len(seen):02}", now_ms=NOON + len(seen))
    assert [name for name in seen if name.startswith("u")] == [f"u{number:02}" for number in range(30)]
    assert len(set(seen)) == len(seen)
