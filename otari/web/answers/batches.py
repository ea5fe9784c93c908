"""What `/v1/batches` reads and answers: OpenAI's Batch, and Otari's own way to send requests and to get results."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

from otari.web.answers.files import Epoch, FileOwner
from otari.web.answers.files import Id as FileId
from otari.web.answers.terms import Count
from otari.web.bodies import Name
from otari.web.values import batch_metadata

BatchId = Annotated[str, Meta(pattern="^batch_[0-9a-f]{32}$")]
BatchEndpoint = Literal[
    "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/moderations", "/v1/rerank"
]
BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
Label = Annotated[str, Meta(max_length=512)]
BatchMetadata = Annotated[
    dict[str, Label],
    Meta(
        description="At most 16 texts of your own, under names of at most 64 characters.",
        extra={"read": batch_metadata},
        extra_json_schema={"maxProperties": 16, "propertyNames": {"maxLength": 64}},
    ),
]
Window = Annotated[Literal["24h"], Meta(description="What is not carried out by then expires.")]


class BatchOwner(FileOwner, kw_only=True):
    """Whose batch it is, when the master key asks; and of which provider it must be."""

    provider: Annotated[str, Meta(max_length=255, description="The provider of its model.")] | None = None


class BatchPage(BatchOwner, kw_only=True):
    """Which batches of a user."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: Annotated[str, Meta(max_length=255, description="Those behind this one.")] | None = None


class BatchRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """One request of a batch; its model is that of the batch."""

    custom_id: Annotated[str, Meta(min_length=1, max_length=512, description="Unique in the batch.")]
    body: dict[str, Any]


class Lifetime(Struct, forbid_unknown_fields=True, kw_only=True):
    """How long a file is kept, from when it is made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3_600, le=2_592_000)]


OutputLifetime = Annotated[
    Lifetime | None, Meta(description="How long its files are kept. Without it as long as other files.")
]


class NewBatch(Struct, forbid_unknown_fields=True, kw_only=True):
    """A batch of Chat Completions that come with it."""

    model: Annotated[str, Meta(min_length=1, max_length=512)]
    requests: Annotated[list[BatchRequest], Meta(min_length=1, max_length=10_000)]
    completion_window: Window | None = "24h"
    metadata: BatchMetadata | None = None
    output_expires_after: OutputLifetime = None
    user: Annotated[Name | None, Meta(description="Whose it is, when the master key asks.")] = None


class RawRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """The same as `BatchRequest`, its body not looked into."""

    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    body: Raw


class RawBatch(Struct, forbid_unknown_fields=True, kw_only=True):
    """The same as `NewBatch`, the bodies of its requests not looked into."""

    model: Annotated[str, Meta(min_length=1, max_length=512)]
    requests: Annotated[list[RawRequest], Meta(min_length=1, max_length=10_000)]
    completion_window: Literal["24h"] | None = "24h"
    metadata: dict[str, Label] | None = None
    output_expires_after: Lifetime | None = None
    user: Name | None = None


class NewFileBatch(Struct, forbid_unknown_fields=True, kw_only=True):
    """A batch whose requests are in a file: a line each, `{"custom_id", "method": "POST", "url", "body"}`."""

    input_file_id: Annotated[str, Meta(max_length=255, description="The id of a file of the user.")]
    endpoint: Annotated[BatchEndpoint, Meta(description="What every line asks; also its `url`.")]
    completion_window: Window
    metadata: BatchMetadata | None = None
    output_expires_after: OutputLifetime = None
    user: Annotated[Name | None, Meta(description="Whose it is, when the master key asks.")] = None


class RequestCounts(Struct, kw_only=True):
    """How many requests there are, and how many have an answer or have failed by now."""

    total: Count
    completed: Count
    failed: Count


class BatchError(Struct, kw_only=True):
    """Why a batch could not begin."""

    code: str
    message: str
    line: Annotated[int | None, Meta(description="Which line of the input is wrong.")]
    param: str | None


class BatchErrors(Struct, kw_only=True):
    """Everything that is known to be wrong with a batch; of very many faults the first ones."""

    object: Literal["list"]
    data: Sequence[BatchError]


class BatchUsage(Struct, kw_only=True):
    """The tokens of its answers by now."""

    input_tokens: Count
    input_tokens_details: Mapping[Literal["cached_tokens"], Count]
    output_tokens: Count
    output_tokens_details: Mapping[Literal["reasoning_tokens"], Count]
    total_tokens: Count


class Batch(Struct, kw_only=True):
    """A batch."""

    id: BatchId
    object: Literal["batch"]
    endpoint: BatchEndpoint
    model: Annotated[str | None, Meta(description="null: nobody has looked at its lines yet.")]
    provider: Annotated[str | None, Meta(description="That of the model.")]
    errors: BatchErrors | None
    input_file_id: Annotated[str, Meta(description="Empty: its requests came with it.")]
    completion_window: Window
    status: BatchStatus
    output_file_id: Annotated[FileId | None, Meta(description="The file of its answers, once it has ended.")]
    error_file_id: Annotated[FileId | None, Meta(description="The file of what failed, once it has ended.")]
    created_at: Epoch
    in_progress_at: Epoch | None
    expires_at: Epoch
    finalizing_at: Epoch | None
    completed_at: Epoch | None
    failed_at: Epoch | None
    expired_at: Epoch | None
    cancelling_at: Epoch | None
    cancelled_at: Epoch | None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: dict[str, str] | None


class BatchList(Struct, kw_only=True):
    """A part of the list of batches, newest first."""

    object: Literal["list"]
    data: Sequence[Batch]
    first_id: BatchId | None
    last_id: Annotated[BatchId | None, Meta(description="Send it as `after` for the next part.")]
    has_more: bool


class FailedLine(Struct, kw_only=True):
    """Why a request has no answer."""

    code: str
    message: str


class BatchResult(Struct, kw_only=True):
    """What became of one request: an answer or an error."""

    custom_id: str
    result: dict[str, Any] | None
    error: FailedLine | None


class BatchResults(Struct, kw_only=True):
    """What became of all requests: those that have an answer, then the others."""

    results: Sequence[BatchResult]
