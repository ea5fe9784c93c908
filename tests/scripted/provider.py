"""The scripted provider's HTTP side: an OpenAI-style chat endpoint, and given answers for all others, on loopback."""

import asyncio
import socket
import struct
from pathlib import Path
from types import TracebackType

import orjson
from aiohttp import web

from tests.scripted.arrival import Arrival, Journal
from tests.scripted.given import Given
from tests.scripted.script import Script, read_script
from tests.scripted.stream import TokenStream, completion

_ANSWERED, _ONLY_REFUSED = "/chat/completions", ("/messages", "/responses")
_LARGEST_REQUEST = 64 * 1024 * 1024


class ScriptedProvider:
    """Async context manager: listens on a free loopback port while it is entered.

    `requests` holds every request in the order of arrival, unless a journal does; `open` is how many are being
    answered; `busy()` and `idle()` wait until there are some, or none. `given` are answers by model, whatever the path;
    all other models are scripts.
    """

    def __init__(self, journal: Path | None = None, port: int = 0) -> None:
        self.requests: list[Arrival] = []
        self.given: dict[str, Given] = {}
        self._arrived_so_far = 0
        self.open = 0
        self.port = port
        self._busy = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._journal = Journal(journal) if journal else None
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # Hardly any grace at the end: a stalled answer would use all of it.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    async def __aenter__(self) -> "ScriptedProvider":
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
        if self._journal:
            self._journal.close()

    async def idle(self) -> None:
        """Wait until no request is being answered."""
        await self._idle.wait()

    async def busy(self) -> None:
        """Wait until a request is being answered."""
        await self._busy.wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        arrival = self._arrived(request, body)
        try:
            response = await self._play(request, arrival)
            await response.prepare(request)
            await response.write_eof()
            if arrival.state == "open":
                arrival.state = "done" if response.status < 300 else "refused"
            return response
        finally:
            if arrival.state == "open":
                arrival.state = "aborted"
            self._count(-1)
            if self._journal:
                self._journal.ended(arrival)

    def _arrived(self, request: web.Request, body: bytes) -> Arrival:
        try:
            doc = orjson.loads(body)
        except orjson.JSONDecodeError:
            doc = None
        arrival = Arrival(
            number=self._arrived_so_far,
            id=request.headers.get("X-Request-Id", ""),
            path=request.path,
            headers=request.headers,
            body=body,
            doc=doc if isinstance(doc, dict) else {},
            peer_port=request.transport.get_extra_info("peername")[1] if request.transport else 0,
        )
        self._arrived_so_far += 1
        self._count(+1)
        if self._journal:
            self._journal.started(arrival)
        else:
            self.requests.append(arrival)
        return arrival

    def _count(self, change: int) -> None:
        self.open += change
        some, none = (self._busy, self._idle) if self.open else (self._idle, self._busy)
        some.set()
        none.clear()

    async def _play(self, request: web.Request, arrival: Arrival) -> web.StreamResponse:
        given = self.given.get(arrival.model)
        if given is not None:
            arrival.state = "cut" if given.cut else arrival.state
            return await given.play(request)
        if not arrival.path.endswith((_ANSWERED, *_ONLY_REFUSED)):
            return _refusal(404, f"no such path: {arrival.path}")
        script = read_script(arrival.model)
        if script is None:
            return _refusal(404, f"The model '{arrival.model}' does not exist")
        special = await self._special(request, arrival, script)
        if special is not None:
            return special
        if not arrival.path.endswith(_ANSWERED):
            return _refusal(404, f"nothing but failures is scripted for {arrival.path}")
        if arrival.stream and script.kind != "ignores_stream":
            return await TokenStream(request, arrival, script).play()
        return await _whole(request, arrival, script)

    async def _special(self, request: web.Request, arrival: Arrival, script: Script) -> web.StreamResponse | None:
        """Answers that are no chat completion; None when the script wants one."""
        match script.kind:
            case "status":
                extra = {"Retry-After": script.retry_after} if script.retry_after is not None else {}
                return _refusal(script.number, f"scripted status {script.number}", extra)
            case "echo_key":
                sent = request.headers.get("Authorization", request.headers.get("x-api-key", ""))
                return _refusal(script.number, f"Incorrect API key provided: {sent.removeprefix('Bearer ')}")
            case "endless_error":
                return await _endless(request)
            case "html_200":
                return web.Response(text="<html>Please log in</html>", content_type="text/html")
            case "redirect307":
                return web.Response(status=307, headers={"Location": f"{self.origin}/trap"})
            case "garbled_gzip":
                headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
                return web.Response(body=b"{" * 64, headers=headers)
            case "reset_before_headers":
                arrival.state = "cut"
                reset(request)
                await asyncio.Event().wait()  # until the lost connection cancels this
            case "slow_headers":
                await asyncio.sleep(script.number / 1000)
        return None


def _refusal(status: int, message: str, extra: dict[str, str] | None = None) -> web.Response:
    doc = {"error": {"message": message, "type": "scripted_error", "param": None, "code": f"scripted_{status}"}}
    return web.Response(status=status, body=orjson.dumps(doc), content_type="application/json", headers=extra or {})


async def _whole(request: web.Request, arrival: Arrival, script: Script) -> web.StreamResponse:
    count = arrival.allowed(script.tokens) if script.kind == "obeys" else script.tokens
    if script.stalls:
        await asyncio.Event().wait()
    await asyncio.sleep(script.gap_s * count)
    words = script.words(count)
    arrival.tokens_sent = len(words) * arrival.choices
    arrival.usage = script.usage(arrival.prompt_tokens, arrival.tokens_sent)
    body = orjson.dumps(completion(arrival, words, "length" if count < script.tokens else "stop"))
    headers = {"Content-Type": "application/json"}
    if script.kind == "set_cookie":
        headers["Set-Cookie"] = "tenant=first; Path=/"
    if script.kind != "cut_body":
        return web.Response(body=body, headers=headers)
    arrival.state = "cut"
    response = web.StreamResponse(headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[:-20])
    if request.transport is not None:
        request.transport.close()
    return response


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=500, headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b'"all work and no play" ' * 1000)
        await asyncio.sleep(0)


def reset(request: web.Request) -> None:
    """Break the connection with a TCP reset."""
    assert request.transport is not None
    opened = request.transport.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
