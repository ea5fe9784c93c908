"""The watch over a batch that is with its provider: when it is looked at, and who waits for that."""

import asyncio
from collections.abc import Awaitable, Callable

from otari.domain.batches import BatchLook
from otari.gateway.batches.job import Job

LOOK_FIRST_S, LOOK_LAST_S = 60.0, 300.0  # between two looks at a batch that nobody asks for
LOOK_AGAIN_S = 5.0  # what was seen so lately is told again
ASKED_S = 10.0  # how long somebody who asks waits for a look
_LONGER = 1.25  # every pause than the one before


class Watch:
    """What this run knows of one batch, beside its record. It asks nobody: looking is left to who holds the watch.

    `asks_often`: looking costs nothing (see `BatchUpstream`). `cancel_tried`: the provider was asked to cancel the
    batch, and `cancelled`: it has heard. `last` is the last look, and `ended` the one that saw the end. `retry_s`: the
    batch can not be looked at, because it is not handed in yet or something went wrong; after so many seconds it is
    tried again.
    """

    def __init__(self, clock: Callable[[], float], pause: Callable[[float], Awaitable[None]]) -> None:
        """`clock` tells seconds, `pause` waits for so many."""
        self.asks_often = False
        self.cancel_tried = self.cancelled = False
        self.last: BatchLook | None = None
        self.ended: BatchLook | None = None
        self.retry_s: float | None = None
        self._clock = clock
        self._pause = pause
        self._pause_s = LOOK_FIRST_S
        self._looked_at_s: float | None = None
        self._missed_at_s: float | None = None
        self._askers: list[asyncio.Future[None]] = []
        self._wakes = asyncio.Event()
        self._waits = asyncio.Event()  # the batch is handed in, and waited for
        self._closed = False

    # ---- what is seen ----

    def looked(self) -> None:
        """Its provider tells just now how the batch stands."""
        self._looked_at_s = self._clock()

    def look_later(self) -> None:
        """The next pause is a longer one."""
        self._pause_s = min(self._pause_s * _LONGER, LOOK_LAST_S)

    def try_again(self, after_s: float = 0.0) -> None:
        """Something went wrong that may pass; `after_s` is the least that its provider wants to be left alone."""
        self.retry_s = max(after_s, LOOK_FIRST_S)

    def missed_s(self) -> float:
        """The provider does not know the batch: for how many seconds it has been looked for in vain, 0 at first."""
        now_s = self._clock()
        if self._missed_at_s is None:
            self._missed_at_s = now_s
        return now_s - self._missed_at_s

    def miss_no_more(self) -> None:
        """The provider need not know the batch any more."""
        self._missed_at_s = None

    # ---- waiting ----

    async def wait(self, job: Job, look: Callable[[], Awaitable[bool]]) -> None:
        """Until there is something to do for the batch, or the gateway is about to stop.

        `look` asks its provider, and tells whether there is something to do now.
        """
        self._waits.set()
        try:
            await self._wait(job, look)
        finally:
            self._waits.clear()  # who asks now need not wait: results are collected, say

    async def _wait(self, job: Job, look: Callable[[], Awaitable[bool]]) -> None:
        while not job.stopping:
            if self.retry_s is not None:
                await self._rest(self.retry_s)
                return
            if not self._is_due(job):
                await self._rest(LOOK_LAST_S if self.asks_often else self._pause_s)
            elif await look():
                return
            else:
                self._answer()

    def _is_due(self, job: Job) -> bool:
        """Whether to look now."""
        if self._askers or (job.over is not None and not self.cancel_tried):
            return True
        return not self.asks_often and not self._looked_within(self._pause_s)

    def _looked_within(self, seconds: float) -> bool:
        return self._looked_at_s is not None and self._clock() - self._looked_at_s < seconds

    async def _rest(self, seconds: float) -> None:
        waits = (asyncio.ensure_future(self._pause(seconds)), asyncio.ensure_future(self._wakes.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wakes.clear()
            for each in waits:
                each.cancel()

    def wake(self) -> None:
        """Something has changed for the batch: it was cancelled, or the gateway stops."""
        self._wakes.set()

    # ---- who asks ----

    async def asked(self) -> None:
        """Somebody asks how the batch stands: look, unless that was done just now; wait for it a little."""
        try:
            async with asyncio.timeout(ASKED_S):
                await self._asked()
        except TimeoutError:
            pass  # what is known already is told

    async def _asked(self) -> None:
        if not self._waits.is_set() and not self.asks_often:
            return  # handing it in may take a while
        await self._waits.wait()
        if self._closed:
            return  # it has ended without having waited
        if self.retry_s is not None or (self._looked_within(LOOK_AGAIN_S) and not self.asks_often):
            return
        asker = asyncio.get_running_loop().create_future()
        self._askers.append(asker)
        self._wakes.set()
        await asker

    def _answer(self) -> None:
        """Whoever has asked need not wait any longer."""
        askers, self._askers = self._askers, []
        for asker in askers:
            if not asker.done():
                asker.set_result(None)

    def close(self) -> None:
        """Nothing more is done for the batch in this run."""
        self._closed = True
        self._waits.set()
        self._answer()
