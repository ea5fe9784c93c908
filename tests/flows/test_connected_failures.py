"""The failure tables of a connected gateway, walked on three surfaces, streamed or not: what a client is told when the
platform refuses, what when its attempts fail, and what the platform hears of them.
"""

import asyncio
import re
from pathlib import Path

import pytest

from tests.flows.connected import CHAT, MESSAGES, RESPONSES, SURFACES, Connected, connected, message
from tests.flows.house import House, chat, play
from tests.scripted.platform import AWAY, Said, ScriptedPlatform, once_each

UNAVAILABLE = "Authorization service unavailable"
EVERYWHERE = [(path, stream) for path in SURFACES for stream in (False, True)]

# What the platform answers when a model is resolved → status and words for the client.
REFUSALS: list[tuple[Said, int, str]] = [
    *((Said(status, {"detail": "so it is"}), status, "so it is") for status in (400, 401, 402, 403, 404, 429)),
    *(
        (Said(status, told), status, "Authorization request rejected")
        for status in (400, 401, 402, 403, 404, 429)
        for told in (b"", b"<html>", {}, {"detail": {"words": "in an object"}}, ["detail"])
    ),
    *((Said(status, {"detail": "secret reasons"}), 502, UNAVAILABLE) for status in (405, 409, 418, 422, 500, 502, 503)),
    *((Said(status, {"detail": "x"}, {"Location": "/elsewhere"}), 502, UNAVAILABLE) for status in (301, 307)),
    *((Said(status, {"attempts": []}), 502, UNAVAILABLE) for status in (201, 202, 204)),
    (AWAY, 502, UNAVAILABLE),
]
ERROR_TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error"}
ERROR_TYPES |= {404: "not_found_error", 429: "rate_limit_error"}


@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_what_the_platform_refuses(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            for said, status, words in REFUSALS:
                platform.models["m"] = said
                answer = await house.ask(path, "vendor:m", stream=stream)
                assert (answer.status, message(path, answer)) == (status, words), said
                kind = ERROR_TYPES.get(status, "api_error" if path == MESSAGES else "upstream_error")
                assert answer.error["type"] == kind
                assert "Retry-After" not in answer.headers
                assert "X-Correlation-ID" not in answer.headers
            assert len(platform.resolves) == len(REFUSALS)  # nothing is asked twice
            assert (provider.requests, platform.reports, house.kept()) == ([], [], [])

    play(scene())


@pytest.mark.parametrize(
    ("told", "seen"),
    [("9", "9"), ("0", "0"), ("1.2", "2"), ("soon", None), ("-3", None), ("99999999", "86400"), ("", None)],
)
def test_when_to_ask_again_is_passed_on(tmp_path: Path, told: str, seen: str | None) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            for path, stream in EVERYWHERE:
                platform.models["m"] = Said(429, {"detail": "slow down"}, {"Retry-After": told})
                answer = await house.ask(path, "vendor:m", stream=stream)
                assert (answer.status, answer.headers.get("Retry-After")) == (429, seen)
                platform.models["m"] = Said(403, {"detail": "no"}, {"Retry-After": told})
                assert "Retry-After" not in (await house.ask(path, "vendor:m", stream=stream)).headers

    play(scene())


def test_when_to_ask_again_may_be_a_date(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
            platform.models["m"] = Said(429, {"detail": "slow down"}, past)
            assert (await house.ask(CHAT, "vendor:m")).headers["Retry-After"] == "0"

    play(scene())


@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_a_platform_that_takes_too_long(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path, resolve_timeout_ms=50) as (house, platform, provider):
            platform.models["m"] = Said(late=asyncio.Event())
            answer = await house.ask(path, "vendor:m", stream=stream)
            assert (answer.status, message(path, answer)) == (502, UNAVAILABLE)
            assert provider.requests == []

    play(scene())


# ---- attempts ----

# What the only attempt does → status for the client, and the class in the report.
ALONE = {
    "status-400": (400, "http_400"),
    "status-401": (502, "http_401"),
    "status-402": (502, "http_402_billing"),
    "status-403": (502, "http_403"),
    "status-404": (404, "http_404"),
    "status-405": (400, "http_405"),
    "status-408": (504, "http_408"),
    "status-409": (400, "http_409"),
    "status-410": (400, "http_410"),
    "status-413": (413, "http_413"),
    "status-422": (422, "http_422"),
    "status-429": (429, "http_429"),
    "status-500": (502, "http_500"),
    "status-502": (502, "http_502"),
    "status-503": (503, "http_503"),
    "status-504": (504, "http_504"),
    "redirect307": (502, "http_307"),
    "html_200": (502, "unknown"),
    "reset_before_headers": (502, "conn_err"),
}
STOPS = ("status-400", "status-413", "status-422")  # another provider would say the same


@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_an_only_attempt_that_fails(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            for kind in ("otari", "openai_compatible"):  # the client's own dialect, and a translation
                platform.provider = kind
                for model, (status, error_class) in ALONE.items():
                    platform.heard.clear()
                    answer = await house.ask(path, f"vendor:{model}", stream=stream)
                    assert answer.status == status, (model, answer.body)
                    message(path, answer)
                    (report,) = await platform.reported(1)
                    report.pop("correlation_id")
                    assert report == {"status": "error", "error_class": error_class, "is_final_attempt": True}, model
                    await house.quiet()
            assert len(provider.requests) == 2 * len(ALONE)

    play(scene())


@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_a_provider_that_limits_tells_when_to_ask_again(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, _, _):
            answer = await house.ask(path, "vendor:status-429-ra7", stream=stream)
            assert (answer.status, answer.headers["Retry-After"]) == (429, "7")

    play(scene())


@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_a_failed_attempt_leads_to_the_next_one(tmp_path: Path, path: str, stream: bool) -> None:
    """All that stop at the first one say so themselves; the others end at the provider that answers."""

    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            for model, (status, error_class) in ALONE.items():
                platform.heard.clear()
                attempts = platform.attempts(model, "ok-n2")
                attempts["attempts"][0]["provider"] = "otari"
                platform.models["m"] = attempts
                first, second = (attempt["attempt_id"] for attempt in attempts["attempts"])
                answer = await house.ask(path, "vendor:m", stream=stream)
                if model in STOPS:
                    assert answer.status == status
                    assert [report["correlation_id"] for report in await platform.reported(1)] == [first]
                    assert platform.report(first)["is_final_attempt"] is True
                else:
                    assert answer.status == 200, (model, answer.body)
                    assert answer.headers["X-Correlation-ID"] == second
                    await platform.reported(2)
                    told = {"correlation_id": first, "status": "error", "error_class": error_class}
                    assert platform.report(first) == {**told, "is_final_attempt": False}
                    assert platform.report(second)["status"] == "success"
                    assert platform.report(second)["is_final_attempt"] is True
                await house.quiet()
                once_each(platform.reports)

    play(scene())


@pytest.mark.parametrize(
    ("models", "status", "words"),
    [
        ("status-500+status-429", 502, "All upstream providers failed"),
        ("status-504+status-404", 502, "All upstream providers failed"),
        ("status-429+status-401+reset_before_headers", 502, "All upstream providers failed"),
        ("status-409+status-409", 502, "All upstream providers failed"),
        ("status-500+status-504", 504, "All upstream providers timed out"),
        ("status-500+status-408", 504, "All upstream providers timed out"),
    ],
)
@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_attempts_that_all_fail(tmp_path: Path, path: str, stream: bool, models: str, status: int, words: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            answer = await house.ask(path, f"vendor:{models}", stream=stream)
            assert (answer.status, message(path, answer)) == (status, words)
            count = models.count("+") + 1
            reports = once_each(await platform.reported(count))
            assert [report["is_final_attempt"] for report in reports.values()].count(True) == 1
            await house.quiet()

    play(scene())


@pytest.mark.parametrize("stream", [False, True])
def test_what_no_provider_can_be_told_is_a_mistake_of_the_request(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            answer = await house.ask(RESPONSES, "vendor:ok+ok-n2", stream=stream, previous_response_id="resp_1")
            assert (answer.status, answer.error["param"]) == (400, "previous_response_id")
            reports = once_each(await platform.reported(2))
            assert {report["error_class"] for report in reports.values()} == {"unknown"}
            assert provider.requests == []

    play(scene())


# ---- the first frame of a stream ----


@pytest.mark.parametrize("path", SURFACES)
def test_a_stream_must_begin_in_time(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path, streaming_first_chunk_timeout_ms=60) as (house, platform, provider):
            answer = await house.ask(path, "vendor:slow_headers-60000+ok", stream=True)
            assert answer.status == 200
            classes = [report.get("error_class") for report in once_each(await platform.reported(2)).values()]
            assert sorted(classes, key=str) == [None, "timeout"]
            await provider.idle()  # the slow one was let go
            answer = await house.ask(path, "vendor:slow_headers-60000+slow_headers-60000", stream=True)
            assert (answer.status, message(path, answer)) == (504, "All upstream providers timed out")
            alone = await house.ask(path, "vendor:slow_headers-60000", stream=True)
            assert alone.status == 504
            assert "did not begin its answer within 0.06 s" in message(path, alone)

    play(scene())


@pytest.mark.parametrize("path", SURFACES)
def test_the_last_attempt_may_take_longer(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        told = {"streaming_first_chunk_timeout_ms": 60, "streaming_final_attempt_extra_timeout_ms": 600_000}
        async with connected(tmp_path, **told) as (house, platform, _):
            for models, count in (("slow_headers-60000+slow_headers-150", 2), ("slow_headers-150", 1)):
                platform.heard.clear()
                assert (await house.ask(path, f"vendor:{models}", stream=True)).status == 200
                reports = once_each(await platform.reported(count)).values()
                assert [report["status"] for report in reports].count("success") == 1

    play(scene())


@pytest.mark.parametrize("path", SURFACES)
def test_a_whole_answer_has_no_first_frame_to_wait_for(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path, streaming_first_chunk_timeout_ms=20) as (house, _, _):
            assert (await house.ask(path, "vendor:slow_headers-100")).status == 200

    play(scene())


@pytest.mark.parametrize("model", ["cut_mid_event", "eof_without_done", "error_event_in_200"])
@pytest.mark.parametrize("path", SURFACES)
def test_a_stream_that_breaks_off_is_reported_with_what_came(tmp_path: Path, path: str, model: str) -> None:
    """Once it has begun there is no other attempt, and no class: the provider did work."""

    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            answer = await house.ask(path, f"vendor:{model}+ok", stream=True)
            assert answer.status == 200
            assert answer.whole is (path == "/v1/responses")  # response.failed is an ending
            (report,) = await platform.reported(1)
            assert (report["status"], report["is_final_attempt"]) == ("error", True)
            assert "error_class" not in report
            assert report["usage"]["prompt_tokens"] > 0
            assert report["usage"]["completion_tokens"] > 0
            await house.quiet()

    play(scene())


@pytest.mark.parametrize("model", ["usage_missing", "usage_negative", "usage_text", "usage_huge"])
@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_what_a_provider_does_not_tell_is_counted_here(tmp_path: Path, path: str, stream: bool, model: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            assert (await house.ask(path, f"vendor:{model}", stream=stream)).status == 200
            (report,) = await platform.reported(1)
            assert report["status"] == "success"
            assert 0 < report["usage"]["prompt_tokens"] < 100
            assert 0 < report["usage"]["completion_tokens"] < 100

    play(scene())


# ---- what the platform may get wrong ----


def garbled(platform: ScriptedPlatform) -> dict[str, Said]:
    """Answers with status 200 that name no attempt that could be made."""
    attempt = platform.attempt("ok")
    return {
        "empty": Said(body=b""),
        "a web page": Said(body=b"<html>Please log in</html>", headers={"Content-Type": "text/html"}),
        "a list": Said(body=[attempt]),
        "null": Said(body=b"null"),
        "cut short": Said(body=b'{"request_id": "rq", "attempts": [{"attempt_id'),
        "not UTF-8": Said(body=b'{"request_id": "\xff"}'),
        "too large": Said(body=b'{"attempts": [' + b" " * (1 << 20) + b"]}"),
        "nothing in it": Said(body={}),
        "no attempts": Said(body={"request_id": "rq", "attempts": []}),
        "attempts that are none": Said(body={"request_id": "rq", "attempts": [None, 5, "att", [], {}]}),
        "attempts as an object": Said(body={"request_id": "rq", "attempts": attempt}),
        "no id": Said(body={"attempts": [{**attempt, "attempt_id": None}]}),
        "an id that can not stand in a header": Said(body={"attempts": [{**attempt, "attempt_id": "a\r\nX-Evil: 1"}]}),
        "a long id": Said(body={"attempts": [{**attempt, "attempt_id": "a" * 256}]}),
        "no model": Said(body={"attempts": [{**attempt, "model": ""}]}),
        "no provider": Said(body={"attempts": [{**attempt, "provider": None}]}),
        "a key that is none": Said(body={"attempts": [{**attempt, "api_key": 7}]}),
        "an address that is none": Said(body={"attempts": [{**attempt, "api_base": {}}]}),
        "the older form without a model": Said(body={"correlation_id": "c", "provider": "openai", "api_key": "k"}),
    }


@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_answers_of_the_platform_that_make_no_sense(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            for case, said in garbled(platform).items():
                platform.models["m"] = said
                answer = await house.ask(path, "vendor:m", stream=stream)
                assert answer.status == 502, case
                words = message(path, answer)
                assert words in (UNAVAILABLE, "Authorization service returned no resolvable provider"), case
                assert "X-Evil" not in answer.headers
            assert (provider.requests, house.kept()) == ([], [])

    play(scene())


def test_unknown_fields_are_ignored_and_the_order_is_that_of_positions(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            extra = {"extra_params": {"region_name": "x"}, "managed": "maybe", "later": [1]}
            told = platform.attempts("ok-n1", "status-500", "status-429", **extra)
            for attempt, position in zip(told["attempts"], (9, 2, 5), strict=True):
                attempt["position"] = position
            told |= {"user_id": "u", "workspace_id": None, "attempts": [*told["attempts"], {"attempt_id": 7}]}
            platform.models["m"] = told
            assert (await house.ask(CHAT, "vendor:m")).status == 200
            assert [request.model for request in provider.requests] == ["status-500", "status-429", "ok-n1"]

    play(scene())


def test_positions_that_are_none_leave_the_order_of_the_list(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            told = platform.attempts("status-500", "ok-n1")
            for attempt in told["attempts"]:
                attempt["position"] = "first"
            platform.models["m"] = told
            assert (await house.ask(CHAT, "vendor:m")).status == 200
            assert [request.model for request in provider.requests] == ["status-500", "ok-n1"]

    play(scene())


@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_a_provider_that_nobody_knows_is_passed_over_and_reported(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            for wrong in (
                {"provider": "warpdrive"},
                {"provider": "stub"},
                {"provider": "x" * 500},
                {"provider": "openai_compatible", "api_base": None},
                {"api_base": "ftp://127.0.0.1/v1"},
                {"api_base": "http://user:word@127.0.0.1/v1"},
                {"api_base": "not an address"},
                {"api_key": "two words\r\nX-Evil: 1"},
            ):
                platform.heard.clear()
                told = platform.attempts("ok", "ok")
                told["attempts"][0] |= wrong
                platform.models["m"] = told
                assert (await house.ask(path, "vendor:m", stream=stream)).status == 200, wrong
                await platform.reported(2)
                assert platform.report(told["attempts"][0]["attempt_id"])["error_class"] == "unknown"
                platform.heard.clear()
                platform.models["m"] = {"request_id": "rq", "attempts": [platform.attempt("ok", **wrong)]}
                answer = await house.ask(path, "vendor:m", stream=stream)
                assert answer.status == 502
                assert "which this gateway can not ask" in message(path, answer)
                assert len(message(path, answer)) < 200
                (report,) = await platform.reported(1)
                assert (report["error_class"], report["is_final_attempt"]) == ("unknown", True)
                await house.quiet()

    play(scene())


def test_an_id_that_stands_twice_is_tried_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            told = platform.attempts("status-500", "ok-n1", "ok-n2")
            told["attempts"][1]["attempt_id"] = told["attempts"][0]["attempt_id"]
            platform.models["m"] = told
            assert (await house.ask(CHAT, "vendor:m")).status == 200
            assert [request.model for request in provider.requests] == ["status-500", "ok-n2"]
            assert len(once_each(await platform.reported(2))) == 2

    play(scene())


def test_an_id_that_is_under_way_is_not_tried_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            platform.takes = lambda report: Said(500)  # the report of the first one stays
            platform.models["m"] = platform.attempts("ok")
            assert (await house.ask(CHAT, "vendor:m")).status == 200
            again = await house.ask(CHAT, "vendor:m")
            assert again.status == 502
            assert "under way already" in message(CHAT, again)
            assert len(provider.requests) == 1
            assert [row["state"] for row in house.kept()] == ["due"]

    play(scene())


def test_more_attempts_than_anybody_needs(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            platform.models["m"] = platform.attempts(*["status-500"] * 80)
            assert (await house.ask(CHAT, "vendor:m")).status == 502
            assert len(provider.requests) == 64
            assert len(once_each(await platform.reported(64))) == 64

    play(scene())


# ---- where attempts may lead ----

PRIVATE = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "0.0.0.0", "10.0.0.1"]


@pytest.mark.parametrize(("path", "stream"), EVERYWHERE)
def test_an_attempt_at_a_private_address_is_not_made(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path, allow_private_hosts=False) as (house, platform, provider):
            for host in PRIVATE:
                platform.heard.clear()
                told = platform.attempts("ok", api_base=f"http://{host}:{provider.port}/v1")
                platform.models["m"] = told
                answer = await house.ask(path, "vendor:m", stream=stream)
                assert (answer.status, answer.headers.get("X-Correlation-ID")) == (502, None), host
                assert re.search("could not be (reached|asked)", message(path, answer))
                (report,) = await platform.reported(1)
                assert report["error_class"] == "conn_err"
                await house.quiet()
            assert provider.requests == []

    play(scene())


def test_the_servers_of_this_machine_are_private_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A type whose shipped address is a local one must not lead anybody to it."""

    async def scene() -> None:
        async with connected(tmp_path, allow_private_hosts=False) as (house, platform, _):
            platform.models["m"] = platform.attempts("ok", provider="ollama", api_base=None)
            answer = await house.ask(CHAT, "vendor:m")
            assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
            (report,) = await platform.reported(1)
            assert report["error_class"] == "conn_err"
            assert "not one of the public internet" in caplog.text

    play(scene())


def test_reports_wait_while_the_gateway_runs_without_its_platform(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.takes = lambda report: Said(500)
            assert (await house.ask(CHAT, "vendor:ok")).status == 200
        async with House(tmp_path) as alone:
            assert (await alone.post(chat())).status == 200
            assert len(alone.query("SELECT * FROM reports")) == 1
        async with ScriptedPlatform() as later, Connected(tmp_path, later) as house:
            (report,) = await later.reported(1)
            assert report["status"] == "success"
            await house.quiet()

    play(scene())
