"""Batches as a whole: their rows, their input on disk, and the files that they end with.

A batch comes in this order: its input on disk, then its row. It ends in this order: its two files whole on disk, then
one transaction in which they appear and the batch has ended, then its results and its input go. Whatever breaks off in
between leaves something that the next start clears up or goes on with.
"""

import asyncio
import contextlib
import contextvars
import logging
import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from otari.domain.batch import INPUT_LOST, Batch, Ending, Kept, LineProblem, LineResult, NewBatch, Progress
from otari.domain.errors import Kind, OtariError
from otari.domain.files import StoredFile
from otari.domain.line_cutter import LineCutter
from otari.store import batches
from otari.store.batches import BatchListing
from otari.store.blobs import Blobs, unavailable
from otari.store.db import Database
from otari.store.file_shelf import FileShelf, Made
from otari.store.files import not_found
from otari.store.ledger import Settlement

log = logging.getLogger(__name__)

FOLDER = "batches"  # inside the folder for files
PURPOSE = "batch_output"
_AT_ONCE = 200  # results are up to megabytes each, and writers of the ledger wait meanwhile

Shape = Callable[[LineResult], bytes]


class BatchShelf:
    """A `BatchStore`. Open it with `open`; close it before the shelf of files."""

    def __init__(self, db: Database, files: FileShelf, inputs: Blobs, now_ms: Callable[[], int]) -> None:
        """For `open`, which has cleared up what an earlier run left."""
        self.files = files
        self._db = db
        self._inputs = inputs
        self._now_ms = now_ms
        self.on_added: Callable[[Batch], object] | None = None  # hears of every new batch
        self.on_cancelled: Callable[[Batch], object] | None = None  # hears of every batch that is to be cancelled
        # Hears of every batch that is asked for, and tells what is known of it elsewhere.
        self.on_asked: Callable[[Batch], Awaitable[Progress | None]] | None = None

    @classmethod
    async def open(cls, db: Database, files: FileShelf, now_ms: Callable[[], int]) -> "BatchShelf":
        """The shelf beside `files`. Raises StoreError, OtariError."""
        inputs = Blobs.open(files.folder / FOLDER)
        shelf = cls(db, files, inputs, now_ms)
        try:
            needed = {batch.batch_id for batch in await shelf.unfinished()}
            there = await inputs.run(inputs.sizes)
            await inputs.remove(*(name for name in there if name not in needed and batches.is_batch_id(name)))
            for batch_id in await db.read(batches.ended_with_results):
                await shelf._forget(batch_id)
        except BaseException:
            inputs.close()
            raise
        return shelf

    @property
    def folder(self) -> Path:
        """Where inputs lie, and where there is room for what has no name."""
        return self._inputs.folder

    # ---- coming ----

    async def check_room(self, user_id: str) -> None:
        """Whether the user may begin another batch. Raises OtariError: NOT_FOUND, FORBIDDEN (blocked), RATE_LIMITED."""
        await self._db.read(lambda conn: batches.check_room(conn, user_id))

    async def add(self, new: NewBatch, lines: Iterable[bytes]) -> Batch:
        """A batch whose lines came with it, without their line breaks. Raises like `check_room`, and UNAVAILABLE."""
        batch_id = self.files.names.batch(new.user_id, self._now_ms())
        draft = self._inputs.draft()
        try:
            for line in lines:
                await draft.write(line + b"\n")
            await draft.seal()
            await draft.keep(batch_id)
        finally:
            await draft.drop()
        return await self._note(batch_id, new)

    async def add_from(self, file: StoredFile, new: NewBatch) -> Batch:
        """A batch whose lines are in a file of the user, which may be deleted from then on.

        Raises like `add`, and NOT_FOUND when the bytes of the file are gone.
        """
        batch_id = self.files.names.batch(new.user_id, self._now_ms())
        try:
            await self._inputs.take(self.files.folder / file.file_id, batch_id)
        except FileNotFoundError:
            raise not_found() from None
        except OSError as error:
            raise unavailable(error.strerror or type(error).__name__) from error
        return await self._note(batch_id, new)

    async def _note(self, batch_id: str, new: NewBatch) -> Batch:
        now_ms = self._now_ms()
        try:
            # From here on it is a batch, also when nobody waits for the answer any more.
            return await self._db.write(
                lambda conn: batches.add_batch(conn, batch_id, new, now_ms), on_commit=_here(self.on_added)
            )
        except OtariError:
            await self._remove_input(batch_id)
            raise

    # ---- what its owner asks ----

    async def get_of(self, user_id: str, batch_id: str, provider: str | None) -> Batch:
        """A batch of this user, and of this provider if one is named. Raises OtariError(NOT_FOUND)."""
        return await self._db.read(lambda conn: batches.get_batch_of(conn, user_id, batch_id, provider))

    async def asked(self, batch: Batch) -> Batch:
        """The batch, which its owner asks for, as it stands when whoever carries it out has heard of that."""
        if self.on_asked is None or batch.has_ended:
            return batch
        progress = await self.on_asked(batch)
        batch = await self.get(batch.batch_id)
        if progress is None or batch.has_ended:
            return batch
        # Lines that were never sent have failed already; results that are kept already are counted there, too.
        completed = min(max(batch.completed, progress.completed), batch.total)
        failed = min(max(batch.failed, progress.failed), batch.total - completed)
        return replace(batch, completed=completed, failed=failed)

    async def page(self, user_id: str, which: BatchListing) -> tuple[list[Batch], bool]:
        """A page of the batches of this user, and whether there are more. Raises OtariError(NOT_FOUND, INVALID)."""
        return await self._db.read(lambda conn: batches.list_batches(conn, user_id, which))

    async def cancel(self, user_id: str, batch_id: str, provider: str | None) -> Batch:
        """Ask for the end of a batch. Raises OtariError(NOT_FOUND, CONFLICT)."""
        now_ms = self._now_ms()
        batch, _ = await self._db.write(
            lambda conn: batches.cancel_batch(conn, user_id, batch_id, provider, now_ms), on_commit=self._cancelled
        )
        return batch

    def _cancelled(self, told: tuple[Batch, bool]) -> None:
        batch, news = told
        if news and self.on_cancelled is not None:
            self.on_cancelled(batch)

    async def answers(self, batch: Batch) -> AsyncGenerator[bytes, None]:
        """The bytes of its two files, one behind the other. Raises OtariError(NOT_FOUND) for one that was deleted."""
        found = [each for each in (batch.output_file_id, batch.error_file_id) if each is not None]
        files = [await self.files.get(batch.user_id, file_id) for file_id in found]
        for file in files:
            async with contextlib.aclosing(self.files.chunks(file)) as pieces:
                async for piece in pieces:
                    yield piece

    # ---- what carries it out ----

    async def unfinished(self) -> list[Batch]:
        """See BatchStore."""
        return await self._db.read(batches.unfinished)

    async def get(self, batch_id: str) -> Batch:
        """See BatchStore."""
        return await self._db.read(lambda conn: batches.get_batch(conn, batch_id))

    async def lines(self, batch_id: str, most_bytes: int) -> AsyncGenerator[Sequence[bytes | None], None]:
        """See BatchStore."""
        cutter = LineCutter(most_bytes)
        try:
            size = await self._inputs.run(lambda: os.stat(self._inputs.folder / batch_id).st_size)
            async with contextlib.aclosing(self._inputs.chunks(batch_id, 0, size)) as pieces:
                async for piece in pieces:
                    if lines := cutter.feed(piece):
                        yield lines
        except (OSError, EOFError) as error:
            log.error("the input of %s can not be read: %s", batch_id, type(error).__name__)
            raise OtariError(Kind.INTERNAL, "The input of this batch is lost", code=INPUT_LOST) from None
        if lines := cutter.end():
            yield lines

    async def begin(self, batch_id: str, selector: str, provider: str, total: int) -> bool:
        """See BatchStore."""
        now_ms = self._now_ms()
        return await self._db.write(lambda conn: batches.begin_batch(conn, batch_id, selector, provider, total, now_ms))

    async def refuse(self, batch_id: str, problems: Sequence[LineProblem]) -> bool:
        """See BatchStore."""
        now_ms = self._now_ms()
        refused = await self._db.write(lambda conn: batches.refuse_batch(conn, batch_id, problems, now_ms))
        if refused:
            await self._remove_input(batch_id)
        return refused

    async def done_lines(self, batch_id: str) -> set[int]:
        """See BatchStore."""
        return await self._db.read(lambda conn: batches.done_lines(conn, batch_id))

    async def keep(self, kept: Kept) -> None:
        """See BatchStore."""
        await self._db.write(lambda conn: batches.keep_result(conn, kept))

    async def wind_up(self, batch_id: str, ending: Ending, problems: Sequence[LineProblem] = ()) -> Batch:
        """See BatchStore."""
        now_ms = self._now_ms()
        return await self._db.write(lambda conn: batches.wind_up(conn, batch_id, ending, problems, now_ms))

    async def results(self, batch_id: str) -> AsyncGenerator[Sequence[LineResult], None]:
        """See BatchStore."""
        line = 0
        while some := await self._db.read(partial(batches.results_behind, batch_id=batch_id, line=line, most=_AT_ONCE)):
            yield some
            line = some[-1].line

    async def finish(self, batch: Batch, results: AsyncIterator[Sequence[LineResult]], shape: Shape) -> None:
        """See BatchStore."""
        batch_id = batch.batch_id
        if await self._db.read(lambda conn: batches.has_owner(conn, batch.user_id)):
            await self._finish(batch, results, shape)
        else:
            now_ms = self._now_ms()
            await self._db.write(lambda conn: batches.finish_batch(conn, batch_id, None, None, now_ms))
        await self._forget(batch_id)
        await self._remove_input(batch_id)

    async def _finish(self, batch: Batch, results: AsyncIterator[Sequence[LineResult]], shape: Shape) -> None:
        """End a batch with its files."""
        batch_id, short = batch.batch_id, batch.batch_id.removeprefix("batch_")
        lifetime_ms = None if batch.output_lifetime_s is None else batch.output_lifetime_s * 1000
        async with self.files.receiving() as answered, self.files.receiving() as failed:
            async for some in results:
                for result in some:
                    await (answered if result.succeeded else failed).write(shape(result))
            has_output, has_errors, now_ms = bool(answered.size_bytes), bool(failed.size_bytes), self._now_ms()
            made = [
                Made(
                    draft,
                    self.files.names.made_file(batch_id, word, now_ms),
                    batch.user_id,
                    f"batch_{short}_{word}.jsonl",
                    PURPOSE,
                    lifetime_ms,
                )
                for draft, word in ((answered, "output"), (failed, "error"))
                if draft.size_bytes
            ]

            def end(conn: sqlite3.Connection, ids: Sequence[str]) -> None:
                output = ids[0] if has_output else None
                batches.finish_batch(conn, batch_id, output, ids[-1] if has_errors else None, now_ms)

            await self.files.add_made(made, end)

    async def _forget(self, batch_id: str) -> None:
        """Its results are in its files."""
        while await self._db.write(lambda conn: batches.forget_results(conn, batch_id, _AT_ONCE)):
            pass

    async def _remove_input(self, batch_id: str) -> None:
        try:
            await self._inputs.remove(batch_id)
        except OSError as error:
            log.error("the input of %s can not be removed: %s", batch_id, error.strerror)  # the next start does it

    async def close(self) -> None:
        """Give the folder free."""
        await asyncio.get_running_loop().run_in_executor(None, self._inputs.close)


def _here(hear: Callable[[Batch], object] | None) -> Callable[[Batch], object] | None:
    """A listener of a commit that hears it in the context of whoever asks for it now, not in the writer's."""
    context = contextvars.copy_context()
    return None if hear is None else lambda batch: context.run(hear, batch)


def keep_with(conn: sqlite3.Connection, keepsake: object, end: Settlement) -> None:
    """Keep the result that a settlement brings along, in its transaction."""
    assert isinstance(keepsake, Kept)  # nothing else is sent along
    batches.keep_result(conn, keepsake, end)
