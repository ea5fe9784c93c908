"""Whose request it is: the key's own user's, whatever a client says about itself; and when that is a mistake."""

from pathlib import Path
from typing import Any

import pytest

from tests.flows.house import MASTER, House, chat, play

ADMIN = {"Authorization": f"Bearer {MASTER}"}

# What coding clients put where a user would stand: an installation, an account and a session.
TELEMETRY = [
    "user_0123456789abcdef_account__session_6f1f8c52-0d3c-4a4e-9a52-7f1f0a3f9d11",
    "user_0a1b_account_6f1f8c52-0d3c-4a4e-9a52-7f1f0a3f9d11_session_6f1f8c52-0d3c-4a4e-9a52-7f1f0a3f9d11",
    '{"device_id":"0a1b","account_uuid":"","session_id":"6f1f8c52-0d3c-4a4e-9a52-7f1f0a3f9d11"}',
]


def named(path: str, user: str) -> dict[str, Any]:
    """A request to `path` that names a user."""
    match path:
        case "/v1/messages":
            return {**chat(), "max_tokens": 5, "metadata": {"user_id": user}}
        case "/v1/responses":
            return {"model": "stub:echo", "input": "Hello", "user": user}
        case _:
            return chat(user=user)


SURFACES = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]


async def key_of(house: House, **facts: object) -> tuple[str, dict[str, str]]:
    """A new key of alice: its id, and the header that shows it."""
    async with house.client.post(
        house.base + "/v1/keys", json={"user_id": "alice", **facts}, headers=ADMIN
    ) as response:
        key = await response.json()
    return key["id"], {"Authorization": f"Bearer {key['key']}"}


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize(
    ("configured", "of_key", "status"),
    [(True, None, 403), (False, None, 200), (True, False, 200), (False, True, 403), (True, True, 403)],
)
def test_a_key_decides_whether_another_name_is_a_mistake(
    tmp_path: Path, path: str, configured: bool, of_key: bool | None, status: int
) -> None:
    async def scene() -> None:
        async with House(tmp_path, reject_user_mismatch=configured) as house:
            _, caller = await key_of(house, reject_user_mismatch=of_key)
            assert (await house.post(named(path, "bob"), path=path, headers=caller)).status == status
            assert (await house.post(named(path, "alice"), path=path, headers=caller)).status == 200
            assert {row["user_id"] for row in house.rows()} == {"alice"}
            assert [row["user_id"] for row in house.query("SELECT user_id FROM users WHERE user_id = 'bob'")] == []

    play(scene())


def test_the_rule_of_a_key_can_be_changed_and_taken_away(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            key_id, caller = await key_of(house)
            for of_key, status in ((False, 200), (None, 403), (True, 403)):
                change = {"reject_user_mismatch": of_key}
                async with house.client.patch(f"{house.base}/v1/keys/{key_id}", json=change, headers=ADMIN) as changed:
                    assert (await changed.json())["reject_user_mismatch"] is of_key
                assert (await house.post(chat(user="bob"), headers=caller)).status == status

    play(scene())


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize("told", TELEMETRY)
def test_what_a_client_tells_about_itself_names_nobody(tmp_path: Path, path: str, told: str) -> None:
    async def scene() -> None:
        async with House(tmp_path, reject_user_mismatch=True) as house:
            _, caller = await key_of(house, reject_user_mismatch=True)
            assert (await house.post(named(path, told), path=path, headers=caller)).status == 200
            assert [row["user_id"] for row in house.rows()] == ["alice"]
            refused = await house.post(named(path, told), path=path, headers=ADMIN)
            assert (refused.status, "field" in refused.json["detail"]) == (400, path != "/v1/messages")
            assert "When using master key" in refused.json["detail"]
            assert len(house.rows()) == 1

    play(scene())


def test_a_user_may_be_called_like_the_beginning_of_that(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            _, caller = await key_of(house)
            for user in ("user_0123", "user_0123_account", "{alice", "session_1"):
                assert (await house.post(chat(user=user), headers=caller)).status == 403

    play(scene())
