"""One HTTP request and its answer, over aiohttp's connections and parser, without its session.

`ClientSession` does much that a gateway must not want (cookies, redirects, proxies, retries) and spends more CPU on a
small request than all else here together. What is hard about HTTP stays with aiohttp: names, TLS and connections
(`TCPConnector`); framing, limits and decompression (`ResponseHandler`, its C parser). `tests/upstreams` hold what we
rely on, so that an upgrade of aiohttp that changes it is noticed.
"""

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from aiohttp.streams import StreamReader

from otari.domain.ports import Body
from otari.domain.provider import Timeouts
from otari.upstreams.connections import Address, Connections, cut

_READ_BUFFER = 64 * 1024
_SWITCHING_PROTOCOLS = 101
_LOOKS = 4


class Silence:
    """Ends an exchange in which nothing moves for `limit_s` (up to a quarter more).

    One timer that looks now and then; aiohttp's own is set anew with every piece of data that comes. Time in which we
    ourselves do not read (because our client does not) is not the provider's silence.
    """

    __slots__ = ("_limit_s", "_moved", "_protocol", "_quiet_looks", "_timer", "content")

    def __init__(self, protocol: ResponseHandler, limit_s: float) -> None:
        self.content: StreamReader | None = None
        self._protocol = protocol
        self._limit_s = limit_s
        self._moved = (0, 0)
        self._quiet_looks = 0
        self._timer = asyncio.get_running_loop().call_later(limit_s / _LOOKS, self._look)

    def end(self) -> None:
        """The exchange is over."""
        self._timer.cancel()

    def _look(self) -> None:
        transport, content = self._protocol.transport, self.content
        if transport is None:
            return
        moved = (0 if content is None else 1 + content.total_bytes, transport.get_write_buffer_size())
        self._quiet_looks = 0 if moved != self._moved or not transport.is_reading() else self._quiet_looks + 1
        self._moved = moved
        if self._quiet_looks < _LOOKS:
            self._timer = asyncio.get_running_loop().call_later(self._limit_s / _LOOKS, self._look)
            return
        problem = aiohttp.SocketTimeoutError("nothing came in time")
        self._protocol.set_exception(problem)
        if content is not None:
            content.set_exception(problem)


class Answer:
    """An answer whose head has come. `content` is its body; `drop` when there is no more interest in it.

    `sending` is the rest of the request, should it not be all out yet.
    """

    __slots__ = ("_address", "_connection", "_connections", "_sending", "_silence", "content", "headers", "status")

    def __init__(
        self,
        connections: Connections,
        address: Address,
        connection: Connection,
        silence: Silence,
        status: int,
        headers: Mapping[str, str],
        content: StreamReader,
        sending: "asyncio.Task[None] | None",
    ) -> None:
        self._sending = sending
        self._connections = connections
        self._address = address
        self._silence = silence
        self._connection: Connection | None = connection
        self.status = status
        self.headers = headers
        self.content = content
        content.on_eof(self._ended)

    def _ended(self) -> None:
        """The whole body has come: the connection can serve again."""
        self._silence.end()
        if self._sending is not None and not self._sending.done():
            self.drop()  # answered before it had everything: this connection is out of step
            return
        connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.give(self._address, connection)

    def drop(self) -> None:
        """Let go at once. A connection whose answer has not ended is cut, so that the provider stops."""
        self._silence.end()
        if self._sending is not None:
            self._sending.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            cut(connection)


async def ask(connections: Connections, address: Address, head: bytes, body: bytes | Body, times: Timeouts) -> Answer:
    """Send `head` and `body` to where `address` points and give the answer once its head has come.

    Raises aiohttp's ClientError family, HttpProcessingError and TimeoutError.
    """
    connection = await connections.take(address, times.connect_s)
    protocol = connection.protocol
    assert protocol is not None
    silence = Silence(protocol, times.silence_s)
    sending: asyncio.Task[None] | None = None
    try:
        protocol.set_response_params(read_until_eof=True, read_bufsize=_READ_BUFFER)
        if isinstance(body, bytes):
            _send(protocol, head, body)
        else:
            sending = asyncio.ensure_future(_send_pieces(protocol, head, body))
            sending.add_done_callback(_ended_quietly)
        while True:
            message, content = await protocol.read()
            if message.code >= 200 or message.code == _SWITCHING_PROTOCOLS:
                silence.content = content
                status, headers = message.code, message.headers
                return Answer(connections, address, connection, silence, status, headers, content, sending)
    except BaseException:
        silence.end()
        if sending is not None:
            sending.cancel()
        cut(connection)
        raise


async def _send_pieces(protocol: ResponseHandler, head: bytes, body: Body) -> None:
    """Hand a large request to the transport as fast as the provider takes it, so that it is never all in memory."""
    if protocol.transport is None or protocol.transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    await writer.write(head)
    for piece in body.pieces():
        await writer.write(piece)
    await writer.drain()


def _ended_quietly(sending: "asyncio.Task[None]") -> None:
    """What kept a request from being sent, whoever waits for its answer is told by the connection itself."""
    if not sending.cancelled():
        sending.exception()


def _send(protocol: ResponseHandler, head: bytes, body: bytes) -> None:
    """Hand the request to the transport, which keeps what the provider does not take at once."""
    transport = protocol.transport
    if transport is None or transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    if len(body) <= _READ_BUFFER:
        transport.write(head + body)
    else:
        transport.write(head)
        transport.write(body)
