"""Group commit: order, sharing, failing alone, never lost to a cancel, and what happens when the disk is full."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otari.domain.errors import Kind, OtariError
from otari.store import writer
from otari.store.db import Database
from tests.store.ground import Gate, fault, in_loop, opened


def insert(name: str, value: str = "x") -> Callable[[sqlite3.Connection], str]:
    def op(conn: sqlite3.Connection) -> str:
        conn.execute("INSERT INTO settings VALUES (?, ?)", (name, value))
        return name

    return op


def keep(name: str, value: str = "x") -> Callable[[sqlite3.Connection], None]:
    def op(conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO settings VALUES (?, ?)", (name, value))

    return op


async def names(db: Database) -> list[str]:
    return await db.read(lambda conn: [row[0] for row in conn.execute("SELECT name FROM settings ORDER BY rowid")])


# ---- groups ----


def test_what_came_meanwhile_shares_one_commit(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        before = db.commits
        gate = Gate(db)
        results = [db.write(insert(f"{i:03}")) for i in range(200)]
        gate.open()
        assert await asyncio.gather(*results) == [f"{i:03}" for i in range(200)]
        # One for the gate (alone, or with what came while the thread woke up), one for the rest.
        assert db.commits - before <= 2
        assert db.ops == 201
        assert await names(db) == [f"{i:03}" for i in range(200)]  # in the order of the calls

    in_loop(tmp_path, scene)


def test_a_group_has_a_largest_size(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        gate = Gate(db)
        results = [db.write(insert(str(i))) for i in range(3 * writer.GROUP_MAX)]
        gate.open()
        await asyncio.gather(*results)
        assert db.commits >= 3

    in_loop(tmp_path, scene)


def test_a_result_is_known_only_when_it_is_on_disk(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        await db.write(insert("a"))
        with contextlib.closing(sqlite3.connect(db.path)) as other:
            assert other.execute("SELECT count(*) FROM settings").fetchone()[0] == 1

    in_loop(tmp_path, scene)


def test_only_the_guilty_member_of_a_group_fails(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        gate = Gate(db)
        mistake = ValueError("our own mistake")

        def broken(conn: sqlite3.Connection) -> None:
            insert("half done")(conn)
            raise mistake

        good = [db.write(insert(name)) for name in "ab"]
        twice = db.write(insert("a"))
        bad = db.write(broken)
        last = db.write(insert("c"))
        gate.open()
        assert await asyncio.gather(*good, last) == ["a", "b", "c"]
        with pytest.raises(sqlite3.IntegrityError):
            await twice
        with pytest.raises(ValueError, match="our own mistake"):
            await bad
        assert await names(db) == ["a", "b", "c"]
        assert db.healthy

    in_loop(tmp_path, scene)


def test_a_lone_operation_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        def broken(conn: sqlite3.Connection) -> None:
            insert("half done")(conn)
            raise ValueError("our own mistake")

        with pytest.raises(ValueError, match="our own mistake"):
            await db.write(broken)
        assert await names(db) == []

    in_loop(tmp_path, scene)


# ---- cancels ----


def test_a_cancelled_waiter_does_not_take_its_operation_back(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        gate = Gate(db)
        heard: list[str] = []
        future = db.write(insert("a"), on_commit=heard.append)
        future.cancel()
        gate.open()
        await db.write(insert("b"))
        assert await names(db) == ["a", "b"]
        assert heard == ["a"]

    in_loop(tmp_path, scene)


def test_a_listener_hears_before_the_waiter_and_its_fault_is_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(db: Database) -> None:
        heard: list[str] = []
        await db.write(insert("a"), on_commit=heard.append)
        assert heard == ["a"]

        def deaf(_: object) -> None:
            raise ValueError("deaf")

        assert await db.write(insert("b"), on_commit=deaf) == "b"

    in_loop(tmp_path, scene)
    assert "listener" in caplog.text


# ---- the disk is full ----


async def fill(db: Database) -> None:
    """Let the database have no page more than it has, and fill the last one."""
    await db.write(lambda conn: conn.execute("PRAGMA max_page_count = 1").fetchone())
    fillers = [db.write(insert(f"filler {number}", "x" * 500)) for number in range(100)]
    results = await asyncio.gather(*fillers, return_exceptions=True)
    assert any(isinstance(result, OtariError) for result in results)


async def make_room(db: Database) -> None:
    await db.write(lambda conn: conn.execute("PRAGMA max_page_count = 1000000").fetchone())
    await db.write(lambda _: None)  # the writer has turned to what waits before it takes this


def test_on_a_full_disk_writes_fail_and_what_must_be_kept_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(db: Database) -> None:
        await fill(db)
        with pytest.raises(OtariError) as caught:
            await db.write(insert("lost", "x" * 9_000))
        assert (caught.value.kind, caught.value.code) == (Kind.UNAVAILABLE, "ledger_unavailable")
        assert caught.value.retry_after is not None
        for number in range(300):
            await asyncio.wait_for(db.write_until_kept(keep(f"kept {number}", "x" * 500)), 5)
        assert (db.healthy, db.waiting >= 300) == (False, True)
        assert not [name for name in await names(db) if name.startswith("kept")]  # reads still work
        await make_room(db)
        assert (db.healthy, db.waiting) == (True, 0)
        assert [name for name in await names(db) if name.startswith("kept")] == [f"kept {i}" for i in range(300)]
        assert "lost" not in await names(db)

    in_loop(tmp_path, scene)
    assert "can not be written" in caplog.text
    assert "can be written again" in caplog.text


def test_after_a_failed_write_readiness_is_lost_until_a_write_lands(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        failures = [fault(sqlite3.SQLITE_FULL)] * 2

        def once_full(conn: sqlite3.Connection) -> None:
            if failures:
                raise failures.pop()

        gate = Gate(db)
        failed = db.write(once_full)
        db.write(once_full).add_done_callback(lambda done: done.exception())
        gate.open()
        with pytest.raises(OtariError):
            await failed
        await db.write(insert("a"))
        await db.write(insert("b"))
        assert db.healthy
        assert "last_disk_fault_at_ms" in await names(db)

    in_loop(tmp_path, scene)


def test_what_waits_is_tried_again_without_other_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_FIRST_S", 0.001)

    async def scene(db: Database) -> None:
        loop = asyncio.get_running_loop()
        landed = asyncio.Event()
        faults = [fault() for _ in range(3)]

        def third_time_lucky(conn: sqlite3.Connection) -> None:
            if faults:
                raise faults.pop()
            keep("a")(conn)
            loop.call_soon_threadsafe(landed.set)

        await db.write_until_kept(third_time_lucky)
        await asyncio.wait_for(landed.wait(), 10)
        await db.write(lambda _: None)
        assert await names(db) == ["a"]

    in_loop(tmp_path, scene)


def test_an_operation_that_can_never_land_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(db: Database) -> None:
        broken_disk = [True]

        def poison(conn: sqlite3.Connection) -> None:
            if broken_disk[0]:
                raise fault()
            raise ValueError("never")

        def first(conn: sqlite3.Connection) -> None:
            if broken_disk[0]:
                raise fault()
            keep("first")(conn)

        def last(conn: sqlite3.Connection) -> None:
            if broken_disk[0]:
                raise fault()
            keep("last")(conn)

        for op in (first, poison, last):
            await db.write_until_kept(op)
        assert db.waiting == 3
        broken_disk[0] = False
        await db.write(insert("other"))
        await db.write(lambda _: None)
        assert db.healthy
        assert await names(db) == ["other", "first", "last"]

    in_loop(tmp_path, scene)
    assert "refused for good" in caplog.text


def test_no_more_than_so_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "WAITING_MAX", 2)

    async def scene(db: Database) -> None:
        broken_disk = [True]

        def op(conn: sqlite3.Connection) -> None:
            if broken_disk[0]:
                raise fault()

        await db.write_until_kept(op)
        await db.write_until_kept(op)
        with pytest.raises(OtariError):
            await db.write_until_kept(op)
        broken_disk[0] = False

    in_loop(tmp_path, scene)
    assert "left to recovery" in caplog.text


def test_the_end_does_not_wait_for_a_broken_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def never(conn: sqlite3.Connection) -> None:
        raise fault()

    async def leave() -> None:
        db = opened(tmp_path)
        await db.write_until_kept(never)
        assert await db.close(timeout_s=5)

    asyncio.run(leave())
    assert "1 operations could not be written" in caplog.text


def test_what_waits_is_tried_a_last_time_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_FIRST_S", 1_000.0)
    faults = [fault()]

    def second_time_lucky(conn: sqlite3.Connection) -> None:
        if faults:
            raise faults.pop()
        keep("a")(conn)

    async def leave() -> None:
        db = opened(tmp_path)
        await db.write_until_kept(second_time_lucky)
        assert db.waiting == 1
        assert await db.close()

    asyncio.run(leave())
    assert in_loop(tmp_path, names) == ["a"]


def test_the_end_is_bounded(tmp_path: Path) -> None:
    async def leave() -> None:
        db = opened(tmp_path)
        gate = Gate(db)
        assert not await db.close(timeout_s=0.01)
        gate.open()
        await gate.done

    asyncio.run(leave())


def test_a_locked_database_is_not_waited_for_by_each_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SINGLY_S", 0.0)

    async def scene(db: Database) -> None:
        tries = 0

        def locked(conn: sqlite3.Connection) -> None:
            nonlocal tries
            tries += 1
            raise fault(sqlite3.SQLITE_BUSY)

        gate = Gate(db)
        futures = [db.write(locked) for _ in range(50)]
        gate.open()
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(result, OtariError) for result in results)
        assert tries <= 10  # the group, its first member, and the same for what came in a second group

    in_loop(tmp_path, scene)


def test_the_end_of_the_thread_is_told_to_all_who_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(db: Database) -> None:
        def deadly(_: sqlite3.Connection) -> None:
            raise SystemExit

        gate = Gate(db)
        futures: list[asyncio.Future[Any]] = [db.write(deadly), db.write(insert("a"))]
        gate.open()
        results = await asyncio.wait_for(asyncio.gather(gate.done, *futures, return_exceptions=True), 5)
        assert isinstance(results[-1], OtariError)
        assert not db.healthy
        with pytest.raises(OtariError):
            await db.write(insert("b"))

    caplog.set_level(logging.CRITICAL)
    in_loop(tmp_path, scene)
    assert "writer of the ledger has ended" in caplog.text
