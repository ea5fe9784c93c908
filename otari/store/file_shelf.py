"""The files of users as a whole: their rows and their bytes, kept together through crashes, expiry and full disks.

A file comes in this order: bytes on disk, a row that nobody sees, the name of the bytes, the row visible. It goes the
other way round. Whatever breaks off in between leaves a row that says so, or a draft; both end with the next start.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from otari.domain.errors import OtariError
from otari.domain.files import StoredFile
from otari.domain.names import RANDOM_NAMES, Names
from otari.store import files
from otari.store.blobs import Blobs, Draft
from otari.store.db import Database
from otari.store.files import FileLimits, Listing

T = TypeVar("T")
log = logging.getLogger(__name__)

SWEEP_S = 60.0


class Made(NamedTuple):
    """A file that is to be made of a draft, which is whole. `lifetime_ms` None: as long as files are kept at all."""

    draft: Draft
    file_id: str
    user_id: str
    filename: str
    purpose: str
    lifetime_ms: int | None = None


class FileShelf:
    """Open it with `open`; close it before its database."""

    def __init__(self, db: Database, blobs: Blobs, limits: FileLimits, now_ms: Callable[[], int], names: Names) -> None:
        """For `open`, which has cleared up what an earlier run left."""
        self.limits = limits
        self.names = names
        self._db = db
        self._blobs = blobs
        self._now_ms = now_ms
        self._under_way: set[asyncio.Task[Any]] = set()
        self._adding: set[Draft] = set()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_for_ever())

    @classmethod
    async def open(
        cls, db: Database, folder: Path, limits: FileLimits, now_ms: Callable[[], int], names: Names = RANDOM_NAMES
    ) -> "FileShelf":
        """The shelf in `folder`, without what an earlier run left half done. Raises StoreError, OtariError."""
        blobs = Blobs.open(folder)
        try:
            left = await db.read(files.partial_files)
            await blobs.remove(*left)
            await db.write(lambda conn: files.forget_files(conn, left))
            await _compare(db, blobs)
        except BaseException:
            blobs.close()
            raise
        return cls(db, blobs, limits, now_ms, names)

    # ---- coming ----

    async def room(self, user_id: str) -> int:
        """How many bytes one more file of this user may have. Raises OtariError(NOT_FOUND, FORBIDDEN)."""
        return await self._db.read(lambda conn: files.room(conn, user_id, self.limits))

    @contextlib.asynccontextmanager
    async def receiving(self) -> AsyncIterator[Draft]:
        """A draft to write into; when the block is left it is removed, unless it was given to `add`."""
        draft = self._blobs.draft()
        try:
            yield draft
        finally:
            if draft not in self._adding:
                await draft.drop()

    async def add(
        self,
        draft: Draft,
        user_id: str,
        *,
        filename: str,
        media_type: str,
        purpose: str,
        lifetime_ms: int | None = None,
    ) -> StoredFile:
        """Make a file of a draft that is written. It is on disk when this returns; who leaves meanwhile has it too.

        It goes after `lifetime_ms`, or earlier when files are kept for less. Raises OtariError as `room` does, and
        UNAVAILABLE when disk or ledger can not take it.
        """
        file_id = self.names.file(user_id, self._now_ms())
        file = await self._file(Made(draft, file_id, user_id, filename, purpose, lifetime_ms), media_type)

        def note(conn: sqlite3.Connection) -> None:
            files.add_file(conn, file, self.limits)

        def show(conn: sqlite3.Connection) -> None:
            files.show_file(conn, file.file_id)

        self._adding.add(draft)  # now, not when the task begins: who is cancelled in between must not drop it
        await self._to_the_end(self._add({file.file_id: draft}, note, show))
        return file

    async def add_made(self, made: Sequence[Made], also: Callable[[sqlite3.Connection, Sequence[str]], None]) -> None:
        """Make files that the gateway has written for a user, whatever may be kept of what users send.

        They appear all at once, in the transaction in which `also` is done, with their ids. Raises
        OtariError(UNAVAILABLE) when disk or ledger can not take them, and what `also` raises.
        """
        sealed = [await self._file(each, "application/jsonl") for each in made]

        def note(conn: sqlite3.Connection) -> None:
            for file in sealed:
                files.note_file(conn, file)

        def show(conn: sqlite3.Connection) -> None:
            for file in sealed:
                files.show_file(conn, file.file_id)
            also(conn, [file.file_id for file in sealed])

        drafts = {file.file_id: each.draft for file, each in zip(sealed, made, strict=True)}
        self._adding.update(drafts.values())
        await self._to_the_end(self._add(drafts, note, show))

    async def _file(self, made: Made, media_type: str) -> StoredFile:
        """What the file of a draft will be; its bytes are on disk."""
        digest = await made.draft.seal()
        now_ms = self._now_ms()
        lifetimes = [each for each in (made.lifetime_ms, self.limits.kept_ms) if each is not None]
        expires_at_ms = now_ms + min(lifetimes) if lifetimes else None
        return StoredFile(
            made.file_id,
            made.user_id,
            made.filename,
            media_type,
            made.purpose,
            made.draft.size_bytes,
            digest,
            now_ms,
            expires_at_ms,
        )

    async def _add(
        self,
        drafts: Mapping[str, Draft],
        note: Callable[[sqlite3.Connection], None],
        show: Callable[[sqlite3.Connection], None],
    ) -> None:
        """Rows that nobody sees, the names of the bytes, rows that are seen; nothing of it when anything fails."""
        try:
            await self._db.write(note)
            for file_id, draft in drafts.items():
                await draft.keep(file_id)
            await self._db.write(show)
        except BaseException:
            for draft in drafts.values():
                await draft.drop()
            with contextlib.suppress(OtariError):
                await self._reclaim(list(drafts))
            raise
        finally:
            self._adding.difference_update(drafts.values())

    @property
    def folder(self) -> Path:
        """Where the bytes lie."""
        return self._blobs.folder

    # ---- finding ----

    async def get(self, user_id: str, file_id: str) -> StoredFile:
        """A file of this user. Raises OtariError(NOT_FOUND)."""
        now_ms = self._now_ms()
        return await self._db.read(lambda conn: files.get_file(conn, user_id, file_id, now_ms))

    async def page(self, user_id: str, which: Listing) -> tuple[list[StoredFile], bool]:
        """A page of the files of this user, and whether there are more. Raises OtariError(NOT_FOUND, INVALID)."""
        now_ms = self._now_ms()
        return await self._db.read(lambda conn: files.list_files(conn, user_id, which, now_ms))

    async def chunks(self, file: StoredFile, start: int = 0, count: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes of a file, or `count` of them from `start` on. Raises OtariError(NOT_FOUND) when they are gone."""
        wanted = file.size_bytes - start if count is None else count
        try:
            async with contextlib.aclosing(self._blobs.chunks(file.file_id, start, wanted)) as pieces:
                async for piece in pieces:
                    yield piece
        except (OSError, EOFError) as error:
            log.error("the bytes of %s can not be read: %s", file.file_id, type(error).__name__)
            raise files.not_found() from None

    async def read(self, file: StoredFile) -> bytes:
        """All bytes of a file: only for files that are known to be small. Raises OtariError(NOT_FOUND)."""
        return b"".join([piece async for piece in self.chunks(file)])

    # ---- going ----

    async def remove(self, user_id: str, file_id: str) -> None:
        """Delete a file of this user and its bytes. Raises OtariError(NOT_FOUND)."""
        await self._to_the_end(self._remove(user_id, file_id))

    async def _remove(self, user_id: str, file_id: str) -> None:
        now_ms = self._now_ms()
        await self._db.write(lambda conn: files.hide_file(conn, user_id, file_id, now_ms))
        await self._reclaim([file_id])

    async def sweep(self) -> int:
        """Remove what has expired and what belongs to deleted users; how many files that were."""
        gone, now_ms = 0, self._now_ms()
        while hidden := await self._db.write(lambda conn: files.hide_useless(conn, now_ms)):
            await self._reclaim(hidden)
            gone += len(hidden)
        return gone

    async def _reclaim(self, file_ids: list[str]) -> None:
        """The bytes of hidden files go, then their rows. What can not go now goes with the next start."""
        try:
            await self._blobs.remove(*file_ids)
        except OSError as error:
            log.error("files can not be removed: %s", error.strerror)
            return
        await self._db.write(lambda conn: files.forget_files(conn, file_ids))

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                if gone := await self._to_the_end(self.sweep()):
                    log.info("%d files have expired and are removed", gone)
            except OtariError as error:
                log.warning("files can not be swept now: %s", error.message)
            await asyncio.sleep(SWEEP_S)

    # ---- the end ----

    async def close(self) -> None:
        """Finish what is under way and give the folder free."""
        self._sweeper.cancel()
        await asyncio.wait({self._sweeper, *self._under_way})
        await asyncio.get_running_loop().run_in_executor(None, self._blobs.close)

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` even when who waits for it is cancelled: a file must not stop half-way."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits has it; when nobody does, nobody needs it


async def _compare(db: Database, blobs: Blobs) -> None:
    """Rows against the folder, before anything is served."""
    sizes = await blobs.run(blobs.sizes)

    def mark(conn: sqlite3.Connection) -> tuple[int, int]:
        return files.mark_lost(conn, sizes)

    lost, found = await db.write(mark)
    if lost:
        log.error("the bytes of %d files are not in %s: is `files_dir` the right folder?", lost, blobs.folder)
    if found:
        log.warning("the bytes of %d files are in %s again", found, blobs.folder)
