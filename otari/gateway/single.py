"""Embeddings, moderations, rerank, images, sound: one question, one answer, by the same way as a conversation.

What is asked and how it is told to a provider is an `Operation`'s business (`otari/operations`); here a request is
admitted, sent to one provider after the other, its answer passed on, and settled before its last bytes go out.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import Any, TypeVar

from otari.dialects import openai_errors, sse
from otari.domain.access import Principal
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.money import believable
from otari.domain.ports import Ask, Attempt, Call, UpstreamReply, UsageSource
from otari.gateway.document import fingerprint, read_document, session_label
from otari.gateway.passage import EVENTS, Charge, Passage, Passages, Stage, drain
from otari.gateway.relay import BROKE_OFF, broken_off
from otari.operations.operation import (
    JSON_TYPE,
    STREAM_TYPE,
    Came,
    Envelope,
    Facts,
    Operation,
    Place,
    Seen,
    Sent,
    Told,
    unsupported,
)

R = TypeVar("R")
log = logging.getLogger("otari.gateway")


class SingleShots:
    """Makes single shots. `shared` is what they have in common with conversations."""

    def __init__(self, shared: Passages) -> None:
        self._shared = shared

    def begin_json(
        self, operation: Operation[Any], endpoint: str, raw: bytes, principal: Principal, request_id: str
    ) -> "SingleShot":
        """Read a JSON request. Raises OtariError(INVALID) for one that is not valid."""
        return self.begin(operation, endpoint, read_document(raw), len(raw), principal, request_id)

    def begin(
        self, operation: Operation[R], endpoint: str, request: R, size: int, principal: Principal, request_id: str
    ) -> "SingleShot":
        """Check a request that was read already; `size` is its length in bytes. Raises OtariError(INVALID)."""
        envelope = operation.read_envelope(request, size)
        return SingleShot(self._shared, operation, endpoint, request, envelope, principal, request_id)


class Shot(Stage):
    """What the attempt under way has told so far: tokens, a quantity (None: not yet), text that was written."""

    __slots__ = ("place", "quantity", "sent", "text", "usage")

    def __init__(self) -> None:
        super().__init__()
        self.place: Place | None = None
        self.sent: Sent | None = None
        self._forget()

    def begin(self, attempt: Attempt) -> None:
        super().begin(attempt)
        self.place = self.sent = None
        self._forget()

    def _forget(self) -> None:
        self.usage = Usage()
        self.quantity: int | None = None
        self.text: list[str] = []

    def heard(self, told: Told) -> None:
        """A whole answer has come."""
        self.usage, self.quantity, self.text = told.usage, told.quantity, [told.text]

    def saw(self, seen: Seen) -> None:
        """An event of an answer has come."""
        if seen.usage is not None:
            self.usage = _sum(self.usage, seen.usage)
        if seen.quantity:
            self.quantity = (self.quantity or 0) + seen.quantity
        if seen.text:
            self.text.append(seen.text)


class SingleShot(Passage[Sent]):
    """One request: call `whole()`, or iterate `frames()` where the answer passes as it comes (`passes`), once."""

    _progress: Shot

    def __init__(
        self,
        shared: Passages,
        operation: Operation[Any],
        endpoint: str,
        request: Any,
        envelope: Envelope,
        principal: Principal,
        request_id: str,
    ) -> None:
        super().__init__(shared, Shot(), principal, request_id)
        self.envelope = envelope
        self._operation = operation
        self._endpoint = endpoint
        self._request = request
        self.passes = envelope.stream or operation.pieces
        self.failure_ends = False

    @property
    def repeatable(self) -> bool:
        """Whether the request has a `fingerprint`, by which it is known again: a form has none."""
        return isinstance(self._request, dict)

    def fingerprint(self) -> bytes:
        """See `Conversation.fingerprint`."""
        return fingerprint(self._endpoint, self._request)

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the last provider could not be told, by name."""
        sent = self._progress.sent
        return () if sent is None else sent.dropped

    def error_frames(self, error: OtariError) -> bytes:
        """What tells the client an error in the middle of its events; nothing can be told in the middle of sound."""
        return openai_errors.stream_error(error) if self.media == EVENTS else b""

    async def whole(self) -> bytes:
        """The whole answer; `media` is its type. Its settlement is on disk when this returns."""
        problem: BaseException | None = None
        await self._enter()
        try:
            told = await self._first_answer(self._ask)
            self.answer, self.media = told.body, told.content_type
            await self._settle(None)
            return told.body
        except BaseException as error:
            problem = error
            raise
        finally:
            if not self._settled:
                await self._settle(problem)

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The answer as it comes, events whole; `media` is its type. Settled before its end goes out.

        Raises OtariError before the first bytes (answer with its status) or after some (break the connection).
        """
        problem: BaseException | None = None
        await self._enter()
        try:
            stack, first, pieces = await self._first_answer(self._open)
            async with stack, aclosing(pieces):
                if self._progress.first_byte_s is None:
                    self._answer_begins()
                yield first
                async for piece in pieces:
                    yield piece
        except BaseException as error:
            problem = error
            raise
        finally:
            if not self._settled:
                await self._settle(problem)

    # ---- admission ----

    async def _enter(self) -> None:
        envelope, request = self.envelope, self._request
        ask = Ask(
            request_id=self.request_id,
            endpoint=self._endpoint,
            selector=envelope.model,
            user=envelope.user,
            prompt_tokens=envelope.prompt_tokens,
            output_tokens=envelope.output_tokens,
            choices=1,
            stream=envelope.stream,
            session_label=session_label(request) if isinstance(request, dict) else None,
            quantity=envelope.quantity,
            operation=self._operation.name,
        )
        await self._let_in(ask)

    # ---- attempts ----

    def _exchange_with(self, attempt: Attempt) -> Sent:
        operation, progress = self._operation, self._progress
        flavour = attempt.operations.get(operation.name, "")
        place = progress.place = Place(attempt.provider, attempt.model, flavour)
        if flavour not in operation.flavours:
            raise unsupported(place, operation.lack)
        sent = progress.sent = operation.write_request(self._request, place)
        if sent.dropped:
            log.debug("request %s: %s can not be told %s", self.request_id, attempt.provider, sent.dropped)
            if attempt.strict or self._principal.strict:
                raise _lossy(attempt, sent.dropped)
        return sent

    def _send(self, attempt: Attempt, sent: Sent) -> AbstractAsyncContextManager[UpstreamReply]:
        operation = self._operation
        call = Call(
            self.request_id,
            operation.name,
            attempt.operations[operation.name],
            sent.body,
            self.envelope.stream,
            content_type=sent.content_type,
            takes=operation.takes,
        )
        return self._send_call(attempt, call)

    async def _ask(self, attempt: Attempt, sent: Sent) -> Told:
        async with self._send(attempt, sent) as reply:
            self._answer_begins()
            return await self._read(reply)

    async def _read(self, reply: UpstreamReply) -> Told:
        """An answer that is read as a whole."""
        assert self._progress.place is not None  # somebody was asked
        kind = reply.content_type
        came = Came(await reply.read(), JSON_TYPE if not kind or kind.endswith("+json") else kind)
        facts = Facts(self.request_id, self._count_request)
        told = self._operation.read_answer(self._request, came, self._progress.place, facts)
        self._progress.heard(told)
        return told

    # ---- answers that pass as they come ----

    async def _open(self, attempt: Attempt, sent: Sent) -> tuple[AsyncExitStack, bytes, AsyncGenerator[bytes, None]]:
        """Send the request and wait for the first bytes: what comes before them may still lead to the next attempt."""
        async with AsyncExitStack() as stack:
            reply = await stack.enter_async_context(self._send(attempt, sent))
            if reply.content_type == STREAM_TYPE:
                self.media, pieces = EVENTS, self._events(reply.chunks())
            elif self._operation.pieces and reply.content_type != JSON_TYPE and not self.envelope.stream:
                self.media = self._operation.media(self._request, reply.content_type)
                pieces = self._pieces(reply.chunks())
            else:  # some servers give the whole answer whatever they are asked for
                told = await self._read(reply)
                body = self._operation.replay(self._request, told) if self.envelope.stream else told.body
                self.media = EVENTS if self.envelope.stream else told.content_type
                pieces = self._at_once(body)
            first = await anext(pieces)
            return stack.pop_all(), first, pieces

    async def _at_once(self, body: bytes) -> AsyncGenerator[bytes, None]:
        await self._settle_well()
        yield body

    async def _pieces(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Bytes as they come. The last one waits until all is settled: who has everything has been charged."""
        held = b""
        async for chunk in chunks:
            out, held = held + chunk[:-1], chunk[-1:]
            if out:
                yield out
        if not held:
            raise OtariError(Kind.UPSTREAM, "The provider's answer is empty", code="upstream_format", retryable=True)
        await self._settle_well()
        yield held

    async def _events(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Whole events, the last one when all is settled; the first bytes hold more than comments."""
        out, begun = b"", False
        async for frames, whole in _cut(chunks):
            for frame in frames:
                seen = self._see(frame)
                if seen.failed is not None:
                    if begun and out:
                        yield out
                    raise broken_off(self._shared.clean(seen.failed))
                if seen.terminal:
                    await self._settle_well()
                    yield out + seen.frame
                    await drain(chunks)
                    return
                out += seen.frame if whole else b""
                begun = begun or bool(sse.data(seen.frame))
            if begun and out:
                yield out
                out = b""
        raise OtariError(Kind.UPSTREAM, BROKE_OFF, retryable=True, detail="the stream has no terminal event")

    def _see(self, frame: bytes) -> Seen:
        progress = self._progress
        assert progress.place is not None  # somebody was asked
        seen = self._operation.see(self._request, frame, progress.place, progress.quantity or 0)
        progress.saw(seen)
        return seen

    # ---- settlement ----

    async def _settle_well(self) -> None:
        """Before the end of an answer goes out; its beginning may be in the same bytes."""
        if self._progress.first_byte_s is None:
            self._answer_begins()
        await self._settle(None)

    def _charge(self, problem: BaseException | None) -> Charge:
        """What was told; what was not is counted where it matters, and said to be an estimate."""
        progress, operation = self._progress, self._operation
        if not progress.reached or (isinstance(problem, OtariError) and progress.first_byte_s is None):
            return Charge(Usage(), "none", [])
        assert progress.attempt is not None  # it was reached
        assert self._admission is not None
        usage, quantity, flags = progress.usage, progress.quantity, list[str]()
        if believable(usage) is None:
            usage, flags = Usage(), ["usage_invalid"]
        source: UsageSource = "none" if usage == Usage() and quantity is None else progress.attempt.usage_source
        estimated = problem is not None
        if (operation.tokens or self._admission.by_token) and (usage.input is None or usage.output is None):
            source, estimated = "partial" if source != "none" else "estimated", True
            usage = Usage(input=self._count_request(), output=self._count_answer()).merged(usage)
        if quantity is None:
            quantity, guessed = operation.measured(self._request)
            if guessed and not self._admission.by_unit:
                quantity, guessed = 0, False  # nothing depends on it
            estimated = estimated or guessed
        if estimated:
            flags.append("estimated")
            source = "estimated" if source == "none" else source
        return Charge(usage, source, flags, quantity)

    def _count_request(self) -> int:
        return self._shared.counter.count(self._operation.text(self._request))

    def _count_answer(self) -> int:
        count = self._shared.counter.count
        return self._operation.written(self._request, "".join(self._progress.text), count)


async def _cut(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[list[bytes], bool]]:
    """The frames of a stream as they come. At its end what is left over: a last frame may only lack its empty line."""
    framer = sse.Framer()
    async for data in chunks:
        yield sse.split(framer.feed(data)), True
    rest = framer.rest()
    if rest.strip():
        yield [rest], False


def _sum(mine: Usage, more: Usage) -> Usage:
    """Two usages together; a number that only one tells counts as it is."""
    return Usage(*(a if b is None else b if a is None else a + b for a, b in zip(mine, more, strict=True)))


def _lossy(attempt: Attempt, dropped: tuple[str, ...]) -> OtariError:
    return OtariError(
        Kind.INVALID,
        f"Provider '{attempt.provider}' can not be told: {', '.join(dropped)}. Nothing was sent, because translation"
        " is strict for this key or provider.",
        param=dropped[0],
        code="translation_loss",
        retryable=True,
    )
