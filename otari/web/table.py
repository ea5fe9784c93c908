"""The route table: the one truth about what is answered. Router, access, error shapes and tests derive from it.

A path under `/v1` is served under `/api/v1` too; health answers at the root and under both prefixes.
"""

import re
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from otari.domain.access import Access
from otari.domain.errors import Kind, OtariError
from otari.web import reply
from otari.web.guard import Route, guarded
from otari.web.health import get_health, get_liveness, get_readiness
from otari.web.inference import post_chat_completions
from otari.web.models import get_model, list_models
from otari.web.reply import Shape
from otari.web.visit import new_request_id

ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", get_health, Access.OPEN, "Is the gateway up"),
    Route("GET", "/health/liveness", get_liveness, Access.OPEN, "Is the process alive"),
    Route("GET", "/health/readiness", get_readiness, Access.OPEN, "Can requests be admitted"),
    Route("POST", "/v1/chat/completions", post_chat_completions, Access.KEY, "OpenAI Chat Completions"),
    Route("GET", "/v1/models", list_models, Access.KEY, "Models that can be asked for, with prices"),
    Route("GET", "/v1/models/{model_id:.+}", get_model, Access.KEY, "One model"),
)


def paths(route: Route) -> tuple[str, ...]:
    """Every path that a route is served under."""
    if route.path.startswith("/v1/"):
        return (route.path, "/api" + route.path)
    return (route.path, "/v1" + route.path, "/api/v1" + route.path)


def mount(app: web.Application, routes: Iterable[Route] = ROUTES) -> None:
    """Put every route into the router, and an answer in our own shape behind them for everything else."""
    routes = tuple(routes)
    for route in routes:
        handle = guarded(route)
        for path in paths(route):
            app.router.add_route(route.method, path, handle)
    app.router.add_route("*", "/{rest:.*}", _elsewhere(routes))


def _elsewhere(routes: tuple[Route, ...]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answers every request that no route takes: 405 with the methods that exist on that path, or 404."""
    patterns = [(re.compile(_regex(path)), route) for route in routes for path in paths(route)]

    async def nothing_here(request: web.Request) -> web.StreamResponse:
        here = [route for pattern, route in patterns if pattern.fullmatch(request.path)]
        shape = here[0].shape if here else _shape_near(request.path)
        if here:
            allowed = ", ".join(sorted({route.method for route in here}))
            error = OtariError(Kind.METHOD_NOT_ALLOWED, "Method Not Allowed", headers=(("Allow", allowed),))
        else:
            error = OtariError(Kind.NOT_FOUND, "Not Found", code="unknown_url")
        return reply.as_error(shape, error, new_request_id())

    return nothing_here


def _regex(path: str) -> str:
    """A route path as a regular expression: `{name}` is one segment, `{name:.+}` anything."""
    escaped = re.escape(path)
    escaped = re.sub(r"\\\{\w+:\\\.\\\+\\\}", ".+", escaped)
    return re.sub(r"\\\{\w+\\\}", "[^/]+", escaped)


def _shape_near(path: str) -> Shape:
    return Shape.ANTHROPIC if path.startswith(("/v1/messages", "/api/v1/messages")) else Shape.OPENAI
