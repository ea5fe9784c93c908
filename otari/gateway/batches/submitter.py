"""Hands batches in at their providers, and finds them there after a crash.

The money of all lines is held before anything is sent. What is not known after a crash is asked: a batch that was
about to be handed in is looked for at its provider before it is sent again, and where that can not be told, it fails
openly.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Literal

from otari.domain.access import Principal
from otari.domain.batch import Batch, BatchStore, Kept, LineProblem, LineResult
from otari.domain.batches import BatchLine, Weight
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Ask
from otari.domain.remote_account import RemoteAccount
from otari.gateway.batches.drawer import Drawer
from otari.gateway.batches.endpoints import ENDPOINT, Endpoints
from otari.gateway.batches.input import Line, read_lines
from otari.gateway.batches.job import Job, Stand
from otari.gateway.batches.lines import Lines, row_name
from otari.gateway.batches.route import Route
from otari.gateway.batches.watch import Watch

log = logging.getLogger("otari.batches")

LATE_S = 10.0  # a request whose sender has died may still come through
_UNCERTAIN = frozenset({"upstream_disconnected", "upstream_timeout", "upstream_format"})  # it may have come through
_PASSING = frozenset({Kind.RATE_LIMITED, Kind.UPSTREAM, Kind.UNAVAILABLE, Kind.UPSTREAM_TIMEOUT})
_FOR_GOOD = frozenset({"upstream_credentials", "upstream_billing", "upstream_redirect", "batch_unknown"})


class Submitter:
    """Brings batches to their providers."""

    def __init__(
        self,
        store: BatchStore,
        account: RemoteAccount,
        lines: Lines,
        endpoints: Endpoints,
        principal_of: Callable[[str, str | None], Principal],
        *,
        line_max_bytes: int,
        folder: Path | None,
    ) -> None:
        """`principal_of` gives who sent a batch, as things stand now. `folder` has room for a batch."""
        self._store = store
        self._account = account
        self._lines = lines
        self._endpoints = endpoints
        self._principal_of = principal_of
        self._line_max_bytes = line_max_bytes
        self._folder = folder

    # ---- after a crash ----

    async def find(self, route: Route, batch: Batch, watch: Watch) -> Literal["waits", "wound_up"] | None:
        """After a crash while it was handed in. None: what has become of that is known now.

        "wound_up": nobody can tell, so that it has failed. Raises OtariError when the provider can not be asked now.
        """
        try:
            look = await route.upstream.find(route.attempt, batch.batch_id)
        except OtariError as error:
            if error.code != "batch_unknown":
                raise
            await self._account.give_up(batch, LineProblem.of(error))
            return "wound_up"
        if look is not None:
            await self._account.sent(batch.batch_id, look.remote_id)
            return None
        left_s = LATE_S - watch.missed_s()
        if left_s > 0:
            watch.retry_s = left_s
            return "waits"
        await self._account.take_back(batch.batch_id)
        watch.miss_no_more()
        return None

    # ---- handing in ----

    async def submit(self, job: Job, batch: Batch, route: Route, watch: Watch) -> Stand:
        """Write its lines, hold their money, hand it in. Raises OtariError when the store can not go on now."""
        with Drawer(self._folder) as drawer:
            try:
                principal = self._principal_of(batch.user_id, batch.key_id)
                weight = await self._write_all(batch, route, principal, drawer)
                if job.over is not None:
                    return await self._not_sent(job, batch)
                if not drawer:
                    await self._store.wind_up(batch.batch_id, "completed")
                    return "wound_up"
                await self._account.hold(principal, _ask(batch), weight)
            except OtariError as error:
                if error.kind is Kind.UNAVAILABLE:
                    raise
                return await self._failed(batch, error)
            return await self._hand_in(batch, route, watch, drawer)

    async def _not_sent(self, job: Job, batch: Batch) -> Literal["stopped", "wound_up"]:
        if job.over == "stopped" or job.over is None:
            return "stopped"
        await self._store.wind_up(batch.batch_id, job.over)
        return "wound_up"

    async def _failed(self, batch: Batch, error: OtariError) -> Literal["wound_up"]:
        await self._store.wind_up(batch.batch_id, "failed", [LineProblem.of(error)])
        return "wound_up"

    async def _write_all(self, batch: Batch, route: Route, principal: Principal, drawer: Drawer) -> Weight:
        """Write all lines for the provider; those that it can not be told have their result now. What they hold."""
        weight = Weight()
        done = await self._store.done_lines(batch.batch_id)
        async with aclosing(read_lines(self._store, batch, self._line_max_bytes)) as lines:
            async for line in lines:
                if line.number in done:
                    continue
                body = {**line.body, "model": batch.selector}
                name = row_name(batch, line.number)
                try:
                    written = await self._lines.write(
                        *(batch.endpoint, body, route.attempt, route.dialect, principal, name)
                    )
                    weight = weight.plus(self._account.weigh(principal, written.ask))
                except OtariError as error:
                    if error.kind is Kind.UNAVAILABLE:
                        raise
                    await self._store.keep(Kept(batch.batch_id, self._unsent(batch, line, error)))
                    continue
                drawer.put(line.number, written.body)
        return weight

    def _unsent(self, batch: Batch, line: Line, error: OtariError) -> LineResult:
        body = self._endpoints.error_body(batch.endpoint, error)
        return LineResult(line.number, line.custom_id, "", error.status, body)

    async def _hand_in(self, batch: Batch, route: Route, watch: Watch, drawer: Drawer) -> Literal["waits", "wound_up"]:
        async def lines() -> AsyncIterator[BatchLine]:
            for number in drawer:
                yield BatchLine(number, drawer.get(number))

        try:
            look = await route.upstream.create(route.attempt, batch.batch_id, route.dialect, lines)
        except OtariError as error:
            return await self._not_taken(batch, route, watch, error)
        await self._account.sent(batch.batch_id, look.remote_id)
        watch.looked()
        log.info("%s is with %s, %d lines", batch.batch_id, batch.provider, len(drawer))
        return "waits"

    async def _not_taken(
        self, batch: Batch, route: Route, watch: Watch, error: OtariError
    ) -> Literal["waits", "wound_up"]:
        batch_id, told = batch.batch_id, error.detail or error.message
        if error.code in _UNCERTAIN and error.upstream_status is None:
            log.warning("%s: it is not known whether %s has it: %s", batch_id, batch.provider, told)
            watch.try_again()
            return "waits"  # it is looked for before it is sent again
        if (error.upstream_status or 0) >= 500 and await self._came_through(route, batch, watch):
            return "waits"
        await self._account.take_back(batch_id)
        if error.kind in _PASSING and error.code not in _FOR_GOOD:
            log.warning("%s waits for %s: %s", batch_id, batch.provider, told)
            watch.try_again(error.retry_after or 0.0)
            return "waits"
        return await self._failed(batch, error)

    async def _came_through(self, route: Route, batch: Batch, watch: Watch) -> bool:
        """Whether the provider may have it although it answered with a failure of its own."""
        try:
            look = await route.upstream.find(route.attempt, batch.batch_id)
        except OtariError as error:
            if error.code == "batch_unknown":
                return False  # a refusal is a word, where there is no better one
            watch.try_again()
            return True
        if look is not None:
            await self._account.sent(batch.batch_id, look.remote_id)
        return look is not None


def _ask(batch: Batch) -> Ask:
    return Ask(batch.batch_id, ENDPOINT, batch.selector, None, 0, 0, 1, stream=False)
