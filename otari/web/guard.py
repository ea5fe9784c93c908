"""What stands before every handler: request id, host, credential; and what turns every failure into an answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from otari.domain.access import Access, Principal
from otari.domain.errors import Kind, OtariError
from otari.web import auth, reply
from otari.web.reply import Shape
from otari.web.visit import HOUSE, House, Visit, new_request_id

log = logging.getLogger("otari.web")

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the route table. `summary` is for people (`otari routes`)."""

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str
    shape: Shape = Shape.OPENAI


def guarded(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a route: checks, then the route's own handler, every failure in the route's shape."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request_id = new_request_id()
        house = request.app[HOUSE]
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
    principal = await house.control.identify(auth.credential(request.headers))
    if access is Access.MASTER and not principal.is_master:
        raise OtariError(Kind.UNAUTHENTICATED, "Invalid master key")
    return principal


def _misdirected() -> OtariError:
    return OtariError(
        Kind.MISDIRECTED,
        "The Host header does not name this gateway. Use localhost, or add the name to `allowed_hosts`",
        param="Host",
    )
