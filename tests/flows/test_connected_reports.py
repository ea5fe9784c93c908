"""Reports to the platform: on disk before the attempt is sent, delivered exactly once, whatever happens in between."""

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest

from otari.control import reporter
from tests.flows.connected import CHAT, RESPONSES, SURFACES, Connected, body, connected
from tests.flows.house import play
from tests.scripted.platform import AWAY, Said, ScriptedPlatform, once_each, repeated


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr(reporter, "FIRST_PAUSE_MS", 2)
    monkeypatch.setattr(reporter, "LONGEST_PAUSE_MS", 20)


async def begun(house: Connected, path: str, model: str) -> asyncio.StreamWriter:
    """A stream of which something has come; close the writer to leave."""
    raw = orjson.dumps({**body(path, model), "stream": True})
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {house.key}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)
    await reader.readuntil(b"w1 ")
    return writer


# ---- the platform is away ----


def test_away_at_the_start(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform:
            await platform.leave()
            async with Connected(tmp_path, platform) as house:
                for path in SURFACES:
                    answer = await house.ask(path, "vendor:ok")
                    assert (answer.status, answer.json["detail"]) == (502, "Authorization service unavailable")
                assert house.kept() == []
                await platform.come()
                platform.models["m"] = Said(403, {"detail": "no"})
                assert (await house.ask(CHAT, "vendor:m")).status == 403  # it is asked again at once

    play(scene())


@pytest.mark.parametrize("path", SURFACES)
def test_away_during_a_stream(tmp_path: Path, path: str) -> None:
    """The stream goes on to its end; the report comes when the platform is back, once."""

    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            asked = {**body(path, "vendor:ok-n8-i20"), "stream": True}
            sent = {"Authorization": f"Bearer {house.key}"}
            async with house.client.post(house.base + path, json=asked, headers=sent) as response:
                await response.content.readuntil(b"w1 ")
                await platform.leave()
                rest = await response.content.read()
                assert b"w7" in rest
            (kept,) = house.kept()
            assert kept["state"] == "due"
            await house.eventually(lambda: house.kept()[0]["tries"] > 2)
            await platform.come()
            await platform.reported(1)
            await house.quiet()
            report = platform.report(kept["correlation_id"])
            assert (report["status"], report["usage"]["completion_tokens"]) == ("success", 8)
            assert repeated(platform.reports) == {}

    play(scene())


@pytest.mark.parametrize("again", ["in the same run", "after a restart"])
def test_away_between_the_answer_and_the_report(tmp_path: Path, again: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            platform.takes = lambda report: AWAY
            for path in SURFACES:
                assert (await house.ask(path, "vendor:status-500+ok")).status == 200
            platform.heard.clear()
            if again == "in the same run":
                platform.takes = lambda report: Said(204)
                await platform.reported(6)
                await house.quiet()
        platform.takes = lambda report: Said(204)
        async with ScriptedPlatform(api_base=provider.base_url) as later, Connected(tmp_path, later) as house:
            if again == "after a restart":
                await later.reported(6)
            await house.quiet()
            reports = platform.reports if again == "in the same run" else later.reports
            assert len(once_each(reports)) == 6
            assert [report["status"] for report in once_each(reports).values()].count("success") == 3

    play(scene())


# ---- what the platform says to a report ----


@pytest.mark.parametrize(
    "said", [AWAY, *map(Said, (301, 401, 403, 405, 408, 410, 429, 500, 502, 503))], ids=lambda said: said.status
)
def test_a_report_is_sent_until_it_is_taken(tmp_path: Path, said: Said) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.usage.extend([said] * 5)
            assert (await house.ask(CHAT, "vendor:ok")).status == 200
            await house.quiet()
            assert len(platform.reports) == 6
            assert len(once_each(platform.reports)) == 1

    play(scene())


@pytest.mark.parametrize("status", [200, 201, 202, 204, 409])
def test_a_report_that_is_taken_is_sent_once(tmp_path: Path, status: int) -> None:
    """409: the platform has it already, from an attempt whose acknowledgement was lost."""

    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.takes = lambda report: Said(status)
            for _ in range(3):
                assert (await house.ask(CHAT, "vendor:ok")).status == 200
            await house.quiet()
            assert repeated(platform.reports) == {}

    play(scene())


@pytest.mark.parametrize("status", [400, 402, 404, 422])
def test_a_report_that_is_not_wanted_is_kept_for_the_operator(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.takes = lambda report: Said(status)
            answer = await house.ask(CHAT, "vendor:ok")
            assert answer.status == 200
            await house.eventually(lambda: house.kept()[0]["state"] == "refused")
            assert orjson.loads(house.kept()[0]["body"])["correlation_id"] == answer.headers["X-Correlation-ID"]
            assert (
                f"refused the report of attempt {answer.headers['X-Correlation-ID']} (status {status})" in caplog.text
            )
        async with ScriptedPlatform() as later, Connected(tmp_path, later) as house:
            assert [row["state"] for row in house.kept()] == ["refused"]
            await later.leave()
            assert later.reports == []

    play(scene())


def test_a_platform_that_is_slow_to_take_reports_holds_up_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path, usage_timeout_ms=40, usage_inline_timeout_ms=0) as (house, platform, _):
            never = asyncio.Event()
            platform.takes = lambda report: Said(204, late=never)
            for _ in range(3):
                assert (await house.ask(CHAT, "vendor:ok")).status == 200
            await house.eventually(lambda: all(row["tries"] > 1 for row in house.kept()))
            platform.takes = lambda report: Said(204)
            await platform.reported(3)
            await house.quiet()
            never.set()

    play(scene())


def test_the_operator_is_told_once_that_reports_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.usage.extend([Said(503)] * 10)
            for _ in range(2):
                assert (await house.ask(CHAT, "vendor:ok")).status == 200
            await house.quiet()
            lines = [record.getMessage() for record in caplog.records if "can not be delivered" in record.getMessage()]
            assert lines == ["reports can not be delivered (status 503); 1 wait and are tried again"]

    play(scene())


# ---- the client leaves, the gateway stops, the gateway dies ----


@pytest.mark.parametrize("path", SURFACES)
def test_a_client_that_leaves_is_reported_with_what_it_got(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            writer = await begun(house, path, "vendor:stall_after_2")
            writer.close()
            await provider.idle()
            (report,) = await platform.reported(1)
            assert (report["status"], report["is_final_attempt"]) == ("error", True)
            assert "error_class" not in report
            assert report["usage"]["completion_tokens"] > 0
            await house.quiet()

    play(scene())


@pytest.mark.parametrize("path", SURFACES)
def test_a_client_that_leaves_before_anything_came(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            asking = asyncio.create_task(house.ask(path, "vendor:slow_headers-60000"))
            await provider.busy()
            asking.cancel()
            await provider.idle()
            (report,) = await platform.reported(1)
            assert report["status"] == "error"
            await house.quiet()

    play(scene())


def test_a_client_that_leaves_while_the_platform_thinks_leaves_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            thinking = asyncio.Event()
            platform.models["m"] = Said(body=platform.attempts("ok"), late=thinking)
            asking = asyncio.create_task(house.ask(CHAT, "vendor:m"))
            await platform.asked(1)
            asking.cancel()
            await asyncio.wait({asking})
            thinking.set()
            assert (await house.ask(CHAT, "vendor:ok")).status == 200
            await house.quiet()
            assert len(provider.requests) == len(platform.reports) == 1

    play(scene())


@pytest.mark.parametrize("path", SURFACES)
def test_a_stream_that_the_stop_of_the_gateway_ends(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            writer = await begun(house, path, "vendor:stall_after_2")
            house.gateway.conversations.stopping = True
            assert (await house.get("/health/readiness")).json["detail"]["platform"] == "connected"
            await house.runner.cleanup()
            writer.close()
        # the gateway has been closed: the report was on its way before that
        (report,) = platform.reports
        assert (report["status"], "error_class" in report) == ("error", False)
        assert report["usage"]["completion_tokens"] > 0

    play(scene())


def test_a_stop_does_not_wait_long_for_the_platform(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.takes = lambda report: Said(late=asyncio.Event())
            for _ in range(3):
                assert (await house.ask(CHAT, "vendor:ok", stream=True)).status == 200
            async with asyncio.timeout(4):
                await house.gateway.control.close()
        kept = house.kept()
        assert [row["state"] for row in kept] == ["due"] * 3
        async with ScriptedPlatform() as later, Connected(tmp_path, later) as house:
            assert set(once_each(await later.reported(3))) == {row["correlation_id"] for row in kept}
            await house.quiet()

    play(scene())


def test_an_attempt_that_was_under_way_at_a_crash(tmp_path: Path) -> None:
    """The files of a gateway in the middle of everything, as a kill leaves them."""

    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            writer = await begun(house, RESPONSES, "vendor:status-500+stall_after_2")
            platform.takes = lambda report: Said(503)
            assert (await house.ask(CHAT, "vendor:ok", session_label="evening")).status == 200
            await house.eventually(lambda: sorted(row["state"] for row in house.kept()) == ["due", "open"])
            under_way, done = sorted(house.kept(), key=lambda row: row["state"], reverse=True)
            shutil.copytree(tmp_path, tmp_path / "left", ignore=shutil.ignore_patterns("left", "*.lock"))
            writer.close()
        async with ScriptedPlatform() as later, Connected(tmp_path / "left", later) as house:
            reports = once_each(await later.reported(2))
            await house.quiet()
            assert reports[under_way["correlation_id"]] == {
                "correlation_id": under_way["correlation_id"],
                "status": "error",
                "error_class": "unknown",
                "is_final_attempt": True,
            }
            assert reports[done["correlation_id"]]["status"] == "success"
            assert reports[done["correlation_id"]]["session_label"] == "evening"
            assert repeated(later.reports) == {}
            assert house.gateway.plane.notes == (
                "1 attempts were under way when the last run ended; they are reported as `unknown`",
            )

    play(scene())


def test_many_reports_of_an_outage_are_all_delivered(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path, usage_inline_timeout_ms=0) as (house, platform, _):
            platform.takes = lambda report: AWAY
            answers = await asyncio.gather(*(house.ask(CHAT, "vendor:ok-n1") for _ in range(60)))
            assert {answer.status for answer in answers} == {200}
            platform.takes = lambda report: Said(204)
            await house.quiet()
            assert set(once_each(platform.reports)) == {answer.headers["X-Correlation-ID"] for answer in answers}

    play(scene())
