"""The bytes of files: a private folder with one plain file for each, named by its id. Nothing of a user's is in a path.

Bytes come into a draft. Only when they are all on disk does it get its name, so that what has a name is whole, whatever
happens in between. Reading and writing is done in threads of our own, a piece at a time: neither the event loop nor
memory feels how large a file is.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from otari.domain.errors import Kind, OtariError
from otari.store.faults import StoreError

T = TypeVar("T")
log = logging.getLogger(__name__)

PIECE_BYTES = 128 * 1024
# Files stop coming while so little is left on their disk: the ledger may lie on the same one.
KEEP_FREE_BYTES = 256 * 1024 * 1024
_BETWEEN_LOOKS_BYTES = 16 * 1024 * 1024
_THREADS = 4
_LOCK = ".lock"
_DRAFT = ".part"
_DRAFTS = re.compile(r"upload-[0-9a-f]{32}\.part")


class Blobs:
    """An open folder of blobs, ours alone. Names come from the caller and must be plain ids."""

    def __init__(self, folder: Path, lock: int) -> None:
        """For `open`, which has made sure that the folder is ours."""
        self.folder = folder
        self._lock = lock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="otari-files")

    @classmethod
    def open(cls, folder: Path) -> "Blobs":
        """Open or make the folder, for this process alone; drafts of an earlier run are removed. Blocks.

        Raises StoreError with one line for the operator.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.stat(folder).st_mode & 0o077:
                os.chmod(folder, 0o700)
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(f"The folder for files {folder} can not be used ({error.strerror})") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in os.listdir(folder):
                if _DRAFTS.fullmatch(name):
                    os.unlink(folder / name)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                raise StoreError(
                    f"The folder for files {folder} is in use by another gateway: choose another one with `files_dir`"
                ) from None
            raise StoreError(f"The folder for files {folder} can not be used ({error.strerror})") from error
        return cls(folder, lock)

    def sizes(self) -> dict[str, int]:
        """The bytes of every blob, by name. Blocks."""
        with os.scandir(self.folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.name != _LOCK}

    def draft(self) -> "Draft":
        """A blob that is coming."""
        return Draft(self)

    async def take(self, source: Path, name: str) -> None:
        """Give the bytes of a file another name here, so that they stay when that one is removed. Raises OSError."""
        await self.run(lambda: self._take(source, self.folder / name))

    def _take(self, source: Path, target: Path) -> None:
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # on another disk, or on one without second names
            _copy(source, target)
        _sync_folder(self.folder)

    async def chunks(self, name: str, start: int, count: int) -> AsyncGenerator[bytes, None]:
        """`count` bytes of a blob from `start` on, in pieces. Raises FileNotFoundError, EOFError when it is shorter.

        A blob that is removed meanwhile is read to its end.
        """
        file = await self.run(lambda: os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        try:
            while count:
                piece = await self.run(partial(os.pread, file, min(count, PIECE_BYTES), start))
                if not piece:
                    raise EOFError(name)
                start, count = start + len(piece), count - len(piece)
                yield piece
        finally:
            os.close(file)

    async def remove(self, *names: str) -> None:
        """Remove blobs; those that are not there are gone already. Raises OSError."""
        await self.run(lambda: self._remove(names))

    def _remove(self, names: tuple[str, ...]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.folder / name)

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Do `work` in a thread for files. It is done even when nobody waits for it any more."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Finish what is under way and give the folder free. Blocks."""
        self._threads.shutdown(wait=True)
        os.close(self._lock)


class Draft:
    """A blob that is coming: `write` it, then `seal` it, then `keep` it. `drop` it in any other case.

    Every step raises OtariError(UNAVAILABLE) when the disk can not take it.
    """

    def __init__(self, blobs: Blobs) -> None:
        self.size_bytes = 0
        self._blobs = blobs
        self._path = blobs.folder / f"upload-{secrets.token_hex(16)}{_DRAFT}"
        self._file: int | None = None
        self._digest = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._looked_at = -_BETWEEN_LOOKS_BYTES
        self._turn = threading.Lock()  # dropping must not come between opening and writing
        self._dropped = False

    async def write(self, data: bytes) -> None:
        """More bytes."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self.size_bytes += len(data)
        if self._waiting_bytes >= PIECE_BYTES:
            await self._flush()

    async def seal(self) -> bytes:
        """These were all; they are on disk. Their SHA-256 comes back."""
        await self._flush()
        await self._step(self._sync)
        return self._digest.digest()

    async def keep(self, name: str) -> None:
        """Give the blob its name, for good."""
        await self._step(lambda: self._rename(name))

    async def drop(self) -> None:
        """Remove what has come; it goes even when who waits is cancelled. Safe to call at any time, also when it is
        kept: then it does nothing.
        """
        with contextlib.suppress(RuntimeError):  # the folder is closed: the next start removes it
            (done,), _ = await asyncio.wait({self._blobs.run(self._drop)})
            if (error := done.exception()) is not None:
                log.error("a draft could not be removed: %s", type(error).__name__)

    async def _flush(self) -> None:
        pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
        await self._step(lambda: self._write(pieces))

    async def _step(self, work: Callable[[], None]) -> None:
        def in_turn() -> None:
            with self._turn:
                if self._dropped:
                    raise unavailable("the draft was dropped")
                work()

        try:
            await self._blobs.run(in_turn)
        except OSError as error:
            raise unavailable(error.strerror or type(error).__name__) from error

    # In a thread for files, one after the other.

    def _write(self, pieces: list[bytes]) -> None:
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, 0o600)
        if self.size_bytes - self._looked_at >= _BETWEEN_LOOKS_BYTES:
            self._look_for_room(self._file)
        for piece in pieces:
            self._digest.update(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def _look_for_room(self, file: int) -> None:
        disk = os.fstatvfs(file)
        if disk.f_bavail * disk.f_frsize < KEEP_FREE_BYTES:
            raise unavailable("the disk is nearly full")
        self._looked_at = self.size_bytes

    def _sync(self) -> None:
        assert self._file is not None  # `seal` has flushed
        os.fsync(self._file)
        os.close(self._file)
        self._file = None

    def _rename(self, name: str) -> None:
        os.rename(self._path, self._blobs.folder / name)
        _sync_folder(self._blobs.folder)

    def _drop(self) -> None:
        with self._turn:
            self._dropped = True
            if self._file is not None:
                os.close(self._file)
                self._file = None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)


def _copy(source: Path, target: Path) -> None:
    """The bytes of a file under another name, whole or not at all. Raises OSError."""
    with open(source, "rb") as original:
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with open(made, "wb") as copy:
                shutil.copyfileobj(original, copy)
                copy.flush()
                os.fsync(copy.fileno())
        except BaseException:
            os.unlink(target)
            raise


def _sync_folder(path: Path) -> None:
    """The names in a folder are on disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def unavailable(why: str) -> OtariError:
    """503: the disk can not take a file now; `why` is for the operator."""
    return OtariError(
        Kind.UNAVAILABLE,
        "Files can not be stored at the moment, please retry",
        code="files_unavailable",
        retry_after=30.0,
        detail=why,
    )
