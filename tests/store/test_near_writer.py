"""The writer that writes in the loop keeps the promises of the other one, but for the disk."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from otari.domain.errors import OtariError
from otari.store import writer
from otari.store.db import Database, Durability
from otari.store.near_writer import AT_ONCE, NearWriter
from tests.store.ground import fault


def insert(name: str) -> Callable[[sqlite3.Connection], str]:
    def op(conn: sqlite3.Connection) -> str:
        conn.execute("INSERT INTO settings (name, value) VALUES (?, 'x')", (name,))
        return name

    return op


def names(conn: sqlite3.Connection) -> list[str]:
    return [row[0] for row in conn.execute("SELECT name FROM settings WHERE value = 'x' ORDER BY name")]


def test_what_is_written_in_one_turn_of_the_loop_shares_a_commit(tmp_path: Path) -> None:
    async def scene() -> None:
        db = Database.open(tmp_path / "a.db", now_ms=lambda: 0, writer=NearWriter)
        heard: list[str] = []
        before = db.commits
        futures = [db.write(insert(name), on_commit=heard.append) for name in "abc"]
        assert await asyncio.gather(*futures) == ["a", "b", "c"]
        assert (db.commits - before, heard, db.healthy) == (1, ["a", "b", "c"], True)
        assert await db.read(names) == ["a", "b", "c"]
        assert await db.close()
        assert not db.healthy

    asyncio.run(scene())


def test_a_failing_operation_fails_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        db = Database.open(tmp_path / "a.db", now_ms=lambda: 0, writer=NearWriter)
        futures = [db.write(insert(name)) for name in "aab"]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(result) for result in results] == [str, sqlite3.IntegrityError, str]
        assert await db.read(names) == ["a", "b"]
        await db.close()

    asyncio.run(scene())


def test_what_was_queued_is_written_at_the_end_and_nothing_after_it(tmp_path: Path) -> None:
    async def scene() -> None:
        db = Database.open(tmp_path / "a.db", now_ms=lambda: 0, writer=NearWriter)
        last = db.write(insert("last"))
        await db.close()
        assert await last == "last"
        with pytest.raises(OtariError):
            await db.write(insert("late"))

    asyncio.run(scene())
    conn = sqlite3.connect(tmp_path / "a.db")
    assert names(conn) == ["last"]
    conn.close()


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_nothing_waits_for_the_disk_whatever_is_asked_for(tmp_path: Path, durability: Durability) -> None:
    db = Database.open(tmp_path / "a.db", durability=durability, now_ms=lambda: 0, writer=NearWriter)
    assert db._conn.execute("PRAGMA synchronous").fetchone()[0] == 0
    assert db._conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    asyncio.run(db.close())


def near(tmp_path: Path) -> Database:
    return Database.open(tmp_path / "a.db", now_ms=lambda: 0, writer=NearWriter)


def test_a_result_is_there_at_once_and_so_is_what_was_written(tmp_path: Path) -> None:
    async def scene() -> None:
        db = near(tmp_path)
        turns: list[str] = []
        asyncio.get_running_loop().call_soon(turns.append, "a turn of the loop")
        assert await db.write(insert("a")) == "a"
        assert turns == []
        assert await db.read(names) == ["a"]
        await db.close()

    asyncio.run(scene())


def test_many_operations_of_one_turn_are_done_together_and_in_order(tmp_path: Path) -> None:
    async def scene() -> None:
        db = near(tmp_path)
        before = db.commits
        heard: list[str] = []
        futures = [db.write(insert(f"{number:02}"), on_commit=heard.append) for number in range(40)]
        done = [future.done() for future in futures]
        assert done == [True] * AT_ONCE + [False] * (40 - AT_ONCE)
        assert await asyncio.gather(*futures) == heard == [f"{number:02}" for number in range(40)]
        assert db.commits - before == 1
        assert await db.write(insert("late")) == "late"
        queued = [db.write(insert(f"last {number}")) for number in range(2 * AT_ONCE)]
        await db.close()
        assert all(future.done() for future in queued)

    asyncio.run(scene())
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as conn:
        assert len(names(conn)) == 41 + 2 * AT_ONCE


def test_what_was_told_stays_when_a_later_operation_fails(tmp_path: Path) -> None:
    async def scene() -> None:
        db = near(tmp_path)
        assert await db.write(insert("a")) == "a"
        with pytest.raises(sqlite3.IntegrityError):
            await db.write(insert("a"))
        assert await db.write(insert("b")) == "b"
        await db.close()

    asyncio.run(scene())
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as conn:
        assert names(conn) == ["a", "b"]


def orphan(conn: sqlite3.Connection) -> None:
    """Something that only the commit finds out to be wrong."""
    conn.execute("CREATE TABLE cards (name TEXT REFERENCES settings (name) DEFERRABLE INITIALLY DEFERRED)")
    conn.execute("INSERT INTO cards VALUES ('nobody')")


def test_a_commit_that_fails_loses_only_the_guilty_operation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        db = near(tmp_path)
        assert await db.write(insert("a")) == "a"
        await db.write(orphan)
        assert await db.write(insert("b")) == "b"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await db.read(names), db.healthy) == (["a", "b"], True)
        await db.close()

    asyncio.run(scene())
    assert "refused for good" in caplog.text


def test_what_must_be_kept_waits_for_the_disk_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_FIRST_S", 0.001)

    async def scene() -> None:
        db = near(tmp_path)
        landed = asyncio.Event()
        faults = [fault() for _ in range(3)]

        def third_time_lucky(conn: sqlite3.Connection) -> None:
            if faults:
                raise faults.pop()
            insert("kept")(conn)
            landed.set()

        assert await db.write(insert("a")) == "a"
        await db.write_until_kept(third_time_lucky)
        assert (db.healthy, db.waiting) == (False, 1)
        await asyncio.wait_for(landed.wait(), 10)
        assert (db.healthy, await db.read(names)) == (True, ["a", "kept"])
        await db.close()

    asyncio.run(scene())


def test_what_can_not_be_written_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        db = near(tmp_path)

        def broken(conn: sqlite3.Connection) -> None:
            raise fault(sqlite3.SQLITE_FULL)

        with pytest.raises(OtariError):
            await db.write(broken)
        await db.close()

    asyncio.run(scene())
