"""The scripted provider as a process: what kill tests rely on."""

import asyncio
import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson
import pytest

ROOT = Path(__file__).parents[2]
START_S = 10.0


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.scripted", "--port-file", "port", "--journal", "journal"]
    environment = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as running:
        yield running
        running.kill()


def test_it_journals_the_start_and_the_end_of_every_request(process: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"listening on http://127.0.0.1:")  # the port is in its file by now
    url = f"http://127.0.0.1:{int((tmp_path / 'port').read_text())}/v1/chat/completions"
    messages = [{"role": "user", "content": "three small words"}]
    body = orjson.dumps({"model": "obeys-n9", "max_tokens": 4, "n": 2, "messages": messages})

    async def scene() -> None:
        headers = {"X-Request-Id": "r-1", "Authorization": "Bearer k"}
        async with aiohttp.ClientSession() as session:
            async with session.post(url, data=body, headers=headers) as response:
                doc = await response.json()
                assert doc["choices"][1]["finish_reason"] == "length"
                assert doc["usage"]["completion_tokens"] == 8
            stalled = orjson.dumps({"model": "stall_after_2", "stream": True})
            async with session.post(url, data=stalled, headers={"X-Request-Id": "r-2"}) as response:
                await response.content.readuntil(b"w1")
                process.send_signal(signal.SIGTERM)
                await response.content.read()

    with pytest.raises(aiohttp.ClientPayloadError):
        asyncio.run(scene())
    assert process.wait(START_S) == 0
    started, ended, stalled, aborted = map(orjson.loads, (tmp_path / "journal").read_bytes().splitlines())
    assert (started["event"], started["id"], started["path"]) == ("start", "r-1", "/v1/chat/completions")
    assert started["authorization_sha256"] == hashlib.sha256(b"Bearer k").hexdigest()
    assert started["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert (ended["event"], ended["id"], ended["state"], ended["tokens_sent"]) == ("end", "r-1", "done", 8)
    assert ended["usage"] == {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}
    assert (stalled["event"], stalled["id"], stalled["stream"]) == ("start", "r-2", True)
    assert (aborted["id"], aborted["state"], aborted["tokens_sent"]) == ("r-2", "aborted", 2)
