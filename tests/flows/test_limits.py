"""Rate limits through the whole house: who is let in, who is told to wait, and what wrong keys are told."""

from pathlib import Path

import pytest

from otari.web.limits import Guesses, Limits
from otari.web.visit import HOUSE
from tests.flows.house import MASTER, House, chat, play
from tests.scripted import ScriptedProvider


def limit_headers(headers: object) -> list[str]:
    assert isinstance(headers, dict)
    return sorted(name for name in headers if name.startswith("X-RateLimit"))


@pytest.mark.parametrize("stream", [False, True])
def test_answers_tell_what_is_left_and_refusals_when_to_come_back(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with House(tmp_path, rate_limit_rpm=2) as house:
            for left in ("1", "0"):
                answer = await house.post(chat(stream=stream))
                assert answer.status == 200
                assert answer.headers["X-RateLimit-Limit"] == "2"
                assert answer.headers["X-RateLimit-Remaining"] == left
            refused = await house.post(chat(stream=stream))
            assert refused.status == 429
            assert refused.headers["Content-Type"] == "application/json"
            assert refused.json["detail"] == "Rate limit exceeded: at most 2 requests per minute for this user"
            assert (refused.error["type"], refused.error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
            assert refused.headers["X-RateLimit-Remaining"] == "0"
            assert 1 <= int(refused.headers["Retry-After"]) <= 60
            waits = int(refused.headers["X-RateLimit-Reset"]) - house.gateway.app[HOUSE].now_ms() // 1000
            assert 0 <= waits <= 61
            assert len(house.rows()) == 2

    play(scene())


def test_without_limits_no_header_speaks_of_them(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            assert house.gateway.app[HOUSE].limits is None
            assert limit_headers((await house.post(chat())).headers) == []
            assert limit_headers((await house.post(chat(stream=True))).headers) == []

    play(scene())


def test_a_minute_later_there_is_room_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            now = [0]
            limits = Limits.of(user_rpm=1, now_ms=lambda: now[0], clock_ms=lambda: now[0])
            object.__setattr__(house.gateway.app[HOUSE], "limits", limits)
            assert (await house.post(chat())).status == 200
            now[0] = 12_345
            refused = await house.post(chat())
            assert (refused.status, refused.headers["Retry-After"]) == (429, "48")
            now[0] = 60_000
            assert (await house.post(chat())).status == 200

    play(scene())


def test_tokens_of_answers_and_streams_count_when_they_are_settled(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, rate_limit_tpm=40) as house:
            used = 0
            for stream in (False, True):
                answer = await house.post(chat(stream=stream, text="some words to be counted"))
                assert (answer.status, answer.headers["X-RateLimit-Remaining"]) == (200, str(40 - used))
                row = house.rows()[-1]
                used += row["input_tokens"] + row["output_tokens"]
            assert (await house.post(chat(text="word " * 40))).status == 200
            refused = await house.post(chat())
            assert refused.status == 429
            assert refused.json["detail"].endswith("at most 40 tokens per minute for this user")

    play(scene())


def test_a_failed_request_uses_no_tokens_but_is_a_request(tmp_path: Path) -> None:
    async def scene() -> None:
        limits = {"rate_limit_rpm": 10, "rate_limit_tpm": 1000}
        async with ScriptedProvider() as provider, House(tmp_path, provider, **limits) as house:
            failed = await house.post(chat("live:status-500"))
            assert failed.status == 502
            assert limit_headers(failed.headers) == []
            answer = await house.post(chat())
            assert answer.headers["X-RateLimit-Remaining"] == "8"
            assert answer.headers["X-RateLimit-Remaining-Tokens"] == "1000"

    play(scene())


def test_the_limit_speaks_before_model_user_and_budget_and_after_the_body(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, rate_limit_rpm=1) as house:
            assert (await house.post({"messages": []})).status == 400
            assert (await house.post(chat("nobody:knows"))).status != 429
            assert (await house.post(chat("nobody:knows"))).status == 429
            await house.write("UPDATE users SET blocked = 1")
            assert (await house.post(chat())).status == 429
            assert (await house.post({"messages": []})).status == 400

    play(scene())


def test_the_master_key_is_limited_by_whom_it_names(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, rate_limit_rpm=1, key_rate_limit_rpm=1) as house:
            master = {"Authorization": f"Bearer {MASTER}"}
            users = ["ann", "ben"]
            for user in users:
                await house.write("INSERT INTO users (user_id, created_at_ms, updated_at_ms) VALUES (?, 1, 1)", user)
            for user in users:
                assert (await house.post(chat(user=user), headers=master)).status == 200
            assert (await house.post(chat(user="ann"), headers=master)).status == 429
            nobody = await house.post(chat(), headers=master)
            assert nobody.status == 400
            assert "'user' field is required" in nobody.json["detail"]

    play(scene())


def test_only_inference_is_limited(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, rate_limit_rpm=1) as house:
            for _ in range(3):
                answer = await house.get("/v1/models", Authorization=f"Bearer {house.key}")
                assert answer.status == 200
                assert limit_headers(answer.headers) == []

    play(scene())


# ---- wrong keys ----


def test_wrong_keys_are_told_to_wait_and_right_ones_are_let_in(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            now = [0]
            object.__setattr__(house.gateway.app[HOUSE], "guesses", Guesses(lambda: now[0]))
            statuses = [(await house.get("/v1/models", Authorization=f"Bearer gw-{n}")).status for n in range(12)]
            assert statuses == [401] * 10 + [429] * 2
            now[0] = 50_000
            refused = await house.post(chat(), headers={"Authorization": "Bearer gw-wrong"})
            assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
            assert refused.error["code"] == "too_many_wrong_keys"
            assert (await house.post(chat())).status == 200
            assert (await house.get("/v1/models")).status == 401  # no key is no guess
            now[0] = 60_000
            assert (await house.get("/v1/models", Authorization="Bearer gw-wrong")).status == 401

    play(scene())
