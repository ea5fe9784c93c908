"""What every request goes through, whatever it asks for: one admission, one attempt after the other, one settlement.

A `Passage` is one request on its way; `converse.py` and `single.py` say what is asked and what becomes of the answer.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Generic, NamedTuple, TypeVar, overload

from otari.domain.access import Principal
from otari.domain.chat import Usage
from otari.domain.errors import CLIENT_GONE, OtariError
from otari.domain.ports import (
    Admission,
    Ask,
    Attempt,
    Call,
    ControlPlane,
    FailedAttempt,
    Outcome,
    Receipt,
    Upstream,
    UpstreamReply,
    UsageSource,
)
from otari.domain.tokens import Counter

T = TypeVar("T")
E = TypeVar("E")  # what a request becomes for one attempt

DROPPED_HEADER = "X-Otari-Dropped"
EVENTS = "text/event-stream; charset=utf-8"
_HEADER_MAX_CHARS = 2_000
_AFTER_THE_END_S = 0.25  # how long an upstream may hold its connection open after its terminal frame


class Passages:
    """What all requests share."""

    def __init__(
        self,
        control: ControlPlane,
        upstreams: Mapping[str, Upstream],
        counter: Counter,
        clean: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.control = control
        self.upstreams = upstreams
        self.counter = counter
        self.clean = clean
        self.clock = clock
        self.stopping = False  # set when the gateway drains: a request cancelled after that was not left by its client


class Stage:
    """The attempt under way.

    `reached` says that a provider may be working for us, `first_byte_s` when its answer began (None: not yet), `error`
    is what the attempt failed with.
    """

    __slots__ = ("attempt", "error", "first_byte_s", "reached")

    def __init__(self) -> None:
        self.attempt: Attempt | None = None
        self.reached = False
        self.first_byte_s: float | None = None
        self.error: OtariError | None = None

    def begin(self, attempt: Attempt) -> None:
        """Another attempt: nothing is known of it."""
        self.attempt = attempt
        self.error = None
        self.reached = False


class Charge(NamedTuple):
    """What to charge, where the numbers come from, and words for the row; see `Outcome`."""

    usage: Usage
    source: UsageSource
    flags: list[str]
    quantity: int = 0


class Passage(ABC, Generic[E]):
    """One request: `_let_in` once, then `_first_answer`, and in any case `_settle` once."""

    def __init__(self, shared: Passages, progress: Stage, principal: Principal, request_id: str) -> None:
        self.request_id = request_id
        self._shared = shared
        self._progress = progress
        self._principal = principal
        self._began = shared.clock()
        self._admission: Admission | None = None
        self._failed: list[FailedAttempt] = []
        self._settled = False
        self.media = EVENTS  # what a stream of this request is
        self.answer: bytes | None = None  # a whole one, before it is settled: who leaves in between has paid for it
        self.on_settled: Callable[[Outcome], object] | None = None  # hears how it ended, before the client does
        self.keepsake: Callable[[BaseException | None], object] | None = None  # what its settlement is to keep

    @property
    def admitted(self) -> bool:
        """Whether the request was let in: from then on a provider may have been asked."""
        return self._admission is not None

    @property
    def name(self) -> str:
        """What the answer is called in its headers."""
        return self.request_id if self._admission is None else self._admission.request_id

    @property
    @abstractmethod
    def dropped(self) -> tuple[str, ...]:
        """What the last attempt could not carry over to its provider, or from it, by name."""

    def headers(self) -> dict[str, str]:
        """What the answer's headers say of how it came about, as far as it is known now."""
        attempt, dropped = self._progress.attempt, self.dropped
        headers = dict(attempt.labels) if attempt is not None and attempt.labels else {}
        if dropped:
            headers[DROPPED_HEADER] = ", ".join(dropped)[:_HEADER_MAX_CHARS]
        return headers

    # ---- admission ----

    async def _let_in(self, ask: Ask) -> None:
        """Ask for admission. Raises OtariError as `ControlPlane.admit` does."""
        self._admission = await self._shared.control.admit(self._principal, ask)

    # ---- attempts ----

    @abstractmethod
    def _exchange_with(self, attempt: Attempt) -> E:
        """What the request becomes for this attempt. Raises OtariError(INVALID) when it can not be told it at all."""

    async def _first_answer(self, ask: Callable[[Attempt, E], Awaitable[T]]) -> T:
        """The first attempt that gives an answer. Only failures from before its first byte lead to the next one.

        That includes a request which one provider can not be told at all: another may well be.
        """
        assert self._admission is not None
        control, attempts = self._shared.control, self._admission.attempts
        for number, attempt in enumerate(attempts, 1):
            began = self._shared.clock()
            try:
                self._progress.begin(attempt)
                return await ask(attempt, self._exchange_with(attempt))
            except OtariError as error:
                took = self._shared.clock() - began
                self._progress.error = error
                if not error.retryable and self._progress.reached:
                    raise
                if number == len(attempts):
                    raise control.verdict(tuple(self._failed), error) from None
                failed = _failed(attempt, error, took)
                self._failed.append(failed)
                await control.moved_on(failed, attempts[number], self._admission)
        raise AssertionError("an admission without attempts")

    def _send_call(self, attempt: Attempt, call: Call) -> AbstractAsyncContextManager[UpstreamReply]:
        self._progress.reached = True
        return self._shared.upstreams[attempt.via].send(attempt, call)

    def _answer_begins(self) -> None:
        self._progress.first_byte_s = self._shared.clock() - self._began

    # ---- settlement ----

    @abstractmethod
    def _charge(self, problem: BaseException | None) -> Charge:
        """What to charge for a request that ended with `problem`."""

    async def _settle(self, problem: BaseException | None) -> Receipt | None:
        """Account for the request, once. Under way as soon as it is called: a cancelled caller loses only the wait."""
        assert self._admission is not None  # nothing is begun without one
        self._settled = True
        shared, progress = self._shared, self._progress
        usage, source, flags, quantity = self._charge(problem)
        error, status = ending(problem, stopping=shared.stopping)
        if status == CLIENT_GONE:
            flags.append("client_gone")
        took = shared.clock() - self._began
        outcome = Outcome(
            attempt=progress.attempt,
            succeeded=problem is None,
            status=status,
            usage=usage,
            usage_source=source,
            error=None if error is None else shared.clean(error),
            flags=tuple(flags),
            failed=tuple(self._failed),
            first_byte_s=progress.first_byte_s,
            total_s=took,
            quantity=quantity,
            dropped=self.dropped,
            failure=_failed(progress.attempt, progress.error, took),
            wants_receipt=self._wants_receipt,
            keepsake=None if self.keepsake is None else self.keepsake(problem),
        )
        settled = shared.control.settle(self._admission, outcome)
        if self.on_settled is not None:
            self.on_settled(outcome)
        self._ended(outcome)
        return await settled

    @property
    def _wants_receipt(self) -> bool:
        """Whether the client would see a cost that settling brings."""
        return False

    def _ended(self, outcome: Outcome) -> None:
        """The request has come to its end, and is settled or about to be."""


def ending(problem: BaseException | None, *, stopping: bool) -> tuple[str | None, int]:
    """How a request ended, as its row tells it: words for the operator, and the HTTP status."""
    if problem is None:
        return None, 200
    if isinstance(problem, OtariError):
        return problem.detail or problem.message, problem.status
    if not isinstance(problem, asyncio.CancelledError | GeneratorExit | ConnectionError):
        return f"unexpected {type(problem).__name__}", 500
    if stopping:
        return "the gateway was stopped before the end", 503
    return "the client left before the end", CLIENT_GONE


async def drain(chunks: AsyncIterator[bytes]) -> None:
    """Read a finished stream to its very end, so that its connection can serve again; give up soon."""
    try:
        async with asyncio.timeout(_AFTER_THE_END_S):
            async for _ in chunks:
                pass
    except (OtariError, TimeoutError):
        pass  # the answer is whole and settled: how the connection ends is nobody's concern


@overload
def _failed(attempt: Attempt, error: OtariError, took_s: float) -> FailedAttempt: ...
@overload
def _failed(attempt: Attempt | None, error: OtariError | None, took_s: float) -> FailedAttempt | None: ...
def _failed(attempt: Attempt | None, error: OtariError | None, took_s: float) -> FailedAttempt | None:
    """How an attempt failed; None when it did not."""
    if attempt is None or error is None:
        return None
    return FailedAttempt(attempt, error.detail or error.message, error.upstream_status, took_s, error.code)
