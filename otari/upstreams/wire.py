"""One HTTP request and its answer, over aiohttp's connections and parser, without its session.

`ClientSession` does much that a gateway must not want (cookies, redirects, proxies, retries) and spends more CPU on a
small request than all else here together. What is hard about HTTP stays with aiohttp: names, TLS and connections
(`TCPConnector`); framing, limits and decompression (`ResponseHandler`, its C parser). `tests/upstreams` hold what we
rely on, so that an upgrade of aiohttp that changes it is noticed.
"""

from collections.abc import Mapping

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader

from otari.upstreams.connections import Address, Connections, cut

_READ_BUFFER = 64 * 1024
_SWITCHING_PROTOCOLS = 101


class Answer:
    """An answer whose head has come. `content` is its body; `drop` when there is no more interest in it."""

    __slots__ = ("_address", "_connection", "_connections", "content", "headers", "status")

    def __init__(
        self,
        connections: Connections,
        address: Address,
        connection: Connection,
        status: int,
        headers: Mapping[str, str],
        content: StreamReader,
    ) -> None:
        self._connections = connections
        self._address = address
        self._connection: Connection | None = connection
        self.status = status
        self.headers = headers
        self.content = content
        content.on_eof(self._ended)

    def _ended(self) -> None:
        """The whole body has come: the connection can serve again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.give(self._address, connection)

    def drop(self) -> None:
        """Let go at once. A connection whose answer has not ended is cut, so that the provider stops."""
        connection, self._connection = self._connection, None
        if connection is not None:
            cut(connection)


async def ask(
    connections: Connections, address: Address, head: bytes, body: bytes, times: aiohttp.ClientTimeout
) -> Answer:
    """Send `head` and `body` to where `address` points and give the answer once its head has come.

    Raises aiohttp's ClientError family, HttpProcessingError and TimeoutError.
    """
    connection = await connections.take(address, times)
    try:
        protocol = connection.protocol
        assert protocol is not None
        protocol.set_response_params(read_until_eof=True, read_timeout=times.sock_read, read_bufsize=_READ_BUFFER)
        _send(protocol, head, body)
        protocol.start_timeout()
        while True:
            message, content = await protocol.read()
            if message.code >= 200 or message.code == _SWITCHING_PROTOCOLS:
                return Answer(connections, address, connection, message.code, message.headers, content)
    except BaseException:
        cut(connection)
        raise


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
