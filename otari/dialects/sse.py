"""Server-sent events as bytes: cut a stream into whole frames and look inside one frame.

A frame is everything up to and including an empty line. Line ends are LF, CRLF or CR in any mixture, as the HTML
standard says; no other character ends a line (text inside JSON may hold U+2028, U+0085 and the like). Every byte that
comes in goes out again: what is watched on the way to a client must reach it unchanged.
"""

import re

from otari.domain.errors import Kind, OtariError

_BOM = b"\xef\xbb\xbf"
_FRAME = re.compile(rb"(?:[^\r\n]++(?>\r\n|\n|\r))*+(?>\r\n|\n|\r)")


class Framer:
    """Bytes as they arrive, cut anywhere, in; whole frames out.

    `limit` bounds in bytes what is held of one frame that has not ended.
    """

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        self._limit = limit
        self._tail = bytearray()  # starts where a frame starts

    def feed(self, data: bytes) -> bytes:
        """All whole frames that are there now, b"" if none; the unfinished rest waits for more.

        Raises OtariError(UPSTREAM) when one unfinished frame is larger than the limit.
        """
        tail = self._tail
        cut = _last_frame_end(data, starts_frame=not tail)
        if not cut and tail:  # an empty line can lie across the seam
            seam = bytes(tail[-2:])
            cut = _last_frame_end(seam + data[:2], starts_frame=len(tail) <= 2)
            if not cut:
                tail += data
                self._check()
                return b""
            cut -= len(seam)
        frames = b"".join((tail, memoryview(data)[:cut])) if tail else data[:cut]
        self._tail = bytearray(memoryview(data)[cut:])
        self._check()
        return frames

    def rest(self) -> bytes:
        """What has come of a frame that is not whole. At the end of a stream it may be a last frame without its
        empty line."""
        return bytes(self._tail)

    def _check(self) -> None:
        if len(self._tail) > self._limit:
            message = f"The provider sent a stream event larger than {self._limit} bytes."
            raise OtariError(Kind.UPSTREAM, message)


def _last_frame_end(buffer: bytes, *, starts_frame: bool) -> int:
    """Where the last whole frame of `buffer` ends; 0 when none ends in it.

    A CR at the very end decides nothing yet: an LF that belongs to it may follow.
    """
    if b"\r" not in buffer:
        if b"\n" not in buffer:
            return 0
        at = buffer.rfind(b"\n\n")
        if at >= 0:
            return at + 2
        return 1 if starts_frame and buffer.startswith(b"\n") else 0
    known = len(buffer) - buffer.endswith(b"\r")
    at = -1
    for pair in (b"\n\r", b"\r\r", b"\n\n"):
        at = max(at, buffer.rfind(pair, max(at, 0), known))
    if at >= 0:
        return at + 3 if buffer[at + 1 : at + 3] == b"\r\n" else at + 2
    if starts_frame and known:
        return 2 if buffer.startswith(b"\r\n") else int(buffer[0] in b"\r\n")
    return 0


def split(block: bytes) -> list[bytes]:
    """The frames of a block as `Framer.feed` gives it; an unfinished frame at its end comes last. Loses no byte."""
    if b"\r" not in block and b"\n\n\n" not in block and not block.startswith(b"\n"):
        pieces = block.split(b"\n\n")
        last = pieces.pop()
        frames = [piece + b"\n\n" for piece in pieces]
    else:
        frames, end = [], 0
        while found := _FRAME.match(block, end):
            frames.append(found[0])
            end = found.end()
        last = block[end:]
    if last:
        frames.append(last)
    return frames


def first(block: bytes, start: int = 0) -> bytes:
    """The frame that begins at `start` of a block, whole or not."""
    found = _FRAME.match(block, start)
    return found[0] if found else block[start:]


def first_of(needles: tuple[bytes, ...], block: bytes) -> int:
    """Where the first of these stands in a block of frames; -1 = none of them does.

    Searches only, no parsing. It is made for what is mostly not there: searching backwards finds that out several times
    faster.
    """
    first = -1
    for needle in needles:
        if block.rfind(needle) >= 0:
            at = block.find(needle)
            first = at if first < 0 else min(first, at)
    return first


def start_of(block: bytes, at: int) -> int:
    """Where the frame begins that holds the byte `at` of a block of frames."""
    start = 0
    for blank in (b"\n\n", b"\n\r\n", b"\r\r"):
        found = block.rfind(blank, 0, at)
        if found >= 0:
            start = max(start, found + len(blank))
    return start


def data(frame: bytes) -> bytes:
    """The data of a frame, its lines joined with LF; b"" when it has none (a comment, an empty frame)."""
    if frame.startswith(b"data: ") and frame.find(b"\n") == len(frame) - 2 and b"\r" not in frame:
        return frame[6:-2]
    return b"\n".join(_values(frame, b"data"))


def event(frame: bytes) -> str:
    """The event name of a frame; "" when it has none."""
    if b"event" not in frame:
        return ""
    values = _values(frame, b"event")
    return values[-1].decode("utf-8", "replace") if values else ""


def _values(frame: bytes, field: bytes) -> list[bytes]:
    """The values of all lines of one field; one space after the colon is not part of a value."""
    values = []
    for line in frame.removeprefix(_BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        if name == field:
            values.append(value.removeprefix(b" "))
    return values
