"""The money of batches that their providers carry out: held over a restart, charged line by line, once."""

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.batch import LineProblem, LineResult, NewBatch
from otari.domain.names import RANDOM_NAMES
from otari.store import accounts, batches, budgets, keys, ledger, remote_batches
from otari.store.ledger import Hold, Refused
from otari.store.recovery import OnCrash, recover
from otari.store.remote_batches import LineEnd
from tests.store.ground import NOON, assert_books_agree, end, hold_row, in_memory, key_money, money, released

NEW = NewBatch("alice", None, "/v1/chat/completions", "stub:small", "stub", None, "{}")


def begun(total: int = 3, **facts: Any) -> tuple[sqlite3.Connection, Hold]:
    """A database with a batch that is about to be handed in, for which 300 nano-USD are held."""
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    budget = budgets.add_budget(conn, max_nano=1_000, duration_s=3_600, now_ms=NOON)
    keys.add_key(conn, keys.issue("alice", key_id="k", budget_id=budget.budget_id, now_ms=NOON)[0])
    batch_id = batches.add_batch(conn, RANDOM_NAMES.batch("alice", NOON), NEW, NOON).batch_id
    batches.begin_batch(conn, batch_id, "stub:small", "stub", total, NOON)
    row = hold_row(batch_id, hold_nano=300, endpoint="/v1/batches", **facts)
    assert ledger.hold(conn, row) is None
    remote_batches.note_submitting(conn, batch_id)
    return conn, row


def line(row: Hold, number: int, cost_nano: int = 60) -> LineEnd:
    """A line that was answered."""
    name = f"{row.id}.{number}"
    own = row._replace(id=name, hold_nano=0, hold_prompt_nano=0)
    return LineEnd(LineResult(number, f"c{number}", name, 200, b"{}"), (own, end(cost_nano)))


def batch_of(conn: sqlite3.Connection, row: Hold) -> Any:
    return batches.get_batch(conn, row.id)


@pytest.mark.parametrize("on_crash", ["hold", "prompt_only", "release"])
@pytest.mark.parametrize("sent", [False, True])
def test_a_start_leaves_the_money_of_such_a_batch_held(on_crash: OnCrash, sent: bool) -> None:
    conn, row = begun()
    if sent:
        remote_batches.note_sent(conn, row.id, "remote-1")
    assert ledger.hold(conn, hold_row("other", hold_nano=50)) is None
    found = recover(conn, on_crash, NOON + 1)
    assert found.rows == 1
    assert money(conn) == (found.charged_nano, 300)
    assert remote_batches.find_hold(conn, row.id) == row
    assert_books_agree(conn)


def test_a_key_with_a_budget_of_its_own_goes_on_holding_too() -> None:
    conn, row = begun(key_id="k", counts_toward_key=True)
    other = hold_row("other", hold_nano=50, key_id="k", counts_toward_key=True)
    assert ledger.hold(conn, other) is None
    recover(conn, "hold", NOON + 1)
    assert (money(conn), key_money(conn, "k")) == ((50, 300), (50, 300))
    remote_batches.keep_ends(conn, row.id, [line(row, 1)])
    remote_batches.close_batch(conn, row, released(), "completed", (), NOON + 2)
    assert (money(conn), key_money(conn, "k")) == ((110, 0), (110, 0))
    assert_books_agree(conn)


def test_a_batch_that_has_ended_is_no_reason_to_leave_a_row_open() -> None:
    conn, row = begun()
    remote_batches.close_batch(conn, row, released(), "completed", (), NOON + 1)
    assert batch_of(conn, row).remote_state == "collected"
    assert ledger.hold(conn, hold_row("other")) is None
    assert recover(conn, "release", NOON + 2).rows == 1
    assert money(conn) == (0, 0)


def test_what_was_not_sent_is_taken_back_without_a_trace_and_can_be_held_again() -> None:
    conn, row = begun()
    remote_batches.take_back(conn, row.id)
    assert (money(conn), batch_of(conn, row).remote_state) == ((0, 0), None)
    assert conn.execute("SELECT count(*) FROM usage").fetchone() == (0,)
    remote_batches.take_back(conn, row.id)
    assert ledger.hold(conn, row) is None
    remote_batches.note_submitting(conn, row.id)
    remote_batches.note_sent(conn, row.id, "remote-1")
    remote_batches.take_back(conn, row.id)  # it is there: nothing is taken back any more
    assert (money(conn), batch_of(conn, row).remote_id) == ((0, 300), "remote-1")


@given(st.lists(st.lists(st.integers(min_value=1, max_value=6), max_size=6), max_size=6))
def test_every_line_is_charged_once_however_often_its_result_comes(chunks: list[list[int]]) -> None:
    conn, row = begun(total=6)
    remote_batches.note_sent(conn, row.id, "remote-1")
    for numbers in chunks:
        remote_batches.keep_ends(conn, row.id, [line(row, number, 10 + number) for number in numbers])
        assert money(conn)[1] == 300  # never wider than the truth
        assert_books_agree(conn)
    lines = {number for numbers in chunks for number in numbers}
    assert money(conn)[0] == sum(10 + number for number in lines)
    batch = batch_of(conn, row)
    assert (batch.completed, batch.input_tokens) == (len(lines), 40 * len(lines))
    remote_batches.close_batch(conn, row, released(), "completed", (), NOON + 1)
    assert money(conn) == (sum(10 + number for number in lines), 0)
    assert_books_agree(conn)


def test_a_line_that_was_not_carried_out_has_no_row() -> None:
    conn, row = begun()
    undone = LineEnd(LineResult(2, "c2", "", 0, None, "batch_expired", "too late"), None)
    remote_batches.keep_ends(conn, row.id, [line(row, 1), undone])
    assert conn.execute("SELECT id FROM usage WHERE state = 'settled'").fetchall() == [(f"{row.id}.1",)]
    batch = batch_of(conn, row)
    assert (batch.completed, batch.failed) == (1, 1)


def test_charges_go_even_above_what_is_held_and_to_who_may_not_ask_any_more() -> None:
    conn, row = begun()
    accounts.change_user(conn, "alice", {"blocked": True}, NOON)
    remote_batches.keep_ends(conn, row.id, [line(row, 1, 1_000)])
    remote_batches.close_batch(conn, row, released(), "completed", (), NOON + 1)
    assert money(conn) == (1_000, 0)
    assert_books_agree(conn)


def test_how_it_ends_is_noted_with_the_last_of_its_money() -> None:
    conn, row = begun()
    problem = LineProblem("batch_failed", "no such model")
    remote_batches.close_batch(conn, row, end(None, state="released", status="error"), "failed", [problem], NOON + 1)
    batch = batch_of(conn, row)
    assert (batch.state, batch.ending, batch.remote_state) == ("finalizing", "failed", "collected")
    assert "no such model" in batch.errors
    remote_batches.close_batch(conn, row, end(5), "completed", (), NOON + 2)  # the first ending stands
    assert (batch_of(conn, row).ending, money(conn)) == ("failed", (0, 0))


def test_nothing_is_noted_where_the_money_is_refused() -> None:
    conn, row = begun()
    assert ledger.hold(conn, row) is Refused.KNOWN_ID
