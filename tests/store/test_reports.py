"""Reports in their table: begun, finished, put off, forgotten, refused, and taken up again after a crash."""

import sqlite3
from collections.abc import Iterator

import pytest

from otari.store import reports
from otari.store.reports import Report
from tests.store.ground import NOON, in_memory

CRASH, BODY = b'{"status":"error"}', b'{"status":"success"}'


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    opened = in_memory()
    yield opened
    opened.close()


def rows(conn: sqlite3.Connection) -> list[tuple[object, ...]]:
    return conn.execute("SELECT correlation_id, body, state, tries, due_at_ms FROM reports ORDER BY seq").fetchall()


def test_a_report_is_not_sent_before_its_attempt_has_ended(conn: sqlite3.Connection) -> None:
    assert reports.begin(conn, "a", CRASH, NOON)
    assert reports.due(conn, NOON + 10**9, 10) == []
    assert reports.next_due_ms(conn) is None
    assert reports.count_due(conn) == 0
    assert reports.finish(conn, "a", BODY, NOON + 5)
    assert reports.due(conn, NOON + 4, 10) == []
    assert reports.next_due_ms(conn) == NOON + 5
    assert reports.due(conn, NOON + 5, 10) == [Report("a", BODY, 0)]
    assert reports.count_due(conn) == 1


def test_an_id_that_is_kept_is_not_begun_again(conn: sqlite3.Connection) -> None:
    assert reports.begin(conn, "a", CRASH, NOON)
    assert not reports.begin(conn, "a", b"{}", NOON + 1)
    assert rows(conn) == [("a", CRASH, "open", 0, NOON)]
    reports.finish(conn, "a", BODY, NOON)
    assert not reports.begin(conn, "a", b"{}", NOON + 1)
    assert reports.forget(conn, "a")
    assert reports.begin(conn, "a", CRASH, NOON)


def test_an_attempt_ends_once(conn: sqlite3.Connection) -> None:
    reports.begin(conn, "a", CRASH, NOON)
    assert reports.finish(conn, "a", BODY, NOON)
    assert not reports.finish(conn, "a", b"{}", NOON + 1)
    assert not reports.finish(conn, "unknown", b"{}", NOON)
    assert rows(conn) == [("a", BODY, "due", 0, NOON)]


def test_only_what_waits_is_acknowledged_put_off_or_refused(conn: sqlite3.Connection) -> None:
    """An acknowledgement that comes twice must not take away the next report of that id."""
    reports.begin(conn, "a", CRASH, NOON)
    assert not reports.forget(conn, "a")
    assert not reports.postpone(conn, "a", NOON)
    assert not reports.refuse(conn, "a")
    assert rows(conn) == [("a", CRASH, "open", 0, NOON)]
    reports.finish(conn, "a", BODY, NOON)
    reports.withdraw(conn, "a")  # it was sent
    assert reports.refuse(conn, "a")
    assert not reports.forget(conn, "a")
    assert rows(conn) == [("a", BODY, "refused", 1, NOON)]


def test_an_attempt_that_was_not_sent_leaves_nothing(conn: sqlite3.Connection) -> None:
    reports.begin(conn, "a", CRASH, NOON)
    reports.withdraw(conn, "a")
    assert rows(conn) == []


def test_those_that_wait_longest_come_first(conn: sqlite3.Connection) -> None:
    for name, due_ms in (("a", 30), ("b", 10), ("c", 20), ("d", 10)):
        reports.begin(conn, name, CRASH, NOON)
        reports.finish(conn, name, BODY, NOON + due_ms)
    assert [report.correlation_id for report in reports.due(conn, NOON + 25, 10)] == ["b", "d", "c"]
    assert [report.correlation_id for report in reports.due(conn, NOON + 99, 2)] == ["b", "d"]
    assert reports.postpone(conn, "b", NOON + 50)
    assert [report.correlation_id for report in reports.due(conn, NOON + 99, 10)] == ["d", "c", "a", "b"]
    assert reports.due(conn, NOON + 99, 10)[-1].tries == 1


def test_a_start_takes_up_what_was_under_way_and_what_was_put_off(conn: sqlite3.Connection) -> None:
    for name in ("open", "later", "soon", "refused"):
        reports.begin(conn, name, CRASH, NOON)
    reports.finish(conn, "later", BODY, NOON + 10**6)
    reports.finish(conn, "soon", BODY, NOON - 5)
    reports.finish(conn, "refused", BODY, NOON)
    reports.refuse(conn, "refused")
    assert reports.recover(conn, NOON) == 1
    assert reports.due(conn, NOON, 10) == [
        Report("soon", BODY, 0),
        Report("open", CRASH, 0),
        Report("later", BODY, 0),
    ]
    assert reports.recover(conn, NOON) == 0


def test_only_the_last_refused_reports_are_kept(conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "REFUSED_KEPT", 3)
    for number in range(5):
        reports.begin(conn, f"r{number}", CRASH, NOON)
        reports.finish(conn, f"r{number}", BODY, NOON)
        assert reports.refuse(conn, f"r{number}")
    reports.begin(conn, "open", CRASH, NOON)
    assert [row[0] for row in rows(conn)] == ["r2", "r3", "r4", "open"]


def test_the_table_refuses_other_states(conn: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        conn.execute("INSERT INTO reports VALUES (1, 'a', x'7b7d', 'lost', 0, 1, 1)")
