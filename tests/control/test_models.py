"""Which models a key and its user may use: refused by name, before the budget is looked at."""

from pathlib import Path
from typing import Any

import pytest

from otari.domain.access import Credential, Principal
from otari.domain.errors import Kind, OtariError
from tests.control.house import HOLD, MASTER, House, in_house


async def key_of(house: House, allowed: tuple[str, ...] | None, user_id: str = "alice") -> Principal:
    _, token = await house.control.keys.add(user_id, allowed_models=allowed)
    return await house.control.identify(Credential(token))


async def refusal(house: House, principal: Principal, **facts: Any) -> OtariError:
    with pytest.raises(OtariError) as caught:
        await house.admit(principal, **facts)
    return caught.value


@pytest.mark.parametrize(
    ("of_key", "of_user", "passes"),
    [
        (None, None, True),
        (("cloud:small",), None, True),
        (None, ("cloud:*",), True),
        (("cloud:sm*",), ("cloud:small", "far:large"), True),
        ((), None, False),
        (None, (), False),
        (("cloud:small",), ("far:*",), False),  # both lists must let it pass
        (("far:*",), ("cloud:small",), False),
        (("cloud:smal",), None, False),
    ],
)
def test_the_key_s_list_narrows_the_user_s(
    tmp_path: Path, of_key: tuple[str, ...] | None, of_user: tuple[str, ...] | None, passes: bool
) -> None:
    async def scene(house: House) -> None:
        await house.user()
        await house.control.users.change("alice", {"allowed_models": of_user})
        principal = await key_of(house, of_key)
        if passes:
            await house.admit(principal)
            return
        error = await refusal(house, principal)
        assert (error.kind, error.code, error.param) == (Kind.FORBIDDEN, "model_not_allowed", "model")
        assert error.message.startswith("Model 'cloud:small' is not among the allowed models of this ")
        assert await house.rows() == []

    in_house(tmp_path, scene)


def test_the_list_is_asked_before_budget_and_price_and_after_the_model_s_name(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.user(cap_nano=0)
        principal = await key_of(house, ("far:*",))
        assert (await refusal(house, principal)).code == "model_not_allowed"
        assert (await refusal(house, principal, selector="cloud:unpriced")).code == "model_not_allowed"
        assert (await refusal(house, principal, selector="nobody:x")).kind is Kind.INVALID
        assert (await refusal(house, principal, selector="far:large")).kind is Kind.BUDGET

    in_house(tmp_path, scene)


def test_every_target_of_an_alias_must_be_allowed(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.user()
        error = await refusal(house, await key_of(house, ("cloud:*",)), selector="best")
        assert "'far:large'" in error.message
        assert "API key" in error.message
        await house.admit(await key_of(house, ("cloud:*", "far:large")), selector="best")
        error = await refusal(house, await key_of(house, ("best",)), selector="best")  # an alias is no model
        assert "'cloud:small'" in error.message

    in_house(tmp_path, scene)


def test_the_older_spelling_does_not_lead_around_the_list(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.user()
        assert (await refusal(house, await key_of(house, ("far:*",)), selector="cloud/small")).kind is Kind.FORBIDDEN
        await house.admit(await key_of(house, ("cloud:small",)), selector="cloud/small")

    in_house(tmp_path, scene)


def test_the_user_s_list_holds_for_the_master_key_too(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        master = await house.control.identify(Credential(MASTER))
        await house.control.users.add("bob", allowed_models=("far:*",))
        error = await refusal(house, master, user="bob")
        assert error.message == "Model 'cloud:small' is not among the allowed models of this user"
        await house.admit(master, user="bob", selector="far:large")

    in_house(tmp_path, scene)


def test_a_change_is_in_force_from_the_next_request_on(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        await house.admit(alice)
        await house.control.users.change("alice", {"allowed_models": ()})
        assert (await refusal(house, alice)).code == "model_not_allowed"
        await house.control.users.change("alice", {"allowed_models": None})
        assert alice.key_id is not None
        await house.control.keys.change(alice.key_id, {"allowed_models": ("far:*",)})
        assert (await refusal(house, alice)).code == "model_not_allowed"
        await house.control.keys.change(alice.key_id, {"allowed_models": None})
        await house.admit(alice)
        assert await house.money() == (0, 2 * HOLD)

    in_house(tmp_path, scene)


def test_a_user_who_is_deleted_and_comes_back_has_the_new_list(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        master = await house.control.identify(Credential(MASTER))
        await house.control.users.add("bob", allowed_models=())
        await house.control.users.remove("bob")
        assert (await refusal(house, master, user="bob")).kind is Kind.NOT_FOUND
        await house.control.users.add("bob")
        await house.admit(master, user="bob")

    in_house(tmp_path, scene)


def test_lists_are_known_after_a_restart(tmp_path: Path) -> None:
    async def first(house: House) -> None:
        await house.control.users.add("bob", allowed_models=("far:*",))

    async def second(house: House) -> None:
        master = await house.control.identify(Credential(MASTER))
        assert (await refusal(house, master, user="bob")).code == "model_not_allowed"

    in_house(tmp_path, first)
    in_house(tmp_path, second)


def test_what_others_wrote_can_be_taken_in(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        sql = "UPDATE users SET allowed_models = '[]'"
        await house.db.write(lambda conn: conn.execute(sql).rowcount)
        await house.admit(alice)
        await house.control.users_changed("alice")
        assert (await refusal(house, alice)).code == "model_not_allowed"
        await house.db.write(lambda conn: conn.execute("UPDATE keys SET is_active = 0").rowcount)
        await house.control.users_changed("alice")
        assert alice.key_id is not None
        key = house.control.keys.find_by_id(alice.key_id)
        assert key is not None
        assert not key.is_active

    in_house(tmp_path, scene)
