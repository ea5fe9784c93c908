"""The scripted provider: an `Upstream` that answers from a script, without a key, a network, a clock or
chance.

It reads and writes real wire bytes with the dialect of the call. So everything between it and the client (framing,
watching, translating, failing over, accounting) is walked exactly as with a real provider.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from otari.dialects.dialect import Dialect
from otari.domain.arrival import Arrival, arrival
from otari.domain.errors import OtariError
from otari.domain.ports import Attempt, Call, UpstreamReply
from otari.domain.tokens import Counter
from otari.upstreams.stub.act import Props
from otari.upstreams.stub.batches import SURFACE, StubBatches
from otari.upstreams.stub.meter import Meter
from otari.upstreams.stub.script import Script
from otari.upstreams.stub.sessions import Sessions
from otari.upstreams.stub.single_act import act_of
from otari.upstreams.stub.under_way import Sleep, StubReply


class StubUpstream:
    """Answers chat calls in every dialect that it is given, and single-shot calls.

    The model `echo` says the last user message back; every other model (`script` is the usual name) is
    answered by the rules of the script. What was asked is kept in `sessions`. `sleep` is awaited only where the script
    asks for a pause or a pace; `now` (seconds that never go back) and `wall` (the time of day) are asked only for
    limits and for `clock: real`.
    """

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        counter: Counter,
        script: Script | None = None,
        *,
        sessions: Sessions | None = None,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.script = script or Script()
        self.sessions = Sessions() if sessions is None else sessions
        clock, limits = self.script.defaults.clock, self.script.limits
        self._props = Props(
            script=self.script,
            sessions=self.sessions,
            dialects=dialects,
            counter=counter,
            meter=None if limits is None else Meter(limits, now, wall),
            sleep=sleep,
            created=(lambda: int(wall())) if clock is None else (lambda: clock),
        )
        scripted = any(SURFACE in rule.when.surface for rule in self.script.rules)
        self._batches = StubBatches(self._props) if scripted else None

    @property
    def batches(self) -> StubBatches | None:
        """Its API for batches; there is one where the script has a rule for them."""
        return self._batches

    def send(self, attempt: Attempt, call: Call) -> AbstractAsyncContextManager[UpstreamReply]:
        """Answer `call`; see `Upstream.send`.

        Entering raises OtariError: INVALID for a call that the stub can not read, INVALID with the code
        "stub_miss" when a strict script has no answer, and what the script's own `error` stands for.
        """
        return _Sending(self._props, attempt, call)


class _Sending:
    """The context manager of one call."""

    __slots__ = ("_attempt", "_call", "_props")

    def __init__(self, props: Props, attempt: Attempt, call: Call) -> None:
        self._props = props
        self._attempt = attempt
        self._call = call

    async def __aenter__(self) -> StubReply:
        came = arrival() or Arrival()
        came.heard = True
        answer, delay_s = act_of(self._props, self._attempt, self._call, came).play()
        if delay_s:
            await self._props.sleep(delay_s)
        if isinstance(answer, OtariError):
            raise answer
        return answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
