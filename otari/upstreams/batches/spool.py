"""A batch on its way to a provider: written to disk line by line, and sent from there."""

import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType

from otari.domain.batches import BatchLine, on_disk
from otari.domain.errors import Kind, OtariError

_PIECE_BYTES = 64 * 1024
_MIB = 1 << 20


class Spool:
    """A body (see `Body`) without a name on disk: it is gone when it is closed, or when the process ends.

    `folder` is where the disk has room (None: the system's place for such files). When it has none, opening, `write`
    and `seal` raise OtariError(UNAVAILABLE); beyond `limit_bytes`, `write` raises TOO_LARGE.
    """

    @on_disk()
    def __init__(self, folder: Path | None, limit_bytes: int) -> None:
        self.size = 0
        self._limit = limit_bytes
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `__exit__`)

    def __enter__(self) -> "Spool":
        return self

    @on_disk()
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @on_disk()
    def write(self, data: bytes) -> None:
        """Append `data`."""
        self.size += len(data)
        if self.size > self._limit:
            raise too_large(f"is larger than the {self._limit // _MIB} MiB that the provider takes")
        self._file.write(data)

    @on_disk()
    def seal(self) -> None:
        """All is written. What the disk does not take is told here, before anything is sent."""
        self._file.flush()

    def pieces(self) -> Iterator[bytes]:
        """See `Body`. Not before `seal`."""
        descriptor, at = self._file.fileno(), 0
        while piece := os.pread(descriptor, _PIECE_BYTES, at):
            yield piece
            at += len(piece)

    def read(self) -> bytes:
        """All of it, for what is small."""
        return b"".join(self.pieces())


async def at_most(count: int, lines: AsyncIterator[BatchLine]) -> AsyncGenerator[BatchLine, None]:
    """The lines of a batch for a provider that takes so many. Raises OtariError(TOO_LARGE) when there are more."""
    left = count
    async for line in lines:
        if not left:
            raise too_large(f"has more than the {count} lines that the provider takes")
        left -= 1
        yield line


def too_large(why: str) -> OtariError:
    """Refuses a batch before anything of it was sent."""
    return OtariError(Kind.TOO_LARGE, f"The batch {why}: split it.", code="batch_too_large")
