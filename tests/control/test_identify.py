"""Who is asking."""

from pathlib import Path

import pytest

from otari.control.local import LocalControl, Rules
from otari.domain.access import Credential
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import ControlPlane
from otari.domain.secret import Secret
from tests.control.house import MASTER, NOON, House, in_house


def test_the_standalone_control_plane_is_a_control_plane(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        control: ControlPlane = house.control
        assert await control.health() == ({"database": "connected"}, None)

    in_house(tmp_path, scene)


async def refusal(control: LocalControl, credential: Credential | None) -> str:
    with pytest.raises(OtariError) as caught:
        await control.identify(credential)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    return caught.value.message


def test_the_texts_of_a_refusal(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        control = house.control
        await house.user()
        key, token = await control.keys.add("alice", expires_at_ms=NOON + 1)
        assert await refusal(control, None) == "Missing Otari-Key, Authorization, or x-api-key header"
        for wrong in ("gw-" + "x" * 64, "", "ключ", "\ud800"):
            assert await refusal(control, Credential(Secret(wrong))) == "Invalid API key"
        assert (await control.identify(Credential(token))).user_id == "alice"
        house.now[0] = NOON + 1
        assert await refusal(control, Credential(token)) == "API key has expired"
        await control.keys.change(key.key_id, {"is_active": False})
        assert await refusal(control, Credential(token)) == "API key is inactive"
        await control.keys.remove(key.key_id)
        assert await refusal(control, Credential(token)) == "Invalid API key"

    in_house(tmp_path, scene)


def test_the_master_key_is_nobody_in_particular(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        principal = await house.control.identify(Credential(MASTER))
        assert (principal.is_master, principal.user_id, principal.key_id) == (True, None, None)

    in_house(tmp_path, scene)


def test_the_first_start_brings_two_keys_and_the_second_none(tmp_path: Path) -> None:
    async def first(house: House) -> tuple[Secret, Secret]:
        master, key = house.first.master_key, house.first.bootstrap_key
        assert master is not None
        assert key is not None
        assert (await house.control.identify(Credential(master))).is_master
        principal = await house.control.identify(Credential(key))
        assert principal.user_id == f"apikey-{principal.key_id}"
        await house.admit(principal)
        return master, key

    async def second(house: House) -> None:
        assert (house.first.master_key, house.first.bootstrap_key) == (None, None)
        assert (await house.control.identify(Credential(master))).is_master
        assert not (await house.control.identify(Credential(key))).is_master

    master, key = in_house(tmp_path, first, master_key=None)
    in_house(tmp_path, second, master_key=None)
    found = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"bootstrap" in found
    for token in (master, key):
        assert token.reveal()[10:].encode() not in found


def test_a_configured_master_key_is_not_stored_and_counts_alone(tmp_path: Path) -> None:
    async def first(house: House) -> Secret:
        assert house.first.master_key is not None
        return house.first.master_key

    async def second(house: House) -> None:
        assert house.first.master_key is None
        assert await refusal(house.control, Credential(minted)) == "Invalid API key"

    minted = in_house(tmp_path, first, master_key=None)
    in_house(tmp_path, second)
    assert MASTER.reveal().encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("general", "own", "rejects"), [(True, None, True), (False, None, False), (True, False, False), (False, True, True)]
)
def test_a_key_has_its_own_rule_for_foreign_users(
    tmp_path: Path, general: bool, own: bool | None, rejects: bool
) -> None:
    async def scene(house: House) -> None:
        await house.user()
        _, token = await house.control.keys.add("alice", rejects_user_mismatch=own)
        assert (await house.control.identify(Credential(token))).rejects_user_mismatch is rejects

    in_house(tmp_path, scene, Rules(rejects_user_mismatch=general))
