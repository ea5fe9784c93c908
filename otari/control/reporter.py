"""Brings reports to the platform: from the database, in the background, until each of them is acknowledged.

A report is sent at least once; the platform counts one per correlation id. Nothing here holds up an answer.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable

from otari.control.otari_ai import Delivery, Platform
from otari.domain.ports import Receipt
from otari.store import reports
from otari.store.db import Database
from otari.store.reports import Report, Tally

FIRST_PAUSE_MS = 250
LONGEST_PAUSE_MS = 300_000
AT_ONCE = 16
_LOOK_AGAIN_S = 60.0
_LAST_WORDS_S = 2.0
_COMPLAIN_AGAIN_S = 60.0

log = logging.getLogger(__name__)


class Reporter:
    """Sends what is due. `start` it once, `close` it before the database."""

    def __init__(self, db: Database, platform: Platform, now_ms: Callable[[], int]) -> None:
        self._db = db
        self._platform = platform
        self._now_ms = now_ms
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[Receipt | None]] = set()
        self._counts = Tally(0, 0, 0, 0)
        self._complain_at = 0.0

    @property
    def tally(self) -> Tally:
        """How reports stand."""
        return self._counts

    async def start(self) -> None:
        """Begin with what an earlier run left behind."""
        self._count(waiting=await self._db.read(reports.count_due))
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Give what is under way a moment; all that is not acknowledged by then waits for the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=_LAST_WORDS_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def send(self, report: Report, written: "asyncio.Future[None]") -> "asyncio.Task[Receipt | None]":
        """Send a report once it is on disk; the task brings the receipt, and goes on if nobody waits for it."""
        self._count(waiting=1)
        task = asyncio.get_running_loop().create_task(self._first(report, written))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task

    def due_ms(self) -> int:
        """When a report that is being sent now shall be tried again, should this process not see the end of it."""
        return self._now_ms() + round(1000 * self._platform.settings.report_s) + FIRST_PAUSE_MS

    async def _first(self, report: Report, written: "asyncio.Future[None]") -> Receipt | None:
        try:
            await written
            return await self._deliver(report)
        except Exception:  # whatever it was: what is on disk is tried again when it is due
            log.exception("the report of attempt %s could not be sent at once", report.correlation_id)
            return None

    async def _deliver(self, report: Report) -> Receipt | None:
        delivery = await self._platform.report(report.body)
        if await self._db.write(lambda conn: self._note(conn, report, delivery)):
            self._heard(report, delivery)
        return delivery.receipt

    def _note(self, conn: sqlite3.Connection, report: Report, delivery: Delivery) -> bool:
        """Keep what became of a delivery; False when the report was done with already."""
        if delivery.taken:
            return reports.forget(conn, report.correlation_id)
        if not delivery.wanted:
            return reports.refuse(conn, report.correlation_id)
        pause_ms = min(FIRST_PAUSE_MS << min(report.tries, 20), LONGEST_PAUSE_MS)
        return reports.postpone(conn, report.correlation_id, self._now_ms() + pause_ms)

    def _heard(self, report: Report, delivery: Delivery) -> None:
        if delivery.taken:
            self._count(waiting=-1, taken=1)
        elif not delivery.wanted:
            self._count(waiting=-1, refused=1)
            log.warning("the platform refused the report of attempt %s (%s)", report.correlation_id, delivery.problem)
        else:
            self._count(in_vain=1)
            self._complain(delivery.problem)
            self._news.set()

    def _count(self, *, waiting: int = 0, taken: int = 0, refused: int = 0, in_vain: int = 0) -> None:
        changes = Tally(waiting, taken, refused, in_vain)
        self._counts = Tally(*map(sum, zip(self._counts, changes, strict=True)))

    def _complain(self, problem: str) -> None:
        """Tell the operator, but not of every report."""
        now_s = time.monotonic()
        if now_s >= self._complain_at:
            self._complain_at = now_s + _COMPLAIN_AGAIN_S
            log.warning("reports can not be delivered (%s); %d wait and are tried again", problem, self._counts.waiting)

    async def _run(self) -> None:
        in_vain = 0
        while True:
            try:
                await self._round()
                in_vain = 0
            except Exception:  # whatever it was: the reports are on disk, and must be tried again
                pause_s = min(FIRST_PAUSE_MS / 1000 * 2**in_vain, _LOOK_AGAIN_S)
                log.exception("reports could not be sent; they are tried again in %g s", pause_s)
                in_vain = min(in_vain + 1, 20)
                await asyncio.sleep(pause_s)

    async def _round(self) -> None:
        """Send what is due; if nothing is, wait until something may be."""
        self._news.clear()
        now_ms = self._now_ms()
        due = await self._db.read(lambda conn: reports.due(conn, now_ms, AT_ONCE))
        if due:
            async with asyncio.TaskGroup() as group:
                for report in due:
                    group.create_task(self._deliver(report))
            return
        next_ms = await self._db.read(reports.next_due_ms)
        if next_ms is not None and next_ms > self.due_ms() + LONGEST_PAUSE_MS:  # the clock was set back since
            await self._db.write(lambda conn: reports.hurry(conn, now_ms))
            return
        wait_s = _LOOK_AGAIN_S if next_ms is None else max(0.001, (next_ms - now_ms) / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, _LOOK_AGAIN_S)):
                await self._news.wait()
