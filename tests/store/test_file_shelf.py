"""Files with their bytes: whole or not at all, whatever breaks off; and what is left of a run that was killed."""

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from otari.domain.errors import Kind, OtariError
from otari.domain.files import StoredFile
from otari.store import accounts, blobs, files
from otari.store.blobs import PIECE_BYTES, Blobs
from otari.store.db import Database
from otari.store.faults import StoreError
from otari.store.file_shelf import FileShelf
from otari.store.files import FileLimits, Listing
from tests.store.ground import NOON, Clock, opened

LIMITS = FileLimits(file_bytes=10 * PIECE_BYTES, user_files=10, user_bytes=100 * PIECE_BYTES)
HOUR_MS = 3_600_000
TEXT = b"A sentence to quote. " * 50_000  # some pieces

Scene = Callable[[FileShelf], Coroutine[Any, Any, None]]


class Ground:
    """A shelf in a folder, opened as often as a test wants."""

    def __init__(self, folder: Path, limits: FileLimits = LIMITS) -> None:
        self.clock = Clock()
        self.folder = folder / "files"
        self.limits = limits
        self._root = folder

    def play(self, scene: Scene) -> None:
        async def run() -> None:
            db = opened(self._root, clock=self.clock)
            try:
                await db.write(_add_user)
                shelf = await FileShelf.open(db, self.folder, self.limits, self.clock)
                try:
                    async with asyncio.timeout(20):
                        await scene(shelf)
                finally:
                    await shelf.close()
            finally:
                await db.close()

        asyncio.run(run())

    @property
    def names(self) -> set[str]:
        """What lies in the folder, but for its lock."""
        return set(os.listdir(self.folder)) - {".lock"}

    def rows(self) -> list[tuple[str, str]]:
        conn = sqlite3.connect(self._root / "otari.db")
        try:
            return list(conn.execute("SELECT file_id, state FROM files ORDER BY file_id"))
        finally:
            conn.close()

    def write(self, sql: str, *values: object) -> None:
        """Change the database while nobody has it open."""
        conn = sqlite3.connect(self._root / "otari.db")
        with conn:
            conn.execute(sql, values)
        conn.close()


def _add_user(conn: sqlite3.Connection) -> None:
    if accounts.find_user(conn, "alice") is None:
        accounts.add_user(conn, "alice", now_ms=NOON)


async def put(shelf: FileShelf, content: bytes = TEXT, **more: Any) -> StoredFile:
    told = {"filename": "a.txt", "media_type": "text/plain", "purpose": "user_data", **more}
    async with shelf.receiving() as draft:
        for at in range(0, len(content), 1_000_003):
            await draft.write(content[at : at + 1_000_003])
        return await shelf.add(draft, "alice", **told)


async def bytes_of(shelf: FileShelf, file: StoredFile, start: int = 0, count: int | None = None) -> bytes:
    return b"".join([piece async for piece in shelf.chunks(file, start, count)])


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread does; `Ground.play` bounds it."""
    while not condition():  # noqa: ASYNC110  (the file system tells nobody)
        await asyncio.sleep(0)


async def seen(shelf: FileShelf) -> list[str]:
    return [file.file_id for file in (await shelf.page("alice", Listing(100)))[0]]


def test_what_was_put_in_comes_out(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: FileShelf) -> None:
        file = await put(shelf)
        assert file.size_bytes == len(TEXT)
        assert file.digest == hashlib.sha256(TEXT).digest()
        assert await bytes_of(shelf, file) == TEXT
        assert await bytes_of(shelf, file, 7, 300_000) == TEXT[7:300_007]
        assert await shelf.get("alice", file.file_id) == file
        empty = await put(shelf, b"")
        assert await bytes_of(shelf, empty) == b""
        assert ground.names == {file.file_id, empty.file_id}
        assert os.stat(ground.folder).st_mode & 0o777 == 0o700
        assert os.stat(ground.folder / file.file_id).st_mode & 0o777 == 0o600

    ground.play(scene)


def test_a_file_outlives_the_run(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    kept: list[StoredFile] = []

    async def first(shelf: FileShelf) -> None:
        kept.append(await put(shelf))

    async def second(shelf: FileShelf) -> None:
        assert await seen(shelf) == [kept[0].file_id]
        assert await bytes_of(shelf, kept[0]) == TEXT

    ground.play(first)
    ground.play(second)


def test_a_draft_that_is_not_added_leaves_nothing(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: FileShelf) -> None:
        async with shelf.receiving() as draft:
            await draft.write(TEXT)
            assert len(ground.names) == 1
        async with shelf.receiving():
            pass

        async def failing() -> None:
            async with shelf.receiving() as draft:
                await draft.write(TEXT)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await failing()

    ground.play(scene)
    assert ground.names == set()


def test_who_leaves_while_the_bytes_come_leaves_nothing(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: FileShelf) -> None:
        async def sending() -> None:
            async with shelf.receiving() as draft:
                while True:
                    await draft.write(TEXT)

        sender = asyncio.ensure_future(sending())
        await until(lambda: bool(ground.names))
        sender.cancel()
        await asyncio.wait({sender})
        assert await seen(shelf) == []

    ground.play(scene)
    assert ground.names == set()
    assert ground.rows() == []


def test_who_leaves_at_the_very_end_has_a_whole_file_or_none(tmp_path: Path) -> None:
    """Cancelled after so many turns of the loop, wherever that is: what is seen is whole, and nothing else is there."""
    ground = Ground(tmp_path)

    async def scene(shelf: FileShelf) -> None:
        for turns in range(0, 60, 3):
            adding = asyncio.ensure_future(put(shelf, b"short"))
            for _ in range(turns):
                await asyncio.sleep(0)
            adding.cancel()
            await asyncio.wait({adding})

    async def after(shelf: FileShelf) -> None:
        files, _ = await shelf.page("alice", Listing(100))
        assert {file.file_id for file in files} == ground.names
        for file in files:
            assert await bytes_of(shelf, file) == b"short"

    ground.limits = LIMITS._replace(user_files=100)
    ground.play(scene)
    assert {name for name, _ in ground.rows()} == ground.names
    ground.play(after)


def test_a_removed_file_is_gone_with_its_bytes(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: FileShelf) -> None:
        file, other = await put(shelf), await put(shelf)
        reading = shelf.chunks(file)
        begun = await anext(reading)
        await shelf.remove("alice", file.file_id)
        assert ground.names == {other.file_id}
        assert begun + b"".join([piece async for piece in reading]) == TEXT  # who has begun reads to the end
        with pytest.raises(OtariError, match="File not found"):
            await shelf.remove("alice", file.file_id)
        with pytest.raises(OtariError, match="File not found"):
            await bytes_of(shelf, file)

    ground.play(scene)
    assert len(ground.rows()) == 1


def test_retention_reclaims_bytes(tmp_path: Path) -> None:
    ground = Ground(tmp_path, LIMITS._replace(kept_ms=2 * HOUR_MS))

    async def scene(shelf: FileShelf) -> None:
        short, long = await put(shelf, lifetime_ms=HOUR_MS), await put(shelf, lifetime_ms=10 * HOUR_MS)
        assert (short.expires_at_ms, long.expires_at_ms) == (NOON + HOUR_MS, NOON + 2 * HOUR_MS)
        assert await shelf.sweep() == 0
        ground.clock.now_ms = NOON + HOUR_MS
        assert await seen(shelf) == [long.file_id]
        assert await shelf.sweep() == 1
        assert ground.names == {long.file_id}
        ground.clock.now_ms = NOON + 2 * HOUR_MS
        assert await shelf.sweep() == 1
        assert ground.names == set()

    ground.play(scene)
    assert ground.rows() == []


def test_a_start_sweeps_what_has_expired_meanwhile(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def first(shelf: FileShelf) -> None:
        await put(shelf, lifetime_ms=HOUR_MS)

    async def second(_: FileShelf) -> None:
        await until(lambda: not ground.names)

    ground.play(first)
    ground.clock.now_ms = NOON + HOUR_MS
    ground.play(second)
    assert ground.rows() == []


def test_a_start_removes_what_was_coming_or_going(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    kept: list[StoredFile] = []

    async def first(shelf: FileShelf) -> None:
        kept.extend([await put(shelf), await put(shelf), await put(shelf)])

    async def second(shelf: FileShelf) -> None:
        assert await seen(shelf) == [kept[0].file_id]

    ground.play(first)
    going, coming = kept[1].file_id, kept[2].file_id
    ground.write("UPDATE files SET state = 'partial' WHERE file_id IN (?, ?)", going, coming)
    os.unlink(ground.folder / coming)  # a row that came before its bytes
    stray, stranger = f"upload-{'0' * 32}.part", "notes.txt"
    for name in (stray, stranger):
        (ground.folder / name).write_bytes(b"x")
    ground.play(second)
    assert ground.names == {kept[0].file_id, stranger}
    assert ground.rows() == [(kept[0].file_id, "whole")]


def test_files_of_the_wrong_folder_come_back_with_the_right_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ground = Ground(tmp_path)
    right = ground.folder

    async def first(shelf: FileShelf) -> None:
        await put(shelf)

    async def nothing_there(shelf: FileShelf) -> None:
        assert await seen(shelf) == []

    async def there_again(shelf: FileShelf) -> None:
        (file,) = (await shelf.page("alice", Listing(10)))[0]
        assert await bytes_of(shelf, file) == TEXT

    ground.play(first)
    ground.folder = tmp_path / "wrong"
    ground.play(nothing_there)
    assert "is `files_dir` the right folder?" in caplog.text
    ground.folder = right
    ground.play(there_again)


def test_bytes_that_vanish_meanwhile_are_no_file(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: FileShelf) -> None:
        file, short = await put(shelf), await put(shelf)
        os.unlink(ground.folder / file.file_id)
        os.truncate(ground.folder / short.file_id, 5)
        for each in (file, short):
            with pytest.raises(OtariError, match="File not found"):
                await bytes_of(shelf, each)

    ground.play(scene)


def test_refusals_leave_nothing(tmp_path: Path) -> None:
    ground = Ground(tmp_path, FileLimits(file_bytes=100, user_files=1, user_bytes=100))

    async def scene(shelf: FileShelf) -> None:
        assert await shelf.room("alice") == 100
        with pytest.raises(OtariError) as caught:
            await put(shelf, b"x" * 101)
        assert caught.value.code == "too_many_bytes"
        await put(shelf, b"x")
        with pytest.raises(OtariError) as caught:
            await put(shelf, b"x")
        assert caught.value.code == "too_many_files"

    ground.play(scene)
    assert len(ground.names) == len(ground.rows()) == 1


def test_a_disk_that_is_nearly_full_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = Ground(tmp_path)
    monkeypatch.setattr(blobs, "KEEP_FREE_BYTES", 2**62)

    async def scene(shelf: FileShelf) -> None:
        with pytest.raises(OtariError) as caught:
            await put(shelf)
        assert (caught.value.status, caught.value.code) == (503, "files_unavailable")

    ground.play(scene)
    assert ground.names == set()


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    ground = Ground(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def scene(shelf: FileShelf) -> None:
        monkeypatch.setattr(os, step, fail)
        with pytest.raises(OtariError) as caught:
            await put(shelf)
        monkeypatch.undo()
        assert caught.value.status == 503
        assert caught.value.detail == "No space left on device"
        assert await seen(shelf) == []

    ground.play(scene)
    assert ground.names == set()
    assert ground.rows() == []


def test_a_ledger_that_can_not_be_written_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = Ground(tmp_path)

    def fail(*_: object) -> None:
        raise OtariError(Kind.UNAVAILABLE, "no")

    async def scene(shelf: FileShelf) -> None:
        monkeypatch.setattr(files, "show_file", fail)
        with pytest.raises(OtariError) as caught:
            await put(shelf)
        assert caught.value.status == 503

    ground.play(scene)
    assert ground.names == set()
    assert ground.rows() == []


def test_a_folder_is_for_one_gateway(tmp_path: Path) -> None:
    ours = Blobs.open(tmp_path / "files")
    with pytest.raises(StoreError, match="in use by another gateway"):
        Blobs.open(tmp_path / "files")
    ours.close()
    Blobs.open(tmp_path / "files").close()


def test_a_folder_that_can_not_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("not a folder")
    with pytest.raises(StoreError, match="can not be used"):
        Blobs.open(tmp_path / "files")


def test_a_folder_that_others_may_look_into_is_closed(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir(mode=0o755)
    Blobs.open(tmp_path / "files").close()
    assert os.stat(tmp_path / "files").st_mode & 0o777 == 0o700


def test_a_shelf_needs_its_database(tmp_path: Path) -> None:
    """A folder is given free again when the database fails at the start."""

    async def run() -> None:
        db: Database = opened(tmp_path)
        await db.close()
        with pytest.raises(OtariError):
            await FileShelf.open(db, tmp_path / "files", LIMITS, Clock())

    asyncio.run(run())
    Blobs.open(tmp_path / "files").close()
