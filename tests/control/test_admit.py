"""Admission: who pays, what is held, in which order requests are refused."""

import asyncio
from pathlib import Path

import pytest

from otari.control.local import Rules
from otari.domain.access import Credential, Principal
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.money import MAX_NANO_USD
from otari.domain.price import Price
from otari.store.price_text import read_rates
from tests.control.house import COST, HOLD, MASTER, NOON, OUTPUT, PRICE, PROMPT, House, ask, good, in_house

LENIENT = Rules(require_pricing=False)


async def refusal(house: House, principal: Principal, **facts: object) -> OtariError:
    with pytest.raises(OtariError) as caught:
        await house.admit(principal, **facts)
    return caught.value


# ---- who pays ----


def test_the_key_s_user_pays(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        for named in (None, "", "alice"):
            await house.admit(alice, user=named)
        assert {(row["user_id"], row["key_name"]) for row in await house.rows()} == {("alice", "key of alice")}

    in_house(tmp_path, scene)


def test_a_foreign_user_is_refused_in_the_words_of_the_route(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        error = await refusal(house, alice, user="bob")
        assert (error.kind, error.param) == (Kind.FORBIDDEN, "user")
        assert error.message == "'user' field does not match the authenticated API key's user"
        error = await refusal(house, alice, user="bob", endpoint="/v1/messages")
        assert error.message == "'metadata.user_id' does not match the authenticated API key's user"
        await house.admit(alice._replace(rejects_user_mismatch=False), user="bob")
        assert [row["user_id"] for row in await house.rows()] == ["alice"]

    in_house(tmp_path, scene)


def test_the_master_key_must_name_a_user(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        master = await house.control.identify(Credential(MASTER))
        await house.user("bob")
        error = await refusal(house, master)
        assert error.kind is Kind.INVALID
        assert error.message == "When using master key, 'user' field is required in request body"
        error = await refusal(house, master, user="ghost")
        assert (error.kind, error.message) == (Kind.NOT_FOUND, "User 'ghost' not found")
        await house.admit(master, user="bob")
        assert [(row["user_id"], row["key_id"]) for row in await house.rows()] == [("bob", None)]

    in_house(tmp_path, scene)


def test_a_key_that_was_deleted_since_is_refused(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        assert alice.key_id is not None
        await house.control.keys.remove(alice.key_id)
        error = await refusal(house, alice)
        assert (error.kind, error.message) == (Kind.UNAUTHENTICATED, "Invalid API key")

    in_house(tmp_path, scene)


# ---- what is held ----


def test_the_hold_is_an_upper_bound_on_disk(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        admission = await house.admit(alice, stream=True)
        assert await house.money() == (0, HOLD)
        (row,) = await house.rows()
        assert (row["id"], row["state"], row["stream"]) == (admission.request_id, "open", 1)
        assert (row["hold_nano"], row["hold_prompt_nano"], row["hold_estimated"]) == (HOLD, 125_000, 0)
        assert (read_rates(row["rates"], "config"), row["price_source"]) == (PRICE, "config")

    in_house(tmp_path, scene)


def test_choices_multiply_the_output(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.admit(await house.user(), choices=4)
        assert await house.money() == (0, HOLD + 3 * OUTPUT * 2_000)

    in_house(tmp_path, scene)


def test_without_a_limit_the_default_is_held_and_the_row_says_so(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.admit(await house.user(), output_tokens=None)
        (row,) = await house.rows()
        assert (row["hold_nano"], row["hold_estimated"]) == (PROMPT * 1_250 + 1_000 * 2_000, 1)

    in_house(tmp_path, scene, Rules(default_output_tokens=1_000))


def test_without_a_limit_of_the_client_the_model_s_own_is_held(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        await house.admit(alice, selector="far:bounded", output_tokens=None, choices=3)
        await house.admit(alice, selector="far:bounded", output_tokens=5_000)  # the client's word, even if it is larger
        holds = [(row["hold_nano"], row["hold_estimated"]) for row in await house.rows()]
        assert holds == [(PROMPT * 1_250 + 3 * 2_000 * 2_000, 0), (PROMPT * 1_250 + 5_000 * 2_000, 0)]

    in_house(tmp_path, scene, Rules(default_output_tokens=1_000))


def test_a_hold_is_estimated_if_one_target_s_limit_is_not_known(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.admit(await house.user(), selector="half", output_tokens=None)
        (row,) = await house.rows()
        assert (row["hold_nano"], row["hold_estimated"]) == (PROMPT * 1_250 + 2_000 * 2_000, 1)

    in_house(tmp_path, scene, Rules(default_output_tokens=1_000))


def test_the_dearest_of_all_targets_is_held_and_all_are_attempts_in_order(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user(), selector="best")
        assert await house.money() == (0, PROMPT * 3_000 + OUTPUT * 9_000)
        first, second = admission.attempts
        assert (first.provider, first.model, first.base_url) == ("cloud", "small", "https://cloud.test/v1")
        assert (second.provider, second.model) == ("far", "large")
        assert (first.quirks.top_k, second.quirks.top_k) == (False, True)
        assert first.secret is not None
        assert first.secret.reveal() == "sk-cloud"
        assert "sk-cloud" not in repr(admission)

    in_house(tmp_path, scene)


def test_a_huge_limit_can_not_break_the_ledger(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        await house.admit(alice, output_tokens=10**30)
        assert await house.money() == (0, MAX_NANO_USD)
        assert (await refusal(house, alice)).kind is Kind.BUDGET
        bob = await house.user("bob", cap_nano=10**9)
        assert (await refusal(house, bob, output_tokens=10**30)).kind is Kind.BUDGET

    in_house(tmp_path, scene)


def test_units_are_held_as_many_as_there_may_be(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user(), selector="cloud:pictures", quantity=3, output_tokens=9_000)
        (row,) = await house.rows()
        assert row["hold_nano"] == 3 * 40_000
        assert (admission.by_token, admission.by_unit) == (False, True)
        await house.control.settle(admission, good(admission, Usage(), quantity=2))
        (row,) = await house.rows()
        assert (row["cost_nano"], row["quantity"], row["hold_nano"]) == (2 * 40_000, 2, 3 * 40_000)

    in_house(tmp_path, scene)


def test_who_is_admitted_learns_what_must_be_counted(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        counted = [
            (admission.by_token, admission.by_unit)
            for admission in [
                await house.admit(alice, selector=each) for each in ("best", "local:any", "cloud:pictures")
            ]
        ]
        assert counted == [(True, False), (False, False), (False, True)]

    in_house(tmp_path, scene)


# ---- refusals ----


def test_a_budget_is_kept_by_sixty_four_at_once(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user(cap_nano=50 * HOLD)
        results = await asyncio.gather(*(house.admit(alice) for _ in range(64)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, OtariError)]
        admitted = [result for result in results if not isinstance(result, BaseException)]
        assert (len(admitted), len(refused)) == (50, 14)
        assert {(error.kind, error.code, error.message) for error in refused} == {
            (Kind.BUDGET, "insufficient_quota", "User 'alice' has exceeded budget limit")
        }
        assert await house.money() == (0, 50 * HOLD)
        await asyncio.gather(*(house.control.settle(admission, good(admission)) for admission in admitted))
        assert await house.money() == (50 * COST, 0)
        assert house.db.ops / house.db.commits > 5  # they shared their commits

    in_house(tmp_path, scene)


def test_a_blocked_user_is_told(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        await house.control.users.change("alice", {"blocked": True})
        error = await refusal(house, alice)
        assert (error.kind, error.message) == (Kind.FORBIDDEN, "User 'alice' is blocked")

    in_house(tmp_path, scene)


def test_a_model_that_is_not_known_is_refused_before_anything_is_held(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        for selector in ("gpt-x", "nobody:small", "cloud:" + "m" * 600):
            error = await refusal(house, alice, selector=selector)
            assert (error.kind, error.param) == (Kind.INVALID, "model")
            assert len(error.message) < 700
        assert await house.rows() == []
        assert await house.money() == (0, 0)

    in_house(tmp_path, scene)


def test_an_unpriced_model_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user(cap_nano=10**9)
        for selector in ("cloud:unpriced", "local:odd", "odd"):  # the last has one priced target and one without
            error = await refusal(house, alice, selector=selector)
            assert (error.kind, error.code) == (Kind.UNPRICED, "model_not_priced")
            assert f"'{selector}'" in error.message
        assert await house.rows() == []
        assert await house.money() == (0, 0)

    in_house(tmp_path, scene)


def test_user_and_budget_are_judged_before_the_price(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user(cap_nano=HOLD)
        master = await house.control.identify(Credential(MASTER))
        assert (await refusal(house, master, user="ghost", selector="cloud:unpriced")).kind is Kind.NOT_FOUND
        await house.admit(alice)
        assert (await refusal(house, alice, selector="cloud:unpriced")).kind is Kind.BUDGET
        await house.control.users.change("alice", {"blocked": True})
        assert (await refusal(house, alice, selector="cloud:unpriced")).kind is Kind.FORBIDDEN

    in_house(tmp_path, scene)


@pytest.mark.parametrize("operation", ["moderations", "speech", "transcriptions"])
def test_sound_and_moderations_need_no_price(tmp_path: Path, operation: str) -> None:
    async def scene(house: House) -> None:
        await house.admit(await house.user(), selector="cloud:unpriced", endpoint="/v1/any", operation=operation)
        (row,) = await house.rows()
        assert (row["price_source"], row["hold_nano"]) == ("none", 0)

    in_house(tmp_path, scene)


def test_unpriced_models_are_served_without_a_cost_when_the_operator_says_so(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user(cap_nano=0), selector="cloud:unpriced")
        await house.control.settle(admission, good(admission))
        (row,) = await house.rows()
        assert (row["cost_nano"], row["price_source"], row["input_tokens"]) == (None, "none", 80)
        assert row["state"] == "settled"
        assert await house.money() == (0, 0)

    in_house(tmp_path, scene, LENIENT)


def test_free_models_stay_usable_when_the_budget_is_used_up(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user(cap_nano=0), selector="local:any")
        await house.control.settle(admission, good(admission))
        (row,) = await house.rows()
        assert (row["cost_nano"], row["price_source"], row["over_hold"]) == (0, "none", 0)

    in_house(tmp_path, scene)


def test_whatever_has_a_price_asks_the_budget(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user(cap_nano=0)
        assert (await refusal(house, alice, prompt_tokens=0, output_tokens=0)).kind is Kind.BUDGET

    in_house(tmp_path, scene)


def test_a_request_id_is_admitted_once(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        await house.control.admit(alice, ask("same"))
        with pytest.raises(OtariError) as caught:
            await house.control.admit(alice, ask("same"))
        assert caught.value.kind is Kind.CONFLICT
        assert await house.money() == (0, HOLD)

    in_house(tmp_path, scene)


# ---- cancels and clocks ----


@pytest.mark.parametrize("steps", range(4))
def test_a_caller_that_is_cancelled_leaves_no_hold(tmp_path: Path, steps: int) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        task = asyncio.create_task(house.admit(alice))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await house.db.write(lambda _: None)
        assert await house.money() == (0, 0)
        for row in await house.rows():
            assert (row["state"], row["status"], row["cost_nano"]) == ("released", "error", 0)
            assert row["flags"] == "client_gone"

    in_house(tmp_path, scene)


def test_a_cancel_at_the_moment_of_the_answer_leaves_no_hold(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        task = asyncio.create_task(house.admit(alice))
        await asyncio.sleep(0)  # the hold is queued
        # The result of a later write comes after that of the hold, in the same turn of the loop or a later one.
        landed = house.db.write(lambda _: None, on_commit=lambda _: task.cancel())
        await landed
        try:
            admission = await task
        except asyncio.CancelledError:
            await house.db.write(lambda _: None)
            assert await house.money() == (0, 0)
        else:
            assert await house.money() == (0, HOLD)
            assert admission.request_id == "req-1"

    in_house(tmp_path, scene)


def test_stamps_never_go_back(tmp_path: Path) -> None:
    async def first(house: House) -> None:
        await house.admit(await house.user())

    async def second(house: House) -> None:
        house.now[0] = NOON - 500
        master = await house.control.identify(Credential(MASTER))
        await house.control.admit(master, ask("later", user="alice"))
        stamps = [row["created_at_ms"] for row in await house.rows()]
        assert stamps == [NOON, NOON]

    in_house(tmp_path, first)
    in_house(tmp_path, second)


def test_the_price_in_force_now_counts(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        await house.admit(alice)
        house.now[0] = NOON + 2_000
        await house.admit(alice)
        holds = [row["hold_nano"] for row in await house.rows()]
        assert holds == [PROMPT * 1_000 + OUTPUT * 1_000, PROMPT * 5_000 + OUTPUT * 5_000]

    history = (
        Price(1_000_000, 1_000_000, effective_at=NOON - 1),
        Price(5_000_000, 5_000_000, effective_at=NOON + 1_000),
    )
    in_house(tmp_path, scene, prices={"cloud:small": history})


def test_a_period_starts_over_at_its_boundary(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user(cap_nano=HOLD, period_s=60)
        admission = await house.admit(alice)
        await house.control.settle(admission, good(admission))
        assert (await refusal(house, alice)).kind is Kind.BUDGET
        house.now[0] = NOON + 60_000
        await house.admit(alice)
        assert await house.money() == (0, HOLD)

    in_house(tmp_path, scene)
