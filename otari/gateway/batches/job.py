"""A batch that is being carried out in this run."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from otari.domain.arrival import arrival
from otari.domain.batch import Batch

Over = Literal["stopped", "cancelled", "expired"]  # stopped: the gateway stops, the next run goes on
Stand = Literal["waits", "stopped", "wound_up"]  # waits: for its provider; wound up: how it ends is noted


class Job:
    """What is known of it beside its record. `came` is how its request came in, where somebody has noted that."""

    def __init__(
        self,
        batch: Batch,
        turn: asyncio.Semaphore,
        now_ms: Callable[[], int],
        pause: Callable[[float], Coroutine[Any, Any, None]],
    ) -> None:
        """`turn` is shared by the batches of a user. `pause` waits for so many seconds."""
        self.batch_id = batch.batch_id
        self.turn = turn
        self.came = arrival()
        self.task: asyncio.Task[None] | None = None
        self._cancelled = batch.state == "cancelling"
        self._stopped = False
        self._expires_at_ms = batch.expires_at_ms
        self._now_ms = now_ms
        self._pause = pause
        self._ends = asyncio.Event()

    @property
    def over(self) -> Over | None:
        """Why nothing more is to be begun for it; None: go on."""
        if self._cancelled:
            return "cancelled"
        if self._stopped:
            return "stopped"
        return "expired" if self._now_ms() >= self._expires_at_ms else None

    @property
    def stopping(self) -> bool:
        """Whether the gateway is about to stop."""
        return self._stopped

    def cancel(self) -> None:
        """Its owner wants no more of it."""
        self._cancelled = True
        self._ends.set()

    def stop(self) -> None:
        """The gateway is about to stop."""
        self._stopped = True
        self._ends.set()

    async def rest(self, seconds: float) -> None:
        """Wait; not longer than until it is cancelled or stopped."""
        await self.unless_ended(self._pause(seconds))

    async def unless_ended(self, work: Coroutine[Any, Any, object]) -> bool:
        """Do `work`, but not longer than until it is cancelled or stopped; whether it was done."""
        if self._ends.is_set():
            work.close()
            return False
        doing, ending = asyncio.ensure_future(work), asyncio.ensure_future(self._ends.wait())
        try:
            await asyncio.wait((doing, ending), return_when=asyncio.FIRST_COMPLETED)
            return doing.done()
        finally:
            doing.cancel()
            ending.cancel()
