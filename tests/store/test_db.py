"""Opening, one process at a time, reading, private files, and a clean end."""

import asyncio
import contextlib
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otari.domain.errors import Kind, OtariError
from otari.store.db import Database
from otari.store.faults import StoreError, StoreInUse
from tests.store.ground import Clock, in_loop, opened

ROOT = Path(__file__).parent.parent.parent


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        Database.open(path, now_ms=Clock())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    assert re.search("folder .* does not exist", refusal(tmp_path / "nowhere" / "otari.db"))


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_a_file_that_is_no_database_is_told_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"these are my notes\n" * 100)
    assert "not a database" in refusal(path)
    assert path.read_bytes() == b"these are my notes\n" * 100


def test_a_database_of_another_program_is_told_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.executescript("PRAGMA application_id = 42; CREATE TABLE theirs (a)")
    before = path.read_bytes()
    assert "another program (application_id 42)" in refusal(path)
    assert path.read_bytes() == before


def test_a_database_without_a_name_tag_but_with_tables_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE theirs (a)")
    assert "another program" in refusal(path)


def test_a_newer_schema_is_told(tmp_path: Path) -> None:
    in_loop(tmp_path, _nothing)
    with contextlib.closing(sqlite3.connect(tmp_path / "otari.db")) as conn:
        conn.execute("PRAGMA user_version = 999")
    assert "newer release (it has version 999)" in refusal(tmp_path / "otari.db")


def test_damage_is_told(tmp_path: Path) -> None:
    in_loop(tmp_path, _many_settings)
    path = tmp_path / "otari.db"
    pages = bytearray(path.read_bytes())
    last = len(pages) - 4096  # a page of the table's end; the beginning, and so the schema, is whole
    pages[last : last + 64] = b"\xff" * 64
    path.write_bytes(pages)
    assert "damaged" in refusal(path)


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "otari.db.lock").mkdir()
    assert "can not be locked" in refusal(tmp_path / "otari.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_is_told(tmp_path: Path) -> None:
    in_loop(tmp_path, _nothing)
    (tmp_path / "otari.db").chmod(0o400)
    assert "can not be opened" in refusal(tmp_path / "otari.db")


def test_a_refused_start_leaves_the_database_free(tmp_path: Path) -> None:
    path = tmp_path / "otari.db"
    path.write_bytes(b"nonsense" * 100)
    refusal(path)
    path.unlink()
    in_loop(tmp_path, _nothing)


HOLDER = """
import sys
from otari.store.db import Database
db = Database.open(sys.argv[1], durability="normal", now_ms=lambda: 0)
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "otari.db"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUse, match=f"in use by process {first.pid}") as caught:
            Database.open(path, now_ms=Clock())
        assert caught.value.pid == first.pid
        first.kill()
    in_loop(tmp_path, _nothing)  # the kernel gave the lock free


def test_all_files_are_for_the_owner_only(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        modes = in_loop(tmp_path, _modes)
    finally:
        os.umask(previous)
    assert modes == {f"otari.db{tail}": 0o600 for tail in ("", "-wal", "-shm", ".lock")}


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    in_loop(tmp_path, _nothing)
    (tmp_path / "otari.db").chmod(0o644)
    assert in_loop(tmp_path, _modes)["otari.db"] == 0o600


def test_a_read_sees_what_was_written(tmp_path: Path) -> None:
    async def scene(db: Database) -> object:
        await db.write(lambda conn: conn.execute("INSERT INTO settings VALUES ('a', '1')").rowcount)
        return await db.read(lambda conn: conn.execute("SELECT name, value FROM settings").fetchall())

    assert in_loop(tmp_path, scene) == [("a", "1")]


def test_a_read_can_not_write(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        with pytest.raises(OtariError) as caught:
            await db.read(lambda conn: conn.execute("DELETE FROM settings"))
        assert caught.value.kind is Kind.UNAVAILABLE
        await db.read(lambda conn: conn.execute("SELECT 1").fetchone())  # the reader goes on

    in_loop(tmp_path, scene)


def test_a_mistake_in_a_read_stays_a_mistake(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await db.read(lambda conn: conn.execute("SELECT * FROM nonsense"))

    in_loop(tmp_path, scene)


def test_closing_writes_what_was_queued_and_folds_the_log_in(tmp_path: Path) -> None:
    async def leave() -> None:
        db = opened(tmp_path)
        for number in range(1_000):
            db.write(_insert(str(number)))
        assert await db.close()

    asyncio.run(leave())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["otari.db", "otari.db.lock"]
    assert in_loop(tmp_path, _count) == 1_000


def test_closing_twice_is_harmless_and_nothing_is_taken_after(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        assert await db.close()
        assert await db.close()
        assert not db.healthy
        with pytest.raises(OtariError) as written:
            await db.write(_insert("late"))
        with pytest.raises(OtariError) as read:
            await db.read(lambda _: None)
        assert written.value.code == read.value.code == "ledger_unavailable"

    in_loop(tmp_path, scene)


def test_a_database_belongs_to_one_event_loop(tmp_path: Path) -> None:
    db = opened(tmp_path)

    async def use() -> None:
        await db.write(_insert("a"))

    async def misuse() -> None:
        with pytest.raises(RuntimeError, match="event loop"):
            db.write(_insert("b"))
        await db.close()

    asyncio.run(use())
    asyncio.run(misuse())


async def _nothing(db: Database) -> None:
    assert db.healthy


async def _modes(db: Database) -> dict[str, int]:
    await db.write(_insert("a"))
    folder = Path(db.path).parent
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def _many_settings(db: Database) -> None:
    for number in range(2_000):
        db.write(_insert(f"{number:050}"))


async def _count(db: Database) -> int:
    return await db.read(lambda conn: int(conn.execute("SELECT count(*) FROM settings").fetchone()[0]))


def _insert(name: str) -> Callable[[sqlite3.Connection], int]:
    return lambda conn: conn.execute("INSERT OR REPLACE INTO settings VALUES (?, 'x')", (name,)).rowcount
