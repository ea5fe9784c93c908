"""A batch that a user has sent: many requests for one model, answered when there is time, told of in two files."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from otari.domain.batches import BatchState
from otari.domain.errors import Kind, OtariError

Ending = Literal["completed", "failed", "expired", "cancelled"]  # how a batch ends that has begun
RemoteState = Literal["submitting", "sent", "collected"]

INPUT_LOST = "input_lost"  # the code of the error for an input that is not there any more
OPEN_STATES: frozenset[BatchState] = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. Times are epoch milliseconds; `metadata` and `errors` are JSON texts.

    `key_id` None: the master key sent it for the user. `selector` is the model of every line and `provider` that of the
    first model which it names; both are empty until somebody has looked at the lines. `input_file_id` None: the
    requests came with the batch. `ending` is how the batch is to end when its results are written. `remote_state` is
    set when its provider carries it out as one, and `remote_id` is what it is called there. `output_lifetime_s` is how
    long the files are kept that it ends with; None: as other files.
    """

    batch_id: str
    user_id: str
    key_id: str | None
    endpoint: str
    selector: str
    provider: str
    input_file_id: str | None
    completion_window: str
    metadata: str
    state: BatchState
    ending: Ending | None
    total: int
    completed: int
    failed: int
    input_tokens: int
    cache_read_tokens: int
    output_tokens: int
    reasoning_tokens: int
    errors: str
    output_file_id: str | None
    error_file_id: str | None
    created_at_ms: int
    expires_at_ms: int
    in_progress_at_ms: int | None = None
    finalizing_at_ms: int | None = None
    completed_at_ms: int | None = None
    failed_at_ms: int | None = None
    expired_at_ms: int | None = None
    cancelling_at_ms: int | None = None
    cancelled_at_ms: int | None = None
    remote_state: RemoteState | None = None
    remote_id: str | None = None
    output_lifetime_s: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state not in OPEN_STATES


class NewBatch(NamedTuple):
    """A batch that is to be made; see `Batch`. `total` 0: not counted yet."""

    user_id: str
    key_id: str | None
    endpoint: str
    selector: str
    provider: str
    input_file_id: str | None
    metadata: str
    completion_window: str = "24h"
    total: int = 0
    output_lifetime_s: int | None = None


class LineResult(NamedTuple):
    """How one line ended: an HTTP status and a body, or (status 0) a code and words why there is none.

    `line` counts from 1 in the input; `request_id` names the row of the request in the ledger, if it came so far.
    """

    line: int
    custom_id: str
    request_id: str
    status: int
    body: bytes | None
    code: str | None = None
    message: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it is an answer of the model."""
        return 200 <= self.status < 300


class Progress(NamedTuple):
    """How many lines of a batch its provider has answered, and how many have failed there, while it is under way."""

    completed: int
    failed: int


class Kept(NamedTuple):
    """What a settlement brings along: the result of the line whose request is settled."""

    batch_id: str
    result: LineResult


class LineProblem(NamedTuple):
    """What is wrong with a line of the input (None: with the input as a whole), so that the batch can not begin."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    @classmethod
    def of(cls, error: OtariError) -> "LineProblem":
        """What an error means for the input as a whole."""
        return cls(error.code or error.kind.value, error.message, None, error.param)


class BatchStore(Protocol):
    """Where batches, their input and their results are kept. All methods raise OtariError(UNAVAILABLE)."""

    async def unfinished(self) -> list[Batch]:
        """Those that an earlier run has left, oldest first."""
        ...

    async def get(self, batch_id: str) -> Batch:
        """The batch as it stands. Raises OtariError(NOT_FOUND)."""
        ...

    def lines(self, batch_id: str, most_bytes: int) -> AsyncGenerator[Sequence[bytes | None], None]:
        """The lines of the input in order, many at a time; None for one of more than `most_bytes`.

        Raises OtariError(INTERNAL, code=INPUT_LOST) when it can not be read.
        """
        ...

    async def begin(self, batch_id: str, selector: str, provider: str, total: int) -> bool:
        """Its lines are fine: it is in progress. False when it was cancelled meanwhile."""
        ...

    async def refuse(self, batch_id: str, problems: Sequence[LineProblem]) -> bool:
        """It failed as a whole. False when it was cancelled meanwhile."""
        ...

    async def done_lines(self, batch_id: str) -> set[int]:
        """The lines that have a result."""
        ...

    async def keep(self, kept: Kept) -> None:
        """The result of a line that has no row in the ledger."""
        ...

    async def wind_up(self, batch_id: str, ending: Ending, problems: Sequence[LineProblem] = ()) -> Batch:
        """No line will be carried out any more; how the batch stands. `problems` tell why it failed."""
        ...

    def results(self, batch_id: str) -> AsyncGenerator[Sequence[LineResult], None]:
        """All results in the order of the lines, many at a time."""
        ...

    async def finish(
        self, batch: Batch, results: AsyncIterator[Sequence[LineResult]], shape: Callable[[LineResult], bytes]
    ) -> None:
        """Write answers and failures, each in its `shape`, to two files of the owner, and end the batch as its
        `ending` says; all of it or nothing. For an owner who was deleted there are no files.
        """
        ...


def batch_not_found(batch_id: str) -> OtariError:
    """404, the same words whether there is no such batch or it is somebody else's."""
    return OtariError(Kind.NOT_FOUND, f"Batch '{batch_id}' not found", param="batch_id")
