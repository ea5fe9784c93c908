"""Batches at a provider: where the gateway's batches meet providers that have an API of their own for them.

`gateway/batches` knows only these words; `upstreams/batches` (real providers) and the stub implement them.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, NamedTuple, Protocol

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt

BatchState = Literal[
    "validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"
]


class BatchLine(NamedTuple):
    """One request of a batch as a provider takes it: `body` is a JSON object in its dialect, with its own model name.

    `number` is its place in the batch, from 1 on. Providers have rules for names, so they are told this one and never
    what the client calls the line.
    """

    number: int
    body: bytes


class BatchLook(NamedTuple):
    """What a provider says of a batch. `error` tells why it failed as a whole.

    `results` is the provider's own note of where the results are, for `BatchUpstream.results`.
    """

    remote_id: str
    state: BatchState
    total: int
    completed: int
    failed: int
    error: str | None
    results: str


class BatchAnswer(NamedTuple):
    """The answer to one line: `body` in the provider's dialect, None when there is none.

    `status` is the HTTP status that the line would have had alone. `code` and `message` tell what went wrong, in words
    that a client may see.
    """

    number: int
    status: int
    body: bytes | None
    code: str | None
    message: str | None


class Weight(NamedTuple):
    """What lines of a batch hold, in nano-USD: in all, the prompts' part of it, and whether that is only estimated."""

    hold_nano: int = 0
    prompt_nano: int = 0
    estimated: bool = False

    def plus(self, more: "Weight") -> "Weight":
        """Both together."""
        return Weight(
            self.hold_nano + more.hold_nano, self.prompt_nano + more.prompt_nano, self.estimated or more.estimated
        )


# Gives the lines of a batch from the first on, every time it is called.
BatchLines = Callable[[], AsyncIterator[BatchLine]]


class BatchUpstream(Protocol):
    """A provider's API for batches.

    Every method raises OtariError as `Upstream.send` does. `flavour` is the name of its wire. `dialects` says what its
    lines may be, as the dialect of a server ("openai-chat") or an operation ("embeddings"), and what the provider calls
    each of them. `lines_max` is how many lines it takes. `asks_often`: looking costs nothing, so it is looked at
    whenever a client asks.
    """

    @property
    def flavour(self) -> str: ...
    @property
    def dialects(self) -> Mapping[str, str]: ...
    @property
    def lines_max(self) -> int: ...
    @property
    def asks_often(self) -> bool: ...

    async def create(self, attempt: Attempt, batch_id: str, dialect: str, lines: BatchLines) -> BatchLook:
        """Hand a batch in under our own `batch_id`; `dialect` is one of `dialects`.

        The lines are never all in memory; they may be read twice. Raises OtariError(TOO_LARGE) before anything is sent
        when the provider does not take so much.
        """
        ...

    async def find(self, attempt: Attempt, batch_id: str) -> BatchLook | None:
        """The batch that `create` has handed in, if it came so far. For a start after a crash in `create`.

        Raises OtariError(UPSTREAM, code="batch_unknown") when the provider can not be asked that.
        """
        ...

    async def look(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """How the batch stands."""
        ...

    async def cancel(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """Ask for its end; what is done already keeps its results."""
        ...

    def results(self, attempt: Attempt, look: BatchLook, lines: int) -> AsyncIterator[BatchAnswer]:
        """The answers of a batch of so many lines that has ended: exactly one for each line, in any order.

        A line that the provider left out has an answer that says so. Raises OtariError in the middle when the
        provider's answer breaks off: all of it can be asked for again.
        """
        ...


@contextmanager
def on_disk() -> Iterator[None]:
    """For what puts parts of a batch aside: raises OtariError(UNAVAILABLE) when the disk does not take or give them."""
    try:
        yield
    except OSError as error:
        raise OtariError(
            Kind.UNAVAILABLE,
            "Batches can not be put aside on disk at the moment",
            code="files_unavailable",
            detail=error.strerror or type(error).__name__,
        ) from error
