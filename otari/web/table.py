"""The route table: the one truth about what is answered. Router, access, error shapes and tests derive from it.

A path under `/v1` is served under `/api/v1` too; health answers at the root and under both prefixes; what tells of the
gateway itself answers at the root alone.
"""

from collections.abc import Sequence
from typing import Any

from otari.domain.access import Access
from otari.web import batches, budgets, files, keys, pricing, usage, users
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
from otari.web.docs import get_docs, get_openapi, get_redoc
from otari.web.error_bodies import NotReady
from otari.web.guard import Route
from otari.web.health import get_health, get_liveness, get_readiness
from otari.web.inference import post_chat_completions, post_messages, post_responses
from otari.web.metrics import get_metrics
from otari.web.models import get_model, list_models
from otari.web.multipart import FORM
from otari.web.reply import Shape
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
from otari.web.websocket import get_responses

EVERYWHERE = ("standalone", "connected")
_JSON_OR_EVENTS = ("application/json", "text/event-stream")
# What a call of a model may end with: of every model, and of one that may be refused because it has no price.
_CALL = (403, 404, 422, 502, 504)
_PRICED_CALL = (402, *_CALL)

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
        media=_JSON_OR_EVENTS,
        statuses=_PRICED_CALL,
        repeatable=True,
        modes=EVERYWHERE,
    ),
    Route(
        *("POST", "/v1/messages", post_messages, Access.KEY, "Anthropic Messages"),
        shape=Shape.ANTHROPIC,
        body=MessagesRequest,
        answer=MessagesAnswer,
        media=_JSON_OR_EVENTS,
        statuses=_PRICED_CALL,
        repeatable=True,
        modes=EVERYWHERE,
    ),
    Route(
        *("POST", "/v1/responses", post_responses, Access.KEY, "OpenAI Responses"),
        body=ResponsesRequest,
        answer=ResponsesAnswer,
        media=_JSON_OR_EVENTS,
        statuses=_PRICED_CALL,
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
        statuses=_PRICED_CALL,
        repeatable=True,
    ),
    Route(
        *("POST", "/v1/moderations", post_moderations, Access.KEY, "Is a text or an image harmful"),
        query=ModerationQuery,
        body=ModerationRequest,
        answer=Moderation,
        statuses=_CALL,
        repeatable=True,
    ),
    Route(
        *("POST", "/v1/rerank", post_rerank, Access.KEY, "Documents by how well they answer a query"),
        body=RerankRequest,
        answer=Reranked,
        statuses=_PRICED_CALL,
        repeatable=True,
    ),
    Route(
        *("POST", "/v2/rerank", post_rerank_v2, Access.KEY, "The same, where Cohere's clients look for it"),
        tag="rerank",
        body=RerankRequest,
        answer=Reranked,
        statuses=_PRICED_CALL,
        repeatable=True,
    ),
    Route(
        *("POST", "/v1/images/generations", post_image_generations, Access.KEY, "Pictures by their description"),
        body=ImagesRequest,
        answer=Images,
        media=_JSON_OR_EVENTS,
        statuses=_PRICED_CALL,
        repeatable=True,
    ),
    Route(
        *("POST", "/v1/audio/transcriptions", post_transcriptions, Access.KEY, "What is said in a recording"),
        body=TranscriptionForm,
        takes=FORM,
        answer=Transcription,
        media=("application/json", "text/plain", "text/event-stream"),
        statuses=_CALL,
    ),
    Route(
        *("POST", "/v1/audio/speech", post_speech, Access.KEY, "A text as sound"),
        body=SpeechRequest,
        media=("audio/*", "text/event-stream"),
        statuses=_CALL,
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
