"""Collects the results of batches that have ended at their providers.

A line is charged in the transaction that keeps its result, so that results can be read again from their start.
"""

from contextlib import aclosing
from pathlib import Path
from typing import Literal

from otari.domain.batch import Batch, BatchStore, Ending, LineProblem, LineResult
from otari.domain.batches import BatchAnswer, BatchLook
from otari.domain.chat import Usage
from otari.domain.errors import STATUS, Kind, OtariError
from otari.domain.ports import Outcome
from otari.domain.remote_account import FLAG, RemoteAccount
from otari.gateway.batches.drawer import Drawer
from otari.gateway.batches.endpoints import Endpoints
from otari.gateway.batches.input import Line, read_lines
from otari.gateway.batches.job import Job
from otari.gateway.batches.lines import Lines, row_name
from otari.gateway.batches.route import Route

AT_ONCE = 200  # lines whose results are kept in one transaction
_UNDONE = frozenset({"batch_expired", "batch_cancelled", "batch_failed", "batch_line_missing"})
_KINDS = {status: kind for kind, status in reversed(STATUS.items())}


class Collector:
    """Fetches what providers have answered, and keeps it with what it cost."""

    def __init__(
        self,
        store: BatchStore,
        account: RemoteAccount,
        lines: Lines,
        endpoints: Endpoints,
        *,
        line_max_bytes: int,
        folder: Path | None,
    ) -> None:
        """`folder` has room for the answers of a batch."""
        self._store = store
        self._account = account
        self._lines = lines
        self._endpoints = endpoints
        self._line_max_bytes = line_max_bytes
        self._folder = folder

    async def collect(self, job: Job, batch: Batch, route: Route, look: BatchLook) -> Literal["stopped", "wound_up"]:
        """Keep all results of a batch whose end `look` has seen. Raises OtariError when it can not be done now."""
        greatest = 0
        async with aclosing(read_lines(self._store, batch, self._line_max_bytes)) as lines:
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
        async with aclosing(read_lines(self._store, batch, self._line_max_bytes)) as lines:
            async for line in lines:
                answer = answers.get(line.number)
                if answer is None or line.number in done:
                    continue
                body = drawer.get(line.number) if answer.status == 200 else b""
                ends.append(self._end(batch, route, line, answer, body))
                if len(ends) == AT_ONCE:
                    await self._account.keep(batch.batch_id, ends)
                    ends = []
                    if job.stopping:
                        return False
        if ends:
            await self._account.keep(batch.batch_id, ends)
        return True

    # ---- one line ----

    def _end(
        self, batch: Batch, route: Route, line: Line, answer: BatchAnswer, body: bytes
    ) -> tuple[LineResult, Outcome | None]:
        if answer.status == 200:
            return self._answered(batch, route, line, body)
        if answer.code in _UNDONE:
            return LineResult(line.number, line.custom_id, "", 0, None, answer.code, answer.message), None
        error = OtariError(_KINDS.get(answer.status, Kind.UPSTREAM), answer.message or "", code=answer.code)
        outcome = Outcome(route.attempt, False, error.status, Usage(), "none", error.message, (FLAG,))
        return self._failed(batch, line, error), outcome

    def _answered(self, batch: Batch, route: Route, line: Line, body: bytes) -> tuple[LineResult, Outcome]:
        name = row_name(batch, line.number)
        request = {**line.body, "model": batch.selector}
        read = self._lines.read(batch.endpoint, request, route.attempt, route.dialect, body, name)
        problem = read.problem
        outcome = Outcome(
            route.attempt,
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
            return self._failed(batch, line, problem), outcome
        return LineResult(line.number, line.custom_id, name, 200, read.body), outcome

    def _failed(self, batch: Batch, line: Line, error: OtariError) -> LineResult:
        body = self._endpoints.error_body(batch.endpoint, error)
        return LineResult(line.number, line.custom_id, row_name(batch, line.number), error.status, body)
