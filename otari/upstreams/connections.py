"""Connections to one provider: how they are opened, kept, looked at before they are used again, and closed."""

import asyncio
import errno
import math
import select
import socket
from typing import Any, NamedTuple

import aiohttp
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from yarl import URL

from otari.domain.public_address import is_public
from otari.upstreams.trust import trusted

_KEEPALIVE_S = 30.0
_DNS_TTL_S = 60
# After a minute of silence a probe every half minute; after four unanswered ones the connection is given up.
_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))


class Address(NamedTuple):
    """Where to connect. `request` is what aiohttp wants to be asked with, `key` tells addresses apart."""

    request: ClientRequest
    key: ConnectionKey


def address_of(url: URL) -> Address:
    """The address of `url`; credentials in it are not for the connection."""
    tls = trusted() if url.scheme == "https" else True
    request = ClientRequest("POST", url.with_user(None), loop=asyncio.get_running_loop(), ssl=tls)
    return Address(request, request.connection_key)


class _Idle(NamedTuple):
    connection: Connection
    since: float  # the loop's time


class Connections:
    """A pool without a limit, since the gateway limits its requests itself.

    aiohttp opens and closes the connections; which idle one serves next is decided here, because here they are looked
    at first. A provider may have closed an idle connection while this process was busy: the event loop has not told
    anybody yet, and a request sent on it would fail. Such a connection is dropped and the next one taken, which is
    safe, for nothing was sent on it.
    """

    def __init__(self, *, public_only: bool = False) -> None:
        """`public_only`: connect to addresses of the public internet and to no others."""
        self._loop = asyncio.get_running_loop()
        opener = _open_public_socket if public_only else _open_socket
        self._connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=_DNS_TTL_S, socket_factory=opener)
        self._idle: dict[ConnectionKey, list[_Idle]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def take(self, address: Address, connect_s: float) -> Connection:
        """An idle connection on which nothing has come since its last answer, or a new one.

        Raises aiohttp's ClientConnectionError family.
        """
        oldest = self._loop.time() - _KEEPALIVE_S
        idle = self._idle.get(address.key)
        while idle:
            connection, since = idle.pop()  # the one used last: the others may then grow old and go
            if since >= oldest and not _has_news(connection):
                return connection
            connection.close()
        # `connect` also covers the name look-up, which `sock_connect` leaves out.
        times = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)
        try:
            return await self._connector.connect(address.request, [], times)
        except TimeoutError as slow:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from slow

    def give(self, address: Address, connection: Connection) -> None:
        """Take back a connection to `address` whose answer has ended."""
        protocol = connection.protocol
        if protocol is None or protocol.should_close or self._connector.closed:
            connection.close()
            return
        self._idle.setdefault(address.key, []).append(_Idle(connection, self._loop.time()))
        if self._sweep is None:
            self._sweep = self._loop.call_later(_KEEPALIVE_S, self._close_old)

    async def close(self) -> None:
        """Close all connections, those in use too."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._keep_since(math.inf)
        await self._connector.close()

    def _close_old(self) -> None:
        self._keep_since(self._loop.time() - _KEEPALIVE_S)
        self._sweep = self._loop.call_later(_KEEPALIVE_S, self._close_old) if self._idle else None

    def _keep_since(self, oldest: float) -> None:
        for key, idle in list(self._idle.items()):
            for connection, since in idle:
                if since <= oldest:
                    connection.close()
            idle[:] = [each for each in idle if each.since > oldest]
            if not idle:
                del self._idle[key]


def cut(connection: Connection) -> None:
    """Close at once: not what is left of the request is sent first, and no TLS farewell is waited for."""
    if connection.protocol is not None:
        connection.protocol.abort()
    connection.close()


def _has_news(connection: Connection) -> bool:
    """Whether there is anything to read on an idle connection: its end, or bytes that nobody asked for."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket"), select.POLLIN)
    return bool(poll.poll(0))


def _open_public_socket(address: tuple[Any, ...]) -> socket.socket:
    """The same for an address of the public internet; raises OSError for any other.

    The address is the one that is connected to: a name can not resolve to another one afterwards.
    """
    host = str(address[4][0])
    if not is_public(host):
        raise OSError(errno.EACCES, "the address is not one of the public internet")
    return _open_socket(address)


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
