"""What is written for the lines of a batch, or answered to them, put aside on disk: in by number, out in any order."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from otari.domain.batches import on_disk


class Drawer:
    """Bytes by the number of their line, in a file without a name: what is left of it ends with the process.

    Opening, `put` and `get` raise OtariError(UNAVAILABLE) when the disk has no room.
    """

    @on_disk()
    def __init__(self, folder: Path | None) -> None:
        """`folder` is where the disk has room; None: the system's place for such files."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `__exit__`)
        self._places: dict[int, tuple[int, int]] = {}
        self._size = 0

    def __enter__(self) -> "Drawer":
        return self

    @on_disk()
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[int]:
        """The numbers, in the order in which they came."""
        return iter(self._places)

    @on_disk()
    def put(self, number: int, data: bytes) -> None:
        """Keep `data`."""
        self._places[number] = (self._size, len(data))
        self._size += len(data)
        self._file.write(data)

    @on_disk()
    def get(self, number: int) -> bytes:
        """What was put in under this number."""
        at, size = self._places[number]
        self._file.flush()
        return os.pread(self._file.fileno(), size, at)
