"""The one path of every chat-like request: read, admit, try the attempts, watch the answer, settle.

A `Conversation` is one request on its way. Whatever happens to it — an answer, an error, a client that leaves, a
shutdown — ends in one settlement, in one `finally`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

from otari.dialects.dialect import Dialect, Envelope
from otari.domain.access import Principal
from otari.domain.chat import Doc, Usage
from otari.domain.errors import CLIENT_GONE, Kind, OtariError
from otari.domain.money import believable
from otari.domain.ports import (
    Admission,
    Ask,
    Attempt,
    Call,
    ControlPlane,
    FailedAttempt,
    Outcome,
    Upstream,
    UpstreamReply,
    UsageSource,
)
from otari.domain.tokens import Counter
from otari.gateway.document import fingerprint, read_document
from otari.gateway.estimate import prompt_tokens
from otari.gateway.relay import SameDialectRelay, read_answer, replayed

T = TypeVar("T")

_AFTER_THE_END_S = 0.25  # how long an upstream may hold its connection open after its terminal frame


class Conversations:
    """Makes conversations: what they all share."""

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

    def begin(
        self, client: Dialect, operation: str, endpoint: str, raw: bytes, principal: Principal, request_id: str
    ) -> "Conversation":
        """Read a request. Raises OtariError(INVALID) for a body that is not a valid request of `client`'s dialect."""
        doc = read_document(raw)
        envelope = client.read_envelope(doc, len(raw))
        return Conversation(self, client, operation, endpoint, doc, envelope, principal, request_id)


class Conversation:
    """One request: call `whole()` or iterate `frames()`, once, as `envelope.stream` says."""

    def __init__(
        self,
        shared: Conversations,
        client: Dialect,
        operation: str,
        endpoint: str,
        doc: Doc,
        envelope: Envelope,
        principal: Principal,
        request_id: str,
    ) -> None:
        self.client = client
        self.envelope = envelope
        self.request_id = request_id
        self._shared = shared
        self._operation = operation
        self._endpoint = endpoint
        self._doc = doc
        self._principal = principal
        self._began = shared.clock()
        self._first_byte_s: float | None = None
        self._admission: Admission | None = None
        self._attempt: Attempt | None = None
        self._failed: list[FailedAttempt] = []
        self._told = Usage()
        self._relay: SameDialectRelay | None = None
        self._answer: Doc | None = None
        self._reached = False
        self._settled = False
        self.on_settled: Callable[[Outcome], object] | None = None  # hears how it ended, before the client does

    @property
    def admitted(self) -> bool:
        """Whether the request was let in: from then on a provider may have been asked."""
        return self._admission is not None

    def fingerprint(self) -> bytes:
        """32 bytes that are the same for the same endpoint and the same body, whatever the order of its keys."""
        return fingerprint(self._endpoint, self._doc)

    async def whole(self) -> bytes:
        """The whole answer in the client's dialect; its settlement is on disk when this returns."""
        problem: BaseException | None = None
        await self._admit()
        try:
            return await self._try(self._ask)
        except BaseException as error:
            problem = error
            raise
        finally:
            await self._settle(problem)

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The answer as a stream in the client's dialect, whole frames only; settled before the last of them.

        Raises OtariError before the first frame (nothing was sent: answer with its status) or after some (tell it as
        an error frame, then break the connection: the answer has no end).
        """
        problem: BaseException | None = None
        await self._admit()
        try:
            stack, chunks, block = await self._try(self._open)
            async with stack, aclosing(self._watched(chunks, block)) as blocks:
                self._first_byte_s = self._shared.clock() - self._began
                async for frames in blocks:
                    yield frames
        except BaseException as error:
            problem = error
            raise
        finally:
            await self._settle(problem)

    # ---- admission ----

    async def _admit(self) -> None:
        envelope = self.envelope
        ask = Ask(
            request_id=self.request_id,
            endpoint=self._endpoint,
            selector=envelope.model,
            user=envelope.user,
            prompt_tokens=envelope.prompt_tokens,
            output_tokens=envelope.output_tokens,
            choices=envelope.choices,
            stream=envelope.stream,
        )
        self._admission = await self._shared.control.admit(self._principal, ask)

    # ---- attempts ----

    async def _try(self, ask: Callable[[Attempt], Awaitable[T]]) -> T:
        """The first attempt that gives an answer. Only failures from before its first byte lead to the next one."""
        assert self._admission is not None
        attempts = self._admission.attempts
        for attempt in attempts[:-1]:
            began = self._shared.clock()
            try:
                return await self._one(attempt, ask)
            except OtariError as error:
                if not error.retryable:
                    raise
                took = self._shared.clock() - began
                self._failed.append(FailedAttempt(attempt, error.detail or error.message, error.upstream_status, took))
                self._reached = False
        return await self._one(attempts[-1], ask)

    async def _one(self, attempt: Attempt, ask: Callable[[Attempt], Awaitable[T]]) -> T:
        self._attempt = attempt
        self._relay = None
        if self.client.name not in attempt.speaks:
            raise OtariError(
                Kind.INVALID,
                f"Provider '{attempt.provider}' does not speak {self.client.name}",
                param="model",
            )
        return await ask(attempt)

    def _call(self, attempt: Attempt) -> Call:
        body = self.client.same_request(self._doc, attempt.model, stream_usage=attempt.stream_usage)
        return Call(self.request_id, self._operation, self.client.name, body, self.envelope.stream)

    # ---- not streaming ----

    async def _ask(self, attempt: Attempt) -> bytes:
        call = self._call(attempt)
        self._reached = True
        async with self._shared.upstreams[attempt.via].send(attempt, call) as reply:
            self._first_byte_s = self._shared.clock() - self._began
            body = await reply.read()
        answer = read_answer(self.client, body)
        self._answer = answer
        self._told = self.client.usage_in(answer) or Usage()
        return body

    # ---- streaming ----

    async def _open(self, attempt: Attempt) -> tuple[AsyncExitStack, AsyncIterator[bytes] | None, bytes]:
        """Send the request and wait for the first frame: what comes before it may still lead to the next attempt."""
        call = self._call(attempt)
        self._reached = True
        async with AsyncExitStack() as stack:
            reply = await stack.enter_async_context(self._shared.upstreams[attempt.via].send(attempt, call))
            if reply.content_type == "application/json":
                return stack.pop_all(), None, await self._replay(reply)
            relay = SameDialectRelay(self.client, wants_usage=self.envelope.wants_usage, clean=self._shared.clean)
            self._relay = relay
            chunks = reply.chunks()
            block = await relay.first(chunks)
            return stack.pop_all(), chunks, block

    async def _replay(self, reply: UpstreamReply) -> bytes:
        block, self._told = await replayed(self.client, reply, wants_usage=self.envelope.wants_usage)
        return block

    async def _watched(self, chunks: AsyncIterator[bytes] | None, block: bytes) -> AsyncGenerator[bytes, None]:
        """The frames of an opened stream, `block` first; settles before the block that ends the answer goes out."""
        relay = self._relay
        if chunks is None or relay is None:
            await self._settle(None)
            yield block
            return
        while not relay.terminal and relay.failure is None:
            if block:
                yield block
            data = await anext(chunks, None)
            if data is None:
                block = relay.end()
                break
            block = relay.feed(data)
        if relay.failure is None:
            await self._settle(None)
        if block:
            yield block
        if relay.failure is not None:
            raise relay.failure
        await _drain(chunks)

    # ---- settlement ----

    async def _settle(self, problem: BaseException | None) -> None:
        """Account for the request, once. Under way as soon as it is called: a cancelled caller loses only the wait."""
        if self._settled or self._admission is None:
            return
        self._settled = True
        usage, source, flags = self._charge(problem)
        error, status = self._ending(problem)
        if status == CLIENT_GONE:
            flags.append("client_gone")
        outcome = Outcome(
            attempt=self._attempt,
            succeeded=problem is None,
            status=status,
            usage=usage,
            usage_source=source,
            error=None if error is None else self._shared.clean(error),
            flags=tuple(flags),
            failed=tuple(self._failed),
            first_byte_s=self._first_byte_s,
            total_s=self._shared.clock() - self._began,
        )
        settled = self._shared.control.settle(self._admission, outcome)
        if self.on_settled is not None:
            self.on_settled(outcome)
        await settled

    def _charge(self, problem: BaseException | None) -> tuple[Usage, UsageSource, list[str]]:
        """What to charge, where the numbers come from, and words for the row."""
        answered = self._first_byte_s is not None
        if not self._reached or (isinstance(problem, OtariError) and not answered):
            return Usage(), "none", []
        told = self._told if self._relay is None else self._told.merged(self._relay.usage)
        flags: list[str] = []
        if believable(told) is None:
            told, flags = Usage(), ["usage_invalid"]
        if told.input is not None and told.output is not None:
            assert self._attempt is not None  # nothing is told but by an attempt
            return told, self._attempt.usage_source, flags
        source: UsageSource = "estimated" if told.input is None and told.output is None else "partial"
        counted = Usage(input=self._prompt_count(), output=self._output_count())
        return counted.merged(told), source, [*flags, "estimated"]

    def _ending(self, problem: BaseException | None) -> tuple[str | None, int]:
        """How the request ended, as the row tells it: words for the operator, and the HTTP status."""
        if problem is None:
            return None, 200
        if isinstance(problem, OtariError):
            return problem.detail or problem.message, problem.status
        if not isinstance(problem, asyncio.CancelledError | GeneratorExit | ConnectionError):
            return f"unexpected {type(problem).__name__}", 500
        if self._shared.stopping:
            return "the gateway was stopped before the end", 503
        return "the client left before the end", CLIENT_GONE

    def _prompt_count(self) -> int:
        return prompt_tokens(self._doc, self._shared.counter)

    def _output_count(self) -> int:
        if self._relay is not None:
            return self._relay.meter.output_tokens(self._shared.counter)
        if self._answer is not None:
            return self._shared.counter.count(self.client.text_in(self._answer))
        return 0


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read a finished stream to its very end, so that its connection can serve again; give up soon."""
    try:
        async with asyncio.timeout(_AFTER_THE_END_S):
            async for _ in chunks:
                pass
    except (OtariError, TimeoutError):
        pass  # the answer is whole and settled: how the connection ends is nobody's concern
