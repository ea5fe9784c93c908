"""The writer that writes in the loop keeps the promises of the other one, but for the disk."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from otari.domain.errors import OtariError
from otari.store.db import Database, Durability
from otari.store.near_writer import NearWriter


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
