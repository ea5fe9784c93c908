"""How far a request has come, and what of it is charged when it ends: with an answer or without one."""

import asyncio
from collections.abc import Callable

from otari.domain.chat import Doc, Usage
from otari.domain.errors import CLIENT_GONE, OtariError
from otari.domain.money import believable
from otari.domain.ports import Attempt, UsageSource
from otari.domain.tokens import Counter
from otari.gateway.exchange import Exchange, read_answer
from otari.gateway.relay import Relay


class Progress:
    """The attempt under way and what it has told.

    `reached` says that a provider may be working for us, `first_byte_s` when its answer began (None: not yet), `error`
    is what the attempt failed with.
    """

    __slots__ = ("_answer", "_told", "attempt", "error", "exchange", "first_byte_s", "reached", "relay")

    def __init__(self) -> None:
        self.attempt: Attempt | None = None
        self.exchange: Exchange | None = None
        self.relay: Relay | None = None
        self.reached = False
        self.first_byte_s: float | None = None
        self.error: OtariError | None = None
        self._told = Usage()
        self._answer: Doc | None = None

    def begin(self, attempt: Attempt) -> None:
        """Another attempt: nothing is known of it."""
        self.attempt = attempt
        self.exchange = self.relay = self.error = None
        self.reached = False

    def read(self, exchange: Exchange, body: bytes) -> Doc:
        """The document of a whole answer; notes what it tells of usage. Raises OtariError(UPSTREAM)."""
        self._answer = read_answer(exchange.server, body)
        self._told = exchange.server.usage_in(self._answer) or Usage()
        return self._answer

    def charge(
        self, problem: BaseException | None, counter: Counter, prompt_tokens: Callable[[], int]
    ) -> tuple[Usage, UsageSource, list[str]]:
        """What to charge for a request that ended with `problem`, where the numbers come from, and words for the row.

        What was not told is counted; `prompt_tokens` counts the prompt.
        """
        answered = self.first_byte_s is not None
        if not self.reached or (isinstance(problem, OtariError) and not answered):
            return Usage(), "none", []
        told = self._told if self.relay is None else self._told.merged(self.relay.usage)
        flags: list[str] = []
        if believable(told) is None:
            told, flags = Usage(), ["usage_invalid"]
        if told.input is not None and told.output is not None:
            assert self.attempt is not None  # nothing is told but by an attempt
            return told, self.attempt.usage_source, flags
        source: UsageSource = "estimated" if told.input is None and told.output is None else "partial"
        counted = Usage(input=prompt_tokens(), output=self._output_tokens(counter))
        return counted.merged(told), source, [*flags, "estimated"]

    def _output_tokens(self, counter: Counter) -> int:
        if self.relay is not None:
            return self.relay.meter.output_tokens(counter)
        if self._answer is not None and self.exchange is not None:
            return counter.count(self.exchange.server.text_in(self._answer))
        return 0


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
