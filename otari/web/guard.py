"""What stands before every handler: request id, host, credential; and what turns every failure into an answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from otari.domain.access import WRONG_KEY, Access, Principal
from otari.domain.errors import Kind, OtariError
from otari.web import auth, reply
from otari.web.reply import Shape
from otari.web.visit import House, Visit, new_request_id

log = logging.getLogger("otari.web")

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the route table. `path` is aiohttp's; `summary` is for people (`otari routes`, the reference).

    The rest is what the reference (`web/openapi.py`) says beside that; it changes nothing in how requests are answered,
    but for `switch`. `tag` groups routes; empty: by path. `body`, `query` and `answer` are types that msgspec can
    describe, or JSON schemas; two answers are those of OpenAI's shape and of Anthropic's, as the client's header asks,
    and of two bodies either is taken. `takes` is the content type of the body. `statuses` are those that the route
    itself answers; what the guard answers on every route goes without saying, and so does 200 when no other success is
    named. `others` are the bodies of statuses that have not the error shape. `media` are the content types of a
    success; a route without any only refuses. `repeatable`: takes an Idempotency-Key. `switch` is the configuration key
    that must be true for the route to be served. `modes` are the ways of running that serve it.
    """

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str
    shape: Shape = Shape.OPENAI
    tag: str = ""
    body: object = None
    takes: str = "application/json"
    query: type | None = None
    answer: object = None
    statuses: tuple[int, ...] = ()
    others: Mapping[int, object] = field(default_factory=dict)
    media: tuple[str, ...] = ("application/json",)
    repeatable: bool = False
    switch: str = ""
    modes: tuple[str, ...] = ("standalone",)


def guarded(route: Route, house: House) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a route: checks, then the route's own handler, every failure in the route's shape."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request_id = new_request_id()
        try:
            if not auth.host_allowed(request, house.allowed_hosts):
                raise _misdirected()
            principal = await _principal(request, route.access, house)
            return await route.handler(Visit(request, request_id, principal, house))
        except OtariError as error:
            if error.status >= 500:
                told = error.detail or error.message
                log.warning("%s %s: %s, request %s", route.method, route.path, told, request_id)
            return reply.as_error(route.shape, error, request_id)
        except (asyncio.CancelledError, ConnectionError, web.HTTPException):
            raise
        except Exception:
            log.exception("unexpected failure in %s %s, request %s", route.method, route.path, request_id)
            return reply.as_error(route.shape, reply.unexpected(request_id), request_id)

    return handle


async def _principal(request: web.Request, access: Access, house: House) -> Principal | None:
    if access is Access.OPEN:
        return None
    credential = auth.credential(request.headers)
    try:
        principal = await house.control.identify(credential)
    except OtariError as error:
        if credential is None or error.code != WRONG_KEY:
            raise
        told = _not_the_master() if access is Access.MASTER else error
        raise house.guesses.refused(request.remote, told) from None
    if access is Access.MASTER and not principal.is_master:
        raise _not_the_master()
    return principal


def _not_the_master() -> OtariError:
    return OtariError(Kind.UNAUTHENTICATED, "Invalid master key", code=WRONG_KEY)


def _misdirected() -> OtariError:
    return OtariError(
        Kind.MISDIRECTED,
        "The Host header does not name this gateway. Use localhost, or add the name to `allowed_hosts`",
        param="Host",
    )
