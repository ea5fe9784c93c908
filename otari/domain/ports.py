"""Where the use cases meet the world: who decides and accounts (ControlPlane), who answers (Upstream).

`gateway` knows only these protocols; `control` and `upstreams` implement them; `app.py` chooses. Nothing here knows
HTTP servers, databases or providers.
"""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from otari.domain.access import Credential, Principal
from otari.domain.catalog import ModelRef
from otari.domain.chat import Usage
from otari.domain.documents import DocumentKind, Piece
from otari.domain.errors import OtariError
from otari.domain.files import StoredFile
from otari.domain.price import Price
from otari.domain.provider import NO_QUIRKS, PATIENT, Provider, Quirks, Timeouts
from otari.domain.secret import Secret

UsageSource = Literal["provider", "partial", "estimated", "stub", "none"]


class Ask(NamedTuple):
    """What a request wants, as far as admission must know it.

    `request_id` names the request everywhere (header, ledger, upstream). `selector` is what the client wrote as model.
    `user` is whom the body names, if anyone. `prompt_tokens` is an upper bound. `output_tokens` is the client's own
    limit for one choice, None when it set none; `choices` is how many answers it wants. `session_label` is the client's
    own name for what the request belongs to. `quantity` is an upper bound of what is priced beside tokens: images,
    seconds or characters. `operation` is what is asked for, whatever `endpoint` it is accounted under: "chat", or the
    name of a single-shot call.
    """

    request_id: str
    endpoint: str
    selector: str
    user: str | None
    prompt_tokens: int
    output_tokens: int | None
    choices: int
    stream: bool
    session_label: str | None = None
    quantity: int = 0
    operation: str = "chat"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider to try. `via` picks the Upstream; `speaks` are dialect names, best first; `secret` prints as ***.

    `operations` are what it does beside conversations, each with the flavour of its wire ("rerank": "cohere").
    `strict`: refuse what can not be translated without loss. `quirks` say how the server wants what is translated.
    `first_frame_s` is how long the first frame of a stream may take before another attempt is made (None: as long as
    silence is borne). `labels` are headers of the answer that name this attempt. `public_only`: its address came from
    outside, so it may only be one of the public internet.
    """

    provider: str
    model: str
    via: str
    base_url: str
    secret: Secret | None
    speaks: tuple[str, ...]
    auth: str = "bearer"
    auths: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    operations: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[tuple[str, Secret], ...] = ()
    timeouts: Timeouts = PATIENT
    stream_usage: bool = True
    usage_source: UsageSource = "provider"
    strict: bool = False
    quirks: Quirks = NO_QUIRKS
    first_frame_s: float | None = None
    labels: tuple[tuple[str, str], ...] = ()
    public_only: bool = False


def attempt_to(provider: Provider, model: str) -> Attempt:
    """How a model of a configured provider is asked."""
    return Attempt(
        provider=provider.name,
        model=model,
        via=provider.via,
        base_url=provider.base_url,
        secret=provider.secret,
        speaks=provider.speaks,
        auth=provider.auth,
        auths=provider.auths,
        paths=provider.paths,
        operations=provider.operations,
        headers=provider.headers,
        timeouts=provider.timeouts,
        stream_usage=provider.stream_usage,
        usage_source=provider.usage_source,
        strict=provider.strict,
        quirks=provider.quirks,
    )


class Admission(NamedTuple):
    """Leave to go ahead: money is held, the attempts are chosen. `ticket` is the control plane's own note.

    `request_id` is what the answer is to be called. `receipts`: settling may bring a cost that the client is to see.
    `prices` are those of the attempts: what they count must be counted where a provider does not tell it.
    """

    request_id: str
    principal: Principal
    attempts: tuple[Attempt, ...]
    ticket: object
    receipts: bool = False
    prices: tuple[Price | None, ...] = ()

    @property
    def by_token(self) -> bool:
        """Whether some attempt's price counts tokens."""
        return any(price is not None and price.counts_tokens for price in self.prices)

    @property
    def by_unit(self) -> bool:
        """Whether some attempt's price counts images, seconds or characters."""
        return any(price is not None and price.counts_units for price in self.prices)


class Receipt(NamedTuple):
    """What a request cost, told by the control plane when it was settled: exact decimal USD, and whose price it was."""

    cost_usd: str
    pricing_source: str | None


class FailedAttempt(NamedTuple):
    """An attempt that gave no byte of an answer, so that the next one was tried.

    `status` is what the provider answered, if it did; `code` is the machine-readable word of the error.
    """

    attempt: Attempt
    error: str
    status: int | None
    total_s: float
    code: str | None = None


class Outcome(NamedTuple):
    """How an admitted request ended.

    `attempt` is the one that answered or failed last; None when none was tried. `reached` says that a provider may
    have worked for us: only then is there anything to charge. `usage` is what to charge and `usage_source` where the
    numbers come from. `status` is the HTTP status that the client was (or would have been) given. `flags` are words
    for the row: "estimated", "client_gone", "usage_invalid", … `quantity` counts what the model
    is priced by beside tokens: images, seconds or characters. `dropped` names what translation could not carry.
    `failure` is how the last attempt failed (None: it did not, or not before its answer began). `wants_receipt`: the
    client would see a cost that settling brings. `keepsake` is kept in the transaction of the settlement, by whoever
    knows it.
    """

    attempt: Attempt | None
    succeeded: bool
    status: int
    usage: Usage
    usage_source: UsageSource
    error: str | None = None
    flags: tuple[str, ...] = ()
    failed: tuple[FailedAttempt, ...] = ()
    first_byte_s: float | None = None
    total_s: float = 0.0
    quantity: int = 0
    dropped: tuple[str, ...] = ()
    failure: FailedAttempt | None = None
    wants_receipt: bool = False
    keepsake: object = None


class Condition(NamedTuple):
    """Whether requests can be admitted: words for the readiness answer, and what stands in the way, if anything."""

    facts: Mapping[str, str]
    problem: OtariError | None = None


class ControlPlane(Protocol):
    """Decides who may ask what, and accounts for it."""

    async def identify(self, credential: Credential | None) -> Principal:
        """Who is asking. Raises OtariError(UNAUTHENTICATED)."""
        ...

    async def admit(self, principal: Principal, ask: Ask) -> Admission:
        """Check everything and hold the money. When this returns, the hold is on disk.

        Raises OtariError: FORBIDDEN, NOT_FOUND (user), BUDGET, UNPRICED, INVALID (model), UNAVAILABLE. A caller that
        is cancelled inside this call leaves no hold behind.
        """
        ...

    async def moved_on(self, failed: FailedAttempt, attempt: Attempt, admission: Admission) -> None:
        """`failed` gave no answer, and `attempt` is about to be tried in its place."""
        ...

    def verdict(self, failed: tuple[FailedAttempt, ...], last: OtariError) -> OtariError:
        """What the client is told when no attempt answered: `last` is how the last one failed, `failed` are those
        before it."""
        ...

    def settle(self, admission: Admission, outcome: Outcome) -> Awaitable[Receipt | None]:
        """Account for the admission, exactly once.

        The settlement is already under way when this returns and can no longer be lost, even if the caller is
        cancelled; awaiting the result only waits until it is on disk, and a little for a receipt if one is wanted.
        """
        ...

    async def recognise(self, principal: Principal, selector: str) -> ModelRef:
        """The model that a selector names first, for a caller who may ask; nothing is held or spent.

        Raises OtariError as `admit` does.
        """
        ...

    async def standing(self) -> Mapping[str, str]:
        """Words for the health answer beside "healthy". Never raises."""
        ...

    async def health(self) -> Condition:
        """Whether requests can be admitted now. Never raises."""
        ...


class Body(Protocol):
    """A body of a request that need not be in memory as a whole."""

    @property
    def size(self) -> int:
        """Its length in bytes."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """All of it in order, from its beginning, however often it was read before."""
        ...


class Files(Protocol):
    """The files that users keep."""

    async def get(self, user_id: str, file_id: str) -> StoredFile:
        """A file of this user. Raises OtariError(NOT_FOUND), for what is somebody else's too."""
        ...

    async def read(self, file: StoredFile) -> bytes:
        """Its bytes, all at once. Raises OtariError(NOT_FOUND)."""
        ...


class Documents(Protocol):
    """Reads documents."""

    async def pieces(self, data: bytes, kind: DocumentKind) -> Sequence[Piece]:
        """What is in a document, from its start to its end; nearly always that is one text. Raises Unreadable."""
        ...


class Call(NamedTuple):
    """One request to a provider: `body` in `dialect`, for the operation ("chat"), `stream` when frames are wanted.

    `dialect` is a flavour where the operation is another one. `headers` are the client's own that belong to the
    dialect. `content_type` says what the body is where it is not JSON. `takes` are media types that the answer may
    have beside JSON, or how they begin ("audio/").
    """

    request_id: str
    operation: str
    dialect: str
    body: bytes | Body
    stream: bool
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    takes: tuple[str, ...] = ()


class UpstreamReply(Protocol):
    """A good answer that has begun (HTTP status 2xx); errors have been raised before."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, cut anywhere. Raises OtariError(UPSTREAM | UPSTREAM_TIMEOUT) when it breaks off."""
        ...

    async def read(self) -> bytes:
        """The whole body. Raises like `chunks`, and OtariError(UPSTREAM) when it is larger than allowed."""
        ...


class Upstream(Protocol):
    """Answers calls: a real provider, or the stub."""

    def send(self, attempt: Attempt, call: Call) -> AbstractAsyncContextManager[UpstreamReply]:
        """Send `call` and give the reply once its status is known.

        Entering raises OtariError for connection failures, time-outs and statuses that are not 2xx; leaving before the
        body has ended closes the connection, so that the provider stops working.
        """
        ...
