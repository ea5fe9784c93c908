"""Keys with a budget of their own, keys that spare their user's, and who is named by a request."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from otari.domain.access import Credential, Principal
from otari.domain.errors import Kind, OtariError
from otari.store import budgets, keys
from tests.control.house import COST, HOLD, MASTER, House, ask, good, in_house


async def key_of(house: House, cap_nano: int | None = None, period_s: int | None = None, **facts: Any) -> Principal:
    """A key of alice, under a budget of its own if there is a cap."""
    if cap_nano is not None:
        now_ms = house.now[0]
        budget = await house.db.write(
            lambda conn: budgets.add_budget(conn, max_nano=cap_nano, duration_s=period_s, now_ms=now_ms)
        )
        facts["budget_id"] = budget.budget_id
    _, token = await house.control.keys.add("alice", **facts)
    return await house.control.identify(Credential(token))


async def key_money(house: House, principal: Principal) -> tuple[int, int]:
    assert principal.key_id is not None
    key_id = principal.key_id
    key = await house.db.read(lambda conn: keys.get_key(conn, key_id))
    return key.spend_nano, key.reserved_nano


async def refusal(house: House, principal: Principal, **facts: Any) -> OtariError:
    with pytest.raises(OtariError) as caught:
        await house.admit(principal, **facts)
    return caught.value


def test_sixty_four_at_once_keep_to_the_smaller_of_both_budgets(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.user(cap_nano=50 * HOLD)
        capped = await key_of(house, 20 * HOLD, key_name="laptop")
        results = await asyncio.gather(*(house.admit(capped) for _ in range(64)), return_exceptions=True)
        admitted = [result for result in results if not isinstance(result, BaseException)]
        errors = [result for result in results if isinstance(result, OtariError)]
        assert (len(admitted), len(errors)) == (20, 44)
        assert {(error.kind, error.code, error.message) for error in errors} == {
            (Kind.BUDGET, "insufficient_quota", "API key 'laptop' has exceeded budget limit")
        }
        assert await house.money() == await key_money(house, capped) == (0, 20 * HOLD)
        await asyncio.gather(*(house.control.settle(admission, good(admission)) for admission in admitted))
        assert await house.money() == await key_money(house, capped) == (20 * COST, 0)

    in_house(tmp_path, scene)


def test_a_key_gets_and_loses_its_budget_while_requests_are_under_way(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        assert alice.key_id is not None
        before = await house.admit(alice)
        budget = await house.db.write(lambda conn: budgets.add_budget(conn, max_nano=HOLD, now_ms=house.now[0]))
        await house.control.keys.change(alice.key_id, {"budget_id": budget.budget_id})
        under = await house.admit(alice)
        assert (await refusal(house, alice)).code == "insufficient_quota"
        await house.control.settle(before, good(before))
        assert await key_money(house, alice) == (0, HOLD)  # what was admitted before does not count
        await house.control.keys.change(alice.key_id, {"budget_id": None})
        await house.control.settle(under, good(under))
        assert await key_money(house, alice) == (COST, 0)
        await house.admit(alice)
        assert await house.money() == (2 * COST, HOLD)

    in_house(tmp_path, scene)


def test_a_free_model_asks_no_budget_of_a_key(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.user()
        capped = await key_of(house, 0)
        await house.admit(capped, selector="local:any")
        assert (await refusal(house, capped)).kind is Kind.BUDGET

    in_house(tmp_path, scene)


def test_an_unpriced_model_is_refused_in_the_order_of_the_refusals(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.user()
        capped = await key_of(house, HOLD)
        assert (await refusal(house, capped, selector="cloud:unpriced")).kind is Kind.UNPRICED
        await house.admit(capped)
        assert (await refusal(house, capped, selector="cloud:unpriced")).kind is Kind.BUDGET

    in_house(tmp_path, scene)


def test_a_key_s_period_goes_on_across_a_restart(tmp_path: Path) -> None:
    async def first(house: House) -> Principal:
        await house.user()
        capped = await key_of(house, HOLD, period_s=60)
        admission = await house.admit(capped)
        await house.control.settle(admission, good(admission))
        assert (await refusal(house, capped)).kind is Kind.BUDGET
        return capped

    async def too_early(house: House) -> None:
        house.now[0] += 59_999
        assert (await refusal(house, capped)).kind is Kind.BUDGET

    async def in_time(house: House) -> None:
        house.now[0] += 60_000
        await house.control.admit(capped, ask("later"))
        assert await key_money(house, capped) == (0, HOLD)

    capped = in_house(tmp_path, first)
    in_house(tmp_path, too_early)
    in_house(tmp_path, in_time)


def test_an_excluded_key_spares_its_user(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.user(cap_nano=0)
        spared = await key_of(house, exclude_from_budget=True)
        admission = await house.admit(spared)
        assert await house.money() == (0, 0)
        await house.control.settle(admission, good(admission))
        assert await house.money() == (0, 0)
        (row,) = await house.rows()
        assert (row["cost_nano"], row["counts_toward_budget"], row["over_hold"]) == (COST, 0, 0)

    in_house(tmp_path, scene)


def test_a_key_that_changes_under_way_ends_as_it_was_admitted(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        assert alice.key_id is not None
        admission = await house.admit(alice)
        await house.control.keys.change(alice.key_id, {"exclude_from_budget": True})
        await house.control.settle(admission, good(admission))
        assert await house.money() == (COST, 0)

    in_house(tmp_path, scene)


# ---- who is named ----

CLAUDE = "user_" + "0a" * 32 + "_account__session_b1c2d3e4-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    "told",
    [
        CLAUDE,
        CLAUDE.replace("__", "_11112222-0000-4000-8000-000000000000_"),
        '{"device_id":"0a0b","account_uuid":"","session_id":"b1c2"}',
        ' {"session_id": "b1c2"}\n',
        "{}",
    ],
)
def test_what_a_client_tells_about_itself_names_nobody(tmp_path: Path, told: str) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        assert alice.rejects_user_mismatch
        await house.admit(alice, user=told, endpoint="/v1/messages")
        assert [row["user_id"] for row in await house.rows()] == ["alice"]
        master = await house.control.identify(Credential(MASTER))
        error = await refusal(house, master, user=told, endpoint="/v1/messages")
        assert error.message == "When using master key, 'metadata.user_id' is required in request body"

    in_house(tmp_path, scene)


@pytest.mark.parametrize("named", ["user_1", "user_x_account_y", "{alice", "alice}", "user_account_session", "a b"])
def test_what_only_looks_a_little_like_it_is_a_name(tmp_path: Path, named: str) -> None:
    async def scene(house: House) -> None:
        error = await refusal(house, await house.user(), user=named, endpoint="/v1/messages")
        assert error.kind is Kind.FORBIDDEN

    in_house(tmp_path, scene)
