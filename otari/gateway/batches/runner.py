"""Carries batches out: looks at their input, has their lines answered, writes what came of it.

All that must not be lost is in the store: a batch is taken up again where the last run left it, whatever ended that.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, Protocol
from weakref import WeakValueDictionary

from otari.domain.access import Principal
from otari.domain.batch import INPUT_LOST, Batch, BatchStore, Ending, LineProblem, LineResult, Progress
from otari.domain.catalog import ModelRef
from otari.domain.errors import Kind, OtariError
from otari.gateway.batches.input import InputCheck, WrongLine, is_blank, read_line
from otari.gateway.batches.job import Job
from otari.gateway.batches.local import LocalWay
from otari.gateway.batches.output import write_result
from otari.gateway.batches.remote import RemoteWay

log = logging.getLogger("otari.batches")

AT_ONCE, OF_USER_AT_ONCE = 64, 4  # batches; the others wait for their turn
_PAUSE_S = 5.0  # when disk or ledger take nothing

_WHY_NOT: dict[Ending, tuple[str, str]] = {
    "cancelled": ("batch_cancelled", "This request was not carried out because the batch was cancelled."),
    "expired": ("batch_expired", "This request was not carried out before the completion window was over."),
    "failed": ("batch_failed", "This request was not carried out because the batch failed."),
}


class BatchControl(Protocol):
    """What batches ask of who decides."""

    def principal_of(self, user_id: str, key_id: str | None) -> Principal:
        """Who sent a batch, as things stand now. Raises OtariError(UNAUTHENTICATED)."""
        ...

    async def recognise(self, principal: Principal, selector: str) -> ModelRef:
        """The first model that a selector names. Raises OtariError(INVALID)."""
        ...


class BatchRunner:
    """Carries out every batch that it is given by `take`, and from the start those that an earlier run has left."""

    def __init__(
        self,
        store: BatchStore,
        local: LocalWay,
        control: BatchControl,
        *,
        line_max_bytes: int,
        now_ms: Callable[[], int],
        pause: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
        remote: RemoteWay | None = None,
    ) -> None:
        """`pause` waits for so many seconds. `remote` None: no provider carries out batches itself."""
        self._remote = remote
        self._store = store
        self._local = local
        self._control = control
        self._line_max_bytes = line_max_bytes
        self._now_ms = now_ms
        self._pause = pause
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._turns_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # by user; jobs hold them
        self._jobs: dict[str, Job] = {}
        self._stopping = False
        self._drains_since_s = 0.0  # by the clock of the loop

    # ---- what is to be done ----

    async def start(self) -> int:
        """Take up what an earlier run has left; how many batches that are. Raises OtariError(UNAVAILABLE)."""
        left = await self._store.unfinished()
        for batch in left:
            self.take(batch)
        return len(left)

    def take(self, batch: Batch) -> None:
        """Carry out a batch that has not ended. When the gateway is about to stop, its next run does it."""
        if self._stopping or batch.batch_id in self._jobs:
            return
        turn = self._turns_of.setdefault(batch.user_id, asyncio.Semaphore(OF_USER_AT_ONCE))
        job = self._jobs[batch.batch_id] = Job(batch, turn, self._now_ms, self._pause)
        job.task = asyncio.get_running_loop().create_task(self._in_turn(job), name=batch.batch_id)
        job.task.add_done_callback(lambda _: self._ended(job.batch_id))

    def cancel(self, batch: Batch) -> None:
        """Begin no more lines of it; what is under way comes to its end."""
        job = self._jobs.get(batch.batch_id)
        if job is None:
            self.take(batch)
        else:
            job.cancel()
            self._wake(batch.batch_id)

    async def asked(self, batch: Batch) -> Progress | None:
        """Its owner asks how it stands: what its provider tells, if it is there; asked anew, unless it was just now."""
        if self._remote is None or batch.batch_id not in self._jobs:
            return None
        return await self._remote.asked(batch.batch_id)

    def drain(self) -> None:
        """Begin nothing more: the gateway is about to stop."""
        if not self._stopping:
            self._stopping, self._drains_since_s = True, asyncio.get_running_loop().time()
        for job in self._jobs.values():
            job.stop()
            self._wake(job.batch_id)

    async def close(self, patience_s: float) -> None:
        """Wait for what is under way; so long after `drain` it is broken off, and done again by the next run."""
        self.drain()
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        if not tasks:
            return
        left_s = self._drains_since_s + patience_s - asyncio.get_running_loop().time()
        _, late = await asyncio.wait(tasks, timeout=max(0.0, left_s))
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _wake(self, batch_id: str) -> None:
        if self._remote is not None:
            self._remote.wake(batch_id)

    def _ended(self, batch_id: str) -> None:
        self._jobs.pop(batch_id, None)
        if self._remote is not None:
            self._remote.forget(batch_id)

    # ---- one batch ----

    async def _in_turn(self, job: Job) -> None:
        while not job.stopping:
            try:
                async with self._turn(job):
                    waits = await self._carry_out(job)
                if not waits or self._remote is None:
                    return
                await self._remote.wait(job)  # that may take a day: others have their turn meanwhile
                continue
            except OtariError as error:
                log.warning("%s waits: %s", job.batch_id, error.detail or error.message)
            except Exception:
                log.exception("unexpected failure in %s; the next start takes it up again", job.batch_id)
                return
            if job.over == "cancelled":
                await self._pause(_PAUSE_S)  # for which `rest` does not rest
            else:
                await job.rest(_PAUSE_S)

    @asynccontextmanager
    async def _turn(self, job: Job) -> AsyncIterator[None]:
        """Its turn. What is to end early needs none: that does not take long."""
        turns = [turn for turn in (job.turn, self._turns) if await job.unless_ended(turn.acquire())]
        try:
            yield
        finally:
            for turn in turns:
                turn.release()

    async def _carry_out(self, job: Job) -> bool:
        """From wherever it stands to its end; True when that is with its provider, which takes its time.

        Raises OtariError when store or provider can not go on now.
        """
        batch = await self._store.get(job.batch_id)
        if batch.state == "validating":
            await self._check(batch)
            batch = await self._store.get(job.batch_id)
        with_provider = batch.remote_state in ("submitting", "sent")
        if batch.state == "in_progress" or (batch.state == "cancelling" and with_provider):
            if self._remote is not None and self._remote.takes(batch):
                if await self._remote.carry_out(job, batch) == "waits":
                    return True
                batch = await self._store.get(batch.batch_id)
            else:
                batch = await self._answered(job, batch)
        elif batch.state == "cancelling":
            batch = await self._store.wind_up(batch.batch_id, "cancelled")
        if batch.has_ended or batch.ending is None:
            return False
        await self._store.finish(batch, self._everything(batch), partial(write_result, batch.batch_id))
        log.info("%s: %s, %d of %d requests answered", batch.batch_id, batch.ending, batch.completed, batch.total)
        return False

    async def _answered(self, job: Job, batch: Batch) -> Batch:
        """Have the lines answered; the batch as it stands then."""
        try:
            over = await self._local.carry_out(job, batch)
        except OtariError as error:
            if error.code != INPUT_LOST:
                raise
            return await self._store.wind_up(batch.batch_id, "failed", [LineProblem.of(error)])
        if over == "stopped":
            return batch
        return await self._store.wind_up(batch.batch_id, over or "completed")

    async def _check(self, batch: Batch) -> None:
        """Look at all lines: the batch begins, or its owner is told why it can not. Neither, when it was cancelled."""
        check = InputCheck(batch.endpoint, batch.selector)
        problems = check.problems
        try:
            async with aclosing(self._blocks(batch)) as blocks:
                async for lines in blocks:
                    await asyncio.to_thread(check.feed, lines)  # a hundred thousand of them take a second
                    if check.has_enough:
                        break
            check.end()
            if not problems:
                principal = self._control.principal_of(batch.user_id, batch.key_id)
                ref = await self._control.recognise(principal, check.selector)
                await self._store.begin(batch.batch_id, check.selector, ref.provider, check.total)
                return
        except OtariError as error:
            if error.kind is Kind.UNAVAILABLE:
                raise
            problems.append(LineProblem.of(error))
        await self._store.refuse(batch.batch_id, problems)

    def _blocks(self, batch: Batch) -> AsyncGenerator[Sequence[bytes | None], None]:
        return self._store.lines(batch.batch_id, self._line_max_bytes)

    # ---- what came of it ----

    async def _everything(self, batch: Batch) -> AsyncGenerator[Sequence[LineResult], None]:
        """The results of all lines; those that were not carried out say so."""
        done = set[int]()
        async with aclosing(self._store.results(batch.batch_id)) as results:
            async for some in results:
                done.update(result.line for result in some)
                yield some
        if batch.ending in (None, "completed") or not batch.total or len(done) >= batch.total:
            return
        try:
            async with aclosing(self._undone(batch, done)) as undone:
                async for some in undone:
                    yield some
        except OtariError as error:
            if error.code != INPUT_LOST:
                raise

    async def _undone(self, batch: Batch, done: set[int]) -> AsyncGenerator[Sequence[LineResult], None]:
        assert batch.ending is not None  # only then are there such lines
        code, message = _WHY_NOT[batch.ending]
        number = 0
        async with aclosing(self._blocks(batch)) as blocks:
            async for lines in blocks:
                found = []
                for raw in lines:
                    number += 1
                    if number in done or is_blank(raw):
                        continue
                    try:
                        line = read_line(number, raw, batch.endpoint)
                    except WrongLine:
                        continue  # of a batch that was cancelled before anybody looked at its lines
                    found.append(LineResult(number, line.custom_id, "", 0, None, code, message))
                yield found
