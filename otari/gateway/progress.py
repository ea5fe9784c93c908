"""How far a request has come, and what of it is charged when it ends: with an answer or without one."""

from collections.abc import Callable

from otari.domain.chat import Doc, Usage
from otari.domain.errors import OtariError
from otari.domain.money import believable
from otari.domain.ports import Attempt, UsageSource
from otari.domain.tokens import Counter
from otari.gateway.exchange import Exchange, read_answer
from otari.gateway.passage import Stage
from otari.gateway.relay import Relay


class Progress(Stage):
    """The attempt under way and what it has told."""

    __slots__ = ("_answer", "_told", "exchange", "relay")

    def __init__(self) -> None:
        super().__init__()
        self.exchange: Exchange | None = None
        self.relay: Relay | None = None
        self._told = Usage()
        self._answer: Doc | None = None

    def begin(self, attempt: Attempt) -> None:
        """Another attempt: nothing is known of it."""
        super().begin(attempt)
        self.exchange = self.relay = None

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
