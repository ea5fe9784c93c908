"""Budgets: caps that hold at once, periods of users and keys, and what can not be taken away."""

import pytest

from otari.domain.errors import Kind, OtariError
from otari.store import accounts, budgets, keys, ledger, periods
from otari.store.ledger import Refused
from tests.store.ground import NOON, assert_books_agree, end, hold_row, in_memory, money

DAY_MS = 86_400_000
MIDNIGHT = NOON // DAY_MS * DAY_MS + DAY_MS


def test_a_budget_is_found_as_it_was_added() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, max_nano=5, duration_s=60, name="team", now_ms=NOON)
    assert budgets.get_budget(conn, budget.budget_id) == budget
    assert budgets.find_budget(conn, "nope") is None
    with pytest.raises(OtariError, match="Budget with id 'nope' not found") as caught:
        budgets.get_budget(conn, "nope")
    assert caught.value.kind is Kind.NOT_FOUND


def test_changes_are_by_name_and_none_clears() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, max_nano=5, duration_s=60, name="team", now_ms=NOON)
    changed = budgets.change_budget(conn, budget.budget_id, {"max_nano": None, "name": None}, NOON + 1)
    assert (changed.max_nano, changed.name, changed.duration_s) == (None, None, 60)
    assert (changed.created_at_ms, changed.updated_at_ms) == (NOON, NOON + 1)
    assert budgets.get_budget(conn, budget.budget_id) == changed
    assert budgets.change_budget(conn, budget.budget_id, {}, NOON + 2).duration_s == 60
    with pytest.raises(TypeError, match="budget_id"):
        budgets.change_budget(conn, budget.budget_id, {"budget_id": "x"}, NOON)
    with pytest.raises(OtariError, match="not found"):
        budgets.change_budget(conn, "nope", {}, NOON)


def test_a_length_and_an_alignment_exclude_each_other() -> None:
    conn = in_memory()
    with pytest.raises(OtariError, match="either 'budget_duration_sec' or 'reset_alignment'") as caught:
        budgets.add_budget(conn, duration_s=60, reset_alignment="calendar_day", now_ms=NOON)
    assert caught.value.kind is Kind.CONFLICT
    budget = budgets.add_budget(conn, duration_s=60, now_ms=NOON)
    with pytest.raises(OtariError, match="either"):
        budgets.change_budget(conn, budget.budget_id, {"reset_alignment": "calendar_day"}, NOON)
    changes = {"duration_s": None, "reset_alignment": "calendar_day"}
    assert budgets.change_budget(conn, budget.budget_id, changes, NOON).reset_alignment == "calendar_day"


def test_a_new_cap_is_in_force_at_once() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, max_nano=100, now_ms=NOON)
    accounts.add_user(conn, "alice", budget_id=budget.budget_id, now_ms=NOON)
    ledger.hold(conn, hold_row("r1", hold_nano=100))
    assert ledger.hold(conn, hold_row("r2", hold_nano=50)) is Refused.OVER_BUDGET
    budgets.change_budget(conn, budget.budget_id, {"max_nano": 150}, NOON)
    assert ledger.hold(conn, hold_row("r2", hold_nano=50)) is None
    budgets.change_budget(conn, budget.budget_id, {"max_nano": 10}, NOON)
    assert ledger.hold(conn, hold_row("r3", hold_nano=1)) is Refused.OVER_BUDGET
    budgets.change_budget(conn, budget.budget_id, {"max_nano": None}, NOON)
    assert ledger.hold(conn, hold_row("r3", hold_nano=10**12)) is None


# ---- periods ----


def test_the_calendar_resets_at_midnight_utc_and_the_history_tells() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, max_nano=100, reset_alignment="calendar_day", now_ms=NOON)
    user = accounts.add_user(conn, "alice", budget_id=budget.budget_id, now_ms=NOON)
    assert (user.budget_started_at_ms, user.next_reset_at_ms) == (NOON, MIDNIGHT)
    ledger.hold(conn, hold_row("r1", hold_nano=100))
    ledger.settle(conn, hold_row("r1", hold_nano=100), end(90))
    assert ledger.hold(conn, hold_row("r2", hold_nano=11, created_at_ms=MIDNIGHT - 1)) is Refused.OVER_BUDGET
    assert ledger.hold(conn, hold_row("r2", hold_nano=11, created_at_ms=MIDNIGHT + 5 * DAY_MS + 7)) is None
    user = accounts.get_user(conn, "alice")
    assert (user.budget_started_at_ms, user.next_reset_at_ms) == (MIDNIGHT + 5 * DAY_MS, MIDNIGHT + 6 * DAY_MS)
    (reset,) = budgets.list_resets(conn, budget.budget_id)
    assert (reset.user_id, reset.key_id, reset.previous_spend_nano) == ("alice", None, 90)
    assert (reset.reset_at_ms, reset.next_reset_at_ms) == (MIDNIGHT + 5 * DAY_MS, MIDNIGHT + 6 * DAY_MS)
    assert_books_agree(conn)


def test_a_budget_that_gets_a_period_begins_it_for_those_without_one() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, max_nano=100, now_ms=NOON)
    accounts.add_user(conn, "alice", budget_id=budget.budget_id, now_ms=NOON)
    keys.add_key(conn, keys.issue("alice", key_id="k", budget_id=budget.budget_id, now_ms=NOON)[0])
    budgets.change_budget(conn, budget.budget_id, {"duration_s": 60}, NOON + 5)
    user, key = accounts.get_user(conn, "alice"), keys.get_key(conn, "k")
    assert (user.budget_started_at_ms, user.next_reset_at_ms) == (NOON + 5, NOON + 60_005)
    assert (key.budget_started_at_ms, key.next_reset_at_ms) == (NOON + 5, NOON + 60_005)
    budgets.change_budget(conn, budget.budget_id, {"duration_s": 3_600}, NOON + 9)
    assert accounts.get_user(conn, "alice").next_reset_at_ms == NOON + 60_005  # who has a boundary keeps it
    periods.start_over(conn, "alice", NOON + 60_005)
    assert accounts.get_user(conn, "alice").next_reset_at_ms == NOON + 60_005 + 3_600_000


def test_another_budget_begins_another_period_and_the_same_one_again_does_not() -> None:
    conn = in_memory()
    hourly = budgets.add_budget(conn, duration_s=3_600, now_ms=NOON)
    daily = budgets.add_budget(conn, reset_alignment="calendar_day", now_ms=NOON)
    accounts.add_user(conn, "alice", budget_id=hourly.budget_id, now_ms=NOON)
    again = accounts.change_user(conn, "alice", {"budget_id": hourly.budget_id, "alias": "A"}, NOON + 5)
    assert again.next_reset_at_ms == NOON + 3_600_000
    other = accounts.change_user(conn, "alice", {"budget_id": daily.budget_id}, NOON + 5)
    assert (other.budget_started_at_ms, other.next_reset_at_ms) == (NOON + 5, MIDNIGHT)
    assert accounts.get_user(conn, "alice") == other


def test_the_history_comes_in_pages() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, duration_s=60, now_ms=NOON)
    accounts.add_user(conn, "alice", budget_id=budget.budget_id, now_ms=NOON)
    for minute in range(1, 6):
        periods.start_over(conn, "alice", NOON + minute * 60_000)
    whole = budgets.list_resets(conn, budget.budget_id)
    assert [reset.reset_at_ms for reset in whole] == [NOON + minute * 60_000 for minute in (5, 4, 3, 2, 1)]
    assert budgets.list_resets(conn, budget.budget_id, skip=1, limit=2) == whole[1:3]
    assert budgets.list_resets(conn, budget.budget_id, after=str(whole[1].seq)) == whole[2:]
    for odd in ("x", "", "-1", "1.5", "9" * 40):
        with pytest.raises(OtariError, match="'after'"):
            budgets.list_resets(conn, budget.budget_id, after=odd)
    with pytest.raises(OtariError, match="not found"):
        budgets.list_resets(conn, "nope")


# ---- lists, sums, removal ----


def test_budgets_are_listed_in_the_order_of_their_creation() -> None:
    conn = in_memory()
    made = [budgets.add_budget(conn, name=str(number), now_ms=NOON + number // 2) for number in range(7)]
    made.sort(key=lambda budget: (budget.created_at_ms, budget.budget_id))
    assert budgets.list_budgets(conn) == made
    assert budgets.list_budgets(conn, skip=2, limit=3) == made[2:5]
    assert budgets.list_budgets(conn, after=made[2].budget_id, limit=2) == made[3:5]
    assert budgets.list_budgets(conn, after=made[-1].budget_id) == []
    with pytest.raises(OtariError, match="'after'") as caught:
        budgets.list_budgets(conn, after="nope")
    assert caught.value.kind is Kind.UNPROCESSABLE


@pytest.mark.parametrize(("skip", "limit"), [(-1, 1), (2**63, 1), (0, 0), (0, 1_001), (0, -1)])
def test_a_page_that_can_not_be_is_refused(skip: int, limit: int) -> None:
    with pytest.raises(OtariError, match=r"'skip'|'limit'"):
        budgets.list_budgets(in_memory(), skip=skip, limit=limit)


def test_the_sums_of_a_budget_are_those_of_its_accounts() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, now_ms=NOON)
    assert budgets.totals(conn, budget.budget_id) == (0, 0, 0)
    for user_id, spent in (("alice", 9 * 10**18), ("bob", 9 * 10**18), ("gone", 5)):
        accounts.add_user(conn, user_id, budget_id=budget.budget_id, now_ms=NOON)
        conn.execute("UPDATE users SET spend_nano = ?, reserved_nano = 3 WHERE user_id = ?", (spent, user_id))
    accounts.remove_user(conn, "gone", NOON)
    keys.add_key(conn, keys.issue("alice", key_id="k", budget_id=budget.budget_id, now_ms=NOON)[0])
    conn.execute("UPDATE keys SET spend_nano = 7")
    assert budgets.totals(conn, budget.budget_id) == (2, 18 * 10**18 + 7, 6)


def test_a_budget_in_use_stays_and_says_whose_it_is() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, now_ms=NOON)
    for number in range(7):
        accounts.add_user(conn, f"u{number}", budget_id=budget.budget_id, now_ms=NOON)
    with pytest.raises(OtariError) as caught:
        budgets.remove_budget(conn, budget.budget_id)
    assert caught.value.kind is Kind.CONFLICT
    assert "7 users ('u0', 'u1', 'u2', 'u3', 'u4' and 2 more)" in caught.value.message
    for number in range(7):
        accounts.change_user(conn, f"u{number}", {"budget_id": None}, NOON)
    issued, _ = keys.issue("u0", key_name="laptop", budget_id=budget.budget_id, now_ms=NOON)
    keys.add_key(conn, issued)
    with pytest.raises(OtariError, match=r"in use by 1 key \('laptop'\)"):
        budgets.remove_budget(conn, budget.budget_id)
    keys.remove_key(conn, issued.key_id)
    budgets.remove_budget(conn, budget.budget_id)
    with pytest.raises(OtariError, match="not found"):
        budgets.remove_budget(conn, budget.budget_id)


def test_deleted_users_and_history_keep_no_budget_from_going() -> None:
    conn = in_memory()
    budget = budgets.add_budget(conn, duration_s=60, now_ms=NOON)
    accounts.add_user(conn, "alice", budget_id=budget.budget_id, now_ms=NOON)
    periods.start_over(conn, "alice", NOON + 60_000)
    accounts.remove_user(conn, "alice", NOON)
    budgets.remove_budget(conn, budget.budget_id)
    assert conn.execute("SELECT budget_id FROM budget_resets").fetchone() == (budget.budget_id,)
    assert accounts.add_user(conn, "alice", now_ms=NOON).budget_id is None
    assert money(conn) == (0, 0)
