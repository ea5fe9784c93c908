"""A control plane and an upstream that do as they are told and remember what was asked of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from otari.domain.access import Credential, Principal
from otari.domain.catalog import ModelRef
from otari.domain.errors import OtariError
from otari.domain.ports import Admission, Ask, Attempt, Call, Condition, FailedAttempt, Outcome
from otari.domain.price import Price

ALICE = Principal(user_id="alice", key_id="key-1")


def attempt(name: str, model: str = "m", speaks: tuple[str, ...] = ("openai-chat",)) -> Attempt:
    return Attempt(provider=name, model=model, via="fake", base_url="", secret=None, speaks=speaks)


@dataclass
class FakeControl:
    """Admits everything with the given attempts; refuses with `refusal` if there is one."""

    attempts: tuple[Attempt, ...] = (attempt("one"),)
    refusal: OtariError | None = None
    by_token: bool = False
    by_unit: bool = False
    asks: list[Ask] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    async def identify(self, credential: Credential | None) -> Principal:
        return ALICE

    async def admit(self, principal: Principal, ask: Ask) -> Admission:
        self.asks.append(ask)
        if self.refusal is not None:
            raise self.refusal
        price = Price(int(self.by_token), 0, image_pico=int(self.by_unit))
        return Admission(ask.request_id, principal, self.attempts, None, prices=(price,))

    async def moved_on(self, failed: FailedAttempt, attempt: Attempt, admission: Admission) -> None:
        self.log.append(f"moved on to {attempt.provider}")

    def verdict(self, failed: tuple[FailedAttempt, ...], last: OtariError) -> OtariError:
        return last

    async def recognise(self, principal: Principal, selector: str) -> ModelRef:
        return ModelRef("one", selector)

    async def standing(self) -> Mapping[str, str]:
        return {}

    def settle(self, admission: Admission, outcome: Outcome) -> Awaitable[None]:
        self.outcomes.append(outcome)
        self.log.append("settled")
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def health(self) -> Condition:
        return Condition({})


Step = bytes | OtariError | None  # a chunk, a break, or waiting for ever


@dataclass
class Script:
    """How one provider answers: an error on entering, or a status, a type and steps."""

    steps: Sequence[Step] = ()
    error: OtariError | None = None
    content_type: str = "text/event-stream"


class FakeReply:
    def __init__(self, script: Script) -> None:
        self._script = script
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self.content_type = script.content_type

    async def chunks(self) -> AsyncIterator[bytes]:
        for step in self._script.steps:
            if step is None:
                await asyncio.Event().wait()
            elif isinstance(step, OtariError):
                raise step
            else:
                yield step

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])


class FakeSending:
    def __init__(self, upstream: "FakeUpstream", script: Script) -> None:
        self._upstream, self._script = upstream, script

    async def __aenter__(self) -> FakeReply:
        if self._script.error is not None:
            raise self._script.error
        self._upstream.open += 1
        return FakeReply(self._script)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._upstream.open -= 1


@dataclass
class FakeUpstream:
    """Answers by provider name; remembers the calls and how many are open."""

    scripts: Mapping[str, Script]
    calls: list[tuple[Attempt, Call]] = field(default_factory=list)
    open: int = 0

    def send(self, attempt: Attempt, call: Call) -> FakeSending:
        self.calls.append((attempt, call))
        return FakeSending(self, self.scripts[attempt.provider])
