"""Damaging an answer on its way to the client, as a script asks for it: late, replaced by an error, or broken off.

The handler knows nothing of it: it writes as always, to something that stands in the place of its connection.
"""

import asyncio
import contextlib
import math
import socket
import struct
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from otari.domain.arrival import Damage
from otari.domain.errors import Kind, OtariError
from otari.web import reply
from otari.web.reply import Shape

GARBAGE = b"\x00\xff scripted garbage \xfe\r\n"
_HEAD_END = b"\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)  # closing sends RST and drops what is not sent yet


class Breaker:
    """Damages answers, and ends the connections that it left hanging when the run is over."""

    def __init__(self) -> None:
        self._hanging: set[asyncio.Transport] = set()

    def damage(self, request: web.Request, damage: Damage) -> None:
        """From now on, what is written to the client of `request` goes through `damage`."""
        transport = request.transport
        if transport is not None and not transport.is_closing():
            shape = Shape.ANTHROPIC if "/v1/messages" in request.path else Shape.OPENAI
            request.protocol.transport = Damaged(transport, damage, _error(damage, shape), self._hanging)  # type: ignore[assignment]

    def close(self) -> None:
        """End every connection that hangs."""
        for transport in self._hanging:
            transport.abort()
        self._hanging.clear()


class Damaged:
    """Stands in the place of a connection. What it does not change, it leaves to the connection."""

    def __init__(
        self, transport: asyncio.Transport, damage: Damage, error: bytes, hanging: set[asyncio.Transport]
    ) -> None:
        self._transport = transport
        self._damage = damage
        self._error = error
        self._hanging = hanging
        self._held: list[bytes] | None = [] if damage.delay_s else None  # what waits for the delay to be over
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._head_sent = False
        self._over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def write(self, data: bytes) -> None:
        if self._held is None:
            self._pass(bytes(data))
            return
        self._held.append(bytes(data))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._damage.delay_s, self._release)

    def close(self) -> None:
        """Close after what is held; a connection that is to hang is left open."""
        self._closing = True
        if self._held is None and not (self._over and self._damage.kind == "hang"):
            self._transport.close()

    def _release(self) -> None:
        data, self._held = b"".join(self._held or ()), None
        self._pass(data)
        if self._closing:
            self.close()

    def _pass(self, data: bytes) -> None:
        if self._over:
            return
        match self._damage.kind:
            case "none":
                self._transport.write(data)
            case "error":
                self._over = True
                self._transport.write(self._error)
                self._transport.close()
            case _:
                self._pass_half(data)

    def _pass_half(self, data: bytes) -> None:
        """The head, and half of the first piece of the body; then the break."""
        head = b""
        if not self._head_sent:
            begin, end, rest = data.partition(_HEAD_END)
            head, data, self._head_sent = begin + end, rest, bool(end)
        self._transport.write(head + data[: len(data) // 2])
        if data:
            self._over = True
            self._break()

    def _break(self) -> None:
        match self._damage.kind:
            case "reset":
                linger = self._transport.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                asyncio.get_running_loop().call_later(_REACH_S, self._transport.abort)
            case "hang":
                self._hanging.add(self._transport)
            case "garbage":
                self._transport.write(GARBAGE)
                self._transport.close()
            case _:
                self._transport.close()


_REACH_S = 0.02  # what was sent shall arrive: a client throws away what it has not read when the connection is reset


def _error(damage: Damage, shape: Shape) -> bytes:
    """The whole HTTP answer that stands in the place of the real one."""
    if damage.kind != "error":
        return b""
    body = orjson.dumps(reply.error_doc(shape, OtariError(_kind(damage.status), damage.message)))
    try:
        phrase = HTTPStatus(damage.status).phrase
    except ValueError:
        phrase = "Error"
    head = f"HTTP/1.1 {damage.status} {phrase}\r\nServer: otari\r\nContent-Type: application/json\r\n"
    if damage.retry_after is not None:
        head += f"Retry-After: {math.ceil(damage.retry_after)}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _kind(status: int) -> Kind:
    known = {400: Kind.INVALID, 401: Kind.UNAUTHENTICATED, 403: Kind.FORBIDDEN, 404: Kind.NOT_FOUND}
    known |= {413: Kind.TOO_LARGE, 429: Kind.RATE_LIMITED, 503: Kind.UNAVAILABLE, 504: Kind.UPSTREAM_TIMEOUT}
    return known.get(status, Kind.INTERNAL if status >= 500 else Kind.INVALID)
