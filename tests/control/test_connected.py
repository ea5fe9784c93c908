"""The connected control plane by itself: what it notes on disk, what it reports, and what it makes of failures."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.config import platform_provider
from otari.control.connected import ConnectedControl, Gate
from otari.control.otari_ai import Platform, PlatformSettings
from otari.control.platform_bodies import error_class
from otari.domain.access import Credential, Principal
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Admission, Ask, Attempt, FailedAttempt, Outcome
from otari.domain.redaction import Redactor
from otari.domain.secret import Secret
from otari.store.db import Database
from tests.scripted.platform import Said, ScriptedPlatform, once_each
from tests.store.ground import Clock, fault, opened
from tests.store.ground import Gate as Held

PRINCIPAL = Principal(user_id=None, key_id=None, token=Secret("tk_unit-test-token"))
ASK = Ask("req_1", "/v1/chat/completions", "openai:m", None, 10, None, 1, stream=False)


class World:
    """A control plane, its platform, its database."""

    def __init__(self, control: ConnectedControl, platform: ScriptedPlatform, db: Database) -> None:
        self.control = control
        self.platform = platform
        self.db = db

    async def admit(self, *models: str) -> Admission:
        self.platform.models["m"] = self.platform.attempts(*models)
        return await self.control.admit(PRINCIPAL, ASK)

    async def rows(self) -> list[tuple[str, str]]:
        return await self.ask("SELECT correlation_id, state FROM reports ORDER BY seq")

    async def ask(self, sql: str) -> list[Any]:
        return await self.db.read(lambda conn: conn.execute(sql).fetchall())

    async def until(self, sql: str) -> None:
        """Wait until a query finds something; `play` bounds the time."""
        while not await self.ask(sql):  # noqa: ASYNC110  (another thread writes)
            await asyncio.sleep(0.005)

    async def in_state(self, state: str) -> None:
        await self.until(f"SELECT 1 FROM reports WHERE state = '{state}'")

    async def quiet(self) -> None:
        """Wait until no report is kept any more."""
        await self.until("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM reports)")


def play(folder: Path, scene: Callable[[World], Coroutine[Any, Any, None]], clock: Clock | None = None) -> None:
    async def run() -> None:
        async with asyncio.timeout(20), ScriptedPlatform(api_base="http://127.0.0.1:9/v1") as platform:
            db = opened(folder, clock=clock)
            told = PlatformSettings(platform.base_url)
            control, _ = await ConnectedControl.start(
                db,
                Platform(told, Secret("gw_unit-test-token"), "0", Redactor()),
                platform_provider,
                clock or Clock(),
                gate=Gate(),
            )
            try:
                await scene(World(control, platform, db))
            finally:
                await control.close()
                await db.close()

    asyncio.run(run())


async def queued(world: World, count: int) -> None:
    """Wait until so many operations stand in line behind one that is held up."""
    while len(world.db._writer._queue) < count:  # noqa: ASYNC110  (tasks of this loop queue them)
        await asyncio.sleep(0)


def name(attempt: Attempt) -> str:
    return dict(attempt.labels)["X-Correlation-ID"]


def failed(attempt: Attempt, status: int | None = 500, code: str | None = "upstream_error") -> FailedAttempt:
    return FailedAttempt(attempt, "it failed", status, 0.1, code)


def ended(attempt: Attempt | None, **facts: Any) -> Outcome:
    return Outcome(attempt, succeeded=True, status=200, usage=Usage(3, 2), usage_source="provider")._replace(**facts)


# ---- on disk before it is sent ----


def test_the_first_attempt_is_on_disk_when_a_request_is_let_in(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        admission = await world.admit("a", "b")
        first, second = admission.attempts
        assert await world.rows() == [(name(first), "open")]
        await world.control.moved_on(failed(first), second, admission)
        assert (name(second), "open") in await world.rows()
        await world.control.settle(admission, ended(second, failed=(failed(first),)))
        reports = once_each(await world.platform.reported(2))
        assert reports[name(first)]["is_final_attempt"] is False
        assert reports[name(second)]["usage"]["total_tokens"] == 5

    play(tmp_path, scene)


def test_a_caller_that_leaves_while_its_attempt_is_noted_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        held = Held(world.db)
        admitting = asyncio.create_task(world.admit("a"))
        await world.platform.asked(1)
        await queued(world, 1)
        admitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await admitting
        held.open()
        await world.db.write(lambda _: None)
        assert await world.rows() == []

    play(tmp_path, scene)


def test_whoever_leaves_so_takes_nothing_from_another_request(tmp_path: Path) -> None:
    """Both were given the same id by the platform; it belongs to the first."""

    async def scene(world: World) -> None:
        first = await world.admit("a")
        held = Held(world.db)
        admitting = asyncio.create_task(world.control.admit(PRINCIPAL, ASK))
        await world.platform.asked(2)
        await queued(world, 1)
        admitting.cancel()
        await asyncio.wait({admitting})
        held.open()
        await world.db.write(lambda _: None)
        assert await world.rows() == [(name(first.attempts[0]), "open")]

    play(tmp_path, scene)


def test_a_caller_that_leaves_between_two_attempts(tmp_path: Path) -> None:
    """The first one has been reported, the second one was never sent."""

    async def scene(world: World) -> None:
        admission = await world.admit("a", "b")
        first, second = admission.attempts
        held = Held(world.db)
        moving = asyncio.create_task(world.control.moved_on(failed(first), second, admission))
        await queued(world, 2)
        moving.cancel()
        await asyncio.wait({moving})
        gone = ended(first, succeeded=False, status=499, failed=(failed(first),), failure=failed(first))
        assert await world.control.settle(admission, gone) is None
        held.open()
        (report,) = await world.platform.reported(1)
        assert (report["correlation_id"], report["is_final_attempt"]) == (name(first), False)
        await world.quiet()
        assert len(world.platform.reports) == 1

    play(tmp_path, scene)


def test_without_a_disk_nothing_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: World) -> None:
        def broken(*_: object) -> bool:
            raise fault()

        monkeypatch.setattr("otari.store.reports.begin", broken)
        with pytest.raises(OtariError) as refused:
            await world.admit("a")
        assert (refused.value.kind, refused.value.code) == (Kind.UNAVAILABLE, "ledger_unavailable")

    play(tmp_path, scene)


def test_a_report_that_can_not_be_written_yet_is_sent_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is there and must not wait for the disk; the report waits in memory, and goes out."""

    clock = Clock()
    monkeypatch.setattr("otari.control.reporter._LOOK_AGAIN_S", 0.02)

    async def scene(world: World) -> None:
        admission = await world.admit("a")
        with monkeypatch.context() as patched:

            def broken(*_: object) -> bool:
                raise fault()

            patched.setattr("otari.store.reports.finish", broken)
            await world.control.settle(admission, ended(admission.attempts[0]))
            (report,) = await world.platform.reported(1)
            assert report["status"] == "success"
            condition = await world.control.health()
            assert condition.problem is not None
        await world.in_state("due")  # the disk is back, and what waited has landed
        clock.now_ms += 10_000
        await world.quiet()
        assert len(once_each(world.platform.reports)) == 1

    play(tmp_path, scene, clock)


def test_a_request_that_ends_before_any_attempt_is_reported(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        admission = await world.admit("a")
        await world.control.settle(admission, ended(None, succeeded=False, status=499, usage=Usage()))
        (report,) = await world.platform.reported(1)
        assert report == {
            "correlation_id": name(admission.attempts[0]),
            "status": "error",
            "is_final_attempt": True,
        }

    play(tmp_path, scene)


def test_reports_do_not_wait_for_ever_when_the_clock_is_set_back(tmp_path: Path) -> None:
    clock = Clock()

    async def scene(world: World) -> None:
        world.platform.usage.append(Said(503))
        admission = await world.admit("a")
        clock.now_ms += 10**9
        await world.control.settle(admission, ended(admission.attempts[0]))
        await world.until("SELECT 1 FROM reports WHERE tries = 1")
        clock.now_ms -= 10**9  # what was put off seems to be due in eleven days
        await world.quiet()
        assert len(world.platform.reports) == 2

    play(tmp_path, scene, clock)


# ---- who ----


@pytest.mark.parametrize("token", ["", "two words", "tab\there", "ä", "line\nbreak", "\x7f", "\udce4"])
def test_what_can_not_be_a_token_is_none(tmp_path: Path, token: str) -> None:
    async def scene(world: World) -> None:
        for credential in (None, Credential(Secret("gw-other")), Credential(None), Credential(None, Secret(token))):
            if credential is not None and credential.bearer is not None and not token:
                continue  # the edge gives no empty ones
            with pytest.raises(OtariError) as refused:
                await world.control.identify(credential)
            assert (refused.value.status, refused.value.message) == (401, "Missing authentication token")

    play(tmp_path, scene)


# ---- failures ----


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (401, "upstream_credentials", "http_401"),
        (402, "upstream_billing", "http_402_billing"),
        (429, "upstream_billing", "http_429_billing"),
        (429, "rate_limit_exceeded", "http_429"),
        (400, None, "http_400"),
        (302, "upstream_redirect", "http_302"),
        (408, "upstream_timeout", "http_408"),
        (504, "upstream_timeout", "http_504"),
        (503, "upstream_overloaded", "http_503"),
        (None, "upstream_timeout", "timeout"),
        (None, "upstream_unreachable", "conn_err"),
        (None, "upstream_disconnected", "conn_err"),
        (200, "upstream_disconnected", "conn_err"),
        (200, "upstream_timeout", "timeout"),
        (200, "upstream_format", "unknown"),
        (200, None, "unknown"),
        (None, "provider_unknown", "unknown"),
        (None, None, "unknown"),
    ],
)
def test_the_class_of_a_failure(status: int | None, code: str | None, word: str) -> None:
    attempt = Attempt("p", "m", "live", "", None, ("openai-chat",), labels=(("X-Correlation-ID", "a"),))
    assert error_class(failed(attempt, status, code)) == word


def test_the_verdict_on_several_attempts(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        attempt = (await world.admit("a")).attempts[0]
        verdict = world.control.verdict
        down = OtariError(Kind.UPSTREAM, "LLM provider error", retryable=True, upstream_status=500)
        slow = OtariError(Kind.UPSTREAM_TIMEOUT, "LLM provider timeout", retryable=True)
        wrong = OtariError(Kind.INVALID, "The provider says no", upstream_status=400)
        untold = OtariError(Kind.INVALID, "store needs …", code="unsupported_parameter", retryable=True)
        before = (failed(attempt),)
        assert verdict((), down) is down
        assert verdict(before, wrong) is wrong
        assert verdict(before, down).message == "All upstream providers failed"
        assert verdict(before, slow).message == "All upstream providers timed out"
        assert verdict(before, slow).status == 504
        assert verdict(before, untold).status == 502  # the first one could have been told
        assert verdict((failed(attempt, None, "unsupported_parameter"),), untold) is untold

    play(tmp_path, scene)


def test_reports_hold_no_secret_and_no_conversation(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        admission = await world.admit("a")
        (body,) = await world.db.read(lambda conn: conn.execute("SELECT body FROM reports").fetchone())
        assert orjson.loads(body) == {
            "correlation_id": name(admission.attempts[0]),
            "status": "error",
            "error_class": "unknown",
            "is_final_attempt": True,
        }

    play(tmp_path, scene)
