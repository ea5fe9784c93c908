"""`POST /v1/messages/count_tokens`: free, open to every key, in Anthropic's shape; and better with every answer."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.flows.house import MASTER, House, chat, play
from tests.gateway.coding_client import Writer, request
from tests.scripted import ScriptedProvider

COUNT = "/v1/messages/count_tokens"
ASKED: dict[str, Any] = {"model": "stub:echo", "messages": [{"role": "user", "content": "How many words are these?"}]}


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_answer_is_one_number_and_leaves_no_trace(tmp_path: Path, prefix: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(ASKED, path=f"{prefix}{COUNT}?beta=true", headers={"anthropic-beta": "x"})
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "application/json"
            assert list(answer.json) == ["input_tokens"]
            assert type(answer.json["input_tokens"]) is int
            assert house.rows() == []

    play(scene())


def test_a_count_is_never_below_what_the_stub_puts_into_the_ledger(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for chars in (300, 3_000, 30_000):
                asked = request(chars, model="stub:echo")
                counted = (await house.post(asked, path=COUNT)).json["input_tokens"]
                assert (await house.post({**asked, "max_tokens": 99}, path="/v1/messages")).status == 200
                told = house.rows()[-1]["input_tokens"]
                assert 0.97 * told <= counted <= 1.2 * told + 50

    play(scene())


def test_neither_budget_nor_price_is_asked_about(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, require_pricing=True) as house:
            refused = await house.post(chat("stub:unpriced"))
            assert refused.status == 402
            await house.write("UPDATE users SET blocked = 1")
            for key in (house.key, MASTER):
                answer = await house.post(
                    {**ASKED, "model": "stub:unpriced"}, path=COUNT, headers={"Authorization": f"Bearer {key}"}
                )
                assert answer.status == 200

    play(scene())


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({**ASKED, "model": "nobody:m"}, "not configured"),
        ({**ASKED, "model": "m"}, "write it as"),
        ({"messages": ASKED["messages"]}, "model is required"),
        ({"model": "stub:echo", "messages": []}, "messages"),
        ({"model": "stub:echo", "messages": [{"role": "judge", "content": "x"}]}, "messages[0].role"),
        ({**ASKED, "tools": "many"}, "tools"),
        (b"{", "JSON"),
    ],
)
def test_what_messages_would_refuse_is_refused_in_the_same_words(tmp_path: Path, body: Any, word: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            counted = await house.post(body, path=COUNT)
            asked = {**body, "max_tokens": 9} if isinstance(body, dict) else body
            answered = await house.post(asked, path="/v1/messages")
            assert counted.status == answered.status == 400
            assert counted.json == answered.json
            assert counted.json["type"] == "error"
            assert counted.error["type"] == "invalid_request_error"
            assert word in counted.error["message"]

    play(scene())


def test_a_key_is_needed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(ASKED, path=COUNT, headers={"Authorization": "Bearer gw-nobody"})
            assert answer.status == 401
            assert answer.error == {"type": "authentication_error", "message": "Invalid API key"}

    play(scene())


def test_other_methods_are_refused_in_anthropics_shape(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.get(COUNT, Authorization=f"Bearer {house.key}")
            assert (answer.status, answer.headers["Allow"], answer.json["type"]) == (405, "POST", "error")

    play(scene())


def test_an_alias_counts_as_its_first_model(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, aliases={"fast": ["stub:echo", "stub:script"]}) as house:
            counts = [await house.post({**ASKED, "model": model}, path=COUNT) for model in ("fast", "stub:echo")]
            assert counts[0].json == counts[1].json

    play(scene())


def test_many_at_once_are_all_answered(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            bodies = [request(48_000 if seed % 2 else 500, seed=seed, model="stub:echo") for seed in range(24)]
            answers = await asyncio.gather(*(house.post(body, path=COUNT) for body in bodies))
            assert {answer.status for answer in answers} == {200}
            again = await asyncio.gather(*(house.post(body, path=COUNT) for body in bodies))
            assert [answer.json for answer in again] == [answer.json for answer in answers]

    play(scene())


def test_what_a_provider_tells_of_its_answers_corrects_the_next_count(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            asked = {"model": "live:ok", "messages": [{"role": "user", "content": Writer(0).prose(60_000)}]}

            async def count() -> int:
                tokens: int = (await house.post(asked, path=COUNT)).json["input_tokens"]
                return tokens

            before = await count()
            assert (await house.post({**asked, "max_tokens": 9}, path="/v1/messages")).status == 200
            (row,) = house.rows()
            told = row["input_tokens"]
            assert row["usage_source"] == "provider"
            assert abs(told - before) > 0.1 * told
            after = before
            for _ in range(1_000):  # the sample is taken in a thread of its own
                after = await count()
                if after != before:
                    break
            assert after == pytest.approx(told, rel=0.05)

    play(scene())
