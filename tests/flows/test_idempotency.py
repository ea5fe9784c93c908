"""Requests with an Idempotency-Key through the whole house: carried out once, whatever comes in between."""

import asyncio
import threading
from pathlib import Path

import orjson
import pytest

from otari.control.local import LocalControl
from otari.dialects import DIALECTS
from otari.domain.access import Credential
from otari.domain.ports import Ask
from otari.domain.secret import Secret
from otari.store import replays
from otari.store.replays import Claim
from otari.web.visit import HOUSE
from tests.flows.house import MASTER, Answer, House, chat, play
from tests.scripted import ScriptedProvider

PRICES = {"live:ok": {"input_price_per_million": 1, "output_price_per_million": 2}}


async def post(house: House, body: object, token: str = "once", **headers: str) -> Answer:
    return await house.post(body, headers={"Idempotency-Key": token, **headers})


def test_a_repeat_gets_the_same_bytes_and_costs_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider, pricing=PRICES) as house:
            first = await post(house, chat("live:ok"))
            assert first.status == 200
            assert "Idempotent-Replayed" not in first.headers
            for path in ("/v1/chat/completions", "/api/v1/chat/completions"):
                again = await house.post(chat("live:ok"), path=path, headers={"Idempotency-Key": "once"})
                assert (again.status, again.body) == (200, first.body)
                assert again.headers["Idempotent-Replayed"] == "true"
                assert again.headers["Otari-Original-Request-ID"] == first.headers["Otari-Request-ID"]
                assert again.headers["Content-Type"] == "application/json"
            (row,) = house.rows()
            assert row["id"] == first.headers["Otari-Request-ID"]
            assert len(provider.requests) == 1
            assert house.balanced()

    play(scene())


def test_twenty_at_once_are_one_call(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            answers = await asyncio.gather(*[post(house, chat("live:slow_headers-100")) for _ in range(20)])
            (row,) = house.rows()
            assert len(provider.requests) == 1
            good = [answer for answer in answers if answer.status == 200]
            assert good
            assert {answer.body for answer in good} == {good[0].body}
            for answer in answers:
                if answer.status != 200:
                    assert (answer.status, answer.headers["Retry-After"]) == (409, "1")
                    assert answer.error["code"] == "idempotency_in_flight"
            assert row["status"] == "success"
            assert (await post(house, chat("live:slow_headers-100"))).body == good[0].body

    play(scene())


def test_the_order_of_keys_and_blanks_make_no_other_request(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            body = chat(temperature=1)
            first = await post(house, body)
            turned = b" " + orjson.dumps(dict(reversed(body.items())), option=orjson.OPT_INDENT_2)
            again = await post(house, turned)
            assert again.headers["Idempotent-Replayed"] == "true"
            assert again.body == first.body

    play(scene())


def test_another_body_is_refused_while_the_first_runs_and_after(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            running = asyncio.ensure_future(post(house, chat("live:slow_headers-100")))
            await provider.busy()
            for _ in range(2):
                other = await post(house, chat("live:slow_headers-100", text="Something else"))
                assert other.status == 422
                assert (other.error["code"], other.error["param"]) == ("idempotency_key_reused", "Idempotency-Key")
                assert (await running).status == 200
            assert len(provider.requests) == 1

    play(scene())


def test_streams_and_unusable_keys_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            stream = await post(house, chat(stream=True))
            assert stream.status == 400
            assert "A stream can not be given again" in stream.json["detail"]
            for token in ("", "x" * 256, "\xfc"):
                refused = await post(house, chat(), token)
                assert (refused.status, refused.error["code"]) == (400, "idempotency_key_invalid")
            assert house.rows() == []
            assert house.query("SELECT * FROM replays") == []

    play(scene())


@pytest.mark.parametrize(
    ("model", "status", "state"),
    [
        ("live:status-400", 400, "released"),  # the request itself is wrong, now and later
        ("live:status-413", 413, "released"),
        ("live:status-422", 422, "released"),
        ("live:cut_body", 502, "settled"),  # the provider worked, and it is charged
    ],
)
def test_what_would_fail_or_cost_again_is_an_answer_too(tmp_path: Path, model: str, status: int, state: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            first = await post(house, chat(model))
            again = await post(house, chat(model))
            assert (first.status, again.status) == (status, status)
            assert again.body == first.body
            assert again.headers["Idempotent-Replayed"] == "true"
            (row,) = house.rows()
            assert (len(provider.requests), row["state"]) == (1, state)
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("live:status-500", 502),
        ("live:status-503", 503),
        ("live:status-401", 502),
        ("live:status-402", 502),
        ("live:status-504", 504),
        ("live:status-429", 429),
        ("live:status-404", 404),
        ("live:status-409", 400),
        ("live:status-425", 400),
        ("live:reset_before_headers", 502),
        ("live:html_200", 502),
    ],
)
def test_a_failure_that_cost_nothing_is_tried_again(tmp_path: Path, model: str, status: int) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            for _ in range(2):
                answer = await post(house, chat(model))
                assert answer.status == status
                assert "Idempotent-Replayed" not in answer.headers
            assert [row["state"] for row in house.rows()] == ["released", "released"]
            assert len(provider.requests) == 2
            assert house.query("SELECT * FROM replays") == []
            mended = await post(house, chat("live:ok"))  # the key is free: even for another body
            assert mended.status == 200
            assert (await post(house, chat("live:ok"))).body == mended.body
            assert len(provider.requests) == 3

    play(scene())


def test_what_was_refused_at_the_door_may_come_again(tmp_path: Path) -> None:
    """Unknown model, no price, blocked user, rate limit: nothing is kept, and even the body may be mended."""

    async def scene() -> None:
        async with House(tmp_path, require_pricing=True, rate_limit_rpm=5) as house:
            assert (await post(house, chat("nobody:knows"))).status >= 400
            assert (await post(house, chat("stub:unpriced"))).status == 402
            await house.write("UPDATE users SET blocked = 1")
            assert (await post(house, chat())).status == 403
            assert house.query("SELECT * FROM replays") == []
            await house.write("UPDATE users SET blocked = 0")
            first = await post(house, chat())
            assert (first.status, first.headers["X-RateLimit-Remaining"]) == (200, "1")
            again = await post(house, chat())
            assert (again.body, again.headers["X-RateLimit-Remaining"]) == (first.body, "0")
            assert (await post(house, chat())).status == 429

    play(scene())


def test_keys_belong_to_who_uses_them(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            master = {"Authorization": f"Bearer {MASTER}"}
            for user in ("ann", "ben"):
                await house.write("INSERT INTO users (user_id, created_at_ms, updated_at_ms) VALUES (?, 1, 1)", user)
            await post(house, chat(text="of the key"))
            for user in ("ann", "ben"):
                answer = await post(house, chat(text=user, user=user), **master)
                assert answer.status == 200
                assert "Idempotent-Replayed" not in answer.headers
            again = await post(house, chat(text="ann", user="ann"), **master)
            assert again.headers["Idempotent-Replayed"] == "true"
            nobody = await post(house, chat(), **master)
            assert nobody.status == 400
            assert len(house.rows()) == 3

    play(scene())


def test_a_large_answer_is_given_but_not_kept_and_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            first = await post(house, chat(text="x" * (1024 * 1024)))
            assert (first.status, first.headers["Idempotent-Saved"]) == (200, "false")
            again = await post(house, chat(text="x" * (1024 * 1024)))
            assert (again.status, again.error["code"]) == (409, "idempotency_outcome_unknown")
            assert first.headers["Otari-Request-ID"] in again.json["detail"]
            assert "Retry-After" not in again.headers
            assert len(house.rows()) == 1

    play(scene())


def test_who_left_before_the_answer_is_not_charged_a_second_time(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            leaving = asyncio.ensure_future(post(house, chat("live:stall_after_3")))
            await provider.busy()
            leaving.cancel()
            await provider.idle()
            again = await post(house, chat("live:stall_after_3"))
            (row,) = house.rows()
            assert again.status == 409
            if again.error["code"] == "idempotency_in_flight":  # the first is being settled right now
                await house.eventually(house.balanced)
                again = await post(house, chat("live:stall_after_3"))
            assert again.error["code"] == "idempotency_outcome_unknown"
            assert row["id"] in again.json["detail"]
            assert len(provider.requests) == 1

    play(scene())


def test_who_left_while_the_answer_was_being_written_down_gets_it_next_time(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider, pricing=PRICES) as house:
            ended: list[object] = []
            control = house.gateway.control
            assert isinstance(control, LocalControl)
            control.on_settled = ended.append
            leaving = asyncio.ensure_future(post(house, chat("live:slow_headers-100")))
            await provider.busy()
            disk = threading.Event()  # a commit that takes long
            slow = house.gateway.database.write(lambda _: disk.wait(10))
            await house.eventually(lambda: bool(ended))
            leaving.cancel()
            assert house.runner.server is not None
            server = house.runner.server
            await house.eventually(lambda: not server.connections)
            disk.set()
            await slow
            again = await post(house, chat("live:slow_headers-100"))
            assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
            assert again.json["choices"]
            (row,) = house.rows()
            assert (row["state"], row["status"], len(provider.requests)) == ("settled", "success", 1)
            assert house.balanced()

    play(scene())


def test_an_answer_outlives_the_process(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            key = house.key
            first = await post(house, chat())
        async with House(tmp_path) as house:
            again = await post(house, chat(), Authorization=f"Bearer {key}")
            assert (again.status, again.body) == (200, first.body)
            assert len(house.rows()) == 1

    play(scene())


@pytest.mark.parametrize("admitted", [True, False])
def test_after_a_crash_only_a_request_that_never_left_may_come_again(tmp_path: Path, admitted: bool) -> None:
    async def scene() -> None:
        body = chat(user="ann")
        master = {"Authorization": f"Bearer {MASTER}"}
        async with House(tmp_path) as house:
            await house.write("INSERT INTO users (user_id, created_at_ms, updated_at_ms) VALUES ('ann', 1, 1)")
            await _left_by_a_crash(house, body, admitted=admitted)
        async with House(tmp_path) as house:
            again = await post(house, body, **master)
            if admitted:
                (row,) = house.rows()
                assert (again.status, row["state"]) == (409, "recovered")
                assert again.error["code"] == "idempotency_outcome_unknown"
                assert "see usage row req-crashed" in again.json["detail"]
            else:
                assert again.status == 200
                (row,) = house.rows()
                assert row["id"] == again.headers["Otari-Request-ID"]

    play(scene())


async def _left_by_a_crash(house: House, body: dict[str, object], *, admitted: bool) -> None:
    """What is on disk when the gateway is killed while a request of the master key for ann is under way."""
    inner = house.gateway.app[HOUSE]
    caller = house.gateway.control
    principal = await caller.identify(Credential(Secret(MASTER)))
    talk = inner.conversations.begin(
        DIALECTS["openai-chat"], "/v1/chat/completions", orjson.dumps(body), principal, "req-crashed"
    )
    claim = Claim("user:ann", "once", talk.fingerprint(), "req-crashed")
    await house.gateway.database.write(lambda conn: replays.claim(conn, claim, inner.now_ms(), 3_600_000))
    if admitted:
        ask = Ask("req-crashed", "/v1/chat/completions", "stub:echo", "ann", 10, 10, 1, False)
        await caller.admit(principal, ask)
