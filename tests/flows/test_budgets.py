"""Budgets through the whole house: what is held before anything is sent, and what many requests at once are given."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.flows.house import MASTER, Answer, House, chat, play
from tests.scripted import ScriptedProvider

ADMIN = {"Authorization": f"Bearer {MASTER}"}
# Only what is written costs, and the provider writes as much as it may: every hold is exactly the charge that follows.
PRICES = {"live:ok-n5": {"input_price_per_million": 0, "output_price_per_million": 2}}
COST_NANO = 10_000


async def made(house: House, path: str, body: object) -> Any:
    answer = await house.post(body, path=path, headers=ADMIN)
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.parametrize("capped", ["user", "key", "both"])
def test_sixty_four_at_once_on_a_budget_for_fifty(tmp_path: Path, capped: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider, pricing=PRICES) as house:
            budget = await made(house, "/v1/budgets", {"max_budget": 50 * COST_NANO / 1e9})
            for_user, for_key = (budget["budget_id"] if capped in (who, "both") else None for who in ("user", "key"))
            await made(house, "/v1/users", {"user_id": "ann", "budget_id": for_user})
            key = await made(house, "/v1/keys", {"user_id": "ann", "key_name": "laptop", "budget_id": for_key})
            mine = {"Authorization": f"Bearer {key['key']}"}
            bodies = [chat("live:ok-n5", max_tokens=5, stream=number % 2 == 0) for number in range(64)]
            answers = await asyncio.gather(*(house.post(body, headers=mine) for body in bodies))

            assert Counter(answer.status for answer in answers) == {200: 50, 403: 14}
            assert len(provider.requests) == len(house.rows()) == 50
            owner = "API key 'laptop'" if capped == "key" else "User 'ann'"
            refusals = {(a.error["code"], a.error["message"]) for a in answers if a.status == 403}
            assert refusals == {("insufficient_quota", f"{owner} has exceeded budget limit")}
            assert all(_is_whole(answer) for answer in answers if answer.status == 200)
            money = "SELECT spend_nano, reserved_nano FROM {}"
            spent = {"spend_nano": 50 * COST_NANO, "reserved_nano": 0}
            nothing = {"spend_nano": 0, "reserved_nano": 0}
            assert house.query(money.format("users WHERE user_id = 'ann'")) == [spent]
            of_key = spent if capped in ("key", "both") else nothing
            assert house.query(money.format(f"keys WHERE key_id = '{key['id']}'")) == [of_key]
            assert {row["cost_nano"] for row in house.rows()} == {COST_NANO}
            assert house.balanced()

    play(scene())


def _is_whole(answer: Answer) -> bool:
    if answer.headers["Content-Type"].startswith("text/event-stream"):
        return answer.whole and answer.body.endswith(b"data: [DONE]\n\n")
    return len(orjson.loads(answer.body)["choices"]) == 1


@pytest.mark.parametrize(("limit", "held", "estimated"), [(None, 100, 1), (40, 40, 0)])
def test_what_a_request_without_a_limit_holds(tmp_path: Path, limit: int | None, held: int, estimated: int) -> None:
    async def scene() -> None:
        limits = {"live:ok-n5": {"max_output_tokens": limit}}
        rules = {"model_limits": limits, "budget_estimate_default_output_tokens": 100}
        async with ScriptedProvider() as provider, House(tmp_path, provider, pricing=PRICES, **rules) as house:
            for body in (chat("live:ok-n5"), chat("live:ok-n5", n=2), chat("live:ok-n5", max_tokens=7)):
                assert (await house.post(body)).status == 200
            holds = [(row["hold_nano"], row["hold_estimated"]) for row in house.rows()]
            assert holds == [(held * 2_000, estimated), (2 * held * 2_000, estimated), (7 * 2_000, 0)]

    play(scene())
