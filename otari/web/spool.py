"""A file that was sent and is sent on: in memory while it is small, else in a temporary file that has no name."""

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

_MEMORY_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024


class Spool:
    """A context manager: what it holds is gone when it is left, also when the process is killed.

    Pieces are small and go through the system's cache, so they are written and read where they are wanted.
    """

    def __init__(self) -> None:
        self.size = 0
        self._file = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115  (`close` is its end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Add to its end; before it is read."""
        self._file.write(data)
        self.size += len(data)

    def at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset` on."""
        self._file.seek(offset)
        return self._file.read(count)

    def pieces(self) -> Iterator[bytes]:
        """All of it, from its beginning; several readers do not disturb each other."""
        for offset in range(0, self.size, _PIECE_BYTES):
            yield self.at(offset, _PIECE_BYTES)
