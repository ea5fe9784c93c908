"""When a batch at its provider is looked at, and how long somebody who asks for it waits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from otari.gateway.batches import watch as watches
from otari.gateway.batches.job import Job
from otari.gateway.batches.watch import LOOK_AGAIN_S, LOOK_FIRST_S, LOOK_LAST_S, Watch
from tests.gateway.batches.test_local import BATCH


class Scene:
    """A watch in a time of its own, which goes on only while somebody pauses; its looks see the end at the last."""

    def __init__(self, looks: int, *, stands_still: bool = False) -> None:
        self.now_s = 0.0
        self.looked_at_s: list[float] = []
        self.watch = Watch(lambda: self.now_s, self.pause)
        self.job = Job(BATCH, asyncio.Semaphore(1), lambda: 0, self.pause)
        self._looks = looks
        self._stands_still = stands_still

    async def pause(self, seconds: float) -> None:
        if self._stands_still:
            await asyncio.Event().wait()
        self.now_s += seconds

    async def look(self) -> bool:
        self.watch.looked()
        self.watch.look_later()
        self.watch.cancel_tried = self.job.over == "cancelled"
        self.looked_at_s.append(self.now_s)
        return len(self.looked_at_s) == self._looks

    async def wait(self) -> None:
        await self.watch.wait(self.job, self.look)

    async def settled(self) -> None:
        """Everybody has come as far as there is a way."""
        for _ in range(10):
            await asyncio.sleep(0)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scene()

    asyncio.run(bounded())


def test_it_is_looked_at_less_and_less_often() -> None:
    async def scene() -> None:
        it = Scene(looks=12)
        await it.wait()
        gaps = [later - earlier for earlier, later in zip(it.looked_at_s, it.looked_at_s[1:], strict=False)]
        assert it.looked_at_s[0] == 0
        assert gaps == sorted(gaps)
        assert LOOK_FIRST_S < gaps[0] < gaps[1] < LOOK_LAST_S == gaps[-1]

    play(scene)


def test_who_asks_waits_for_a_look_and_no_longer() -> None:
    async def scene() -> None:
        it = Scene(looks=3, stands_still=True)
        waiting = asyncio.ensure_future(it.wait())
        await it.settled()
        it.now_s = LOOK_AGAIN_S
        await it.watch.asked()
        assert it.looked_at_s == [0, LOOK_AGAIN_S]
        assert not waiting.done()
        waiting.cancel()

    play(scene)


def test_what_was_seen_just_now_is_not_looked_at_again() -> None:
    async def scene() -> None:
        it = Scene(looks=3, stands_still=True)
        waiting = asyncio.ensure_future(it.wait())
        await it.settled()
        it.now_s = LOOK_AGAIN_S - 0.1
        await it.watch.asked()
        assert it.looked_at_s == [0]
        waiting.cancel()

    play(scene)


def test_where_looking_costs_nothing_every_question_looks_and_nothing_else_does() -> None:
    async def scene() -> None:
        it = Scene(looks=3, stands_still=True)
        it.watch.asks_often = True
        waiting = asyncio.ensure_future(it.wait())
        await it.settled()
        assert it.looked_at_s == []
        await it.watch.asked()
        await it.watch.asked()
        assert it.looked_at_s == [0, 0]
        waiting.cancel()

    play(scene)


def test_a_cancelled_batch_is_looked_at_at_once_and_only_once() -> None:
    async def scene() -> None:
        it = Scene(looks=5, stands_still=True)
        waiting = asyncio.ensure_future(it.wait())
        await it.settled()
        it.job.cancel()
        it.watch.wake()
        await it.settled()
        assert it.looked_at_s == [0, 0]
        waiting.cancel()

    play(scene)


def test_what_is_to_be_tried_again_is_left_alone_so_long() -> None:
    async def scene() -> None:
        it = Scene(looks=1)
        it.watch.try_again()
        await it.wait()
        assert (it.now_s, it.looked_at_s) == (LOOK_FIRST_S, [])
        it.watch.try_again(after_s=LOOK_FIRST_S + 1)
        await it.wait()
        assert (it.now_s, it.looked_at_s) == (2 * LOOK_FIRST_S + 1, [])

    play(scene)


def test_nobody_waits_while_it_is_handed_in() -> None:
    async def scene() -> None:
        it = Scene(looks=1)
        await it.watch.asked()
        assert it.looked_at_s == []

    play(scene)


@pytest.mark.parametrize("asks_often", [False, True])
def test_nobody_waits_for_what_this_run_has_done_with(asks_often: bool) -> None:
    async def scene() -> None:
        it = Scene(looks=1)
        it.watch.asks_often = asks_often
        asking = asyncio.ensure_future(it.watch.asked())
        await it.settled()
        assert asking.done() != asks_often
        it.watch.close()
        await asking
        await it.watch.asked()

    play(scene)


def test_who_asks_waits_only_a_little_for_a_provider_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "ASKED_S", 0.01)

    async def scene() -> None:
        it = Scene(looks=1)
        it.watch.asks_often = True  # waits for the batch to be handed in, too
        await it.watch.asked()
        assert it.looked_at_s == []

    play(scene)


def test_a_batch_is_missed_from_the_first_time_on() -> None:
    it = Scene(looks=1)
    it.now_s = 5.0
    assert it.watch.missed_s() == 0
    it.now_s = 7.0
    assert it.watch.missed_s() == 2
    it.watch.miss_no_more()
    assert it.watch.missed_s() == 0
