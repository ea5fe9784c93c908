"""The control plane of otari.ai: the platform decides who may ask what and accounts for it, we carry it out.

Every attempt is reported, once, whatever happens: its report is on disk before it is sent to a provider. What a user
may do, and with which credentials, is asked anew for every request and kept nowhere.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from otari.control.otari_ai import Platform
from otari.control.platform_bodies import Resolution, Resolved, correlation_id, write_crash, write_end, write_failure
from otari.control.reporter import Reporter
from otari.domain.access import Credential, Principal
from otari.domain.catalog import ModelRef
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Admission, Ask, Attempt, Condition, FailedAttempt, Outcome, Receipt, attempt_to
from otari.domain.provider import Provider
from otari.domain.secret import Secret
from otari.store import reports
from otari.store.db import Database
from otari.store.reports import Report, Tally

MODE = "hybrid"  # the name of this mode on the wire
_CORRELATION = ("X-Correlation-ID", "Otari-Attempt-ID")  # the older and the newer name of one header

# A provider type and an address that the platform gave → how such a provider is spoken to.
FindProvider = Callable[[str, str | None, Secret | None], Provider]


class Gate(NamedTuple):
    """How long the first frame of a stream may take, and how much longer that of the last attempt, in seconds."""

    first_frame_s: float = 2.0
    last_extra_s: float = 0.0


@dataclass(slots=True)
class Ticket:
    """What is remembered of an admission: the client's name of its session, and which attempts have been reported."""

    session_label: str | None
    reported: set[str] = field(default_factory=set)


class ConnectedControl:
    """A ControlPlane. Nothing of a request is kept but its reports, until the platform has them."""

    def __init__(
        self,
        db: Database,
        platform: Platform,
        reporter: Reporter,
        find_provider: FindProvider,
        now_ms: Callable[[], int],
        *,
        gate: Gate,
        allow_private_hosts: bool = False,
    ) -> None:
        self._db = db
        self._platform = platform
        self._reporter = reporter
        self._find_provider = find_provider
        self._now_ms = now_ms
        self._gate = gate
        self._allow_private_hosts = allow_private_hosts
        self.on_settled: Callable[[Outcome], object] | None = None  # hears the end of every request

    @classmethod
    async def start(
        cls,
        db: Database,
        platform: Platform,
        find_provider: FindProvider,
        now_ms: Callable[[], int],
        *,
        gate: Gate,
        allow_private_hosts: bool = False,
    ) -> tuple["ConnectedControl", int]:
        """Take up the reports that the last run left; how many attempts it left under way comes back.

        Raises OtariError(UNAVAILABLE).
        """
        recovered = await db.write(lambda conn: reports.recover(conn, now_ms()))
        reporter = Reporter(db, platform, now_ms)
        control = cls(db, platform, reporter, find_provider, now_ms, gate=gate, allow_private_hosts=allow_private_hosts)
        await reporter.start()
        return control, recovered

    async def close(self) -> None:
        """Stop reporting; what is not acknowledged stays on disk."""
        await self._reporter.close()
        await self._platform.close()

    @property
    def tally(self) -> Tally:
        """How reports stand."""
        return self._reporter.tally

    # ---- who ----

    async def identify(self, credential: Credential | None) -> Principal:
        """Whoever brings a bearer token; the platform judges it. Raises OtariError(UNAUTHENTICATED)."""
        bearer = None if credential is None else credential.bearer
        if bearer is None or not _can_travel(bearer):
            raise OtariError(Kind.UNAUTHENTICATED, "Missing authentication token", code="missing_token")
        return Principal(user_id=None, key_id=None, token=bearer)

    # ---- admission ----

    async def admit(self, principal: Principal, ask: Ask) -> Admission:
        """See ControlPlane.admit: the platform's attempts, the first of them noted on disk."""
        resolution = await self._resolve(principal, ask.selector)
        attempts = self._attempts(resolution)
        ticket = Ticket(ask.session_label)
        await self._begin(attempts[0], ticket)
        return Admission(resolution.request_id, principal, attempts, ticket, receipts=True)

    async def recognise(self, principal: Principal, selector: str) -> ModelRef:
        """See ControlPlane.recognise."""
        told = (await self._resolve(principal, selector)).attempts[0]
        return ModelRef(told.provider, told.model)

    async def _resolve(self, principal: Principal, selector: str) -> Resolution:
        assert principal.token is not None  # `identify` made it
        return await self._platform.resolve(principal.token, selector)

    def _attempts(self, resolution: Resolution) -> tuple[Attempt, ...]:
        last = len(resolution.attempts) - 1
        return tuple(self._attempt(told, last=number == last) for number, told in enumerate(resolution.attempts))

    def _attempt(self, told: Resolved, *, last: bool) -> Attempt:
        provider = self._find_provider(told.provider, told.base_url, told.secret)
        from_outside = told.base_url is not None or provider.free
        return replace(
            attempt_to(provider, told.model),
            first_frame_s=self._gate.first_frame_s + (self._gate.last_extra_s if last else 0.0),
            labels=tuple((name, told.attempt_id) for name in _CORRELATION),
            public_only=from_outside and not self._allow_private_hosts,
        )

    # ---- attempts ----

    async def moved_on(self, failed: FailedAttempt, attempt: Attempt, admission: Admission) -> None:
        """See ControlPlane.moved_on: the failure is reported, the next attempt noted on disk."""
        ticket = _ticket(admission)
        self._finish(failed.attempt, ticket, write_failure(failed, ticket.session_label, final=False))
        await self._begin(attempt, ticket)

    def verdict(self, failed: tuple[FailedAttempt, ...], last: OtariError) -> OtariError:
        """See ControlPlane.verdict: of several attempts only that they failed.

        What no provider can be told at all is a mistake of the request, however many there are.
        """
        untold = last.kind is Kind.INVALID and last.upstream_status is None
        everywhere = all(each.status is None and each.code == last.code for each in failed)
        if not failed or not last.retryable or (untold and everywhere):
            return last
        if last.kind is Kind.UPSTREAM_TIMEOUT:
            return OtariError(
                last.kind, "All upstream providers timed out", code="upstream_timeout", detail=last.detail
            )
        return OtariError(Kind.UPSTREAM, "All upstream providers failed", code="upstream_error", detail=last.detail)

    # ---- reports ----

    async def _begin(self, attempt: Attempt, ticket: Ticket) -> None:
        """Note on disk that an attempt is about to be sent. Raises OtariError(UNAVAILABLE, UPSTREAM)."""
        attempt_id, now_ms, begun = correlation_id(attempt), self._now_ms(), False
        crash = write_crash(attempt, ticket.session_label)

        def begin(conn: sqlite3.Connection) -> bool:
            nonlocal begun
            begun = reports.begin(conn, attempt_id, crash, now_ms)
            return begun

        def withdraw(conn: sqlite3.Connection) -> None:  # runs after `begin`, in the same thread
            if begun:
                reports.withdraw(conn, attempt_id)

        try:
            is_new = await self._db.write(begin)
        except asyncio.CancelledError:
            self._db.write_until_kept(withdraw)
            raise
        if not is_new:
            raise OtariError(
                Kind.UPSTREAM,
                "Authorization service returned an attempt that is under way already",
                code="platform_duplicate",
                detail=f"attempt id {attempt_id} came twice",
            )

    def _finish(
        self, attempt: Attempt, ticket: Ticket, body: bytes
    ) -> "tuple[asyncio.Future[None], asyncio.Task[Receipt | None]]":
        """The report's last form goes to the disk, then to the platform; both go on whoever waits."""
        attempt_id, due_ms = correlation_id(attempt), self._reporter.due_ms()
        ticket.reported.add(attempt_id)

        def finish(conn: sqlite3.Connection) -> None:
            reports.finish(conn, attempt_id, body, due_ms)

        written = self._db.write_until_kept(finish)
        return written, self._reporter.send(Report(attempt_id, body, 0), written)

    def settle(self, admission: Admission, outcome: Outcome) -> Awaitable[Receipt | None]:
        """See ControlPlane.settle."""
        ticket, attempt = _ticket(admission), outcome.attempt or admission.attempts[0]
        if self.on_settled is not None:
            self.on_settled(outcome)
        loop = asyncio.get_running_loop()
        if correlation_id(attempt) in ticket.reported:  # the request ended between two attempts
            nothing: asyncio.Future[Receipt | None] = loop.create_future()
            nothing.set_result(None)
            return nothing
        if outcome.failure is not None:
            body = write_failure(outcome.failure, ticket.session_label, final=True)
        else:
            body = write_end(attempt, ticket.session_label, outcome)
        written, sent = self._finish(attempt, ticket, body)
        limit_s = self._platform.settings.receipt_s if outcome.wants_receipt and outcome.succeeded else 0.0
        return loop.create_task(_within(written, sent, limit_s))

    # ---- health ----

    async def standing(self) -> Mapping[str, str]:
        """See ControlPlane.standing."""
        return {"mode": MODE, "platform_reachable": "yes" if await self._platform.reachable() else "no"}

    async def health(self) -> Condition:
        """See ControlPlane.health."""
        if not await self._platform.reachable():
            problem = OtariError(Kind.UNAVAILABLE, "The platform can not be reached", code="platform_unavailable")
            return Condition({"mode": MODE, "platform": "unavailable"}, problem)
        facts = {"mode": MODE, "platform": "connected"}
        if not self._db.healthy:
            problem = OtariError(Kind.UNAVAILABLE, "Reports can not be written", code="ledger_unavailable")
            return Condition({**facts, "database": "unavailable"}, problem)
        return Condition(facts)


def _can_travel(token: Secret) -> bool:
    """Whether a token is visible ASCII, as all that stand in a header are."""
    text = token.reveal()
    return text.isascii() and text.isprintable() and " " not in text


def _ticket(admission: Admission) -> Ticket:
    ticket = admission.ticket
    assert isinstance(ticket, Ticket)  # our own, from `admit`
    return ticket


async def _within(
    written: "asyncio.Future[None]", sent: "asyncio.Task[Receipt | None]", limit_s: float
) -> Receipt | None:
    """The receipt, if it comes in time once the report is on disk; the report goes on without anybody waiting."""
    await asyncio.wait({written})
    if limit_s:
        await asyncio.wait({sent}, timeout=limit_s)
    return sent.result() if sent.done() and not sent.cancelled() else None
