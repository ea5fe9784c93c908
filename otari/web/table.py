"""The route table: the one truth about what is answered. Router, access, error shapes and tests derive from it.

A path under `/v1` is served under `/api/v1` too; health answers at the root and under both prefixes; what tells of the
gateway itself answers at the root alone.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from otari.domain.access import Access
from otari.domain.errors import Kind, OtariError
from otari.web import budgets, keys, pricing, reply, usage, users
from otari.web.bodies import (
    AsOf,
    BudgetChange,
    EffectiveAt,
    KeyChange,
    NewBudget,
    NewKey,
    NewPrice,
    NewUser,
    Page,
    TotalsQuery,
    UsageQuery,
    UserChange,
)
from otari.web.docs import REFERENCE, Reference, get_docs, get_openapi, get_redoc
from otari.web.error_bodies import NotReady
from otari.web.guard import Route, guarded
from otari.web.health import get_health, get_liveness, get_readiness
from otari.web.inference import post_chat_completions
from otari.web.metrics import METERS, OTHER, Meters, get_metrics
from otari.web.models import get_model, list_models
from otari.web.openapi import plain_path
from otari.web.reply import Shape
from otari.web.server import STRAIGHT, Answering
from otari.web.vendor_bodies import ChatCompletion, ChatCompletionRequest, ModelCard, ModelList
from otari.web.visit import HOUSE, new_request_id

ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", get_health, Access.OPEN, "Is the gateway up", answer=dict[str, str]),
    Route("GET", "/health/liveness", get_liveness, Access.OPEN, "Is the process alive", answer=str),
    Route(
        *("GET", "/health/readiness", get_readiness, Access.OPEN, "Can requests be admitted"),
        answer=dict[str, str],
        others={503: NotReady},
    ),
    Route(
        *("POST", "/v1/chat/completions", post_chat_completions, Access.KEY, "OpenAI Chat Completions"),
        body=ChatCompletionRequest,
        answer=ChatCompletion,
        media=("application/json", "text/event-stream"),
        statuses=(402, 403, 404, 422, 502, 504),
        repeatable=True,
    ),
    Route(
        *("GET", "/v1/models", list_models, Access.KEY, "Models that can be asked for, with prices"), answer=ModelList
    ),
    Route("GET", "/v1/models/{model_id:.+}", get_model, Access.KEY, "One model", answer=ModelCard),
    Route(
        *("POST", "/v1/keys", keys.create_key, Access.MASTER, "Make a virtual key"),
        body=NewKey,
        answer=dict[str, Any],
        statuses=(404, 422),
    ),
    Route(
        *("GET", "/v1/keys", keys.list_keys, Access.MASTER, "Virtual keys"),
        query=Page,
        answer=list[dict[str, Any]],
        statuses=(422,),
    ),
    Route(
        *("POST", "/v1/keys/{key_id}/rotate", keys.rotate_key, Access.MASTER, "Give a key another token"),
        answer=dict[str, Any],
        statuses=(404,),
    ),
    Route(
        *("GET", "/v1/keys/{key_id}", keys.get_key, Access.MASTER, "One virtual key"),
        answer=dict[str, Any],
        statuses=(404,),
    ),
    Route(
        *("PATCH", "/v1/keys/{key_id}", keys.change_key, Access.MASTER, "Change a virtual key"),
        body=KeyChange,
        answer=dict[str, Any],
        statuses=(404, 422),
    ),
    Route(
        *("DELETE", "/v1/keys/{key_id}", keys.delete_key, Access.MASTER, "Delete a virtual key"),
        statuses=(204, 404),
    ),
    Route(
        *("POST", "/v1/users", users.create_user, Access.MASTER, "Make a user"),
        body=NewUser,
        answer=dict[str, Any],
        statuses=(404, 409, 422),
    ),
    Route(
        *("GET", "/v1/users", users.list_users, Access.MASTER, "Users"),
        query=Page,
        answer=list[dict[str, Any]],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/users/{user_id:.+}/usage", users.list_user_usage, Access.MASTER, "What a user has used"),
        query=Page,
        answer=list[dict[str, Any]],
        statuses=(404, 422),
    ),
    Route(
        *("GET", "/v1/users/{user_id:.+}", users.get_user, Access.MASTER, "One user"),
        answer=dict[str, Any],
        statuses=(404,),
    ),
    Route(
        *("PATCH", "/v1/users/{user_id:.+}", users.change_user, Access.MASTER, "Change a user"),
        body=UserChange,
        answer=dict[str, Any],
        statuses=(404, 422),
    ),
    Route(
        *("DELETE", "/v1/users/{user_id:.+}", users.delete_user, Access.MASTER, "Remove a user"),
        statuses=(204, 404),
    ),
    Route(
        *("POST", "/v1/budgets", budgets.create_budget, Access.MASTER, "Make a budget"),
        body=NewBudget,
        answer=dict[str, Any],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/budgets", budgets.list_budgets, Access.MASTER, "Budgets"),
        query=Page,
        answer=list[dict[str, Any]],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/budgets/{budget_id}/reset-logs", budgets.list_budget_resets, Access.MASTER, "When it began anew"),
        query=Page,
        answer=list[dict[str, Any]],
        statuses=(404, 422),
    ),
    Route(
        *("GET", "/v1/budgets/{budget_id}", budgets.get_budget, Access.MASTER, "One budget"),
        answer=dict[str, Any],
        statuses=(404,),
    ),
    Route(
        *("PATCH", "/v1/budgets/{budget_id}", budgets.change_budget, Access.MASTER, "Change a budget"),
        body=BudgetChange,
        answer=dict[str, Any],
        statuses=(404, 422),
    ),
    Route(
        *("DELETE", "/v1/budgets/{budget_id}", budgets.delete_budget, Access.MASTER, "Delete a budget"),
        statuses=(204, 404, 409),
    ),
    Route(
        *("POST", "/v1/pricing", pricing.set_price, Access.MASTER, "Set a price"),
        body=NewPrice,
        answer=dict[str, Any],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/pricing", pricing.list_pricing, Access.KEY, "Prices with their history"),
        query=Page,
        answer=list[dict[str, Any]],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/pricing/{model_key:.+}/history", pricing.get_pricing_history, Access.KEY, "Prices of a model"),
        answer=list[dict[str, Any]],
        statuses=(404, 422),
    ),
    Route(
        *("GET", "/v1/pricing/{model_key:.+}", pricing.get_pricing, Access.KEY, "The price in force"),
        query=AsOf,
        answer=dict[str, Any],
        statuses=(404, 422),
    ),
    Route(
        *("DELETE", "/v1/pricing/{model_key:.+}", pricing.delete_pricing, Access.MASTER, "Delete prices of a model"),
        query=EffectiveAt,
        statuses=(204, 404, 422),
    ),
    Route(
        *("GET", "/v1/usage", usage.list_usage, Access.MASTER, "What was used, newest first"),
        query=UsageQuery,
        answer=list[dict[str, Any]],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/usage/totals", usage.get_usage_totals, Access.MASTER, "Sums by day, model, key or user"),
        query=TotalsQuery,
        answer=list[dict[str, Any]],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/usage/{usage_id}", usage.get_usage, Access.MASTER, "One row and the arithmetic of its cost"),
        answer=dict[str, Any],
        statuses=(404,),
    ),
    Route(
        *("GET", "/openapi.json", get_openapi, Access.OPEN, "This API as an OpenAPI document"),
        tag="gateway",
        answer=dict[str, Any],
        switch="enable_docs",
    ),
    Route(
        *("GET", "/docs", get_docs, Access.OPEN, "The reference, to try calls"),
        tag="gateway",
        media=("text/html",),
        switch="enable_docs",
    ),
    Route(
        *("GET", "/redoc", get_redoc, Access.OPEN, "The reference, to read"),
        tag="gateway",
        media=("text/html",),
        switch="enable_docs",
    ),
    Route(
        *("GET", "/metrics", get_metrics, Access.OPEN, "Counters for Prometheus"),
        tag="gateway",
        media=("text/plain",),
        switch="enable_metrics",
    ),
)


def paths(route: Route) -> tuple[str, ...]:
    """Every path that a route is served under."""
    if route.path.startswith("/v1/"):
        return (route.path, "/api" + route.path)
    if route.path.startswith("/health"):
        return (route.path, "/v1" + route.path, "/api/v1" + route.path)
    return (route.path,)


def mount(
    app: web.Application, routes: Iterable[Route] = ROUTES, *, docs: bool = True, meters: Meters | None = None
) -> None:
    """Put every route into the router, and an answer in our own shape behind them for everything else.

    Without `docs` the reference is not served; `meters` count what is answered, and without them `/metrics` is not.
    """
    off = {"enable_docs": not docs, "enable_metrics": meters is None}
    routes = tuple(route for route in routes if not off.get(route.switch))
    app[REFERENCE] = Reference(routes)
    straight: dict[tuple[str, str], Answering] = {}
    if meters is not None:
        app[METERS] = meters
    for route in routes:
        handle = guarded(route, app[HOUSE])
        if meters is not None:
            handle = meters.counted(handle, route.method, plain_path(route.path))
        for path in paths(route):
            app.router.add_route(route.method, path, handle)
            if route.repeatable:  # what is asked most; its path is plain text
                straight[route.method, path] = handle
    app[STRAIGHT] = straight
    nothing_here = _elsewhere(routes)
    if meters is not None:
        nothing_here = meters.counted(nothing_here, OTHER, OTHER)
    app.router.add_route("*", "/{rest:.*}", nothing_here)


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
