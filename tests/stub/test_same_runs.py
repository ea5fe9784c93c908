"""Two processes with one script and one seed: the same journals and answers, whoever comes first, however many come."""

import asyncio
import random
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.stub.serving import serving

SESSIONS = 500
AT_ONCE = 200  # connections of the client
RULES: dict[str, Any] = {
    "stub": 1,
    "defaults": {"seed": 11},
    "rules": [
        {
            "id": "loop",
            "when": {"user": "/weather for (?P<who>\\S+)/", "tools": ["look"]},
            "steps": [
                {"think": "hm", "call": {"look": {"for": "${who}"}}},
                {"say": "${who} ${session} ${tool_result}"},
            ],
        },
        {"id": "row", "when": {"user": "count"}, "replies": [f"${{session}} {n} ${{lorem:5}}" for n in (1, 2, 3)]},
    ],
    "faults": [
        {"id": "chance", "when": {"user": "count"}, "p": 0.3, "do": {"error": 503}},
        {"id": "torn", "when": {"user": "count"}, "p": 0.2, "do": {"cut": "eof", "after": 0.5}},
    ],
}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


async def session(client: aiohttp.ClientSession, url: str, name: str) -> list[tuple[int, bytes]]:
    """What one session hears: a tool loop, and three answers in a row of which some are hit by chance."""
    told: list[tuple[int, bytes]] = []

    async def ask(messages: list[dict[str, Any]], **more: object) -> bytes:
        body = {"model": "m", "messages": messages, **more}
        async with client.post(
            f"{url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer sk-stub-{name}"}
        ) as answer:
            data = b""
            try:
                async for piece in answer.content.iter_any():
                    data += piece
            except aiohttp.ClientPayloadError:
                data += b"<torn>"
            told.append((answer.status, data))
            return data

    messages: list[dict[str, Any]] = [{"role": "user", "content": f"weather for {name}"}]
    call = orjson.loads(await ask(messages, tools=TOOLS))["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "7 degrees"}
    await ask([*messages, call, result], tools=TOOLS)
    for _ in range(3):
        await ask([{"role": "user", "content": "count"}], stream=True)
    return told


async def crowd(url: str, seed: int, sessions: int = SESSIONS) -> tuple[bytes, dict[str, list[tuple[int, bytes]]]]:
    """The journal after all sessions at once, and what each of them heard."""
    names = [f"s{number}" for number in range(sessions)]
    random.Random(seed).shuffle(names)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as client:
        told = await asyncio.gather(*(session(client, url, name) for name in names))
        async with client.get(f"{url}/stub/journal") as answer:
            return await answer.read(), dict(zip(names, told, strict=True))


def test_five_hundred_sessions_at_once_do_not_mix_and_are_the_same_in_every_run(tmp_path: Path) -> None:
    runs = []
    for number in range(2):
        with serving(tmp_path, RULES) as url:
            runs.append(asyncio.run(crowd(url, number)))
    (first, heard), (second, again) = runs
    assert first == second
    assert heard == again
    journal = orjson.loads(first)
    assert (journal["calls"], journal["misses"]) == (5 * SESSIONS, 0)
    assert {entry["fault"] for entry in journal["entries"]} == {None, "chance", "torn"}
    for name, told in heard.items():
        assert [status for status, _ in told[:2]] == [200, 200]
        assert orjson.loads(told[1][1])["choices"][0]["message"]["content"] == f"{name} {name} 7 degrees"
        mine = [entry for entry in journal["entries"] if entry["session"] == name]
        assert [entry["call"] for entry in mine] == [1, 2, 3, 4, 5]
        assert [entry["status"] for entry in mine] == [status for status, _ in told]


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    with serving(tmp_path, RULES) as url:
        first = asyncio.run(crowd(url, 0, 10))
    with serving(tmp_path, RULES, "--seed", "12") as url:
        other = asyncio.run(crowd(url, 0, 10))
    assert first != other
