"""Answers: the only place where a response is written.

Every answer carries the request id and the security headers. The shape of an error body is the route's: OpenAI-style
(also management) or Anthropic-style; both hold `detail`, which the Otari client libraries read first.
"""

import asyncio
import contextlib
import enum
import logging
import math
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any, Protocol

import orjson
from aiohttp import web

from otari.dialects import DIALECTS
from otari.domain.arrival import arrival
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError
from otari.web.watch import EARLY, WRITE_STALL_S, StreamWatch
from otari.web.whole import MAX_BYTES, WholeAnswer, head_lines

log = logging.getLogger("otari.web")

_JSON = "application/json"
_SECURITY = {
    "Server": "otari",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
_PRIVATE = {**_SECURITY, "Cache-Control": "private, no-store, no-cache", "Vary": "Authorization"}
_STREAM = {
    **_PRIVATE,
    "Cache-Control": "private, no-store, no-cache",
    "X-Accel-Buffering": "no",
}


_JSON_HEAD = (
    "".join(f"{name}: {value}\r\n" for name, value in {**_PRIVATE, "Content-Type": _JSON}.items())
    + "Otari-Request-ID: %b\r\nX-Otari-Request-ID: %b\r\nX-Request-ID: %b\r\n"
).encode()


class Shape(enum.Enum):
    """How a route tells an error."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


def headers(request_id: str, *, private: bool = True, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of every answer. `private` forbids caches to keep it; health answers are not private.

    The request id stands under three names: ours, the one of older clients, and the one that vendors' SDKs read.
    """
    out = dict(_PRIVATE if private else _SECURITY)
    out["Otari-Request-ID"] = out["X-Otari-Request-ID"] = out["X-Request-ID"] = request_id
    if extra:
        out.update(extra)
    return out | _labels()


def _labels() -> dict[str, str]:
    """What a scripted provider says of its answer in headers."""
    came = arrival()
    return {} if came is None else came.labels


def as_json(doc: Any, request_id: str, *, status: int = 200, private: bool = True) -> web.StreamResponse:
    """`doc` as a JSON answer."""
    return json_bytes(orjson.dumps(doc, default=_exact), request_id, status=status, private=private)


def _exact(value: object) -> orjson.Fragment:
    """A decimal number as JSON, digit by digit: it never passes through a float."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError


def json_bytes(
    body: bytes,
    request_id: str,
    *,
    status: int = 200,
    private: bool = True,
    extra: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """A JSON answer whose bytes are there already."""
    if private and len(body) <= MAX_BYTES:
        if labels := _labels():
            extra = {**(extra or {}), **labels}
        head = _JSON_HEAD % ((request_id.encode(),) * 3)
        return WholeAnswer(status, head + head_lines(extra) if extra else head, body)
    out = headers(request_id, private=private, extra=extra)
    out["Content-Type"] = _JSON
    return web.Response(status=status, body=body, headers=out)


def as_text(
    body: bytes, content_type: str, request_id: str, *, extra: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """An answer that is not JSON."""
    return web.Response(body=body, headers={**headers(request_id, extra=extra), "Content-Type": content_type})


async def as_download(
    request: web.Request,
    request_id: str,
    pieces: AsyncGenerator[bytes, None],
    count: int | None,
    *,
    status: int,
    extra: Mapping[str, str],
) -> web.StreamResponse:
    """The `count` bytes (None: nobody knows) that come in `pieces`, as fast as the client takes them, with `extra`
    headers.

    Raises OtariError before anything was sent. What fails after that cuts the connection, and so does a client that
    has stopped reading.
    """
    piece: bytes | None = await _next(pieces)
    response = web.StreamResponse(status=status, headers=headers(request_id, extra=extra))
    if count is not None:
        response.content_length = count
    await response.prepare(request)
    try:
        while piece is not None:
            async with asyncio.timeout(WRITE_STALL_S):
                await response.write(piece)
            piece = await _next(pieces)
    except (OtariError, TimeoutError):
        _cut(request)
        return response
    await response.write_eof()
    return response


def error_doc(shape: Shape, error: OtariError) -> Doc:
    """The body of an error in the shape of its route."""
    if shape is Shape.ANTHROPIC:
        return DIALECTS["anthropic-messages"].write_error(error)
    told = {"message": error.message, "type": error.kind.value, "param": error.param, "code": error.code}
    return {"detail": getattr(error, "problems", error.message), "error": told}


def as_error(shape: Shape, error: OtariError, request_id: str) -> web.StreamResponse:
    """An error as an HTTP answer, with `Retry-After` in whole seconds where one is known."""
    extra = dict(error.headers)
    if error.retry_after is not None:
        extra["Retry-After"] = str(max(0, math.ceil(error.retry_after)))
    body = orjson.dumps(error_doc(shape, error))
    return json_bytes(body, request_id, status=error.status, extra=extra)


class Telling(Protocol):
    """What is streamed: its frames, what is known of them when the answer begins, and how an error is told in it.

    `media` is its Content-Type, once its first frame has come.
    """

    @property
    def name(self) -> str: ...

    def frames(self) -> AsyncGenerator[bytes, None]: ...

    @property
    def media(self) -> str: ...

    @property
    def failure_ends(self) -> bool: ...

    def headers(self) -> Mapping[str, str]: ...

    def error_frames(self, error: OtariError) -> bytes: ...


async def as_stream(
    request: web.Request,
    talk: Telling,
    keepalive: bytes,
    *,
    keepalive_s: float,
    extra: Mapping[str, str],
) -> web.StreamResponse:
    """A stream of frames as an HTTP answer, with `extra` headers beside those of `talk`.

    The status line waits for the first frame, so that an early failure keeps its status; before the upstream has been
    silent for `keepalive_s` (0 = never), the answer begins with keepalives. A failure after that is told in error
    frames, and the connection is cut unless those are an ending of their own: the answer must not look whole. Raises
    OtariError before anything was sent.
    """
    frames = talk.frames()
    first = asyncio.ensure_future(_next(frames))
    try:
        await asyncio.wait({first}, timeout=keepalive_s * EARLY or None)
        if first.done() and (error := first.exception()) is not None:
            raise error
        told = headers(talk.name, extra={**extra, **talk.headers()})
        response = web.StreamResponse(headers={**told, **_STREAM, "Content-Type": talk.media})
        await response.prepare(request)
        async with StreamWatch(request, response, keepalive, keepalive_s) as watch:
            if not first.done():
                await watch.write(keepalive)
            try:
                block = await first
                while block is not None:
                    await watch.write(block)
                    block = await _next(frames)
            except OtariError as error:
                await _tell(watch, talk, error)
                return await _ended(request, response, talk)
            except ConnectionError:
                raise  # the client has gone: nobody is left to be told anything
            except asyncio.CancelledError:
                if request.transport is not None and not request.transport.is_closing():  # it is we who go
                    with contextlib.suppress(ConnectionError):
                        await _tell(watch, talk, _STOPPING)
                    _cut(request)
                raise
            except Exception:
                log.exception("unexpected failure in a stream, request %s", talk.name)
                await _tell(watch, talk, unexpected(talk.name))
                return await _ended(request, response, talk)
        await response.write_eof()
        return response
    finally:
        if not first.done():
            first.cancel()
            await asyncio.wait({first})
        await frames.aclose()


async def _next(frames: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(frames, None)


async def _tell(watch: StreamWatch, talk: Telling, error: OtariError) -> None:
    if frames := talk.error_frames(error):  # in the middle of sound there is no way to say anything
        await watch.write(frames)


_STOPPING = OtariError(Kind.UNAVAILABLE, "The gateway is being stopped before the end of this answer")


async def _ended(request: web.Request, response: web.StreamResponse, talk: Telling) -> web.StreamResponse:
    """Behind the frames of an error: a cut, unless they are an ending that the client knows. Codex shows the words of
    `response.failed` only when the stream ends in order behind it.
    """
    if talk.failure_ends:
        await response.write_eof()
    else:
        _cut(request)
    return response


def _cut(request: web.Request) -> None:
    """Close the connection after what was written, without the end mark of the body."""
    if request.transport is not None:
        request.transport.close()


def unexpected(request_id: str) -> OtariError:
    """What a client is told of a failure nobody foresaw: only where to find it in the log."""
    return OtariError(Kind.INTERNAL, f"Internal error. The log has it under request id {request_id}")
