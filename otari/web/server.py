"""The HTTP server: aiohttp with the limits and manners of something that faces unknown clients.

aiohttp's defaults are for applications behind a proxy. Here: a deadline for headers, a cap on connections, handlers
that are cancelled when their client leaves, and answers to broken HTTP that repeat nothing of what was sent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web, web_protocol
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

from otari.domain.errors import Kind, OtariError
from otari.web import reply
from otari.web.reply import Shape
from otari.web.visit import HOUSE, new_request_id, unknown_encoding

log = logging.getLogger("otari.web")

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
STRAIGHT = web.AppKey("straight", dict[tuple[str, str], Answering])
DOOR: web.AppKey[Callable[[Answering], Answering]] = web.AppKey("door")  # stands before every request

KEEPALIVE_S = 15.0  # also the only deadline that aiohttp has for a request's head
LINGER_S = 2.0
LAST_WORDS_S = 0.5  # for streams that are ended by us to say so, and to settle
HEADER_BYTES = 8190
BACKLOG = 1024
CONNECTIONS_MAX = 1200

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: otari\r\nContent-Type: application/json\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nOtari-Request-ID: %b\r\nContent-Length: %d\r\n\r\n%b"
)
_FULL_BODY = orjson.dumps(reply.error_doc(Shape.OPENAI, OtariError(Kind.UNAVAILABLE, "Too many connections")))


def make_runner(app: web.Application, shutdown_timeout_s: float) -> web.AppRunner:
    """A runner for `app`; after `setup()` call `limit_connections`. Replaces aiohttp's answer to broken HTTP."""
    web_protocol.RequestHandler.handle_error = _handle_error  # type: ignore[method-assign]
    web_protocol.RequestHandler.log_exception = _log_exception  # type: ignore[method-assign]
    app.on_shutdown.append(_stop_streams_after(shutdown_timeout_s))
    return web.AppRunner(
        app,
        keepalive_timeout=KEEPALIVE_S,
        handler_cancellation=True,
        shutdown_timeout=shutdown_timeout_s + LAST_WORDS_S,
        access_log=None,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        lingering_time=LINGER_S,
    )


def _stop_streams_after(limit_s: float) -> Callable[[web.Application], Awaitable[None]]:
    async def draining(app: web.Application) -> None:
        asyncio.get_running_loop().call_later(limit_s, app[HOUSE].streams.stop)

    return draining


def answer_straight(server: web.Server, app: web.Application) -> None:
    """Hand requests for a plain path of `app[STRAIGHT]` to their handler, and only the others to aiohttp's router.

    The router and what it makes for every request cost as much as parsing and checking a small body.
    """
    straight, routed = app[STRAIGHT], server.request_handler

    def answer(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        handle = straight.get((request.method, request.path))
        return routed(request) if handle is None else handle(request)  # type: ignore[arg-type]

    server.request_handler = app[DOOR](answer) if DOOR in app else answer  # type: ignore[assignment]


def limit_connections(server: web.Server, most: int = CONNECTIONS_MAX) -> None:
    """Answer 503 at once to connections beyond `most`: memory and file descriptors are kept for those that are in."""
    accept = server.connection_made

    def connection_made(handler: web_protocol.RequestHandler, transport: asyncio.Transport) -> None:
        accept(handler, transport)
        if len(server.connections) > most:
            transport.write(_FULL % (new_request_id().encode(), len(_FULL_BODY), _FULL_BODY))
            transport.close()

    server.connection_made = connection_made  # type: ignore[method-assign]


def _handle_error(
    self: web_protocol.RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    """What aiohttp answers when HTTP itself is broken, or something failed outside every handler.

    aiohttp's own version logs the exception and shows its text, and both repeat the offending header, key and all.
    """
    if request.writer.output_size > 0:
        raise ConnectionError("the answer has begun; only a cut connection can tell the failure now")
    request_id = new_request_id()
    if isinstance(exc, ContentEncodingError):  # one that aiohttp knows, but has no library for
        error = unknown_encoding()
    elif isinstance(exc, HttpProcessingError) or status < 500:
        error = OtariError(Kind.INVALID, "The request is not valid HTTP")
    else:
        log.error("failure outside a handler: %s, request %s", type(exc).__name__, request_id)
        error = reply.unexpected(request_id)
    body = reply.error_doc(Shape.OPENAI, error)
    response = web.json_response(body, status=error.status, headers=reply.headers(request_id), dumps=_dumps)
    response.force_close()
    return response


def _log_exception(self: web_protocol.RequestHandler, message: str, *args: object, **facts: object) -> None:
    """What aiohttp would log with a traceback (broken bodies and the like): one line, without the bytes in question."""
    problem = facts.get("exc_info")
    log.warning("aiohttp: %s (%s)", message.partition("%")[0].strip(), type(problem).__name__)


def _dumps(doc: object) -> str:
    return orjson.dumps(doc).decode()
