"""The route table in aiohttp's router, and an answer for every request that no route takes."""

import re
from collections.abc import Iterable, Mapping, Sequence

from aiohttp import web

from otari.domain.errors import Kind, OtariError
from otari.web import reply
from otari.web.docs import REFERENCE, Reference
from otari.web.guard import Route, guarded
from otari.web.metrics import METERS, OTHER, Meters
from otari.web.openapi import plain_path
from otari.web.reply import Shape
from otari.web.server import STRAIGHT, Answering
from otari.web.table import ROUTES, paths
from otari.web.visit import HOUSE, new_request_id

_VERSIONED = ("/v1/", "/api/v1/")
# What is said of everything else below a version, by the way of running; client libraries know this sentence.
_ELSEWHERE = {
    "connected": "This endpoint is not available in hybrid mode. Manage this resource via the platform UI.",
}


def mount(
    app: web.Application,
    routes: Iterable[Route] = ROUTES,
    *,
    docs: bool = True,
    meters: Meters | None = None,
    mode: str = "standalone",
) -> None:
    """Put every route into the router, and an answer in our own shape behind them for everything else.

    Without `docs` the reference is not served; `meters` count what is answered, and without them `/metrics` is not.
    What this `mode` does not serve under `/v1` is refused with a sentence that says why.
    """
    off = {"enable_docs": not docs, "enable_metrics": meters is None}
    routes = tuple(route for route in routes if mode in route.modes and not off.get(route.switch))
    app[REFERENCE] = Reference(routes)
    served: dict[str, list[Route]] = {}
    for route in routes:
        for path in paths(route):
            served.setdefault(path, []).append(route)
    handles = {route.handler: guarded(route, app[HOUSE]) for route in routes}
    refuse = _refusing(served, _ELSEWHERE.get(mode, "Not Found"))
    if meters is not None:
        app[METERS] = meters
        handles = {
            route.handler: meters.counted(handles[route.handler], route.method, plain_path(route.path))
            for route in routes
        }
        refuse = meters.counted(refuse, OTHER, OTHER)
    app[STRAIGHT] = {}
    for path, here in served.items():
        for route in here:
            app.router.add_route(route.method, _any_text(path), handles[route.handler])
            if route.repeatable:  # what is asked most; its path is plain text
                app[STRAIGHT][route.method, path] = handles[route.handler]
        # A path belongs to the first row that takes it, also for methods that only a later row has.
        app.router.add_route("*", _any_text(path), refuse)
    app.router.add_route("*", r"/{rest:[\s\S]*}", refuse)


def _any_text(path: str) -> str:
    """A path for aiohttp, whose dot stands for anything but a line break. An id may hold one, and braces too."""
    return re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", path.replace(":.+}", r":[\s\S]+}"))


def _refusing(served: Mapping[str, Sequence[Route]], why_absent: str) -> Answering:
    """Answers every request that no route takes: 405 with the methods that exist on its path, or 404.

    `why_absent` is said of paths under `/v1`.
    """
    by_template = {plain_path(path): here for path, here in served.items()}

    async def refuse(request: web.Request) -> web.StreamResponse:
        resource = request.match_info.route.resource
        here = None if resource is None else by_template.get(resource.canonical)
        if here is None:
            why = why_absent if request.path.startswith(_VERSIONED) else "Not Found"
            error = OtariError(Kind.NOT_FOUND, why, code="unknown_url")
            return reply.as_error(_shape_near(request.path), error, new_request_id())
        allowed = ", ".join(sorted({route.method for route in here}))
        error = OtariError(Kind.METHOD_NOT_ALLOWED, "Method Not Allowed", headers=(("Allow", allowed),))
        return reply.as_error(here[0].shape, error, new_request_id())

    return refuse


def _shape_near(path: str) -> Shape:
    return Shape.ANTHROPIC if path.startswith(("/v1/messages", "/api/v1/messages")) else Shape.OPENAI
