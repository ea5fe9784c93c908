"""Lines of a batch that a provider carries out itself: what each is to it, and what its answer is to the client.

It is the same that happens to a request that is asked for alone, but in two halves with hours between them: a line is
written for the provider when the batch is handed in, and its answer is read when the batch has ended.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from otari.dialects.dialect import Dialect
from otari.dialects.tool_names import originals, restored_reply, wire_names
from otari.domain.access import Principal
from otari.domain.batch import Batch
from otari.domain.batches import BatchUpstream
from otari.domain.chat import Doc, Usage
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.money import believable
from otari.domain.ports import Ask, Attempt, UsageSource
from otari.gateway.batches.endpoints import DIALECTS, ENDPOINT, OPERATIONS, dumped, unexpected
from otari.gateway.converse import Conversations
from otari.gateway.document import session_label
from otari.gateway.estimate import prompt_tokens
from otari.gateway.exchange import Exchange, SameDialect, read_answer
from otari.gateway.telling import Asking
from otari.gateway.translation import Translation
from otari.operations.operation import Came, Facts, Operation, Place, Sent, unsupported

log = logging.getLogger("otari.batches")


class LineFor(NamedTuple):
    """A line as a provider takes it. `ask` has the bounds that its hold is made of; `dropped` what is not carried."""

    body: bytes
    ask: Ask
    dropped: tuple[str, ...]


class LineRead(NamedTuple):
    """What the answer to a line is for the client, and what it used.

    `problem` stands in the place of `body` when the answer can not be told; what it says of usage counts all the same.
    `flags` are words for its usage row, `dropped` names what of the answer is not carried.
    """

    body: bytes
    usage: Usage
    source: UsageSource
    quantity: int = 0
    flags: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    problem: OtariError | None = None


class Lines:
    """Writes lines for providers, and reads what they answer."""

    def __init__(self, conversations: Conversations) -> None:
        self._shared = conversations

    def dialect(self, endpoint: str, attempt: Attempt, upstream: BatchUpstream) -> str | None:
        """What the lines of a batch are written in for `upstream`: a dialect or an operation; None when they can not.

        `endpoint` is the one that the lines are meant for, such as "/v1/messages".
        """
        operation = OPERATIONS.get(endpoint)
        if operation is not None:
            known = attempt.operations.get(operation.name, "") in operation.flavours
            return operation.name if known and operation.name in upstream.dialects else None
        taken = [name for name in attempt.speaks if name in upstream.dialects]
        client = DIALECTS[endpoint]
        return client if client in taken else taken[0] if taken else None

    async def write(
        self, endpoint: str, request: Doc, attempt: Attempt, dialect: str, principal: Principal, request_id: str
    ) -> LineFor:
        """A line for the provider; `request` is its body as the client wrote it, `dialect` as `dialect()` told it.

        Raises OtariError: INVALID for a body that is no valid request of the endpoint or that the provider can not be
        told, what `Attachments.prepare` raises for files that it names, and INTERNAL: no line stops the others.
        """
        try:
            return await self._write(endpoint, request, attempt, dialect, principal, request_id)
        except OtariError:
            raise
        except Exception as error:
            log.exception("unexpected failure in writing line %s", request_id)
            raise unexpected(request_id) from error

    async def _write(
        self, endpoint: str, request: Doc, attempt: Attempt, dialect: str, principal: Principal, request_id: str
    ) -> LineFor:
        if request.get("stream"):
            raise invalid("A request of a batch is not streamed: leave out stream", "stream")
        strict = attempt.strict or principal.strict
        if endpoint in OPERATIONS:
            return self._write_shot(OPERATIONS[endpoint], request, attempt, request_id, strict=strict)
        shared, client = self._shared, self._shared.dialects[DIALECTS[endpoint]]
        raw = dumped(request)
        envelope, told, noted = client.read_envelope(request, len(raw)), request, tuple[str, ...]()
        if shared.attachments is not None and shared.attachments.concern(client, raw, envelope.model):
            asking = Asking(principal, envelope.user, ENDPOINT, request_id)
            prepared = await shared.attachments.prepare(client, request, envelope, asking)
            if prepared is not None:
                told, noted, envelope = prepared.variant(attempt)
        exchange: Exchange
        if dialect == client.name:
            exchange = SameDialect(client, told, envelope, attempt, shared.clean, noted)
        else:
            exchange = Translation(
                *(client, shared.dialects[dialect], told, client.read_request(told), envelope, attempt),
                strict=strict,
                clean=shared.clean,
                prompt_tokens=lambda: 0,  # asked for streams only
                noted=noted,
            )
        ask = Ask(
            request_id=request_id,
            endpoint=ENDPOINT,
            selector=envelope.model,
            user=envelope.user,
            prompt_tokens=envelope.prompt_tokens,
            output_tokens=envelope.output_tokens,
            choices=envelope.choices,
            stream=False,
            session_label=session_label(request),
        )
        return LineFor(exchange.body, ask, tuple(exchange.dropped))

    def read(self, endpoint: str, request: Doc, attempt: Attempt, dialect: str, answer: bytes, name: str) -> LineRead:
        """What the provider's `answer` to a line means. `request` is the client's own, as `write` got it.

        `name` is what an answer is called that has no name of its own. Nothing is raised: see `LineRead.problem`.
        """
        try:
            return self._read(endpoint, request, attempt, dialect, answer, name)
        except Exception:
            log.exception("unexpected failure in reading line %s", name)
            return LineRead(b"", Usage(), "none", problem=unexpected(name))

    def _read(self, endpoint: str, request: Doc, attempt: Attempt, dialect: str, answer: bytes, name: str) -> LineRead:
        if endpoint in OPERATIONS:
            return self._read_shot(OPERATIONS[endpoint], request, attempt, answer, name)
        client, server = self._shared.dialects[DIALECTS[endpoint]], self._shared.dialects[dialect]
        try:
            doc = read_answer(server, answer)
        except OtariError as error:
            return LineRead(b"", Usage(), "none", problem=error)
        count = self._shared.counter.count
        usage, source, flags = _charged(
            server.usage_in(doc) or Usage(),
            attempt,
            lambda: Usage(input=prompt_tokens(request, self._shared.counter), output=count(server.text_in(doc))),
        )
        if server is client:
            return LineRead(answer, usage, source, flags=flags)
        dropped: list[str] = []
        try:
            body = _translated(client, server, request, doc, dropped)
        except OtariError as error:
            return LineRead(b"", usage, source, flags=flags, problem=error)
        except Exception:  # it has been paid for all the same
            log.exception("unexpected failure in translating line %s", name)
            return LineRead(b"", usage, source, flags=flags, problem=unexpected(name))
        return LineRead(body, usage, source, flags=flags, dropped=tuple(dict.fromkeys(dropped)))

    # ---- single-shot calls ----

    def _write_shot(
        self, operation: Operation[Any], request: Doc, attempt: Attempt, request_id: str, *, strict: bool
    ) -> LineFor:
        envelope = operation.read_envelope(request, len(dumped(request)))
        sent: Sent = operation.write_request(request, _place(operation, attempt))
        if not isinstance(sent.body, bytes):
            raise unsupported(_place(operation, attempt), operation.lack)
        if strict and sent.dropped:
            raise _lossy(attempt, sent.dropped)
        ask = Ask(
            request_id=request_id,
            endpoint=ENDPOINT,
            selector=envelope.model,
            user=envelope.user,
            prompt_tokens=envelope.prompt_tokens,
            output_tokens=envelope.output_tokens,
            choices=1,
            stream=False,
            session_label=session_label(request),
            quantity=envelope.quantity,
            operation=operation.name,
        )
        return LineFor(sent.body, ask, sent.dropped)

    def _read_shot(
        self, operation: Operation[Any], request: Doc, attempt: Attempt, answer: bytes, name: str
    ) -> LineRead:
        def counted() -> int:
            return self._shared.counter.count(operation.text(request))

        try:
            told = operation.read_answer(request, Came(answer), _place(operation, attempt), Facts(name, counted))
        except OtariError as error:
            return LineRead(b"", Usage(), "none", problem=error)
        if not operation.tokens and told.usage == Usage():
            return LineRead(told.body, Usage(), "none", told.quantity or 0)
        usage, source, flags = _charged(told.usage, attempt, lambda: Usage(input=counted(), output=0))
        return LineRead(told.body, usage, source, told.quantity or 0, flags)


def row_name(batch: Batch, number: int) -> str:
    """What the row of a line is called in the ledger."""
    return f"{batch.batch_id}.{number}"


def _charged(told: Usage, attempt: Attempt, count: Callable[[], Usage]) -> tuple[Usage, UsageSource, tuple[str, ...]]:
    """What is charged, where the numbers come from, and words for the row; what was not told is counted."""
    flags: tuple[str, ...] = ()
    if believable(told) is None:
        told, flags = Usage(), ("usage_invalid",)
    if told.input is not None and told.output is not None:
        return told, attempt.usage_source, flags
    source: UsageSource = "estimated" if told.input is None and told.output is None else "partial"
    return count().merged(told), source, (*flags, "estimated")


def _translated(client: Dialect, server: Dialect, request: Doc, doc: Doc, dropped: list[str]) -> bytes:
    """The answer on the client's wire, with the names that the client gave its tools."""
    names = originals(wire_names(client.read_request(request)))
    reply = restored_reply(server.read_reply(doc, dropped=dropped), names)
    return orjson.dumps(client.write_reply(reply, dropped=dropped, request_doc=request))


def _place(operation: Operation[Any], attempt: Attempt) -> Place:
    return Place(attempt.provider, attempt.model, attempt.operations.get(operation.name, ""))


def _lossy(attempt: Attempt, dropped: tuple[str, ...]) -> OtariError:
    return OtariError(
        Kind.INVALID,
        f"Provider '{attempt.provider}' can not be told: {', '.join(dropped)}. Nothing was sent, because translation"
        " is strict for this key or provider.",
        param=dropped[0],
        code="translation_loss",
        retryable=True,
    )
