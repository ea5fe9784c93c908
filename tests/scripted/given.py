"""Answers as they stand: what a scripted provider says in any dialect, byte for byte."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Given:
    """One answer, sent in these pieces.

    `cut` closes the connection after the last of them, without the end of the body. The first piece waits for `ready`,
    if there is one.
    """

    pieces: tuple[bytes, ...]
    content_type: str = "text/event-stream"
    status: int = 200
    cut: bool = False
    ready: asyncio.Event | None = field(default=None, compare=False)

    async def play(self, request: web.Request) -> web.StreamResponse:
        """Send it."""
        response = web.StreamResponse(status=self.status, headers={"Content-Type": self.content_type})
        await response.prepare(request)
        if self.ready is not None:
            await self.ready.wait()
        for piece in self.pieces:
            await response.write(piece)
        if self.cut and request.transport is not None:
            request.transport.close()
        return response
