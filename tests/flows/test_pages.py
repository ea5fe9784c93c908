"""Lists over HTTP: their order never changes, and every way through their pages sees each entry once."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.flows.house import MASTER, House, chat, play

ADMIN = {"Authorization": f"Bearer {MASTER}"}
COUNT = 7

# A list, and what to send as `after` behind one of its entries.
LISTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "/v1/keys": lambda key: str(key["id"]),
    "/v1/users": lambda user: str(user["user_id"]),
    "/v1/budgets": lambda budget: str(budget["budget_id"]),
    "/v1/budgets/{budget}/reset-logs": lambda reset: str(reset["id"]),
    "/v1/pricing": lambda price: f"{price['effective_at']}@{price['model_key']}",
    "/v1/usage": lambda row: str(row["id"]),
    "/v1/users/u/3/usage": lambda row: str(row["id"]),
}


async def get(house: House, path: str) -> Any:
    answer = await house.get(path, **ADMIN)
    assert answer.status == 200, answer.body
    return answer.json


async def create(house: House, path: str, body: object) -> Any:
    async with house.client.post(house.base + path, json=body, headers=ADMIN) as response:
        assert response.status == 200
        return await response.json()


async def furnished(house: House) -> str:
    """Some entries for every list; the id of a budget that started over a few times comes back."""
    budgets = [await create(house, "/v1/budgets", {"max_budget": 1, "budget_duration_sec": 60}) for _ in range(COUNT)]
    budget_id = str(budgets[0]["budget_id"])
    for number in range(COUNT):
        await create(house, "/v1/users", {"user_id": f"u/{number}", "budget_id": budget_id})
        await create(house, "/v1/keys", {"user_id": f"u/{number}"})
    for number in range(COUNT):
        price = {"model_key": f"stub:{number % 3}", "input_price_per_million": 0, "output_price_per_million": 0}
        await create(house, "/v1/pricing", {**price, "effective_at": f"2026-01-0{number + 1}"})
        await house.write("UPDATE users SET next_reset_at_ms = 1")
        for name in ("u/3", f"u/{number}"):
            assert (await house.post(chat(user=name), headers=ADMIN)).status == 200
    return budget_id


async def pages(house: House, path: str, cursor: Callable[[dict[str, Any]], str]) -> AsyncIterator[dict[str, Any]]:
    after = ""
    while page := await get(house, f"{path}?limit=2{after}"):
        for entry in page:
            yield entry
        after = f"&after={quote(cursor(page[-1]))}"


def test_every_way_through_a_list_is_the_same(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            budget_id = await furnished(house)
            for template, cursor in LISTS.items():
                path = template.format(budget=budget_id)
                whole = await get(house, path)
                assert len(whole) >= COUNT - 1, path
                assert [entry async for entry in pages(house, path, cursor)] == whole
                by_skip = [
                    entry
                    for skip in range(0, len(whole), 2)
                    for entry in await get(house, f"{path}?skip={skip}&limit=2")
                ]
                assert by_skip == whole
                behind = quote(cursor(whole[1]))
                assert await get(house, f"{path}?after={behind}&skip=1&limit=2") == whole[3:5]
                assert await get(house, f"{path}?after={quote(cursor(whole[-1]))}") == []

    play(scene())


def test_new_rows_do_not_move_those_behind_a_cursor(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for _ in range(4):
                await house.post(chat())
            first, second = await get(house, "/v1/usage?limit=2")
            rest = await get(house, f"/v1/usage?after={second['id']}")
            await house.post(chat())
            assert await get(house, f"/v1/usage?after={second['id']}") == rest
            newest = (await get(house, "/v1/usage"))[0]
            assert newest["timestamp"] >= first["timestamp"]
            assert newest["id"] not in (first["id"], second["id"])

    play(scene())


def test_lists_of_usage_begin_with_the_newest_and_leave_out_the_end_of_a_range(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for stamp in (1_000_000, 2_000_000, 3_000_000):
                await house.post(chat())
                await house.write("UPDATE usage SET created_at_ms = ? WHERE created_at_ms > 3000000", stamp)
            assert [row["timestamp"] for row in await get(house, "/v1/usage")] == [
                "1970-01-01T00:50:00.000+00:00",
                "1970-01-01T00:33:20.000+00:00",
                "1970-01-01T00:16:40.000+00:00",
            ]
            for start, end, count in (
                ("1000", "3000", 2),
                ("1000.001", "3000", 1),
                ("1000", "3000.001", 3),
                ("2000", "2000", 0),
                ("1970-01-01T00:16:40", "1970-01-01T02:33:20%2B02:00", 1),
            ):
                assert len(await get(house, f"/v1/usage?start_date={start}&end_date={end}")) == count
                totals = await get(house, f"/v1/usage/totals?start_date={start}&end_date={end}&by=user")
                assert sum(total["requests"] for total in totals) == count

    play(scene())


@pytest.mark.parametrize("query", ["limit=1000", "skip=1000000000", "limit=1&skip=0"])
def test_how_much_may_be_asked_for(tmp_path: Path, query: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for path in ("/v1/keys", "/v1/users", "/v1/budgets", "/v1/pricing", "/v1/usage"):
                assert isinstance(await get(house, f"{path}?{query}"), list)
                for wrong in ("limit=1001", "limit=0", "skip=-1", "skip=1000000001", "limit=x"):
                    assert (await house.get(f"{path}?{wrong}", **ADMIN)).status == 422

    play(scene())
