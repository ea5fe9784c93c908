"""Connections to providers: how they are opened, kept, looked at before they are used again, and closed."""

import select
import socket
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

_KEEPALIVE_S = 30.0
_DNS_TTL_S = 60
# After a minute of silence a probe every half minute; after four unanswered ones the connection is given up.
_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))


def new_connector() -> aiohttp.TCPConnector:
    """A pool of connections without a limit, since the gateway limits its requests itself."""
    return _Connector(limit=0, ttl_dns_cache=_DNS_TTL_S, keepalive_timeout=_KEEPALIVE_S, socket_factory=_open_socket)


class _Connector(aiohttp.TCPConnector):
    """Connections that are looked at before they are used again.

    A provider may have closed an idle connection while this process was busy: the event loop has not told
    aiohttp yet, and a request sent on it would fail. Such a connection is dropped and the next one taken, which
    is safe, for nothing was sent on it.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  (aiohttp's own signature)
    ) -> Connection:
        """A new connection, or an idle one on which the provider has sent nothing since its last answer."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None
            if protocol not in self._used:
                self._used.add(protocol)
                return connection
            if not _has_news(connection):
                return connection
            connection.close()


def _has_news(connection: Connection) -> bool:
    """Whether there is anything to read on an idle connection: its end, or bytes that nobody asked for."""
    transport = connection.transport
    if transport is None:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket"), select.POLLIN)
    return bool(poll.poll(0))


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket that probes a silent peer.

    Models may think for minutes, so silence is no failure. Probes tell a thinking provider from a vanished one,
    and keep the connection in the tables of routers on the way, which forget idle ones.
    """
    family, kind, protocol = address[:3]
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _PROBES:
        if hasattr(socket, option):  # not every system has all three
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return opened
