"""Takes the text out of documents, and the pictures out of scans, each in a process of its own, and remembers some: a
conversation sends the same document with every turn.
"""

import asyncio
import hashlib
import signal
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from otari.domain.documents import DocumentKind, Picture, Piece, Unreadable, plain_text
from otari.domain.errors import Kind, OtariError
from otari.extraction.page import TEXT_MAX_CHARACTERS
from otari.extraction.pieces import read_pieces

AT_ONCE = 2
WAITING_MAX = 64
KEPT_MAX_SIZE = 8_000_000  # characters of text and bytes of pictures
PATIENCE_S = 30.0  # the process ends earlier by itself
_START = "import sys; sys.path[:0] = sys.argv[2:]; from otari.extraction.worker import main; main(sys.argv[1])"
_TOO_SLOW = "takes too long to read"


class DocumentReader:
    """Use it from one event loop; `close` it at the end."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="otari-documents")
        self._kept: OrderedDict[bytes, Sequence[Piece]] = OrderedDict()
        self._kept_size = 0
        self._waiting = 0

    async def pieces(self, data: bytes, kind: DocumentKind) -> Sequence[Piece]:
        """What is in a document.

        Raises Unreadable, for what there is nothing to be had of or not soon enough, and OtariError(UNAVAILABLE) while
        too many others wait to be read.
        """
        key = hashlib.sha256(data).digest() + kind.encode()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pieces = (_text(data),) if kind == "text" else await self._read_apart(data, kind)
        self._keep(key, pieces)
        return pieces

    async def _read_apart(self, data: bytes, kind: DocumentKind) -> Sequence[Piece]:
        if self._waiting >= WAITING_MAX:
            raise OtariError(Kind.UNAVAILABLE, "Too many documents are being read: try again", retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, read_apart, data, kind)
        finally:
            self._waiting -= 1

    def _keep(self, key: bytes, pieces: Sequence[Piece]) -> None:
        size = _size(pieces)
        if key in self._kept or size > KEPT_MAX_SIZE:
            return
        self._kept[key] = pieces
        self._kept_size += size
        while self._kept_size > KEPT_MAX_SIZE:
            _, old = self._kept.popitem(last=False)
            self._kept_size -= _size(old)

    def close(self) -> None:
        """Start nothing more. What is under way ends by itself within seconds."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _text(data: bytes) -> str:
    text = plain_text(data)
    if len(text) > TEXT_MAX_CHARACTERS:
        raise Unreadable(f"holds more text than can be given to a model ({TEXT_MAX_CHARACTERS} characters)")
    return text


def _size(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.data) if isinstance(piece, Picture) else len(piece) for piece in pieces)


def read_apart(data: bytes, kind: DocumentKind) -> Sequence[Piece]:
    """Read a document in a process of its own. Blocks. Raises Unreadable."""
    command = [sys.executable, "-I", "-S", "-B", "-c", _START, kind, *filter(None, sys.path)]
    try:
        done = subprocess.run(  # noqa: S603  (our own interpreter and program; the document is its input)
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(_TOO_SLOW) from None
    if done.stdout[:1] == b"+":
        return read_pieces(done.stdout[1:])
    if done.stdout[:1] == b"-":
        raise Unreadable(done.stdout[1:].decode())
    raise Unreadable(_TOO_SLOW if done.returncode == -signal.SIGPROF else "can not be read")
