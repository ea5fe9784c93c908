"""Batches that their provider carries out as one: handed in, looked at until they have ended, and collected.

Every step can be done again: how far a batch has come stands in its record, and what only this run knows in its watch.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from otari.domain.access import Principal
from otari.domain.batch import OPEN_STATES, Batch, BatchStore, LineProblem, Progress
from otari.domain.batches import BatchLook, BatchUpstream
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.domain.remote_account import RemoteAccount
from otari.gateway.batches.collector import Collector
from otari.gateway.batches.endpoints import Endpoints
from otari.gateway.batches.job import Job, Stand
from otari.gateway.batches.lines import Lines
from otari.gateway.batches.route import Route, Routes
from otari.gateway.batches.submitter import Submitter
from otari.gateway.batches.watch import Watch

log = logging.getLogger("otari.batches")

LOST_S = 3_600.0  # a provider denies a batch that it has had: its address or key may be wrong here, and be mended
GRACE_MS = 6 * 3_600_000  # for a provider to tell how a batch ended whose time is over


class RemoteWay:
    """Has batches carried out by their providers."""

    def __init__(
        self,
        store: BatchStore,
        account: RemoteAccount,
        lines: Lines,
        endpoints: Endpoints,
        upstream_of: Callable[[Attempt], BatchUpstream | None],
        principal_of: Callable[[str, str | None], Principal],
        *,
        line_max_bytes: int,
        folder: Path | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int],
    ) -> None:
        """`upstream_of` gives the API for batches of a provider that has one. `folder` has room for a batch."""
        self._store = store
        self._account = account
        self._routes = Routes(account, lines, upstream_of)
        self._submitter = Submitter(
            *(store, account, lines, endpoints, principal_of), line_max_bytes=line_max_bytes, folder=folder
        )
        self._collector = Collector(store, account, lines, endpoints, line_max_bytes=line_max_bytes, folder=folder)
        self._new_watch = partial(Watch, clock, pause)
        self._now_ms = now_ms
        self._watches: dict[str, Watch] = {}

    def takes(self, batch: Batch) -> bool:
        """Whether its provider carries it out, or will."""
        if batch.remote_state is not None:
            return True
        try:
            route = self._routes.find(batch)
        except OtariError:
            return False  # every line will say so
        return route is not None and batch.total <= route.upstream.lines_max

    # ---- a step ----

    async def carry_out(self, job: Job, batch: Batch) -> Stand:
        """What can be done for it now. Raises OtariError when the store can not go on now."""
        if batch.remote_state == "collected":
            return "wound_up"
        watch = self._watches.setdefault(batch.batch_id, self._new_watch())
        watch.retry_s = None
        try:
            return await self._step(job, batch, watch)
        except OtariError as error:
            if batch.remote_state is None:
                raise
            log.warning("%s waits for %s: %s", batch.batch_id, batch.provider, error.detail or error.message)
            if await self._is_hopeless(batch, error):
                return "wound_up"
            watch.try_again()
            return "waits"

    async def _step(self, job: Job, batch: Batch, watch: Watch) -> Stand:
        route = await self._routes.get(batch)
        watch.asks_often = route.upstream.asks_often
        if batch.remote_state == "submitting" and (still := await self._submitter.find(route, batch, watch)):
            return still
        batch = await self._store.get(batch.batch_id)
        if batch.remote_state is None:
            return await self._submitter.submit(job, batch, route, watch)
        if watch.ended is None:
            return "waits"
        return await self._collector.collect(job, batch, route, watch.ended)

    async def _is_hopeless(self, batch: Batch, error: OtariError) -> bool:
        """Whether there is no more to be hoped for; then it is given up."""
        if self._now_ms() <= batch.expires_at_ms + GRACE_MS:
            return False
        await self._account.give_up(batch, LineProblem.of(error))
        return True

    # ---- between two steps ----

    async def wait(self, job: Job) -> None:
        """Until there is something to do for a batch that waits, or the gateway is about to stop."""
        watch = self._watches[job.batch_id]
        await watch.wait(job, partial(self._look, job, watch))

    async def asked(self, batch_id: str) -> Progress | None:
        """Somebody asks how it stands: look, unless that was done just now, wait for it a little, and tell."""
        if (watch := self._watches.get(batch_id)) is None:
            return None
        await watch.asked()
        return None if watch.last is None else Progress(watch.last.completed, watch.last.failed)

    def wake(self, batch_id: str) -> None:
        """Something has changed for it: it was cancelled, or the gateway stops."""
        if (watch := self._watches.get(batch_id)) is not None:
            watch.wake()

    def forget(self, batch_id: str) -> None:
        """Nothing more is done for it in this run."""
        if (watch := self._watches.pop(batch_id, None)) is not None:
            watch.close()

    # ---- looking ----

    async def _look(self, job: Job, watch: Watch) -> bool:
        """Ask the provider; whether there is something to be done now."""
        batch = await self._store.get(job.batch_id)
        watch.looked()
        watch.look_later()
        try:
            route = await self._routes.get(batch)
            assert batch.remote_id is not None  # it is with its provider
            if job.over in ("cancelled", "expired") and not watch.cancelled:
                look = await _cancel(route, batch.remote_id, watch)
            else:
                look = await route.upstream.look(route.attempt, batch.remote_id)
        except OtariError as error:
            log.warning("%s: %s tells nothing: %s", batch.batch_id, batch.provider, error.detail or error.message)
            if error.kind is Kind.NOT_FOUND and watch.missed_s() >= LOST_S:
                told = "The provider knows nothing of this batch any more."
                await self._account.close(batch, "failed", [LineProblem("batch_lost", told)])
                return True
            return await self._is_hopeless(batch, error)
        watch.last = look
        watch.miss_no_more()
        watch.ended = None if look.state in OPEN_STATES else look
        return watch.ended is not None


async def _cancel(route: Route, remote_id: str, watch: Watch) -> BatchLook:
    """Ask for its end; how it stands. A batch that has ended, or is about to, is not cancelled once more."""
    watch.cancel_tried = True
    try:
        look = await route.upstream.cancel(route.attempt, remote_id)
        watch.cancelled = True
    except OtariError as error:
        if error.upstream_status is None:
            raise
        look = await route.upstream.look(route.attempt, remote_id)
        watch.cancelled = look.state == "cancelling"
    return look
