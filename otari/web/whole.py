"""A short answer that is all there: head and body go out in one write.

`web.Response` builds its head anew from header objects for every answer, which costs as much as all that the gateway
itself does to a small request. Here the head is put together from bytes. Only what is common takes this way (HTTP/1.1,
a body that the socket's buffer takes at once); everything else is a `web.Response`.
"""

import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

MAX_BYTES = 64 * 1024


class WholeAnswer(web.StreamResponse):
    """An answer of known bytes; `head` holds its header lines, each ended by CR LF."""

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        # Nothing of StreamResponse's own state is needed but what the server asks of it afterwards.
        self._status = status
        self._head = head
        self._whole = body
        self._keep_alive = True
        self._eof_sent = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write everything. Raises ConnectionResetError when the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._keep_alive = request.keep_alive
        persistence = b""
        if not self._keep_alive:
            persistence = b"Connection: close\r\n"
        elif request.version != HttpVersion11:
            persistence = b"Connection: keep-alive\r\n"
        body = b"" if request.method == "HEAD" else self._whole  # RFC 9110, 9.3.2: the head alone
        transport.write(
            b"%bDate: %b\r\nContent-Length: %d\r\n%b%b\r\n%b"
            % (_status_line(self._status), _date(), len(self._whole), persistence, self._head, body)
        )
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""
        self._eof_sent = True


def head_lines(headers: Mapping[str, str]) -> bytes:
    """Header lines for a `WholeAnswer`. Raises ValueError for a value that would begin a line of its own."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("a header must not hold a line break or NUL")
    return lines.encode()


_status_lines: dict[int, bytes] = {}


def _status_line(status: int) -> bytes:
    line = _status_lines.get(status)
    if line is None:
        line = _status_lines[status] = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return line


_dates: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """Now, as HTTP writes it (RFC 9110, 5.6.7); made once a second."""
    global _dates  # noqa: PLW0603  (a cache of one)
    now = int(time.time())
    if _dates[0] != now:
        _dates = (now, formatdate(now, usegmt=True).encode())
    return _dates[1]
