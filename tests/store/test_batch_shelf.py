"""Batches with their input and their files: whole or not at all, whatever breaks off and when."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.domain.batch import INPUT_LOST, Batch, Kept, LineResult, NewBatch
from otari.domain.errors import Kind, OtariError
from otari.domain.names import RANDOM_NAMES
from otari.store import accounts
from otari.store.batch_shelf import BatchShelf
from otari.store.blobs import PIECE_BYTES
from otari.store.file_shelf import FileShelf
from otari.store.files import FileLimits
from tests.store.ground import NOON, Clock, opened

LIMITS = FileLimits(file_bytes=10 * PIECE_BYTES, user_files=2, user_bytes=1_000_000)
NEW = NewBatch("alice", None, "/v1/chat/completions", "stub:m", "stub", None, "{}", total=3)
LINES = [b'{"n": 1}', b'{"n": 2}', b'{"n": 3}']

Scene = Callable[[BatchShelf], Coroutine[Any, Any, None]]


class Ground:
    """A shelf in a folder, opened as often as a test wants."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.folder = folder / "files"

    def play(self, scene: Scene) -> None:
        async def run() -> None:
            db = opened(self.root)
            try:
                await db.write(_add_user)
                files = await FileShelf.open(db, self.folder, LIMITS, Clock())
                shelf = await BatchShelf.open(db, files, Clock())
                try:
                    async with asyncio.timeout(20):
                        await scene(shelf)
                finally:
                    await shelf.close()
                    await files.close()
            finally:
                await db.close()

        asyncio.run(run())

    @property
    def inputs(self) -> set[str]:
        """The inputs that lie there."""
        return set(os.listdir(self.folder / "batches")) - {".lock"}

    @property
    def kept(self) -> set[str]:
        """The files that lie there."""
        return set(os.listdir(self.folder)) - {".lock", "batches"}

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        conn = sqlite3.connect(self.root / "otari.db")
        try:
            return list(conn.execute(sql))
        finally:
            conn.close()

    def write(self, sql: str, *values: object) -> None:
        """Change the database while nobody has it open."""
        conn = sqlite3.connect(self.root / "otari.db")
        with conn:
            conn.execute(sql, values)
        conn.close()


def _add_user(conn: sqlite3.Connection) -> None:
    if accounts.find_user(conn, "alice") is None:
        accounts.add_user(conn, "alice", now_ms=NOON)


def result(line: int, status: int = 200) -> LineResult:
    return LineResult(line, f"c{line}", f"req_{line}", status, b"{}")


async def lines_of(shelf: BatchShelf, batch_id: str, most: int = 1_000) -> list[bytes | None]:
    return [line async for some in shelf.lines(batch_id, most) for line in some]


async def wound_up(shelf: BatchShelf, *results: LineResult) -> Batch:
    """A batch whose lines have these results."""
    batch = await shelf.add(NEW, LINES)
    await shelf.begin(batch.batch_id, "stub:m", "stub", 3)
    for each in results:
        await shelf.keep(Kept(batch.batch_id, each))
    return await shelf.wind_up(batch.batch_id, "completed")


def shape(each: LineResult) -> bytes:
    return orjson.dumps([each.line, each.status]) + b"\n"


async def text_of(shelf: BatchShelf, file_id: str | None) -> bytes | None:
    return None if file_id is None else await shelf.files.read(await shelf.files.get("alice", file_id))


def test_requests_that_come_along_become_its_input(tmp_path: Path) -> None:
    ground, heard = Ground(tmp_path), list[Batch]()

    async def scene(shelf: BatchShelf) -> None:
        shelf.on_added = heard.append
        batch = await shelf.add(NEW, iter(LINES))
        assert heard == [batch]
        assert await lines_of(shelf, batch.batch_id) == LINES
        assert await lines_of(shelf, batch.batch_id, most=3) == [None] * 3
        assert ground.inputs == {batch.batch_id}
        assert [each.batch_id for each in await shelf.unfinished()] == [batch.batch_id]

    ground.play(scene)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_stays_the_input_when_it_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    ground = Ground(tmp_path)
    if not links:  # a disk that has none

        def refuse(*_: object) -> None:
            raise PermissionError("no links here")

        monkeypatch.setattr(os, "link", refuse)

    async def scene(shelf: BatchShelf) -> None:
        async with shelf.files.receiving() as draft:
            await draft.write(b"\n".join(LINES))
            file = await shelf.files.add(draft, "alice", filename="f", media_type="text/plain", purpose="batch")
        batch = await shelf.add_from(file, NEW)
        await shelf.files.remove("alice", file.file_id)
        assert ground.kept == set()
        assert await lines_of(shelf, batch.batch_id) == LINES
        assert (ground.folder / "batches" / batch.batch_id).stat().st_mode & 0o077 == 0
        with pytest.raises(OtariError) as gone:
            await shelf.add_from(file, NEW)
        assert gone.value.kind is Kind.NOT_FOUND
        assert ground.inputs == {batch.batch_id}

    ground.play(scene)


def test_who_may_not_begin_leaves_no_input(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: BatchShelf) -> None:
        with pytest.raises(OtariError):
            await shelf.add(NEW._replace(user_id="nobody"), LINES)

    ground.play(scene)
    assert ground.inputs == set()


def test_an_input_that_is_gone_is_told(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: BatchShelf) -> None:
        batch = await shelf.add(NEW, LINES)
        (ground.folder / "batches" / batch.batch_id).unlink()
        with pytest.raises(OtariError) as lost:
            await lines_of(shelf, batch.batch_id)
        assert lost.value.code == INPUT_LOST

    ground.play(scene)


def test_it_ends_with_its_answers_and_its_failures_apart(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: BatchShelf) -> None:
        batch = await wound_up(shelf, result(3), result(2, 500), result(1))
        await shelf.finish(batch, shelf.results(batch.batch_id), shape)
        batch = await shelf.get(batch.batch_id)
        assert batch.state == "completed"
        assert await text_of(shelf, batch.output_file_id) == b"[1,200]\n[3,200]\n"
        assert await text_of(shelf, batch.error_file_id) == b"[2,500]\n"
        assert b"".join([piece async for piece in shelf.answers(batch)]) == b"[1,200]\n[3,200]\n[2,500]\n"
        assert ground.inputs == set()
        assert ground.kept == {batch.output_file_id, batch.error_file_id}

    ground.play(scene)
    assert ground.ask("SELECT count(*) FROM batch_results") == [(0,)]


def test_a_file_that_would_be_empty_is_none(tmp_path: Path) -> None:
    async def scene(shelf: BatchShelf) -> None:
        for results, has in (([result(1)], (True, False)), ([result(1, 500)], (False, True)), ([], (False, False))):
            batch = await wound_up(shelf, *results)
            await shelf.finish(batch, shelf.results(batch.batch_id), shape)
            batch = await shelf.get(batch.batch_id)
            assert (batch.output_file_id is not None, batch.error_file_id is not None) == has
            assert batch.state == "completed"

    Ground(tmp_path).play(scene)


def test_results_that_break_off_end_nothing(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def broken() -> AsyncGenerator[Sequence[LineResult], None]:
        yield [result(1)]
        raise OtariError(Kind.UNAVAILABLE, "disk")

    async def scene(shelf: BatchShelf) -> None:
        batch = await wound_up(shelf, result(1), result(2), result(3))
        with pytest.raises(OtariError):
            await shelf.finish(batch, broken(), shape)
        batch = await shelf.get(batch.batch_id)
        assert batch.state == "finalizing"
        assert ground.kept == set()
        await shelf.finish(batch, shelf.results(batch.batch_id), shape)  # again, and well
        assert (await shelf.get(batch.batch_id)).state == "completed"

    ground.play(scene)


def test_a_stop_in_the_middle_of_the_end_is_made_good_by_the_next_start(tmp_path: Path) -> None:
    """After the files have their names, before anybody sees them: as if the process had died there."""
    ground = Ground(tmp_path)

    async def dies(shelf: BatchShelf) -> None:
        batch = await wound_up(shelf, result(1), result(2), result(3))
        async with shelf.files.receiving() as draft:
            await draft.write(b"half of it")

            def note(conn: sqlite3.Connection) -> None:
                conn.execute(
                    "INSERT INTO files VALUES (?, 'alice', 'f', 't', 'p', 10, zeroblob(32), 'partial', 1, NULL)",
                    ("file-" + "1" * 32,),
                )

            await shelf._db.write(note)
            await draft.seal()
            await draft.keep("file-" + "1" * 32)
        assert batch.state == "finalizing"

    async def goes_on(shelf: BatchShelf) -> None:
        assert ground.kept == set()
        (batch,) = await shelf.unfinished()
        await shelf.finish(batch, shelf.results(batch.batch_id), shape)
        batch = await shelf.get(batch.batch_id)
        assert await text_of(shelf, batch.output_file_id) == b"[1,200]\n[2,200]\n[3,200]\n"

    ground.play(dies)
    ground.play(goes_on)


def test_a_start_clears_up_what_nobody_needs(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    needed = list[str]()

    async def scene(shelf: BatchShelf) -> None:
        needed.append((await shelf.add(NEW, LINES)).batch_id)
        ended = await wound_up(shelf, result(1))
        needed.append(ended.batch_id)

    ground.play(scene)
    # One has ended, but its results and its input are still there; one never became a batch.
    ground.write("UPDATE batches SET state = 'completed' WHERE batch_id = ?", needed[1])
    stray = RANDOM_NAMES.batch("alice", NOON)
    for name in (stray, "upload-" + "0" * 32 + ".part", "somebody-else-s"):
        (ground.folder / "batches" / name).write_bytes(b"x")
    ground.play(_nothing)
    assert ground.inputs == {needed[0], "somebody-else-s"}
    assert ground.ask("SELECT count(*) FROM batch_results") == [(0,)]


async def _nothing(shelf: BatchShelf) -> None:
    """Only start and stop."""


def test_who_hears_of_a_cancel_hears_of_it_once(tmp_path: Path) -> None:
    heard = list[str]()

    async def scene(shelf: BatchShelf) -> None:
        shelf.on_cancelled = lambda batch: heard.append(batch.state)
        batch = await shelf.add(NEW, LINES)
        for _ in range(3):
            assert (await shelf.cancel("alice", batch.batch_id, None)).state == "cancelling"

    Ground(tmp_path).play(scene)
    assert heard == ["cancelling"]


def test_what_ends_for_nobody_leaves_no_files(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def scene(shelf: BatchShelf) -> None:
        batch = await wound_up(shelf, result(1), result(2, 500), result(3))
        await shelf._db.write(lambda conn: accounts.remove_user(conn, "alice", NOON))
        await shelf.finish(batch, shelf.results(batch.batch_id), shape)
        ended = await shelf.get(batch.batch_id)
        assert (ended.state, ended.completed, ended.output_file_id, ended.error_file_id) == ("completed", 2, None, None)
        assert (ground.inputs, ground.kept) == (set(), set())
        assert ground.ask("SELECT count(*) FROM batch_results") == [(0,)]

    ground.play(scene)


@pytest.mark.parametrize("lifetime_s", [None, 3_600])
def test_its_files_live_as_long_as_was_asked_for(tmp_path: Path, lifetime_s: int | None) -> None:
    async def scene(shelf: BatchShelf) -> None:
        batch = await shelf.add(NEW._replace(output_lifetime_s=lifetime_s), LINES)
        await shelf.begin(batch.batch_id, "stub:m", "stub", 3)
        await shelf.keep(Kept(batch.batch_id, result(1)))
        await shelf.keep(Kept(batch.batch_id, result(2, 500)))
        batch = await shelf.wind_up(batch.batch_id, "completed")
        await shelf.finish(batch, shelf.results(batch.batch_id), shape)
        ended = await shelf.get(batch.batch_id)
        for file_id in (ended.output_file_id, ended.error_file_id):
            assert file_id is not None
            file = await shelf.files.get("alice", file_id)
            expected = None if lifetime_s is None else file.created_at_ms + lifetime_s * 1_000
            assert file.expires_at_ms == expected

    Ground(tmp_path).play(scene)
