"""Tokens and keys of the platform's world are in nothing that anybody reads: answers, log, files, representations."""

import logging
from pathlib import Path

import pytest

from tests.flows.connected import CHAT, SURFACES, Connected, message
from tests.flows.house import play
from tests.scripted import ScriptedProvider
from tests.scripted.platform import AWAY, Said, ScriptedPlatform

# None of them looks like a key: only who knows them can take them out.
USER, GATEWAY, KEY = "usercanary4711usercanary", "gatewaycanary0815gateway", "providercanary2342provider"
ECHO = f"wrong: {USER}, {GATEWAY}, {KEY}"


def hidden(text: str) -> bool:
    return not any(secret in text for secret in (USER, GATEWAY, KEY))


def written(folder: Path) -> list[bytes]:
    """Every file in a folder: the database, its logs, its lock."""
    return [path.read_bytes() for path in folder.iterdir() if path.is_file()]


@pytest.mark.parametrize("stream", [False, True])
def test_no_secret_is_written_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    caplog.set_level(logging.DEBUG)

    async def scene() -> None:
        async with (
            ScriptedProvider() as provider,
            ScriptedPlatform(api_base=provider.base_url, api_key=KEY) as platform,
        ):
            house = Connected(tmp_path, platform)
            house.config["ai_token"] = GATEWAY
            async with house:
                house.key = USER
                platform.models |= {
                    "refused": Said(401, {"detail": ECHO}),
                    "garbled": Said(body=ECHO.encode()),
                    "broken": AWAY,
                    "elsewhere": platform.attempts("ok", api_base=f"http://{KEY}.invalid/v1"),
                    "unknown": platform.attempts("ok", provider="warpdrive"),
                }
                # The first answer is what teaches the redactor this key, as the first word about it is an error.
                models = ["echo_key_in_stream", "echo_key-400", "echo_key-401", "echo_key-404", "echo_key-500", "ok"]
                for model in [*models, *platform.models, "status-500+reset_before_headers"]:
                    for path in SURFACES:
                        answer = await house.ask(path, f"vendor:{model}", stream=stream)
                        assert hidden(answer.body.decode()), (model, path)
                        assert hidden(str(answer.headers)), (model, path)
                for text in (repr(house.gateway), repr(house.gateway.control), repr(vars(house.gateway.control))):
                    assert hidden(text)
                for request in provider.requests:
                    assert request.headers["Authorization"] == f"Bearer {KEY}"  # it was there to be told
                platform.takes = lambda report: Said(422, {"detail": ECHO})
                await house.ask(CHAT, "vendor:ok")
                await house.eventually(lambda: any(row["state"] == "refused" for row in house.kept()))
                for name in ("/health", "/health/readiness", "/metrics", "/openapi.json"):
                    assert hidden((await house.get(name)).body.decode())
                files = written(tmp_path)
        for data in files + written(tmp_path):
            assert hidden(data.decode("latin-1"))
            assert b"one two three" not in data  # nor is a word of the conversation

    play(scene())
    assert caplog.records
    assert hidden(caplog.text)


@pytest.mark.parametrize("path", SURFACES)
def test_the_words_of_a_refusal_are_kept_but_for_secrets(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform:
            house = Connected(tmp_path, platform)
            house.config["ai_token"] = GATEWAY
            async with house:
                house.key = USER
                platform.models["m"] = Said(
                    401, {"detail": f"  User token\n{USER} of {GATEWAY} is not known.  " + "x" * 900}
                )
                answer = await house.ask(path, "vendor:m")
                assert message(path, answer).startswith("User token *** of *** is not known. xxx")
                assert len(message(path, answer)) <= 400

    play(scene())


def test_a_platform_is_not_followed_to_another_host(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as other, ScriptedPlatform() as platform, Connected(tmp_path, platform) as house:
            platform.models["m"] = Said(307, b"", {"Location": f"{other.base_url}/gateway/provider-keys/resolve"})
            platform.health = Said(302, b"", {"Location": f"{other.base_url}/utils/health-check/"})
            assert (await house.ask(CHAT, "vendor:m")).status == 502
            await house.get("/health")
            assert other.heard == []

    play(scene())


def test_cookies_of_the_platform_are_not_given_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedPlatform() as platform:
            house = Connected(tmp_path, platform)
            named = platform.base_url.replace("127.0.0.1", "localhost")  # no address keeps cookies
            house.config["platform"] = {"base_url": named}
            platform.models["m"] = Said(403, {"detail": "no"}, {"Set-Cookie": "tenant=first; Path=/"})
            async with house:
                for _ in range(2):
                    assert (await house.ask(CHAT, "vendor:m")).status == 403
            assert all("Cookie" not in call.headers for call in platform.heard)

    play(scene())
