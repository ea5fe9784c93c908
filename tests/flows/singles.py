"""A provider of everything but conversations, on loopback: it notes what it is asked and answers what it is told to."""

import asyncio
import io
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

import aiohttp
import orjson
from aiohttp import web

from otari.web.form_parts import PartHead, Splitter, boundary_of
from tests.flows.house import Answer, House

KEY = "sk-canary-singles-000111222"


class Asked(NamedTuple):
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def form(self) -> list[tuple[PartHead, bytes]]:
        splitter = Splitter(boundary_of(self.headers["Content-Type"]), 100)
        parts: list[tuple[PartHead, bytes]] = []
        for found in splitter.feed(self.body):
            if isinstance(found, PartHead):
                parts.append((found, b""))
            elif isinstance(found, bytes):
                parts[-1] = (parts[-1][0], parts[-1][1] + found)
        splitter.end()
        return parts


class Provider:
    """Listens while it is entered. `says` answers every request; with `holds` set, a stream stops after its first
    piece until `go` is set. `open` tells how many requests are being answered.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.status = 200
        self.kind = "application/json"
        self.pieces: tuple[bytes, ...] = (b"{}",)
        self.headers: dict[str, str] = {}
        self.breaks = False
        self.holds = False
        self.go = asyncio.Event()
        self.open = 0
        self.idle = asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.05)

    def says(self, doc: object, status: int = 200) -> None:
        self.status, self.kind, self.pieces = status, "application/json", (orjson.dumps(doc),)

    def gives(self, kind: str, *pieces: bytes) -> None:
        self.status, self.kind, self.pieces = 200, kind, pieces

    async def __aenter__(self) -> "Provider":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.open += 1
        self.idle.clear()
        try:
            self.asked.append(Asked(request.path, request.headers.copy(), await request.read()))
            response = web.StreamResponse(status=self.status, headers={"Content-Type": self.kind, **self.headers})
            await response.prepare(request)
            for number, piece in enumerate(self.pieces):
                if number and self.holds:
                    await self.go.wait()
                await response.write(piece)
            if self.breaks and request.transport is not None:
                request.transport.close()
                return response
            await response.write_eof()
            return response
        finally:
            self.open -= 1
            self.idle.set()


def providers(provider: Provider, *types: str) -> dict[str, Any]:
    """Configuration: one provider of each type, at this address."""
    return {kind: {"type": kind, "api_base": provider.origin, "api_key": KEY} for kind in types}


async def post_form(house: House, form: aiohttp.FormData | bytes, kind: str = "", **headers: str) -> Answer:
    """Send a form for a transcription; of `bytes` the content type must be told."""
    sent = {"Authorization": f"Bearer {house.key}", **({"Content-Type": kind} if kind else {}), **headers}
    body = io.BytesIO(form) if isinstance(form, bytes) else form
    return await house.request("POST", "/v1/audio/transcriptions", sent, data=body)


def recording_form(
    data: bytes, *fields: tuple[str, str], model: str = "openai:stt", name: str = "talk.wav"
) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("model", model)
    for key, value in fields:
        form.add_field(key, value)
    form.add_field("file", io.BytesIO(data), filename=name, content_type="audio/wav")
    return form
