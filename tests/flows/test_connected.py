"""A gateway that is connected to a platform: who may ask, what is served, what the platform is asked and told."""

from pathlib import Path

import pytest

from tests.flows.connected import (
    CHAT,
    GATEWAY,
    MESSAGES,
    RESPONSES,
    SURFACES,
    USER,
    Connected,
    body,
    connected,
    message,
)
from tests.flows.house import House, chat, play
from tests.scripted import ScriptedProvider
from tests.scripted.platform import HEALTH, RESOLVE, TAKEN, USAGE, Said, ScriptedPlatform, once_each

ELSEWHERE = "This endpoint is not available in hybrid mode. Manage this resource via the platform UI."


# ---- answers ----


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
def test_an_answer_of_a_provider_that_speaks_the_same_dialect(tmp_path: Path, path: str, stream: bool) -> None:
    """The provider is another gateway, whose stub speaks all three."""

    async def scene() -> None:
        async with House(tmp_path) as back, ScriptedPlatform(provider="otari", api_base=f"{back.base}/v1") as platform:
            platform.models["any"] = platform.attempts("stub:echo", api_key=back.key)
            (tmp_path / "front").mkdir()
            async with Connected(tmp_path / "front", platform) as house:
                answer = await house.ask(path, "some:any", stream=stream)
                assert answer.status == 200
                assert b"one two three" in answer.body or stream
                (report,) = await platform.reported(1)
                (row,) = back.rows()
                assert report == {
                    "correlation_id": answer.headers["X-Correlation-ID"],
                    "status": "success",
                    "usage": {
                        "prompt_tokens": row["input_tokens"],
                        "completion_tokens": row["output_tokens"],
                        "total_tokens": row["input_tokens"] + row["output_tokens"],
                        "cache_read_tokens": 0,
                        "cache_write_tokens": 0,
                    },
                    "is_final_attempt": True,
                }
                assert (row["endpoint"], row["stream"]) == (path, int(stream))
                await house.quiet()

    play(scene())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
def test_an_answer_that_is_translated(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            answer = await house.ask(path, "vendor:ok-n3", stream=stream)
            assert answer.status == 200
            assert b"w2" in answer.body
            (sent,) = provider.requests
            assert (sent.path, sent.model, sent.stream) == ("/v1/chat/completions", "ok-n3", stream)
            assert sent.headers["Authorization"] == f"Bearer {platform.api_key}"
            (report,) = await platform.reported(1)
            assert (report["status"], report["usage"]["completion_tokens"]) == ("success", 3)
            await house.quiet()

    play(scene())


def test_the_names_of_an_answer_are_those_of_the_platform(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, ScriptedPlatform(api_base=provider.base_url) as platform:
            attempts = platform.attempts("status-500", "ok")
            platform.models["two"] = attempts
            async with Connected(tmp_path, platform) as house:
                for stream in (False, True):
                    answer = await house.ask(CHAT, "vendor:two", stream=stream)
                    for name in ("X-Otari-Request-ID", "Otari-Request-ID", "X-Request-ID"):
                        assert answer.headers[name] == attempts["request_id"]
                    for name in ("X-Correlation-ID", "Otari-Attempt-ID"):
                        assert answer.headers[name] == attempts["attempts"][1]["attempt_id"]
                    await house.quiet()
                refused = await house.ask(CHAT, "vendor:status-400")
                assert "X-Correlation-ID" not in refused.headers
                assert refused.headers["Otari-Request-ID"].startswith("req_")  # the one in the gateway's log

    play(scene())


@pytest.mark.parametrize(
    ("selector", "asked"),
    [
        ("openai:gpt-x", {"model": "gpt-x", "provider": "openai"}),
        ("openai/gpt-x", {"model": "gpt-x", "provider": "openai"}),
        ("openrouter:meta/llama:free", {"model": "meta/llama:free", "provider": "openrouter"}),
        ("meta/llama:free", {"model": "free", "provider": "meta/llama"}),
        ("gpt-x", {"model": "gpt-x"}),
        (":gpt-x", {"model": ":gpt-x"}),
        ("gpt-x:", {"model": "gpt-x:"}),
    ],
)
def test_the_platform_is_asked_for_model_and_provider(tmp_path: Path, selector: str, asked: dict[str, str]) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            platform.models[asked["model"]] = Said(404, {"detail": "no"})
            assert (await house.ask(CHAT, selector)).status == 404
            (call,) = platform.heard
            assert (call.path, call.doc) == (RESOLVE, asked)
            assert (call.headers["X-Gateway-Token"], call.headers["X-User-Token"]) == (GATEWAY, USER)
            assert "Authorization" not in call.headers

    play(scene())


@pytest.mark.parametrize("path", SURFACES)
def test_the_name_of_a_session_is_told_to_the_platform_and_to_nobody_else(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, provider):
            assert (await house.ask(path, "vendor:status-500+ok", session_label="nightly build")).status == 200
            reports = once_each(await platform.reported(2))
            assert {report["session_label"] for report in reports.values()} == {"nightly build"}
            assert all("session_label" not in sent.doc for sent in provider.requests)
            for label in (5, "x" * 256):
                refused = await house.ask(path, "vendor:ok", session_label=label)
                assert refused.status == 400
                assert message(path, refused) == "session_label must be a string of at most 255 characters"
            assert len(platform.resolves) == 1

    play(scene())


def test_what_anthropic_counts_apart_is_told_apart(tmp_path: Path) -> None:
    """Its vendors bill cached tokens beside the prompt, and the platform reckons as they do."""

    async def scene() -> None:
        script = tmp_path / "stub.yaml"
        script.write_text("stub: 1\nrules:\n- reply: {say: Hello, usage: {input: 11, cached: 4, output: 5}}\n")
        providers = {"stub": {"type": "stub", "script": str(script)}}
        async with House(tmp_path, providers=providers) as back, ScriptedPlatform() as platform:
            (tmp_path / "front").mkdir()
            async with Connected(tmp_path / "front", platform) as house:
                for kind, prompt in (("anthropic_compatible", 7), ("openai_compatible", 11)):
                    platform.models["m"] = platform.attempts(
                        "stub:script", provider=kind, api_base=f"{back.base}/v1", api_key=back.key
                    )
                    platform.heard.clear()
                    assert (await house.ask(MESSAGES, "vendor:m")).status == 200
                    (report,) = await platform.reported(1)
                    assert report["usage"] == {
                        "prompt_tokens": prompt,
                        "completion_tokens": 5,
                        "total_tokens": prompt + 5,
                        "cache_read_tokens": 4,
                        "cache_write_tokens": 0,
                    }

    play(scene())


def test_tokens_are_counted_here_for_whom_the_platform_knows(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            path = "/v1/messages/count_tokens"
            counted = await house.post(body(MESSAGES, "openai:gpt-5.2"), path=path)
            assert (counted.status, list(counted.json)) == (200, ["input_tokens"])
            platform.models["gpt-5.2"] = Said(403, {"detail": "not in your plan"})
            refused = await house.post(body(MESSAGES, "openai:gpt-5.2"), path=path)
            assert (refused.status, message(MESSAGES, refused)) == (403, "not in your plan")
            assert [call.path for call in platform.heard] == [RESOLVE, RESOLVE]
            assert house.kept() == []  # nothing was attempted, so nothing is reported

    play(scene())


# ---- who may ask, and what ----


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "tk_raw"},
        {"Authorization": "Bearer two words"},
        {"Authorization": "Bearer tk_ä"},
        {"Authorization": "", "Otari-Key": f"Bearer {USER}"},
        {"Authorization": "", "x-api-key": USER},
        {"Authorization": "Basic YTpi", "Otari-Key": f"Bearer {USER}"},
    ],
)
@pytest.mark.parametrize("path", [*SURFACES, "/v1/messages/count_tokens"])
def test_only_a_bearer_token_in_authorization_counts(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    shape = MESSAGES if path.startswith(MESSAGES) else path

    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            for broken in (b"{", b"{}"):  # the credential is judged before the body
                answer = await house.post(broken, path=path, headers=headers)
                assert (answer.status, message(shape, answer)) == (401, "Missing authentication token")
                assert "WWW-Authenticate" not in answer.headers
            assert platform.heard == []

    play(scene())


def test_many_requests_without_a_token_are_not_taken_for_guesses(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            for _ in range(15):
                answer = await house.post(chat("a:b"), headers={"Authorization": "", "x-api-key": "k"})
                assert answer.status == 401

    play(scene())


def test_other_headers_with_keys_are_not_looked_at(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            others = {"Otari-Key": "Bearer gw-of-somebody-else", "x-api-key": "sk-of-somebody-else"}
            assert (await house.post(chat("vendor:ok"), headers=others)).status == 200
            assert platform.heard[0].headers["X-User-Token"] == USER

    play(scene())


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_what_the_platform_has_is_not_served(tmp_path: Path, prefix: str) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            nouns = (
                "keys",
                "keys/k",
                "users/u/usage",
                "budgets",
                "spend",
                "pricing/a:b",
                "usage",
                "models",
                "models/a:b",
            )
            for noun in (*nouns, "embeddings", "files", "anything"):
                for method in ("GET", "POST", "PATCH", "DELETE"):
                    async with house.client.request(method, f"{house.base}{prefix}/{noun}") as answer:
                        doc = await answer.json()
                        assert (answer.status, doc["detail"], doc["error"]["message"]) == (404, ELSEWHERE, ELSEWHERE), (
                            noun
                        )
            for path in ("/", "/keys", "/v2/keys"):
                assert (await house.get(path)).json["detail"] == "Not Found"
            wrong = await house.get(f"{prefix}/messages")
            assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
            assert platform.heard == []

    play(scene())


def test_the_reference_tells_what_is_served(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            served = (await house.get("/openapi.json")).json["paths"]
            assert {path.split("/")[2] for path in served if path.startswith("/v1/")} == {
                "chat",
                "messages",
                "responses",
            }
            assert (await house.get("/docs")).status == 200

    play(scene())


def test_a_key_for_repeating_is_refused_since_no_answers_are_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            answer = await house.post(chat("a:b"), headers={"Idempotency-Key": "once"})
            assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")
            assert platform.heard == []

    play(scene())


def test_there_are_no_limits_of_our_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, ScriptedPlatform(api_base=provider.base_url) as platform:
            house = Connected(tmp_path, platform)
            house.config |= {"rate_limit_rpm": 1, "require_pricing": True}
            async with house:
                for _ in range(3):
                    answer = await house.ask(CHAT, "vendor:ok")
                    assert answer.status == 200
                    assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]
                assert house.query("SELECT count(*) AS n FROM usage") == [{"n": 0}]

    play(scene())


# ---- health ----


def test_health_says_whether_the_platform_is_there(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            assert (await house.get("/health")).json == {
                "status": "healthy",
                "mode": "hybrid",
                "platform_reachable": "yes",
            }
            ready = (await house.get("/health/readiness")).json
            version = ready.pop("version")
            assert ready == {"status": "healthy", "mode": "hybrid", "platform": "connected"}
            await platform.leave()
            house.last_knocked(ago_s=-60)  # however slow this machine is
            assert (await house.get("/health/readiness")).status == 200  # what is known holds for a second
            house.last_knocked(ago_s=1.001)
            away = await house.get("/health/readiness")
            assert away.status == 503
            assert away.json["detail"] == {
                "status": "unhealthy",
                "mode": "hybrid",
                "platform": "unavailable",
                "version": version,
            }
            assert away.error["code"] == "platform_unavailable"
            health = await house.get("/health")
            assert (health.status, health.json["platform_reachable"]) == (200, "no")
            assert (await house.get("/health/liveness")).status == 200
            await platform.come()
            house.last_knocked(ago_s=1.001)
            assert (await house.get("/health/readiness")).status == 200

    play(scene())


@pytest.mark.parametrize(("status", "reachable"), [(200, "yes"), (401, "yes"), (404, "yes"), (500, "no"), (503, "no")])
def test_any_answer_below_500_is_an_answer(tmp_path: Path, status: int, reachable: str) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            platform.health = Said(status)
            assert (await house.get("/health")).json["platform_reachable"] == reachable
            (call,) = platform.heard
            assert call.path == HEALTH
            assert not [name for name in call.headers if "token" in name.lower()]

    play(scene())


def test_health_asks_the_platform_once_for_many(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            for _ in range(20):
                assert (await house.get("/health")).json["platform_reachable"] == "yes"
            assert len(platform.heard) < 20

    play(scene())


def test_it_is_not_ready_while_reports_can_not_be_written(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.takes = lambda report: Said(500)  # so that reports stay
            await house.write("PRAGMA max_page_count = 1")
            refused = None
            for _ in range(200):  # until the file has no room any more
                refused = await house.ask(CHAT, "vendor:ok")
                if refused.status != 200:
                    break
            assert refused is not None
            assert (refused.status, refused.error["code"]) == (503, "ledger_unavailable")
            ready = await house.get("/health/readiness")
            assert (ready.status, ready.json["detail"]["database"]) == (503, "unavailable")
            assert ready.json["detail"]["platform"] == "connected"

    play(scene())


# ---- figures ----


def test_metrics_tell_tokens_and_how_the_reports_stand(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.usage.extend([Said(422), TAKEN])
            for _ in range(2):
                assert (await house.ask(CHAT, "vendor:ok-n3")).status == 200
                await house.eventually(lambda: not [row for row in house.kept() if row["state"] == "due"])
            await house.ask(RESPONSES, "vendor:status-400")
            await house.quiet_but(1)
            text = (await house.get("/metrics")).body.decode()
            model = 'provider="openai_compatible",model="ok-n3"'
            assert f'otari_tokens_total{{{model},kind="output"}} 6\n' in text
            assert 'otari_reports_total{result="taken"} 2\n' in text
            assert 'otari_reports_total{result="refused"} 1\n' in text
            assert "otari_reports_waiting 0\n" in text
            assert "otari_report_failures_total 0\n" in text
            assert "cost_usd" not in text  # it is the platform that reckons
            assert len([call for call in platform.heard if call.path == USAGE]) == 3

    play(scene())
