"""Batches in the ledger: their way through the states, whose they are, and results that come once."""

import sqlite3
from typing import Any

import orjson
import pytest

from otari.domain.batch import Batch, Ending, Kept, LineProblem, LineResult, NewBatch
from otari.domain.errors import Kind, OtariError
from otari.domain.names import RANDOM_NAMES
from otari.store import accounts, batches
from otari.store.batches import BatchListing
from tests.store.ground import NOON, in_memory

DAY_MS = 86_400_000


@pytest.fixture
def conn() -> sqlite3.Connection:
    conn = in_memory()
    for user in ("alice", "bob"):
        accounts.add_user(conn, user, now_ms=NOON)
    return conn


def a_new(user: str = "alice", **more: Any) -> NewBatch:
    return NewBatch(user, "key-1", "/v1/chat/completions", "stub:m", "stub", None, "{}")._replace(**more)


def add(conn: sqlite3.Connection, user: str = "alice", now_ms: int = NOON, **more: Any) -> Batch:
    return batches.add_batch(conn, RANDOM_NAMES.batch(user, now_ms), a_new(user, **more), now_ms)


def begun(conn: sqlite3.Connection, total: int = 3) -> Batch:
    batch = add(conn)
    assert batches.begin_batch(conn, batch.batch_id, "stub:m", "stub", total, NOON + 1)
    return batches.get_batch(conn, batch.batch_id)


def kept(batch: Batch, line: int, status: int = 200) -> Kept:
    return Kept(batch.batch_id, LineResult(line, f"c{line}", f"req_{line}", status, b"{}"))


def error_of(problem: pytest.ExceptionInfo[OtariError]) -> tuple[Kind, str | None]:
    return problem.value.kind, problem.value.code


def test_a_new_batch_is_validated_and_expires_a_day_later(conn: sqlite3.Connection) -> None:
    batch = add(conn, metadata='{"a": "b"}', total=7)
    assert batch == batches.get_batch_of(conn, "alice", batch.batch_id)
    assert (batch.state, batch.total, batch.metadata) == ("validating", 7, '{"a": "b"}')
    assert batch.expires_at_ms == NOON + DAY_MS
    assert not batch.has_ended
    assert batches.is_batch_id(batch.batch_id)


def test_who_may_not_ask_may_not_begin_a_batch(conn: sqlite3.Connection) -> None:
    with pytest.raises(OtariError) as nobody:
        add(conn, "nobody")
    assert error_of(nobody) == (Kind.NOT_FOUND, "user_not_found")
    accounts.change_user(conn, "bob", {"blocked": True}, NOON)
    with pytest.raises(OtariError) as blocked:
        add(conn, "bob")
    assert error_of(blocked) == (Kind.FORBIDDEN, "user_blocked")


def test_only_so_many_are_open_at_once(conn: sqlite3.Connection) -> None:
    made = [add(conn) for _ in range(batches.OPEN_MAX)]
    with pytest.raises(OtariError) as full:
        add(conn)
    assert error_of(full) == (Kind.RATE_LIMITED, "too_many_batches")
    add(conn, "bob")
    batches.refuse_batch(conn, made[0].batch_id, [], NOON)
    add(conn)


def test_it_begins_once_and_not_when_it_was_cancelled(conn: sqlite3.Connection) -> None:
    batch = begun(conn)
    assert (batch.state, batch.total, batch.in_progress_at_ms) == ("in_progress", 3, NOON + 1)
    assert not batches.begin_batch(conn, batch.batch_id, "x", "x", 9, NOON)
    other = add(conn)
    batches.cancel_batch(conn, "alice", other.batch_id, None, NOON)
    assert not batches.begin_batch(conn, other.batch_id, "x", "x", 9, NOON)
    assert not batches.refuse_batch(conn, other.batch_id, [], NOON)


def test_a_batch_that_can_not_begin_says_why(conn: sqlite3.Connection) -> None:
    batch = add(conn)
    assert batches.refuse_batch(conn, batch.batch_id, [LineProblem("c", "m", 3, "p")], NOON + 5)
    batch = batches.get_batch(conn, batch.batch_id)
    assert (batch.state, batch.failed_at_ms, batch.has_ended) == ("failed", NOON + 5, True)
    assert orjson.loads(batch.errors) == [{"code": "c", "message": "m", "line": 3, "param": "p"}]


def test_a_result_comes_once_and_is_counted_once(conn: sqlite3.Connection) -> None:
    batch = begun(conn)
    assert batches.keep_result(conn, kept(batch, 2))
    assert batches.keep_result(conn, kept(batch, 1, 500))
    assert not batches.keep_result(conn, kept(batch, 2, 500))
    batch = batches.get_batch(conn, batch.batch_id)
    assert (batch.completed, batch.failed) == (1, 1)
    assert batches.done_lines(conn, batch.batch_id) == {1, 2}
    found = batches.results_behind(conn, batch.batch_id, 0, 10)
    assert [(result.line, result.status) for result in found] == [(1, 500), (2, 200)]
    assert batches.results_behind(conn, batch.batch_id, 1, 10) == found[1:]
    assert batches.results_behind(conn, batch.batch_id, 0, 1) == found[:1]


@pytest.mark.parametrize("ending", ["completed", "failed", "expired", "cancelled"])
def test_it_ends_as_it_was_wound_up(conn: sqlite3.Connection, ending: Ending) -> None:
    batch = begun(conn)
    batches.keep_result(conn, kept(batch, 1))
    if ending == "cancelled":
        batches.cancel_batch(conn, "alice", batch.batch_id, None, NOON + 2)
    batch = batches.wind_up(conn, batch.batch_id, ending, [], NOON + 3)
    assert (batch.ending, batch.finalizing_at_ms) == (ending, NOON + 3)
    assert batch.state == ("cancelling" if ending == "cancelled" else "finalizing")
    assert batches.finish_batch(conn, batch.batch_id, "file-1", None, NOON + 4)
    assert not batches.finish_batch(conn, batch.batch_id, "file-2", "file-3", NOON + 5)
    batch = batches.get_batch(conn, batch.batch_id)
    assert (batch.state, batch.output_file_id, batch.error_file_id) == (ending, "file-1", None)
    times = {word: getattr(batch, f"{word}_at_ms") for word in ("completed", "failed", "expired", "cancelled")}
    assert times == {**dict.fromkeys(times), ending: NOON + 4}
    assert (batch.completed, batch.failed) == (1, 0 if ending == "completed" else 2)


def test_the_first_ending_stands_and_a_cancelled_one_is_cancelled(conn: sqlite3.Connection) -> None:
    batch = begun(conn)
    batches.wind_up(conn, batch.batch_id, "expired", [], NOON)
    assert batches.wind_up(conn, batch.batch_id, "completed", [], NOON + 9).ending == "expired"
    other = begun(conn)
    batches.cancel_batch(conn, "alice", other.batch_id, None, NOON)
    assert batches.wind_up(conn, other.batch_id, "completed", [], NOON).ending == "cancelled"


def test_cancelling_is_asked_once_and_in_time(conn: sqlite3.Connection) -> None:
    batch = begun(conn)
    cancelled, news = batches.cancel_batch(conn, "alice", batch.batch_id, "stub", NOON + 2)
    assert (cancelled.state, cancelled.cancelling_at_ms, news) == ("cancelling", NOON + 2, True)
    assert batches.cancel_batch(conn, "alice", batch.batch_id, None, NOON + 3) == (cancelled, False)
    other = begun(conn)
    batches.wind_up(conn, other.batch_id, "completed", [], NOON)
    with pytest.raises(OtariError) as late:
        batches.cancel_batch(conn, "alice", other.batch_id, None, NOON)
    assert error_of(late) == (Kind.CONFLICT, "batch_not_cancellable")


def test_who_goes_takes_along_what_has_not_ended(conn: sqlite3.Connection) -> None:
    new, going, other = add(conn), begun(conn), add(conn, "bob")
    ended = begun(conn)
    batches.wind_up(conn, ended.batch_id, "completed", [], NOON + 2)
    batches.finish_batch(conn, ended.batch_id, None, None, NOON + 2)
    cancelled = batches.cancel_batches_of(conn, "alice", NOON + 3)
    assert {batch.batch_id for batch in cancelled} == {new.batch_id, going.batch_id}
    assert {(batch.state, batch.cancelling_at_ms) for batch in cancelled} == {("cancelling", NOON + 3)}
    assert batches.get_batch(conn, other.batch_id).state == "validating"
    assert batches.get_batch(conn, ended.batch_id).state == "completed"
    assert batches.cancel_batches_of(conn, "alice", NOON + 4) == []


def test_every_look_of_an_owner_is_for_the_owner_alone(conn: sqlite3.Connection) -> None:
    batch = begun(conn)
    for ask in (
        lambda: batches.get_batch_of(conn, "bob", batch.batch_id),
        lambda: batches.get_batch_of(conn, "alice", batch.batch_id, "other"),
        lambda: batches.cancel_batch(conn, "bob", batch.batch_id, None, NOON),
        lambda: batches.get_batch_of(conn, "alice", "batch_x"),
    ):
        with pytest.raises(OtariError) as error:
            ask()
        assert error.value.kind is Kind.NOT_FOUND
    assert batches.get_batch(conn, batch.batch_id).state == "in_progress"
    assert batches.list_batches(conn, "bob", BatchListing(10)) == ([], False)


def test_lists_come_newest_first_in_pages(conn: sqlite3.Connection) -> None:
    made = [add(conn, now_ms=NOON + n, provider="stub" if n % 2 else "other").batch_id for n in range(6)][::-1]
    add(conn, "bob")
    page, more = batches.list_batches(conn, "alice", BatchListing(4))
    assert ([each.batch_id for each in page], more) == (made[:4], True)
    page, more = batches.list_batches(conn, "alice", BatchListing(4, made[3]))
    assert ([each.batch_id for each in page], more) == (made[4:], False)
    page, _ = batches.list_batches(conn, "alice", BatchListing(9, provider="stub"))
    assert [each.batch_id for each in page] == made[::2]
    with pytest.raises(OtariError) as error:
        batches.list_batches(conn, "alice", BatchListing(4, "nonsense"))
    assert error.value.kind is Kind.INVALID


def test_what_has_not_ended_is_found_and_results_of_the_rest_go(conn: sqlite3.Connection) -> None:
    first, second = begun(conn), begun(conn)
    for batch in (first, second):
        for line in range(1, 4):
            batches.keep_result(conn, kept(batch, line))
    batches.wind_up(conn, first.batch_id, "completed", [], NOON)
    assert {batch.batch_id for batch in batches.unfinished(conn)} == {first.batch_id, second.batch_id}
    assert batches.ended_with_results(conn) == []
    batches.finish_batch(conn, first.batch_id, None, None, NOON)
    assert [batch.batch_id for batch in batches.unfinished(conn)] == [second.batch_id]
    assert batches.ended_with_results(conn) == [first.batch_id]
    assert [batches.forget_results(conn, first.batch_id, 2) for _ in range(3)] == [2, 1, 0]
    assert batches.done_lines(conn, second.batch_id) == {1, 2, 3}
