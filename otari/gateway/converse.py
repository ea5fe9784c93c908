"""The one path of every chat-like request: read, admit, try the attempts, watch the answer, settle.

A `Conversation` is one request on its way. Whatever happens to it — an answer, an error, a client that leaves, a
shutdown — ends in one settlement, in one `finally`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing

from otari.dialects import DIALECTS
from otari.dialects.dialect import Dialect, Envelope
from otari.domain.access import Principal
from otari.domain.chat import ChatRequest, Doc
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Ask, Attempt, Call, ControlPlane, Outcome, Upstream, UpstreamReply
from otari.domain.tokens import Counter
from otari.gateway.attachments import Attachments, Prepared
from otari.gateway.document import fingerprint, read_document, session_label
from otari.gateway.estimate import prompt_tokens
from otari.gateway.exchange import Exchange, SameDialect
from otari.gateway.passage import Charge, Passage, Passages, drain
from otari.gateway.progress import Progress
from otari.gateway.receipt import apart, in_answer, in_frames
from otari.gateway.telling import Asking
from otari.gateway.translation import Translation

log = logging.getLogger("otari.gateway")


class Conversations(Passages):
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
        super().__init__(control, upstreams, counter, clean, clock)
        self.dialects = dialects
        self.attachments: Attachments | None = None  # prepares requests with files in them
        self.on_ended: Callable[[Dialect, Doc, Outcome], object] | None = None  # hears every request and its end

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
        talk = Conversation(self, client, endpoint, doc, envelope, principal, request_id, headers)
        if self.attachments is not None and self.attachments.concern(client, raw, envelope.model):
            talk.attachments = self.attachments
        return talk


class Conversation(Passage[Exchange]):
    """One request: call `whole()` or iterate `frames()`, once, as `envelope.stream` says."""

    _shared: Conversations
    _progress: Progress

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
        super().__init__(shared, Progress(), principal, request_id)
        self.client = client
        self.envelope = envelope
        self._endpoint = endpoint
        self._headers = headers
        self._doc = doc
        self._told = doc  # what is told to the provider: another one when there are attachments
        self._request: tuple[Doc, ChatRequest] | None = None  # of what is told, when the first translation needs it
        self.attachments: Attachments | None = None  # None: the request holds nothing to be prepared
        self._prepared: Prepared | None = None

    def fingerprint(self) -> bytes:
        """32 bytes that are the same for the same endpoint and the same body, whatever the order of its keys."""
        return fingerprint(self._endpoint, self._doc)

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the last attempt could not carry over between the two dialects, by name."""
        exchange = self._progress.exchange
        return () if exchange is None else tuple(exchange.dropped)

    @property
    def failure_ends(self) -> bool:
        """Whether the frames of an error end the stream as the client's dialect ends it."""
        return self.client.failure_ends

    def error_frames(self, error: OtariError) -> bytes:
        """What tells the client an error in the middle of its stream; never an end mark after it."""
        relay = self._progress.relay
        return self.client.stream_error(error) if relay is None else relay.error_frames(error)

    async def whole(self) -> bytes:
        """The whole answer in the client's dialect; its settlement is on disk when this returns."""
        problem: BaseException | None = None
        await self._admit()
        try:
            body = self.answer = await self._first_answer(self._ask)
            receipt = await self._settle(None)
            return body if receipt is None else in_answer(body, receipt)
        except BaseException as error:
            problem = error
            raise
        finally:
            if not self._settled:
                await self._settle(problem)

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The answer as a stream in the client's dialect, whole frames only; settled before the last of them.

        Raises OtariError before the first frame (nothing was sent: answer with its status) or after some (tell it as
        an error frame, then break the connection: the answer has no end).
        """
        problem: BaseException | None = None
        await self._admit()
        try:
            stack, chunks, block = await self._first_answer(self._open)
            async with stack, aclosing(self._watched(chunks, block)) as blocks:
                self._answer_begins()
                async for frames in blocks:
                    yield frames
        except BaseException as error:
            problem = error
            raise
        finally:
            if not self._settled:
                await self._settle(problem)

    # ---- admission ----

    async def _admit(self) -> None:
        if self.attachments is not None:
            asking = Asking(self._principal, self.envelope.user, self._endpoint, self.request_id)
            self._prepared = await self.attachments.prepare(self.client, self._doc, self.envelope, asking)
            if self._prepared is not None:
                self.envelope = self._prepared.envelope
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
        await self._let_in(ask)

    # ---- attempts ----

    def _exchange_with(self, attempt: Attempt) -> Exchange:
        """How this attempt is spoken to: in the client's dialect if it can be, else in the one it speaks best."""
        self._progress.exchange = exchange = self._made_exchange(attempt)
        return exchange

    def _made_exchange(self, attempt: Attempt) -> Exchange:
        shared, client = self._shared, self.client
        if not attempt.speaks:
            raise _no_conversations(attempt)
        noted: tuple[str, ...] = ()
        if self._prepared is not None:
            self._told, noted, _ = self._prepared.variant(attempt)
        if client.name in attempt.speaks:
            return SameDialect(client, self._told, self.envelope, attempt, shared.clean, noted)
        if self._request is None or self._request[0] is not self._told:
            self._request = self._told, client.read_request(self._told)
        return Translation(
            client,
            shared.dialects[attempt.speaks[0]],
            self._told,
            self._request[1],
            self.envelope,
            attempt,
            strict=attempt.strict or self._principal.strict,
            clean=shared.clean,
            prompt_tokens=self._prompt_tokens,
            noted=noted,
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
        return self._send_call(attempt, call)

    # ---- not streaming ----

    async def _ask(self, attempt: Attempt, exchange: Exchange) -> bytes:
        async with self._send(attempt, exchange) as reply:
            self._answer_begins()
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
            if self._wants_receipt:
                ready, block = apart(block)
                if ready:
                    yield ready
            receipt = await self._settle(None)
            if receipt is not None:
                block = in_frames(block, receipt)
        if block:
            yield block
        if relay.failure is not None:
            raise relay.failure
        await drain(chunks)

    # ---- settlement ----

    def _charge(self, problem: BaseException | None) -> Charge:
        return Charge(*self._progress.charge(problem, self._shared.counter, self._prompt_tokens))

    def _ended(self, outcome: Outcome) -> None:
        if self._shared.on_ended is not None:
            self._shared.on_ended(self.client, self._told, outcome)

    @property
    def _wants_receipt(self) -> bool:
        """Whether the client would see a cost that settling brings."""
        admission, envelope = self._admission, self.envelope
        return admission is not None and admission.receipts and (envelope.wants_usage or not envelope.stream)

    def _prompt_tokens(self) -> int:
        return prompt_tokens(self._told, self._shared.counter)


def _no_conversations(attempt: Attempt) -> OtariError:
    words = f"Provider {attempt.provider} does not support conversations"
    return OtariError(Kind.INVALID, words, param="model", code="unsupported_operation", retryable=True)


def _too_slow(attempt: Attempt) -> OtariError:
    return OtariError(
        Kind.UPSTREAM_TIMEOUT,
        f"LLM provider timeout ('{attempt.provider}' did not begin its answer within {attempt.first_frame_s:g} s)",
        code="upstream_timeout",
        retryable=True,
    )
