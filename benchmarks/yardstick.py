"""The yardstick: a bare aiohttp proxy that everything else is measured against.

It does what no gateway can do without: read the request, send it upstream with `ClientSession`, send the answer
back. It knows no keys, no prices and no ledger. A gateway's cost is told as a multiple of this program's cost in
the same run, which takes the speed of the machine out of the figure.

    yardstick.py --port PORT --upstream URL [--stream raw|reencode]

`--stream raw` passes blocks of bytes on as they come. `--stream reencode` parses every server-sent event, writes
it anew and sends it by itself, as programs do that hand each event through a client library: the yardstick of
streams that are translated from one dialect into another.
"""

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import orjson
from aiohttp import web

Relay = Callable[[aiohttp.ClientResponse, web.StreamResponse], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SESSION = web.AppKey("session", aiohttp.ClientSession)
UPSTREAM_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer up"}
EVENT_PREFIX = b"data: {"


async def relay_raw(reply: aiohttp.ClientResponse, answer: web.StreamResponse) -> None:
    """Pass blocks on as the network delivers them."""
    async for block in reply.content.iter_any():
        await answer.write(block)


def reencoded(event: bytes) -> bytes:
    """The same event through a parser and a writer; what carries no JSON object stays as it is."""
    if not event.startswith(EVENT_PREFIX):
        return event
    return b"data: " + orjson.dumps(orjson.loads(event[len(b"data: ") :]))


async def relay_reencoded(reply: aiohttp.ClientResponse, answer: web.StreamResponse) -> None:
    """Parse and rewrite each event, one write per event."""
    rest = b""
    async for block in reply.content.iter_any():
        *events, rest = (rest + block).split(b"\n\n")
        for event in events:
            await answer.write(reencoded(event) + b"\n\n")


RELAYS: dict[str, Relay] = {"raw": relay_raw, "reencode": relay_reencoded}


def forward_to(upstream: str, relay: Relay) -> Handler:
    """The handler of every POST: same path and body upstream, status, type and body back."""

    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        session = request.app[SESSION]
        async with session.post(upstream + request.path, data=body, headers=UPSTREAM_HEADERS) as reply:
            content_type = reply.headers.get("Content-Type", "")
            if not content_type.startswith("text/event-stream"):
                return web.Response(
                    body=await reply.read(), status=reply.status, headers={"Content-Type": content_type}
                )
            headers = {"Content-Type": content_type, "Cache-Control": "no-cache"}
            answer = web.StreamResponse(status=reply.status, headers=headers)
            await answer.prepare(request)
            await relay(reply, answer)
            await answer.write_eof()
            return answer

    return forward


async def get_health(_request: web.Request) -> web.Response:
    """Ready as soon as it listens."""
    return web.json_response({"status": "healthy"})


async def keep_session(app: web.Application) -> AsyncIterator[None]:
    """One client session for the life of the server; no cap on connections or on the time of an answer."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        auto_decompress=False,
        read_bufsize=2**18,
    ) as session:
        app[SESSION] = session
        yield


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="A bare aiohttp pass-through proxy.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, metavar="URL", help="scheme, host and port, no path")
    parser.add_argument("--stream", choices=sorted(RELAYS), default="raw")
    options = parser.parse_args()

    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_get("/health", get_health)
    app.router.add_post("/{path:.*}", forward_to(options.upstream, RELAYS[options.stream]))
    app.cleanup_ctx.append(keep_session)
    web.run_app(app, host="127.0.0.1", port=options.port, access_log=None, print=lambda *_: None, shutdown_timeout=1)


if __name__ == "__main__":
    main()
