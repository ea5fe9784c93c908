"""Faults at the client: the gateway answers and charges as always, and what goes out is late, wrong or broken off."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from tests.flows.house import play
from tests.flows.stage import Stage, said

ANSWER = "rules: [{reply: {say: '${lorem:40}', usage: {input: 1, output: 1}}}]\n"


def at_client(do: str) -> str:
    return f"{ANSWER}faults: [{{id: bad, times: 1, at: client, do: {do}}}]"


@pytest.mark.parametrize(("path", "shape"), [("/v1/chat/completions", "openai"), ("/v1/messages", "anthropic")])
def test_an_error_in_the_place_of_the_answer_has_the_shape_of_the_surface(
    tmp_path: Path, path: str, shape: str
) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, at_client("{error: {status: 401, retry_after: 2, message: denied}}")) as stage:
            answer = await stage.ask(path=path, max_tokens=9)
            assert (answer.status, answer.headers["Retry-After"]) == (401, "2")
            assert answer.error["message"] == "denied"
            assert answer.json.get("type") == ("error" if shape == "anthropic" else None)
            (row,) = stage.rows()  # what the client never saw was answered, and is charged
            assert (row["state"], row["status"], row["http_status"]) == ("settled", "success", 200)
            assert (await stage.ask(path=path, max_tokens=9)).status == 200
            entries = (await stage.get("/stub/journal")).json["entries"]
            assert [(entry["result"], entry["fault"]) for entry in entries] == [("answered", "bad"), ("answered", None)]

    play(scene())


async def asked(stage: Stage, body: dict[str, object]) -> bytes:
    """The answer, if it comes whole."""
    async with stage.client.post(f"{stage.base}/v1/chat/completions", json=body) as response:
        assert response.status == 200
        return await response.read()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["reset", "eof", "garbage"])
def test_a_broken_answer_never_looks_whole(tmp_path: Path, stream: bool, kind: str) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, at_client(f"{{cut: {kind}}}")) as stage:
            body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
            with pytest.raises(aiohttp.ClientError):
                await asked(stage, body)
            assert (await stage.ask()).status == 200
            await stage.eventually(lambda: [row["state"] for row in stage.rows()] == ["settled", "settled"])
            assert stage.balanced()

    play(scene())


def test_a_hanging_answer_ends_with_the_run(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, at_client("{cut: hang}")) as stage:
            body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
            async with stage.client.post(f"{stage.base}/v1/chat/completions", json=body) as response:
                waiting = asyncio.create_task(response.read())
                assert said(await stage.ask()) != ""
                assert not waiting.done()
                await stage.runner.cleanup()
                with pytest.raises(aiohttp.ClientError):
                    await waiting

    play(scene())


@pytest.mark.parametrize("stream", [True, False])
def test_a_late_answer_is_whole(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, at_client("{delay: 100ms}")) as stage:
            began = time.monotonic()
            late = await stage.ask(stream=stream)
            assert time.monotonic() - began >= 0.1
            assert (late.status, late.whole) == (200, True)
            assert len(late.body) > 200

    play(scene())


def test_a_delay_comes_before_a_break(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, at_client("{delay: 50ms, error: 503}")) as stage:
            began = time.monotonic()
            assert (await stage.ask()).status == 503
            assert time.monotonic() - began >= 0.05

    play(scene())
