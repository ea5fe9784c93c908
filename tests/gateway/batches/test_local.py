"""Lines that are sent one by one: what is tried again and when, what is kept, and that a stop loses nothing."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from otari.domain.access import Principal
from otari.domain.batch import INPUT_LOST, Batch, Kept, LineResult
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Admission, Ask, Attempt, Call, Outcome
from otari.domain.tokens import Approximate
from otari.gateway.batches.endpoints import Endpoints
from otari.gateway.batches.job import Job, Over
from otari.gateway.batches.local import PAUSE_LAST_S, TRIES_MAX, LocalWay
from otari.gateway.converse import Conversations
from otari.gateway.single import SingleShots
from tests.gateway.fakes import ALICE, FakeControl, FakeSending, FakeUpstream, Script

EXPIRES = 1_000_000
BATCH = Batch(
    batch_id="batch_1",
    user_id="alice",
    key_id="key-1",
    endpoint="/v1/chat/completions",
    selector="one:m",
    provider="one",
    input_file_id=None,
    completion_window="24h",
    metadata="{}",
    state="in_progress",
    ending=None,
    total=0,
    completed=0,
    failed=0,
    input_tokens=0,
    cache_read_tokens=0,
    output_tokens=0,
    reasoning_tokens=0,
    errors="[]",
    output_file_id=None,
    error_file_id=None,
    created_at_ms=0,
    expires_at_ms=EXPIRES,
)
GOOD = Script([b'{"choices": [{"message": {"content": "hi"}}]}'], content_type="application/json")
WAITS = Script([None], content_type="application/json")


def failing(kind: Kind, status: int | None = None, code: str | None = None, after_s: float | None = None) -> Script:
    return Script(error=OtariError(kind, "no", retry_after=after_s, upstream_status=status, code=code))


BUSY = failing(Kind.RATE_LIMITED, 429)


class Upstream(FakeUpstream):
    """Answers each line by scripts of its own, one per try; the last one stays."""

    def __init__(self, *lines: Sequence[Script]) -> None:
        super().__init__({})
        self.lines = [list(scripts) for scripts in lines]

    def send(self, attempt: Attempt, call: Call) -> FakeSending:
        self.calls.append((attempt, call))
        assert isinstance(call.body, bytes)
        scripts = self.lines[int(orjson.loads(call.body)["messages"][0]["content"])]
        return FakeSending(self, scripts.pop(0) if len(scripts) > 1 else scripts[0])


class Store:
    """As much of a `BatchStore` as sending needs."""

    def __init__(self, count: int) -> None:
        self.raw: list[bytes | None] = [a_line(number) for number in range(count)]
        self.results: dict[int, LineResult] = {}
        self.kept_apart: list[int] = []
        self.down: list[OtariError] = []
        self.lost_behind: int | None = None

    async def get(self, batch_id: str) -> Batch:
        failed = sum(not result.succeeded for result in self.results.values())
        total = sum(raw != b"" for raw in self.raw)
        return replace(BATCH, total=total, completed=len(self.results) - failed, failed=failed)

    async def lines(self, batch_id: str, most_bytes: int) -> AsyncGenerator[Sequence[bytes | None], None]:
        for number, raw in enumerate(self.raw):
            if number == self.lost_behind:
                raise OtariError(Kind.INTERNAL, "lost", code=INPUT_LOST)
            yield [raw]

    async def done_lines(self, batch_id: str) -> set[int]:
        return set(self.results)

    async def keep(self, kept: Kept) -> None:
        if self.down:
            raise self.down.pop()
        self.kept_apart.append(kept.result.line)
        self.settled(kept)

    def settled(self, kept: Kept) -> None:
        assert kept.batch_id == BATCH.batch_id
        assert kept.result.line not in self.results, "a line has two results"
        self.results[kept.result.line] = kept.result


class Control(FakeControl):
    """Keeps what a settlement brings along, and lets only so many in."""

    def __init__(self, store: Store, lets_in: int = 1_000) -> None:
        super().__init__()
        self._store = store
        self.lets_in = lets_in

    async def admit(self, principal: Principal, ask: Ask) -> Admission:
        if len(self.asks) >= self.lets_in:
            self.refusal = OtariError(Kind.BUDGET, "over", code="insufficient_quota")
        return await super().admit(principal, ask)

    def settle(self, admission: Admission, outcome: Outcome) -> Awaitable[None]:
        if outcome.keepsake is not None:
            assert isinstance(outcome.keepsake, Kept)
            self._store.settled(outcome.keepsake)
        return super().settle(admission, outcome)


def a_line(number: int) -> bytes:
    body = {"model": "one:m", "messages": [{"role": "user", "content": str(number)}]}
    return orjson.dumps({"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})


class Ground:
    """A batch of as many lines as the upstream has scripts for, and a clock that only pauses put forward."""

    def __init__(self, *lines: Sequence[Script], at_once: int = 4, lets_in: int = 1_000) -> None:
        self.upstream = Upstream(*lines)
        self.store = Store(len(lines))
        self.control = Control(self.store, lets_in)
        self.pauses: list[float] = []
        self.now_ms = 0
        self.standing: OtariError | None = None
        talks = Conversations(self.control, {"fake": self.upstream}, Approximate(), lambda text: text)
        names = itertools.count()
        self.way = LocalWay(
            self.store,  # type: ignore[arg-type]  # as much of it as is asked
            Endpoints(talks, SingleShots(talks)),
            self.principal_of,
            at_once=at_once,
            line_max_bytes=1_000,
            new_request_id=lambda batch_id, line: f"req_{next(names)}",
        )

    def principal_of(self, user_id: str, key_id: str | None) -> Principal:
        assert (user_id, key_id) == ("alice", "key-1")
        if self.standing is not None:
            raise self.standing
        return ALICE

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_ms += round(seconds * 1_000)
        await asyncio.sleep(0)

    def job(self) -> Job:
        return Job(BATCH, asyncio.Semaphore(1), lambda: self.now_ms, self.pause)

    def run(self) -> Over | None:
        """Carry the batch out; how it ended."""
        return play(self.carried_out())

    async def carried_out(self) -> Over | None:
        return await self.way.carry_out(self.job(), BATCH)

    @property
    def statuses(self) -> list[int]:
        return [self.store.results[line].status for line in sorted(self.store.results)]


def play(scene: Coroutine[Any, Any, Over | None]) -> Over | None:
    async def bounded() -> Over | None:
        async with asyncio.timeout(20):
            return await scene

    return asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


def test_every_line_has_its_answer_and_its_name() -> None:
    ground = Ground(*[[GOOD]] * 50)
    assert ground.run() is None
    assert ground.statuses == [200] * 50
    assert {result.custom_id for result in ground.store.results.values()} == {f"c{n}" for n in range(50)}
    assert ground.store.kept_apart == []  # all of them with their settlement
    assert {ask.endpoint for ask in ground.control.asks} == {"/v1/batches"}
    assert len({result.request_id for result in ground.store.results.values()}) == 50


@pytest.mark.parametrize("at_once", [1, 3, 7])
def test_never_more_than_allowed_are_under_way(at_once: int) -> None:
    ground = Ground(*[[WAITS]] * 20, at_once=at_once)

    async def scene() -> Over | None:
        job = ground.job()
        task = asyncio.ensure_future(ground.way.carry_out(job, BATCH))
        await until(lambda: ground.upstream.open == at_once)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(ground.upstream.calls) == at_once
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return None

    play(scene())
    assert ground.upstream.open == 0


@pytest.mark.parametrize(
    "passing",
    [
        BUSY,
        failing(Kind.UNAVAILABLE, 503),
        failing(Kind.UPSTREAM, 500),
        failing(Kind.UPSTREAM),
        failing(Kind.UPSTREAM_TIMEOUT),
    ],
)
def test_what_may_pass_is_tried_again(passing: Script) -> None:
    ground = Ground([passing, passing, GOOD])
    assert ground.run() is None
    assert ground.statuses == [200]
    assert ground.pauses == [1.0, 2.0]
    assert [outcome.succeeded for outcome in ground.control.outcomes] == [False, False, True]


def test_it_is_not_tried_for_ever() -> None:
    ground = Ground([BUSY], [GOOD])
    assert ground.run() is None
    assert ground.statuses == [429, 200]
    assert ground.pauses == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert len(ground.upstream.calls) == TRIES_MAX + 1
    body = orjson.loads(ground.store.results[1].body or b"")
    assert body["error"]["type"] == "rate_limit_error"
    assert ground.store.kept_apart == []


def test_a_provider_says_how_long_to_wait_within_reason() -> None:
    ground = Ground([failing(Kind.RATE_LIMITED, 429, after_s=7.5), failing(Kind.RATE_LIMITED, 429, after_s=9e9), GOOD])
    assert ground.run() is None
    assert ground.pauses == [7.5, PAUSE_LAST_S]


@pytest.mark.parametrize(
    ("definite", "status"),
    [
        (failing(Kind.INVALID, 400), 400),
        (failing(Kind.NOT_FOUND, 404), 404),
        (failing(Kind.UPSTREAM, 401), 502),
        (failing(Kind.UPSTREAM, 402), 502),
    ],
)
def test_what_will_not_pass_is_the_answer_of_its_line(definite: Script, status: int) -> None:
    ground = Ground([definite, GOOD], [GOOD])
    assert ground.run() is None
    assert ground.statuses == [status, 200]
    assert ground.pauses == []


def test_lines_that_are_not_let_in_fail_without_a_row() -> None:
    ground = Ground(*[[GOOD]] * 5, at_once=1, lets_in=2)
    assert ground.run() is None
    assert ground.statuses == [200, 200, 403, 403, 403]
    assert ground.store.kept_apart == [3, 4, 5]
    assert len(ground.control.outcomes) == 2


def test_a_key_that_is_not_good_any_more_ends_all_lines() -> None:
    ground = Ground(*[[GOOD]] * 3)
    ground.standing = OtariError(Kind.UNAUTHENTICATED, "API key is inactive")
    assert ground.run() is None
    assert ground.statuses == [401] * 3
    assert ground.upstream.calls == []


def test_a_ledger_that_takes_nothing_is_waited_for_however_long() -> None:
    away = failing(Kind.UNAVAILABLE, code="ledger_unavailable")
    ground = Ground([*[away] * (TRIES_MAX + 3), GOOD])
    assert ground.run() is None
    assert ground.statuses == [200]


def test_a_result_that_can_not_be_kept_now_is_had_again() -> None:
    ground = Ground([GOOD], [GOOD], at_once=1, lets_in=1)
    ground.store.down = [OtariError(Kind.UNAVAILABLE, "disk")]
    assert ground.run() is None
    assert ground.statuses == [200, 403]
    assert ground.pauses == [5.0]


def test_lines_with_a_result_are_not_sent_again() -> None:
    ground = Ground(*[[GOOD]] * 4)
    ground.store.results = {number: LineResult(number, f"c{number - 1}", "req_old", 200, b"{}") for number in (1, 3)}
    assert ground.run() is None
    assert [result.request_id == "req_old" for _, result in sorted(ground.store.results.items())] == [
        True,
        False,
        True,
        False,
    ]
    assert len(ground.upstream.calls) == 2


def test_blank_lines_count_but_are_not_sent() -> None:
    ground = Ground([GOOD], [GOOD], [GOOD])
    ground.store.raw[1] = b""
    assert ground.run() is None
    assert sorted(ground.store.results) == [1, 3]


def test_nothing_more_is_begun_when_the_batch_is_over() -> None:
    for end, word in ((Job.cancel, "cancelled"), (Job.stop, "stopped")):
        ground = Ground([WAITS], [BUSY], [GOOD], [GOOD], at_once=2)

        async def scene(ground: Ground = ground, end: Callable[[Job], None] = end) -> Over | None:
            job = ground.job()
            task = asyncio.ensure_future(ground.way.carry_out(job, BATCH))
            await until(lambda: ground.upstream.open == 1 and bool(ground.pauses))
            end(job)
            await until(lambda: len(ground.control.outcomes) >= 1)
            assert not task.done()  # the first line is still under way
            ground.upstream.lines[0] = [GOOD]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return job.over

        assert play(scene()) == word
        assert 3 not in ground.store.results or ground.store.results[3].status == 200


def test_a_window_that_is_over_ends_the_tries() -> None:
    ground = Ground([failing(Kind.RATE_LIMITED, 429, after_s=60)], [GOOD], at_once=1)
    ground.now_ms = EXPIRES - 30_000
    assert ground.run() == "expired"
    assert len(ground.upstream.calls) == 1
    assert ground.store.results == {}


def test_a_line_that_is_broken_off_by_a_stop_has_no_result_and_is_accounted_for() -> None:
    ground = Ground([WAITS])

    async def scene() -> Over | None:
        task = asyncio.ensure_future(ground.carried_out())
        await until(lambda: ground.upstream.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return None

    play(scene())
    assert ground.store.results == {}
    assert [outcome.succeeded for outcome in ground.control.outcomes] == [False]
    assert [outcome.keepsake for outcome in ground.control.outcomes] == [None]


def test_an_input_that_is_lost_lets_what_is_under_way_end() -> None:
    ground = Ground(*[[BUSY, GOOD]] * 4)
    ground.store.lost_behind = 2
    with pytest.raises(OtariError) as error:
        ground.run()
    assert error.value.code == INPUT_LOST
    assert ground.statuses == [200, 200]
