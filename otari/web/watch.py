"""Keeps an eye on one running stream: keepalives while the upstream is silent, an end to a client that stops reading.

One timer per stream, not one per frame: it looks a few times per period whether anything was written since.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from types import TracebackType

from aiohttp import web

WRITE_STALL_S = 60.0
EARLY = 0.9  # a sign of life comes after this share of the silence that is allowed


class Streams:
    """The streams that are running, so that a gateway that must go can end them with a word instead of a cut."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While the stream of the current task runs."""
        task = asyncio.current_task()
        assert task is not None  # handlers run in tasks
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    def stop(self) -> None:
        """End them all; each tells its client and settles."""
        for task in self._tasks:
            task.cancel()


class StreamWatch:
    """Writes the frames of a stream and its keepalives; frames are written whole, so the two never mix.

    A keepalive goes out before the client has seen nothing for `keepalive_s` (0 = never).
    """

    def __init__(
        self,
        request: web.Request,
        response: web.StreamResponse,
        keepalive: bytes,
        keepalive_s: float,
        write_stall_s: float = WRITE_STALL_S,
    ) -> None:
        self._request = request
        self._response = response
        self._keepalive = keepalive
        self._quiet_s = keepalive_s * EARLY
        self._write_stall_s = write_stall_s
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._ping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "StreamWatch":
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._ping is not None and not self._ping.done():
            self._ping.cancel()
            await asyncio.wait({self._ping})

    async def write(self, block: bytes) -> None:
        """Write whole frames; waits while the client does not read. Raises ConnectionError when it has gone."""
        self._writing = True
        self._last = self._loop.time()
        await self._response.write(block)
        self._writing = False

    def _arm(self) -> None:
        """Look again when the first of the two silences could be over."""
        allowed = self._write_stall_s if self._writing else self._quiet_s or self._write_stall_s
        idle = self._loop.time() - self._last
        self._timer = self._loop.call_later(max(allowed - idle, allowed / 10), self._look)

    def _look(self) -> None:
        idle = self._loop.time() - self._last
        if self._writing:
            if idle >= self._write_stall_s and self._request.transport is not None:
                self._request.transport.abort()
                return
        elif self._quiet_s and idle >= self._quiet_s and (self._ping is None or self._ping.done()):
            self._ping = self._loop.create_task(self._send_keepalive())
        self._arm()

    async def _send_keepalive(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client has gone: the stream's own writer is told the same
            await self.write(self._keepalive)
