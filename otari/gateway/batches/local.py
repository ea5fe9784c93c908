"""Batches whose lines we send one by one, as if their owner did: the same admission, fallbacks and accounting.

The result of a line is kept by the settlement of its request. So a line that was charged has its result, and a line
with a result is never sent again, whenever the process dies; what was under way then is accounted for by the recovery
of the ledger, and sent once more.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from otari.domain.access import Principal
from otari.domain.arrival import Arrival, note_arrival
from otari.domain.batch import Batch, BatchStore, Kept, LineResult
from otari.domain.errors import Kind, OtariError
from otari.gateway.batches.endpoints import Endpoints, unexpected
from otari.gateway.batches.input import Line, WrongLine, is_blank, read_line
from otari.gateway.batches.job import Job, Over

log = logging.getLogger("otari.batches")

TRIES_MAX = 6
PAUSE_FIRST_S = 1.0
PAUSE_LAST_S = 60.0
_STORE_PAUSE_S = 5.0  # when the ledger takes nothing
_PASSING = frozenset({Kind.RATE_LIMITED, Kind.UPSTREAM, Kind.UNAVAILABLE, Kind.UPSTREAM_TIMEOUT})
_OPERATORS_FAULT = frozenset({401, 402, 403})  # of a provider: asking again does not mend it
_LEDGER = "ledger_unavailable"


class LocalWay:
    """Sends the lines of batches, `at_once` of them at the same time, whosever they are."""

    def __init__(
        self,
        store: BatchStore,
        endpoints: Endpoints,
        principal_of: Callable[[str, str | None], Principal],
        *,
        at_once: int,
        line_max_bytes: int,
        new_request_id: Callable[[str, int], str],
    ) -> None:
        """`principal_of` gives who sent a batch (a user, and a key if it was not the master's), as things stand now;
        it raises OtariError(UNAUTHENTICATED). `new_request_id` names a request for a line of a batch.
        """
        self._store = store
        self._endpoints = endpoints
        self._principal_of = principal_of
        self._at_once = at_once
        self._line_max_bytes = line_max_bytes
        self._new_request_id = new_request_id
        self._slots = asyncio.Semaphore(at_once)

    async def carry_out(self, job: Job, batch: Batch) -> Over | None:
        """Send every line that has no result. None: all have one; else why some have none.

        Raises OtariError when the input can not be read, or the store is not there.
        """
        while (over := await self._send_all(job, batch)) is None:
            batch = await self._store.get(batch.batch_id)
            if batch.completed + batch.failed >= batch.total:
                return None
            await job.rest(_STORE_PAUSE_S)  # settlements wait in memory for the disk
        return over

    async def _send_all(self, job: Job, batch: Batch) -> Over | None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            await self._begin_all(job, batch, under_way)
        except asyncio.CancelledError:
            for task in under_way:
                task.cancel()
            raise
        finally:
            await _ended(under_way)
        return job.over

    async def _begin_all(self, job: Job, batch: Batch, under_way: set[asyncio.Task[None]]) -> None:
        """Begin one line after the other, until the batch is over; never more than may be under way."""
        done = await self._store.done_lines(batch.batch_id)
        room = asyncio.Semaphore(self._at_once)  # for lines under way, pauses included

        def ended(task: asyncio.Task[None]) -> None:
            under_way.discard(task)
            room.release()

        number = 0
        async with aclosing(self._store.lines(batch.batch_id, self._line_max_bytes)) as blocks:
            async for lines in blocks:
                for raw in lines:
                    number += 1
                    if number in done or is_blank(raw):
                        continue
                    await room.acquire()
                    if job.over is not None:
                        return
                    task = asyncio.get_running_loop().create_task(self._send(Sending(job, batch, number), raw))
                    under_way.add(task)
                    task.add_done_callback(ended)

    # ---- one line ----

    async def _send(self, sending: "Sending", raw: bytes | None) -> None:
        """Until it has a result, or its batch is over. Raises nothing: its neighbours must not suffer for it."""
        _note_arrival(sending.job)
        try:
            line = read_line(sending.number, raw, sending.batch.endpoint)
        except WrongLine as error:  # it was fine when the batch began
            await self._keep(sending, OtariError(Kind.INVALID, error.problem.message, code=error.problem.code))
            return
        while sending.job.over is None:
            async with self._slots:
                pause_s = None if sending.job.over else await self._try(sending, line)
            if pause_s is None:
                return
            await sending.job.rest(pause_s)

    async def _try(self, sending: "Sending", line: Line) -> float | None:
        """Send it once; after how many seconds again, None when it has its result."""
        batch = sending.batch
        request_id = self._new_request_id(batch.batch_id, sending.number)
        sending.begin(line, request_id)
        try:
            principal = self._principal_of(batch.user_id, batch.key_id)
            body = {**line.body, "model": batch.selector}
            talk = self._endpoints.begin(batch.endpoint, body, principal, request_id)
            talk.keepsake = lambda problem: self._keepsake(sending, talk.answer, problem)
            await talk.whole()
        except OtariError as error:
            if sending.has_result:
                return None
            if sending.may_pass(error):
                return sending.pause_s(error)
            await self._keep(sending, error)
        except Exception:
            log.exception("unexpected failure in line %d of %s, request %s", line.number, batch.batch_id, request_id)
            if not sending.has_result:
                await self._keep(sending, unexpected(request_id))
        return None

    def _keepsake(self, sending: "Sending", answer: bytes | None, problem: BaseException | None) -> Kept | None:
        """What the settlement of a try is to keep: its result, if it is one."""
        if problem is None:
            return sending.result(200, answer)
        if not isinstance(problem, Exception):
            return None  # we are being stopped
        error = problem if isinstance(problem, OtariError) else unexpected(sending.request_id)
        if sending.may_pass(error):
            return None
        return sending.result(error.status, self._endpoints.error_body(sending.batch.endpoint, error))

    async def _keep(self, sending: "Sending", error: OtariError) -> None:
        """A line that fails without having been sent; while the ledger takes nothing it stays without a result."""
        kept = sending.result(error.status, self._endpoints.error_body(sending.batch.endpoint, error))
        try:
            await self._store.keep(kept)
        except OtariError as refused:
            log.warning("the result of line %d of %s can not be kept now: %s", sending.number, *_told(sending, refused))


class Sending:
    """One line on its way, through all its tries."""

    def __init__(self, job: Job, batch: Batch, number: int) -> None:
        self.job = job
        self.batch = batch
        self.number = number
        self.request_id = ""
        self.has_result = False  # on its way into the ledger, with the settlement
        self._custom_id = ""
        self._tries = 0

    def begin(self, line: Line, request_id: str) -> None:
        """Another try."""
        self._custom_id, self.request_id = line.custom_id, request_id
        self._tries += 1

    def may_pass(self, error: OtariError) -> bool:
        """Whether the same line may have an answer a little later."""
        if error.code == _LEDGER:
            return True
        passing = error.kind in _PASSING and error.upstream_status not in _OPERATORS_FAULT
        return passing and self._tries < TRIES_MAX and self.job.over is None

    def pause_s(self, error: OtariError) -> float:
        """How long to wait before the next try: as the provider says, else longer each time."""
        wanted = error.retry_after or PAUSE_FIRST_S * 2 ** (self._tries - 1)
        return min(wanted, PAUSE_LAST_S)

    def result(self, status: int, body: bytes | None) -> Kept:
        """Its result; from now on it has one."""
        self.has_result = True
        result = LineResult(self.number, self._custom_id, self.request_id, status, body)
        return Kept(self.batch.batch_id, result)


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    """Wait for tasks; who is cancelled meanwhile cancels them, and waits all the same."""
    waited_for = set(tasks)
    try:
        if waited_for:
            await asyncio.wait(waited_for)
    except asyncio.CancelledError:
        for task in waited_for:
            task.cancel()
        await asyncio.wait(waited_for)
        raise


def _told(sending: Sending, refused: OtariError) -> tuple[str, str]:
    return sending.batch.batch_id, refused.detail or refused.message


def _note_arrival(job: Job) -> None:
    """The line is asked for in the name of the request that brought the batch; what is told of it is its own."""
    if (came := job.came) is not None:
        note_arrival(Arrival(came.session, came.method, came.path, came.headers, came.key))
