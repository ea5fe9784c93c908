"""The route table: the one truth about what is answered. Router, access, error shapes and tests derive from it.

A path under `/v1` is served under `/api/v1` too; health answers at the root and under both prefixes; what tells of the
gateway itself answers at the root alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from otari.domain.access import Access
from otari.domain.errors import Kind, OtariError
from otari.web import batches, budgets, files, keys, pricing, reply, usage, users
from otari.web.answers.batches import (
    Batch,
    BatchList,
    BatchOwner,
    BatchPage,
    BatchResults,
    NewBatch,
    NewFileBatch,
)
from otari.web.answers.budgets import Budget, BudgetReset
from otari.web.answers.files import (
    File,
    FileDeleted,
    FileInfo,
    FileInfoDeleted,
    FileInfoPage,
    FileList,
    FileOwner,
    FilePage,
    NewFile,
)
from otari.web.answers.health import Health, Readiness
from otari.web.answers.keys import Key, KeyWithToken
from otari.web.answers.prices import Price
from otari.web.answers.usage import UsageDetail, UsageEntry, UsageTotal
from otari.web.answers.users import User
from otari.web.bodies import (
    AsOf,
    BudgetChange,
    EffectiveAt,
    KeyChange,
    ModelPage,
    NewBudget,
    NewKey,
    NewPrice,
    NewUser,
    Page,
    TotalsQuery,
    UsageQuery,
    UserChange,
)
from otari.web.count import post_count_tokens
from otari.web.docs import REFERENCE, Reference, get_docs, get_openapi, get_redoc
from otari.web.error_bodies import NotReady
from otari.web.guard import Route, guarded
from otari.web.health import get_health, get_liveness, get_readiness
from otari.web.inference import post_chat_completions, post_messages, post_responses
from otari.web.metrics import METERS, OTHER, Meters, get_metrics
from otari.web.models import get_model, list_models
from otari.web.multipart import FORM
from otari.web.openapi import plain_path
from otari.web.reply import Shape
from otari.web.server import STRAIGHT, Answering
from otari.web.single import (
    post_embeddings,
    post_image_generations,
    post_moderations,
    post_rerank,
    post_rerank_v2,
    post_speech,
    post_transcriptions,
)
from otari.web.single_bodies import (
    Embeddings,
    EmbeddingsRequest,
    Images,
    ImagesRequest,
    Moderation,
    ModerationQuery,
    ModerationRequest,
    Reranked,
    RerankRequest,
    SpeechRequest,
    Transcription,
    TranscriptionForm,
)
from otari.web.vendor_bodies import (
    ChatCompletion,
    ChatCompletionRequest,
    CountRequest,
    MessagesAnswer,
    MessagesRequest,
    ModelCard,
    ModelInfo,
    ModelInfoPage,
    ModelList,
    ResponsesAnswer,
    ResponsesRequest,
    TokenCount,
)
from otari.web.visit import HOUSE, new_request_id
from otari.web.websocket import get_responses

EVERYWHERE = ("standalone", "connected")
_VERSIONED = ("/v1/", "/api/v1/")
# What is said of everything else below a version, by the way of running; client libraries know this sentence.
_ELSEWHERE = {
    "connected": "This endpoint is not available in hybrid mode. Manage this resource via the platform UI.",
}

ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", get_health, Access.OPEN, "Is the gateway up", answer=Health, modes=EVERYWHERE),
    Route("GET", "/health/liveness", get_liveness, Access.OPEN, "Is the process alive", answer=str, modes=EVERYWHERE),
    Route(
        *("GET", "/health/readiness", get_readiness, Access.OPEN, "Can requests be admitted"),
        answer=Readiness,
        others={503: NotReady},
        modes=EVERYWHERE,
    ),
    Route(
        *("POST", "/v1/chat/completions", post_chat_completions, Access.KEY, "OpenAI Chat Completions"),
        body=ChatCompletionRequest,
        answer=ChatCompletion,
        media=("application/json", "text/event-stream"),
        statuses=(402, 403, 404, 422, 502, 504),
        repeatable=True,
        modes=EVERYWHERE,
    ),
    Route(
        *("POST", "/v1/messages", post_messages, Access.KEY, "Anthropic Messages"),
        shape=Shape.ANTHROPIC,
        body=MessagesRequest,
        answer=MessagesAnswer,
        media=("application/json", "text/event-stream"),
        statuses=(402, 403, 404, 422, 502, 504),
        repeatable=True,
        modes=EVERYWHERE,
    ),
    Route(
        *("POST", "/v1/responses", post_responses, Access.KEY, "OpenAI Responses"),
        body=ResponsesRequest,
        answer=ResponsesAnswer,
        media=("application/json", "text/event-stream"),
        statuses=(402, 403, 404, 422, 502, 504),
        repeatable=True,
        modes=EVERYWHERE,
    ),
    Route(
        *("POST", "/v1/messages/count_tokens", post_count_tokens, Access.KEY, "How many tokens a request has"),
        shape=Shape.ANTHROPIC,
        body=CountRequest,
        answer=TokenCount,
        modes=EVERYWHERE,
    ),
    Route(
        *("GET", "/v1/responses", get_responses, Access.OPEN, "No websockets here"),
        statuses=(405, 426),
        media=(),
        modes=EVERYWHERE,
    ),
    Route(
        *("POST", "/v1/embeddings", post_embeddings, Access.KEY, "Texts as vectors"),
        body=EmbeddingsRequest,
        answer=Embeddings,
        statuses=(402, 403, 404, 422, 502, 504),
        repeatable=True,
    ),
    Route(
        *("POST", "/v1/moderations", post_moderations, Access.KEY, "Is a text or an image harmful"),
        query=ModerationQuery,
        body=ModerationRequest,
        answer=Moderation,
        statuses=(403, 404, 422, 502, 504),
        repeatable=True,
    ),
    Route(
        *("POST", "/v1/rerank", post_rerank, Access.KEY, "Documents by how well they answer a query"),
        body=RerankRequest,
        answer=Reranked,
        statuses=(402, 403, 404, 422, 502, 504),
        repeatable=True,
    ),
    Route(
        *("POST", "/v2/rerank", post_rerank_v2, Access.KEY, "The same, where Cohere's clients look for it"),
        tag="rerank",
        body=RerankRequest,
        answer=Reranked,
        statuses=(402, 403, 404, 422, 502, 504),
        repeatable=True,
    ),
    Route(
        *("POST", "/v1/images/generations", post_image_generations, Access.KEY, "Pictures by their description"),
        body=ImagesRequest,
        answer=Images,
        media=("application/json", "text/event-stream"),
        statuses=(402, 403, 404, 422, 502, 504),
        repeatable=True,
    ),
    Route(
        *("POST", "/v1/audio/transcriptions", post_transcriptions, Access.KEY, "What is said in a recording"),
        body=TranscriptionForm,
        takes=FORM,
        answer=Transcription,
        media=("application/json", "text/plain", "text/event-stream"),
        statuses=(403, 404, 422, 502, 504),
    ),
    Route(
        *("POST", "/v1/audio/speech", post_speech, Access.KEY, "A text as sound"),
        body=SpeechRequest,
        media=("audio/*", "text/event-stream"),
        statuses=(403, 404, 422, 502, 504),
    ),
    Route(
        *("GET", "/v1/models", list_models, Access.KEY, "Models that can be asked for, with prices and limits"),
        query=ModelPage,
        answer=(ModelList, ModelInfoPage),
    ),
    Route("GET", "/v1/models/{model_id:.+}", get_model, Access.KEY, "One model", answer=(ModelCard, ModelInfo)),
    Route(
        *("POST", "/v1/files", files.create_file, Access.KEY, "Keep a file"),
        body=NewFile,
        takes=FORM,
        query=FileOwner,
        answer=(File, FileInfo),
        statuses=(403, 404),
    ),
    Route(
        *("GET", "/v1/files", files.list_files, Access.KEY, "Files of the user"),
        query=FilePage,
        answer=(FileList, FileInfoPage),
        statuses=(403, 404),
    ),
    Route(
        *("GET", "/v1/files/{file_id}/content", files.get_file_content, Access.KEY, "The bytes of a file"),
        query=FileOwner,
        media=("*/*",),
        statuses=(200, 206, 304, 403, 416),
    ),
    Route(
        *("GET", "/v1/files/{file_id}", files.get_file, Access.KEY, "What is known of a file"),
        query=FileOwner,
        answer=(File, FileInfo),
        statuses=(403,),
    ),
    Route(
        *("DELETE", "/v1/files/{file_id}", files.delete_file, Access.KEY, "Delete a file"),
        query=FileOwner,
        answer=(FileDeleted, FileInfoDeleted),
        statuses=(403,),
    ),
    Route(
        *("POST", "/v1/batches", batches.create_batch, Access.KEY, "Have many requests answered when there is time"),
        body=(NewBatch, NewFileBatch),
        answer=Batch,
        statuses=(403, 404, 422),
    ),
    Route(
        *("GET", "/v1/batches", batches.list_batches, Access.KEY, "Batches of the user"),
        query=BatchPage,
        answer=BatchList,
        statuses=(403, 404),
    ),
    Route(
        *("GET", "/v1/batches/{batch_id}/results", batches.get_batch_results, Access.KEY, "What became of a batch"),
        query=BatchOwner,
        answer=BatchResults,
        statuses=(403, 409),
    ),
    Route(
        *("POST", "/v1/batches/{batch_id}/cancel", batches.cancel_batch, Access.KEY, "End a batch early"),
        query=BatchOwner,
        answer=Batch,
        statuses=(403, 409),
    ),
    Route(
        *("GET", "/v1/batches/{batch_id}", batches.get_batch, Access.KEY, "How a batch stands"),
        query=BatchOwner,
        answer=Batch,
        statuses=(403,),
    ),
    Route(
        *("POST", "/v1/keys", keys.create_key, Access.MASTER, "Make a virtual key"),
        body=NewKey,
        answer=KeyWithToken,
        statuses=(404, 422),
    ),
    Route(
        *("GET", "/v1/keys", keys.list_keys, Access.MASTER, "Virtual keys"),
        query=Page,
        answer=Sequence[Key],
        statuses=(422,),
    ),
    Route(
        *("POST", "/v1/keys/{key_id}/rotate", keys.rotate_key, Access.MASTER, "Give a key another token"),
        answer=KeyWithToken,
        statuses=(404,),
    ),
    Route(
        *("GET", "/v1/keys/{key_id}", keys.get_key, Access.MASTER, "One virtual key"),
        answer=Key,
        statuses=(404,),
    ),
    Route(
        *("PATCH", "/v1/keys/{key_id}", keys.change_key, Access.MASTER, "Change a virtual key"),
        body=KeyChange,
        answer=Key,
        statuses=(404, 422),
    ),
    Route(
        *("DELETE", "/v1/keys/{key_id}", keys.delete_key, Access.MASTER, "Delete a virtual key"),
        statuses=(204, 404),
    ),
    Route(
        *("POST", "/v1/users", users.create_user, Access.MASTER, "Make a user"),
        body=NewUser,
        answer=User,
        statuses=(404, 409, 422),
    ),
    Route(
        *("GET", "/v1/users", users.list_users, Access.MASTER, "Users"),
        query=Page,
        answer=Sequence[User],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/users/{user_id:.+}/usage", users.list_user_usage, Access.MASTER, "What a user has used"),
        query=Page,
        answer=Sequence[UsageEntry],
        statuses=(404, 422),
    ),
    Route(
        *("GET", "/v1/users/{user_id:.+}", users.get_user, Access.MASTER, "One user"),
        answer=User,
        statuses=(404,),
    ),
    Route(
        *("PATCH", "/v1/users/{user_id:.+}", users.change_user, Access.MASTER, "Change a user"),
        body=UserChange,
        answer=User,
        statuses=(404, 422),
    ),
    Route(
        *("DELETE", "/v1/users/{user_id:.+}", users.delete_user, Access.MASTER, "Remove a user"),
        statuses=(204, 404),
    ),
    Route(
        *("POST", "/v1/budgets", budgets.create_budget, Access.MASTER, "Make a budget"),
        body=NewBudget,
        answer=Budget,
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/budgets", budgets.list_budgets, Access.MASTER, "Budgets"),
        query=Page,
        answer=Sequence[Budget],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/budgets/{budget_id}/reset-logs", budgets.list_budget_resets, Access.MASTER, "When it began anew"),
        query=Page,
        answer=Sequence[BudgetReset],
        statuses=(404, 422),
    ),
    Route(
        *("GET", "/v1/budgets/{budget_id}", budgets.get_budget, Access.MASTER, "One budget"),
        answer=Budget,
        statuses=(404,),
    ),
    Route(
        *("PATCH", "/v1/budgets/{budget_id}", budgets.change_budget, Access.MASTER, "Change a budget"),
        body=BudgetChange,
        answer=Budget,
        statuses=(404, 409, 422),
    ),
    Route(
        *("DELETE", "/v1/budgets/{budget_id}", budgets.delete_budget, Access.MASTER, "Delete a budget"),
        statuses=(204, 404, 409),
    ),
    Route(
        *("POST", "/v1/pricing", pricing.set_price, Access.MASTER, "Set a price"),
        body=NewPrice,
        answer=Price,
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/pricing", pricing.list_pricing, Access.KEY, "Prices with their history"),
        query=Page,
        answer=Sequence[Price],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/pricing/{model_key:.+}/history", pricing.get_pricing_history, Access.KEY, "Prices of a model"),
        answer=Sequence[Price],
        statuses=(404, 422),
    ),
    Route(
        *("GET", "/v1/pricing/{model_key:.+}", pricing.get_pricing, Access.KEY, "The price in force"),
        query=AsOf,
        answer=Price,
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
        answer=Sequence[UsageEntry],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/usage/totals", usage.get_usage_totals, Access.MASTER, "Sums by day, model, key or user"),
        query=TotalsQuery,
        answer=Sequence[UsageTotal],
        statuses=(422,),
    ),
    Route(
        *("GET", "/v1/usage/{usage_id}", usage.get_usage, Access.MASTER, "One row and the arithmetic of its cost"),
        answer=UsageDetail,
        statuses=(404,),
    ),
    Route(
        *("GET", "/openapi.json", get_openapi, Access.OPEN, "This API as an OpenAPI document"),
        tag="gateway",
        answer=dict[str, Any],
        switch="enable_docs",
        modes=EVERYWHERE,
    ),
    Route(
        *("GET", "/docs", get_docs, Access.OPEN, "The reference, to try calls"),
        tag="gateway",
        media=("text/html",),
        switch="enable_docs",
        modes=EVERYWHERE,
    ),
    Route(
        *("GET", "/redoc", get_redoc, Access.OPEN, "The reference, to read"),
        tag="gateway",
        media=("text/html",),
        switch="enable_docs",
        modes=EVERYWHERE,
    ),
    Route(
        *("GET", "/metrics", get_metrics, Access.OPEN, "Counters for Prometheus"),
        tag="gateway",
        media=("text/plain",),
        switch="enable_metrics",
        modes=EVERYWHERE,
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
