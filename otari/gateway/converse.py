"""The one path of every chat-like request: read, admit, try the attempts, watch the answer, settle.

A `Conversation` is one request on its way. Whatever happens to it — an answer, an error, a client that leaves, a
shutdown — ends in one settlement, in one `finally`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import TypeVar, overload

from otari.dialects import DIALECTS
from otari.dialects.dialect import Dialect, Envelope
from otari.domain.access import Principal
from otari.domain.chat import ChatRequest, Doc
from otari.domain.errors import CLIENT_GONE, Kind, OtariError
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
)
from otari.domain.tokens import Counter
from otari.gateway.document import fingerprint, read_document, session_label
from otari.gateway.estimate import prompt_tokens
from otari.gateway.exchange import Exchange, SameDialect
from otari.gateway.progress import Progress, ending
from otari.gateway.receipt import in_answer, in_frames
from otari.gateway.translation import Translation

T = TypeVar("T")
log = logging.getLogger("otari.gateway")

DROPPED_HEADER = "X-Otari-Dropped"
_HEADER_MAX_CHARS = 2_000
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
        dialects: Mapping[str, Dialect] = DIALECTS,
    ) -> None:
        self.control = control
        self.upstreams = upstreams
        self.dialects = dialects
        self.counter = counter
        self.clean = clean
        self.clock = clock
        self.on_ended: Callable[[Dialect, Doc, Outcome], object] | None = None  # hears every request and its end
        self.stopping = False  # set when the gateway drains: a request cancelled after that was not left by its client

    def begin(
        self,
        client: Dialect,
        endpoint: str,
        raw: bytes,
        principal: Principal,
        request_id: str,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> "Conversation":
        """Read a request. `headers` are those of the client's that a provider of the same dialect must see.

        Raises OtariError(INVALID) for a body that is not a valid request of `client`'s dialect.
        """
        doc = read_document(raw)
        envelope = client.read_envelope(doc, len(raw))
        return Conversation(self, client, endpoint, doc, envelope, principal, request_id, headers)


class Conversation:
    """One request: call `whole()` or iterate `frames()`, once, as `envelope.stream` says."""

    def __init__(
        self,
        shared: Conversations,
        client: Dialect,
        endpoint: str,
        doc: Doc,
        envelope: Envelope,
        principal: Principal,
        request_id: str,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        self.client = client
        self.envelope = envelope
        self.request_id = request_id
        self._shared = shared
        self._endpoint = endpoint
        self._headers = headers
        self._doc = doc
        self._principal = principal
        self._began = shared.clock()
        self._admission: Admission | None = None
        self._progress = Progress()
        self._failed: list[FailedAttempt] = []
        self._request: ChatRequest | None = None  # read when the first translation needs it
        self._settled = False
        self.answer: bytes | None = None  # of `whole`, before it is settled: who leaves in between has paid for it
        self.on_settled: Callable[[Outcome], object] | None = None  # hears how it ended, before the client does

    @property
    def admitted(self) -> bool:
        """Whether the request was let in: from then on a provider may have been asked."""
        return self._admission is not None

    def fingerprint(self) -> bytes:
        """32 bytes that are the same for the same endpoint and the same body, whatever the order of its keys."""
        return fingerprint(self._endpoint, self._doc)

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the last attempt could not carry over between the two dialects, by name."""
        exchange = self._progress.exchange
        return () if exchange is None else tuple(exchange.dropped)

    @property
    def name(self) -> str:
        """What the answer is called in its headers."""
        return self.request_id if self._admission is None else self._admission.request_id

    def headers(self) -> dict[str, str]:
        """What the answer's headers say of how it came about, as far as it is known now."""
        attempt, dropped = self._progress.attempt, self.dropped
        headers = {} if attempt is None else dict(attempt.labels)
        if dropped:
            headers[DROPPED_HEADER] = ", ".join(dropped)[:_HEADER_MAX_CHARS]
        return headers

    def error_frames(self, error: OtariError) -> bytes:
        """What tells the client an error in the middle of its stream; never an end mark after it."""
        relay = self._progress.relay
        return self.client.stream_error(error) if relay is None else relay.error_frames(error)

    async def whole(self) -> bytes:
        """The whole answer in the client's dialect; its settlement is on disk when this returns."""
        problem: BaseException | None = None
        await self._admit()
        try:
            body = self.answer = await self._try(self._ask)
            receipt = await self._settle(None)
            return body if receipt is None else in_answer(body, receipt)
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
                self._progress.first_byte_s = self._shared.clock() - self._began
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
            session_label=session_label(self._doc),
        )
        self._admission = await self._shared.control.admit(self._principal, ask)

    # ---- attempts ----

    async def _try(self, ask: Callable[[Attempt, Exchange], Awaitable[T]]) -> T:
        """The first attempt that gives an answer. Only failures from before its first byte lead to the next one.

        That includes a request which one provider can not be told at all: another may well be.
        """
        assert self._admission is not None
        control, attempts = self._shared.control, self._admission.attempts
        for number, attempt in enumerate(attempts, 1):
            began = self._shared.clock()
            try:
                self._progress.begin(attempt)
                self._progress.exchange = exchange = self._exchange_with(attempt)
                return await ask(attempt, exchange)
            except OtariError as error:
                took = self._shared.clock() - began
                self._progress.error = error
                if not error.retryable and self._progress.exchange is not None:
                    raise
                if number == len(attempts):
                    raise control.verdict(tuple(self._failed), error) from None
                failed = _failed(attempt, error, took)
                self._failed.append(failed)
                await control.moved_on(failed, attempts[number], self._admission)
        raise AssertionError("an admission without attempts")

    def _exchange_with(self, attempt: Attempt) -> Exchange:
        """How this attempt is spoken to: in the client's dialect if it can be, else in the one it speaks best."""
        shared, client = self._shared, self.client
        if client.name in attempt.speaks:
            return SameDialect(client, self._doc, self.envelope, attempt, shared.clean)
        if self._request is None:
            self._request = client.read_request(self._doc)
        return Translation(
            client,
            shared.dialects[attempt.speaks[0]],
            self._doc,
            self._request,
            self.envelope,
            attempt,
            strict=attempt.strict or self._principal.strict,
            clean=shared.clean,
            prompt_tokens=self._prompt_tokens,
        )

    def _send(self, attempt: Attempt, exchange: Exchange) -> AbstractAsyncContextManager[UpstreamReply]:
        if exchange.dropped:
            log.debug("request %s: %s can not carry %s", self.request_id, exchange.server.name, exchange.dropped)
        same = exchange.server is self.client
        call = Call(
            self.request_id,
            "chat",
            exchange.server.name,
            exchange.body,
            self.envelope.stream,
            self._headers if same else (),
        )
        self._progress.reached = True
        return self._shared.upstreams[attempt.via].send(attempt, call)

    # ---- not streaming ----

    async def _ask(self, attempt: Attempt, exchange: Exchange) -> bytes:
        async with self._send(attempt, exchange) as reply:
            self._progress.first_byte_s = self._shared.clock() - self._began
            body = await reply.read()
        return exchange.answer(self._progress.read(exchange, body), body)

    # ---- streaming ----

    async def _open(
        self, attempt: Attempt, exchange: Exchange
    ) -> tuple[AsyncExitStack, AsyncIterator[bytes] | None, bytes]:
        """Send the request and wait for the first frame: what comes before it may still lead to the next attempt."""
        assert self._admission is not None
        try:
            async with asyncio.timeout(attempt.first_frame_s), AsyncExitStack() as stack:
                reply = await stack.enter_async_context(self._send(attempt, exchange))
                if reply.content_type == "application/json":
                    answer = self._progress.read(exchange, await reply.read())
                    return stack.pop_all(), None, exchange.replay(answer)
                relay = exchange.relay()
                relay.holds_usage = self._admission.receipts
                self._progress.relay = relay
                chunks = reply.chunks()
                block = await relay.first(chunks)
                return stack.pop_all(), chunks, block
        except TimeoutError:
            raise _too_slow(attempt) from None

    async def _watched(self, chunks: AsyncIterator[bytes] | None, block: bytes) -> AsyncGenerator[bytes, None]:
        """The frames of an opened stream, `block` first; settles before the block that ends the answer goes out."""
        relay = self._progress.relay
        if chunks is None or relay is None:
            receipt = await self._settle(None)
            yield block if receipt is None else in_frames(block, receipt)
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
            receipt = await self._settle(None)
            if receipt is not None:
                block = in_frames(block, receipt)
        if block:
            yield block
        if relay.failure is not None:
            raise relay.failure
        await _drain(chunks)

    # ---- settlement ----

    async def _settle(self, problem: BaseException | None) -> Receipt | None:
        """Account for the request, once. Under way as soon as it is called: a cancelled caller loses only the wait."""
        if self._settled or self._admission is None:
            return None
        self._settled = True
        shared, progress = self._shared, self._progress
        usage, source, flags = progress.charge(problem, shared.counter, self._prompt_tokens)
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
            dropped=self.dropped,
            failure=_failed(progress.attempt, progress.error, took),
            wants_receipt=self._admission.receipts and (self.envelope.wants_usage or not self.envelope.stream),
        )
        settled = shared.control.settle(self._admission, outcome)
        if self.on_settled is not None:
            self.on_settled(outcome)
        if shared.on_ended is not None:
            shared.on_ended(self.client, self._doc, outcome)
        return await settled

    def _prompt_tokens(self) -> int:
        return prompt_tokens(self._doc, self._shared.counter)


@overload
def _failed(attempt: Attempt, error: OtariError, took_s: float) -> FailedAttempt: ...
@overload
def _failed(attempt: Attempt | None, error: OtariError | None, took_s: float) -> FailedAttempt | None: ...
def _failed(attempt: Attempt | None, error: OtariError | None, took_s: float) -> FailedAttempt | None:
    """How an attempt failed; None when it did not."""
    if attempt is None or error is None:
        return None
    return FailedAttempt(attempt, error.detail or error.message, error.upstream_status, took_s, error.code)


def _too_slow(attempt: Attempt) -> OtariError:
    return OtariError(
        Kind.UPSTREAM_TIMEOUT,
        f"LLM provider timeout ('{attempt.provider}' did not begin its answer within {attempt.first_frame_s:g} s)",
        code="upstream_timeout",
        retryable=True,
    )


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read a finished stream to its very end, so that its connection can serve again; give up soon."""
    try:
        async with asyncio.timeout(_AFTER_THE_END_S):
            async for _ in chunks:
                pass
    except (OtariError, TimeoutError):
        pass  # the answer is whole and settled: how the connection ends is nobody's concern
