"""Batches that their provider carries out as one: handed in, looked at until they have ended, and collected.

The money of all lines is held before anything is sent. What is not known after a crash is asked: a batch that was
about to be handed in is looked for at its provider before it is sent again, and where that can not be told, it fails
openly. A line is charged in the transaction that keeps its result, so that results can be read again from their start.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from otari.domain.access import Principal
from otari.domain.batch import Batch, BatchStore, Ending, Kept, LineProblem, LineResult
from otari.domain.batches import BatchAnswer, BatchLine, BatchLook, BatchUpstream, Weight
from otari.domain.chat import Usage
from otari.domain.errors import STATUS, Kind, OtariError
from otari.domain.ports import Ask, Attempt, Outcome
from otari.gateway.batches.drawer import Drawer
from otari.gateway.batches.endpoints import ENDPOINT, Endpoints
from otari.gateway.batches.input import Line, WrongLine, is_blank, read_line
from otari.gateway.batches.job import Job
from otari.gateway.batches.lines import Lines

log = logging.getLogger("otari.batches")

FLAG = "batch"  # of the rows of its lines
LOOK_FIRST_S, LOOK_LAST_S = 60.0, 300.0  # between two looks at a batch that nobody asks for
LOOK_AGAIN_S = 5.0  # what was seen so lately is told again
ASKED_S = 10.0  # how long somebody who asks waits for a look
GRACE_MS = 6 * 3_600_000  # for a provider to tell how a batch ended whose time is over
_AT_ONCE = 200  # lines whose results are kept in one transaction
_BREATH = 16  # lines between two chances for others to run
_ENDED = ("completed", "failed", "expired", "cancelled")
_UNDONE = frozenset({"batch_expired", "batch_cancelled", "batch_failed", "batch_line_missing"})
_KINDS = {status: kind for kind, status in reversed(STATUS.items())}
_UNCERTAIN = frozenset({"upstream_disconnected", "upstream_timeout", "upstream_format"})  # it may have come through
_PASSING = frozenset({Kind.RATE_LIMITED, Kind.UPSTREAM, Kind.UNAVAILABLE, Kind.UPSTREAM_TIMEOUT})
_FOR_GOOD = frozenset({"upstream_credentials", "upstream_billing", "upstream_redirect", "batch_unknown"})


class RemoteAccount(Protocol):
    """Who accounts for batches that their providers carry out. Everything may raise OtariError(UNAVAILABLE)."""

    def attempts(self, selector: str) -> tuple[Attempt, ...]:
        """What is tried for a selector. Raises OtariError(INVALID)."""
        ...

    def weigh(self, principal: Principal, ask: Ask) -> Weight:
        """What a line holds. Raises OtariError as `ControlPlane.admit` does, but for what accounts alone can tell."""
        ...

    async def hold(self, principal: Principal, ask: Ask, weight: Weight) -> None:
        """Hold the money of a batch, which `ask.request_id` names, and note that it is about to be handed in.

        Raises OtariError as `ControlPlane.admit` does.
        """
        ...

    async def sent(self, batch_id: str, remote_id: str) -> None:
        """The provider has it."""
        ...

    async def take_back(self, batch_id: str) -> None:
        """The provider does not have it, for sure: nothing is held any more."""
        ...

    async def keep(self, batch_id: str, ends: Sequence[tuple[LineResult, Outcome | None]]) -> None:
        """Results of lines, each with what it cost; those that were kept before are not charged again."""
        ...

    async def close(self, batch: Batch, ending: Ending, problems: Sequence[LineProblem] = ()) -> None:
        """All results are here: nothing is held any more, and the batch will end so."""
        ...

    async def give_up(self, batch: Batch, problem: LineProblem) -> None:
        """Nobody will know what the provider did: charged as what a crash has cut off, and the batch fails."""
        ...


class Route(NamedTuple):
    """Where a batch goes, and what its lines are written in."""

    attempt: Attempt
    upstream: BatchUpstream
    dialect: str


class Watch:
    """A batch of this run that is with its provider. `ended` is the look that saw its end."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.waits = asyncio.Event()  # it is handed in, and waited for
        self.askers: list[asyncio.Future[None]] = []
        self.looked_at_s: float | None = None
        self.asks_often = False
        self.cancel_tried = self.cancelled = False  # the provider was asked to cancel it, and has heard
        self.ended: BatchLook | None = None
        self.pause_s = LOOK_FIRST_S
        self.retry_s: float | None = None  # it is not handed in yet: after so long it is tried again

    def answer(self) -> None:
        """Whoever has asked need not wait any longer."""
        askers, self.askers = self.askers, []
        for asker in askers:
            if not asker.done():
                asker.set_result(None)


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
        self._lines = lines
        self._endpoints = endpoints
        self._upstream_of = upstream_of
        self._principal_of = principal_of
        self._line_max_bytes = line_max_bytes
        self._folder = folder
        self._pause = pause
        self._clock = clock
        self._now_ms = now_ms
        self._watches: dict[str, Watch] = {}

    # ---- whether ----

    def takes(self, batch: Batch) -> bool:
        """Whether its provider carries it out, or will."""
        if batch.remote_state is not None:
            return True
        try:
            route = self._route(batch)
        except OtariError:
            return False  # every line will say so
        return route is not None and batch.total <= route.upstream.lines_max

    def _route(self, batch: Batch) -> Route | None:
        """The one provider that is meant, if it has an API for such batches. Raises OtariError(INVALID)."""
        attempts = self._account.attempts(batch.selector)
        upstream = self._upstream_of(attempts[0]) if len(attempts) == 1 else None
        if upstream is None:
            return None
        dialect = self._lines.dialect(batch.endpoint, attempts[0], upstream)
        return None if dialect is None else Route(attempts[0], upstream, dialect)

    # ---- a step ----

    async def carry_out(self, job: Job, batch: Batch) -> Literal["waits", "stopped", "wound_up"]:
        """What can be done for it now. "waits": go on when `wait` returns; "wound_up": how it ends is noted.

        Raises OtariError when the store can not go on now.
        """
        if batch.remote_state == "collected":
            return "wound_up"
        watch = self._watches.setdefault(batch.batch_id, Watch())
        watch.retry_s = None
        try:
            return await self._step(job, batch, watch)
        except OtariError as error:
            if batch.remote_state is None:
                raise
            log.warning("%s waits for %s: %s", batch.batch_id, batch.provider, _told(error))
            if await self._is_hopeless(batch, error):
                return "wound_up"
            watch.retry_s = LOOK_FIRST_S
            return "waits"

    async def _is_hopeless(self, batch: Batch, error: OtariError) -> bool:
        """Whether there is no more to be hoped for; then it is given up."""
        if self._now_ms() <= batch.expires_at_ms + GRACE_MS:
            return False
        await self._account.give_up(batch, _problem(error))
        return True

    async def _step(self, job: Job, batch: Batch, watch: "Watch") -> Literal["waits", "stopped", "wound_up"]:
        route = self._route(batch)
        if route is None:
            raise _no_route(batch)
        watch.asks_often = route.upstream.asks_often
        if batch.remote_state == "submitting" and not await self._found(route, batch):
            return "wound_up"
        batch = await self._store.get(batch.batch_id)
        if batch.remote_state is None:
            return await self._submit(job, batch, route, watch)
        if watch.ended is None:
            return "waits"
        return await self._collect(job, batch, route, watch.ended)

    def forget(self, batch_id: str) -> None:
        """Nothing more is done for it in this run."""
        watch = self._watches.pop(batch_id, None)
        if watch is not None:
            watch.waits.set()
            watch.answer()

    # ---- handing in ----

    async def _found(self, route: Route, batch: Batch) -> bool:
        """After a crash while it was handed in. False: nobody can tell, so that it has failed."""
        try:
            look = await route.upstream.find(route.attempt, batch.batch_id)
        except OtariError as error:
            if error.code != "batch_unknown":
                raise
            await self._account.give_up(batch, _problem(error))
            return False
        if look is None:
            await self._account.take_back(batch.batch_id)
        else:
            await self._account.sent(batch.batch_id, look.remote_id)
        return True

    async def _submit(
        self, job: Job, batch: Batch, route: Route, watch: Watch
    ) -> Literal["waits", "stopped", "wound_up"]:
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
                await self._store.wind_up(batch.batch_id, "failed", [_problem(error)])
                return "wound_up"
            return await self._hand_in(batch, route, watch, drawer)

    async def _not_sent(self, job: Job, batch: Batch) -> Literal["stopped", "wound_up"]:
        if job.over == "stopped" or job.over is None:
            return "stopped"
        await self._store.wind_up(batch.batch_id, job.over)
        return "wound_up"

    async def _write_all(self, batch: Batch, route: Route, principal: Principal, drawer: Drawer) -> Weight:
        """Write all lines for the provider; those that it can not be told have their result now. What they hold."""
        weight = Weight()
        done = await self._store.done_lines(batch.batch_id)
        async with aclosing(self._each_line(batch)) as lines:
            async for line in lines:
                if line.number in done:
                    continue
                body = {**line.body, "model": batch.selector}
                name = _name(batch, line.number)
                try:
                    written = await self._lines.write(
                        *(batch.endpoint, body, route.attempt, route.dialect, principal, name)
                    )
                    weight = weight.plus(self._account.weigh(principal, written.ask))
                except OtariError as error:
                    if error.kind is Kind.UNAVAILABLE:
                        raise
                    await self._store.keep(Kept(batch.batch_id, self._failed(batch, line, error, "")))
                    continue
                drawer.put(line.number, written.body)
        return weight

    async def _hand_in(self, batch: Batch, route: Route, watch: Watch, drawer: Drawer) -> Literal["waits", "wound_up"]:
        async def lines() -> AsyncIterator[BatchLine]:
            for number in drawer:
                yield BatchLine(number, drawer.get(number))

        batch_id = batch.batch_id
        try:
            look = await route.upstream.create(route.attempt, batch_id, route.dialect, lines)
        except OtariError as error:
            if error.code in _UNCERTAIN and error.upstream_status is None:
                log.warning("%s: it is not known whether %s has it: %s", batch_id, batch.provider, _told(error))
                watch.retry_s = LOOK_FIRST_S
                return "waits"  # it is looked for before it is sent again
            if (error.upstream_status or 0) >= 500 and await self._came_through(route, batch, watch):
                return "waits"
            await self._account.take_back(batch_id)
            if error.kind in _PASSING and error.code not in _FOR_GOOD:
                watch.retry_s = max(error.retry_after or 0.0, LOOK_FIRST_S)
                log.warning("%s waits for %s: %s", batch_id, batch.provider, _told(error))
                return "waits"
            await self._store.wind_up(batch_id, "failed", [_problem(error)])
            return "wound_up"
        await self._account.sent(batch_id, look.remote_id)
        watch.looked_at_s = self._clock()
        log.info("%s is with %s, %d lines", batch_id, batch.provider, len(drawer))
        return "waits"

    async def _came_through(self, route: Route, batch: Batch, watch: Watch) -> bool:
        """Whether the provider may have it although it answered with a failure of its own."""
        try:
            look = await route.upstream.find(route.attempt, batch.batch_id)
        except OtariError as error:
            if error.code == "batch_unknown":
                return False  # a refusal is a word, where there is no better one
            watch.retry_s = LOOK_FIRST_S
            return True
        if look is not None:
            await self._account.sent(batch.batch_id, look.remote_id)
        return look is not None

    # ---- waiting ----

    async def wait(self, job: Job) -> None:
        """Until there is something to do for a batch that waits, or the gateway is about to stop."""
        watch = self._watches[job.batch_id]
        watch.waits.set()
        while not job.stopping:
            if watch.retry_s is not None:
                await self._rest(watch, watch.retry_s)
                return
            if not self._is_due(job, watch):
                await self._rest(watch, LOOK_LAST_S if watch.asks_often else watch.pause_s)
            elif await self._look(job, watch):
                return
            else:
                watch.answer()

    def _is_due(self, job: Job, watch: Watch) -> bool:
        """Whether to look now."""
        if watch.askers or (job.over is not None and not watch.cancel_tried):
            return True
        if watch.asks_often:
            return False
        return watch.looked_at_s is None or self._clock() - watch.looked_at_s >= watch.pause_s

    async def _rest(self, watch: Watch, seconds: float) -> None:
        waits = (asyncio.ensure_future(self._pause(seconds)), asyncio.ensure_future(watch.wake.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.wake.clear()
            for each in waits:
                each.cancel()

    async def _look(self, job: Job, watch: Watch) -> bool:
        """Ask the provider; whether there is something to be done now."""
        batch = await self._store.get(job.batch_id)
        watch.looked_at_s = self._clock()
        watch.pause_s = min(watch.pause_s * 1.25, LOOK_LAST_S)
        try:
            route = self._route(batch)
            if route is None:
                raise _no_route(batch)
            assert batch.remote_id is not None  # it is with its provider
            if job.over in ("cancelled", "expired") and not watch.cancelled:
                watch.cancel_tried = True
                look = await route.upstream.cancel(route.attempt, batch.remote_id)
                watch.cancelled = True
            else:
                look = await route.upstream.look(route.attempt, batch.remote_id)
        except OtariError as error:
            log.warning("%s: %s tells nothing: %s", batch.batch_id, batch.provider, _told(error))
            if error.kind is Kind.NOT_FOUND:
                told = "The provider knows nothing of this batch any more."
                await self._account.close(batch, "failed", [LineProblem("batch_lost", told)])
                return True
            return await self._is_hopeless(batch, error)
        watch.ended = look if look.state in _ENDED else None
        return watch.ended is not None

    async def asked(self, batch_id: str) -> None:
        """Somebody asks how it stands: look, unless that was done just now; wait for it a little."""
        watch = self._watches.get(batch_id)
        if watch is None:
            return
        try:
            async with asyncio.timeout(ASKED_S):
                if not watch.waits.is_set() and not watch.asks_often:
                    return  # handing it in may take a while
                await watch.waits.wait()
                if batch_id not in self._watches:
                    return  # it has ended without having waited
                lately = watch.looked_at_s is not None and self._clock() - watch.looked_at_s < LOOK_AGAIN_S
                if watch.retry_s is not None or (lately and not watch.asks_often):
                    return
                asker = asyncio.get_running_loop().create_future()
                watch.askers.append(asker)
                watch.wake.set()
                await asker
        except TimeoutError:
            pass  # what is known already is told

    def wake(self, batch_id: str) -> None:
        """Something has changed for it: it was cancelled, or the gateway stops."""
        watch = self._watches.get(batch_id)
        if watch is not None:
            watch.wake.set()

    # ---- collecting ----

    async def _collect(self, job: Job, batch: Batch, route: Route, look: BatchLook) -> Literal["stopped", "wound_up"]:
        greatest = 0
        async with aclosing(self._each_line(batch)) as lines:
            async for line in lines:
                greatest = line.number
        answers: dict[int, BatchAnswer] = {}
        with Drawer(self._folder) as drawer:
            async for answer in route.upstream.results(route.attempt, look, greatest):
                if answer.body is not None:
                    drawer.put(answer.number, answer.body)
                answers[answer.number] = answer._replace(body=None)
            if not await self._keep_all(job, batch, route, answers, drawer):
                return "stopped"
        ending: Ending = look.state if look.state in ("failed", "expired", "cancelled") else "completed"
        problems = [LineProblem("batch_failed", look.error or "The provider refused the batch.")] * (ending == "failed")
        await self._account.close(batch, ending, problems)
        return "wound_up"

    async def _keep_all(
        self, job: Job, batch: Batch, route: Route, answers: dict[int, BatchAnswer], drawer: Drawer
    ) -> bool:
        """Keep the results of all lines, in their order; False when the gateway stops meanwhile."""
        done = await self._store.done_lines(batch.batch_id)
        ends: list[tuple[LineResult, Outcome | None]] = []
        async with aclosing(self._each_line(batch)) as lines:
            async for line in lines:
                answer = answers.get(line.number)
                if answer is None or line.number in done:
                    continue
                body = drawer.get(line.number) if answer.status == 200 else b""
                ends.append(self._end(batch, route, line, answer, body))
                if len(ends) == _AT_ONCE:
                    await self._account.keep(batch.batch_id, ends)
                    ends = []
                    if job.stopping:
                        return False
        if ends:
            await self._account.keep(batch.batch_id, ends)
        return True

    def _end(
        self, batch: Batch, route: Route, line: Line, answer: BatchAnswer, body: bytes
    ) -> tuple[LineResult, Outcome | None]:
        name, attempt = _name(batch, line.number), route.attempt
        if answer.status != 200:
            if answer.code in _UNDONE:
                return LineResult(line.number, line.custom_id, "", 0, None, answer.code, answer.message), None
            error = OtariError(_KINDS.get(answer.status, Kind.UPSTREAM), answer.message or "", code=answer.code)
            outcome = Outcome(attempt, False, error.status, Usage(), "none", error.message, (FLAG,))
            return self._failed(batch, line, error, name), outcome
        request = {**line.body, "model": batch.selector}
        read = self._lines.read(batch.endpoint, request, attempt, route.dialect, body, name)
        problem = read.problem
        outcome = Outcome(
            attempt,
            succeeded=problem is None,
            status=200 if problem is None else problem.status,
            usage=read.usage,
            usage_source=read.source,
            error=None if problem is None else problem.detail or problem.message,
            flags=(FLAG, *read.flags),
            quantity=read.quantity,
            dropped=read.dropped,
        )
        if problem is not None:
            return self._failed(batch, line, problem, name), outcome
        return LineResult(line.number, line.custom_id, name, 200, read.body), outcome

    # ---- lines ----

    def _failed(self, batch: Batch, line: Line, error: OtariError, request_id: str) -> LineResult:
        body = self._endpoints.error_body(batch.endpoint, error)
        return LineResult(line.number, line.custom_id, request_id, error.status, body)

    async def _each_line(self, batch: Batch) -> AsyncGenerator[Line, None]:
        """The lines of the input, which were found to be fine when the batch began."""
        number = 0
        async with aclosing(self._store.lines(batch.batch_id, self._line_max_bytes)) as blocks:
            async for lines in blocks:
                for raw in lines:
                    number += 1
                    if number % _BREATH == 0:
                        await asyncio.sleep(0)
                    if is_blank(raw):
                        continue
                    try:
                        yield read_line(number, raw, batch.endpoint)
                    except WrongLine:
                        continue


def _name(batch: Batch, number: int) -> str:
    """What the row of a line is called."""
    return f"{batch.batch_id}.{number}"


def _ask(batch: Batch) -> Ask:
    return Ask(batch.batch_id, ENDPOINT, batch.selector, None, 0, 0, 1, stream=False)


def _problem(error: OtariError) -> LineProblem:
    return LineProblem(error.code or error.kind.value, error.message, None, error.param)


def _told(error: OtariError) -> str:
    return error.detail or error.message


def _no_route(batch: Batch) -> OtariError:
    words = f"Provider '{batch.provider}' is not configured for batches any more"
    return OtariError(Kind.UNAVAILABLE, words, code="batch_no_provider")
