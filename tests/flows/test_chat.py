"""Chat completions through the whole house: answers, streams, failures, and what the ledger says afterwards."""

import asyncio
from pathlib import Path

import orjson
import pytest

from tests.flows.house import PROVIDER_KEY, House, chat, play
from tests.scripted import ScriptedProvider

ALIAS = {"fast": "live:ok"}
PRICES = {"live:ok": {"input_price_per_million": 1, "output_price_per_million": 2}}


def test_an_answer_of_the_stub(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(chat(text="Hello, Otari"))
            assert answer.status == 200
            assert answer.json["choices"][0]["message"]["content"] == "Hello, Otari"
            (row,) = house.rows()
            assert row["id"] == answer.headers["Otari-Request-ID"]
            assert (row["state"], row["status"], row["usage_source"]) == ("settled", "success", "stub")
            assert (row["cost_nano"], row["price_source"]) == (0, "none")
            assert row["input_tokens"] == answer.json["usage"]["prompt_tokens"]
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_stream_of_the_stub(tmp_path: Path, wants_usage: bool) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            body = chat(stream=True, stream_options={"include_usage": True} if wants_usage else None)
            answer = await house.post(body)
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            events = [line[6:] for line in answer.body.split(b"\n\n") if line]
            assert events[-1] == b"[DONE]"
            told = [orjson.loads(e) for e in events[:-1]]
            assert "".join(c["choices"][0]["delta"].get("content", "") for c in told if c["choices"]) == "Hello"
            assert any(not c["choices"] for c in told) is wants_usage
            (row,) = house.rows()
            assert (row["stream"], row["state"], row["output_tokens"]) == (1, "settled", row["output_tokens"])
            assert house.balanced()

    play(scene())


def test_a_price_a_budget_and_an_exact_charge(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider, pricing=PRICES) as house:
            answer = await house.post(chat("live:ok"))
            usage = answer.json["usage"]
            (row,) = house.rows()
            assert row["cost_nano"] == usage["prompt_tokens"] * 1000 + usage["completion_tokens"] * 2000
            assert (row["usage_source"], row["price_source"]) == ("provider", "config")
            assert row["hold_nano"] >= row["cost_nano"]
            assert house.query("SELECT spend_nano FROM users")[0]["spend_nano"] == row["cost_nano"]
            assert house.balanced()

    play(scene())


def test_beyond_the_budget_nothing_is_admitted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider, pricing=PRICES) as house:
            await house.write(
                "INSERT INTO budgets (budget_id, max_nano, created_at_ms, updated_at_ms) VALUES ('b', 3000000, 1, 1)"
            )
            await house.write("UPDATE users SET budget_id = 'b'")
            asks = [house.post(chat("live:ok", max_tokens=500)) for _ in range(8)]
            statuses = sorted(answer.status for answer in await asyncio.gather(*asks))
            assert statuses[0] == 200
            assert statuses[-1] == 403
            assert len(provider.requests) == statuses.count(200) < 8
            refused = await house.post(chat("live:ok", max_tokens=100_000))
            assert refused.status == 403
            assert refused.error["code"] == "insufficient_quota"
            assert "has exceeded budget limit" in refused.json["detail"]
            assert house.balanced()
            assert (await house.post(chat())).status == 200  # what is free stays usable

    play(scene())


@pytest.mark.parametrize("n", [1_000_000, 129, 0, -1])
def test_how_many_answers_may_be_asked_for(tmp_path: Path, n: int) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(chat(n=n))
            assert (answer.status, answer.error["param"]) == (400, "n")

    play(scene())


def test_an_unpriced_model_is_refused_when_prices_are_required(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider, require_pricing=True) as house:
            for model in ("live:ok", "stub:unpriced"):
                answer = await house.post(chat(model))
                assert answer.status == 402
                assert f"No pricing configured for model '{model}'" in answer.json["detail"]
            assert provider.requests == []
            assert house.rows() == []
            assert (await house.post(chat("stub:echo"))).status == 200

    play(scene())


def test_an_unpriced_model_is_served_at_an_unknown_cost_when_they_are_not(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            assert (await house.post(chat("live:ok"))).status == 200
            (row,) = house.rows()
            assert (row["cost_nano"], row["price_source"]) == (None, "none")
            assert row["input_tokens"] > 0

    play(scene())


@pytest.mark.parametrize("stream", [True, False])
def test_the_provider_gets_the_body_the_key_and_nothing_of_the_client(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            body = chat("live:ok", stream=stream, top_k=4, vendor={"deep": [1, None]}, api_base="http://evil", n=1)
            headers = {"X-Forwarded-For": "1.2.3.4", "Cookie": "a=b", "Otari-Key": house.key}
            answer = await house.post(body, headers=headers)
            assert answer.status == 200
            (arrived,) = provider.requests
            assert arrived.headers["Authorization"] == f"Bearer {PROVIDER_KEY}"
            assert arrived.headers["X-Request-Id"] == answer.headers["Otari-Request-ID"]
            assert not {"x-forwarded-for", "cookie", "otari-key"} & {name.lower() for name in arrived.headers}
            expected = {k: v for k, v in body.items() if k != "api_base"} | {"model": "ok"}
            if stream:
                expected["stream_options"] = {"include_usage": True}
            assert arrived.doc == expected

    play(scene())


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("status-400", 400, "scripted status 400"),
        ("status-404", 404, ""),
        ("status-413", 413, ""),
        ("status-422", 422, ""),
        ("status-401", 502, "credentials"),
        ("status-403", 502, "credentials"),
        ("status-402", 502, "credit"),
        ("status-429-ra7", 429, ""),
        ("status-500", 502, ""),
        ("status-503", 503, ""),
        ("echo_key-401", 502, "credentials"),
        ("echo_key-400", 400, "***"),
        ("html_200", 502, ""),
        ("redirect307", 502, ""),
        ("reset_before_headers", 502, ""),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_a_failing_provider_becomes(tmp_path: Path, model: str, status: int, words: str, stream: bool) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            answer = await house.post(chat(f"live:{model}", stream=stream))
            assert answer.status == status
            assert words in answer.json["detail"]
            assert PROVIDER_KEY not in answer.body.decode()
            assert "html" not in answer.json["detail"]
            if model == "status-429-ra7":
                assert answer.headers["Retry-After"] == "7"
            assert len(provider.requests) == 1
            (row,) = house.rows()
            assert (row["state"], row["status"], row["cost_nano"]) == ("released", "error", 0)
            assert PROVIDER_KEY not in str(row)
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize("model", ["garbled_gzip", "cut_body"])
def test_an_answer_that_breaks_after_its_status_may_have_cost_something(tmp_path: Path, model: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            answer = await house.post(chat(f"live:{model}"))
            assert answer.status == 502
            (row,) = house.rows()
            assert (row["state"], row["status"], row["usage_source"]) == ("settled", "error", "estimated")
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize("model", ["cut_mid_event", "eof_without_done", "error_event_in_200"])
def test_a_stream_that_breaks_never_looks_whole(tmp_path: Path, model: str) -> None:
    async def scene() -> None:
        async with (
            ScriptedProvider() as provider,
            House(
                tmp_path,
                provider,
                pricing={f"live:{model}": {"input_price_per_million": 1, "output_price_per_million": 2}},
            ) as house,
        ):
            received = await house.raw(_request(house, chat(f"live:{model}", stream=True)))
            assert received.startswith(b"HTTP/1.1 200 ")
            assert b'data: {"error":{' in received
            assert b"[DONE]" not in received
            assert not received.endswith(b"0\r\n\r\n")  # the connection is cut, the body has no end
            (row,) = house.rows()
            assert (row["state"], row["status"], row["usage_source"]) == ("settled", "error", "estimated")
            assert row["cost_nano"] > 0
            assert row["output_tokens"] >= 4
            assert house.balanced()

    play(scene())


def test_the_openai_client_would_raise_on_the_error_frame(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            received = await house.raw(_request(house, chat("live:error_event_in_200", stream=True)))
            frames = [f for f in received.split(b"data: ") if f.startswith(b'{"error"')]
            told = orjson.loads(frames[-1].split(b"\n")[0])["error"]
            assert told["type"] == "upstream_error"
            assert told["message"].startswith("The provider broke off")

    play(scene())


@pytest.mark.parametrize(
    "model", ["done_twice_and_tail", "no_done", "crlf", "line_2mb", "ignores_stream", "set_cookie"]
)
def test_streams_that_are_odd_but_whole(tmp_path: Path, model: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            answer = await house.post(chat(f"live:{model}", stream=True))
            assert answer.status == 200
            assert answer.whole
            assert answer.body.count(b"[DONE]") == (0 if model == "no_done" else 1)
            assert "Set-Cookie" not in answer.headers
            (row,) = house.rows()
            assert (row["state"], row["status"], row["usage_source"]) == ("settled", "success", "provider")
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize("oddity", ["negative", "text", "null", "huge", "missing"])
@pytest.mark.parametrize("stream", [True, False])
def test_numbers_that_can_not_be_used_are_counted_here(tmp_path: Path, oddity: str, stream: bool) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            assert (await house.post(chat(f"live:usage_{oddity}", stream=stream))).status == 200
            (row,) = house.rows()
            assert row["usage_source"] in ("estimated", "partial")
            assert "estimated" in row["flags"]
            assert 1 <= row["output_tokens"] <= 20

    play(scene())


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_provider(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            model = "live:stall_after_3" if stream else "live:slow_headers-60000"
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            writer.write(_request(house, chat(model, stream=stream)))
            await house.eventually(lambda: provider.open == 1)
            if stream:
                assert b"HTTP/1.1 200 OK" in await reader.readuntil(b"data: ")
            writer.transport.abort()
            async with asyncio.timeout(1):  # the promise: within a second
                await provider.idle()
            await house.eventually(house.balanced)
            (row,) = house.rows()
            assert (row["state"], row["status"], row["http_status"]) == ("settled", "error", 499)
            assert "client_gone" in row["flags"]
            assert row["input_tokens"] > 0

    play(scene())


def test_the_next_provider_is_asked_when_one_is_down(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            house = House(tmp_path, provider, aliases={"fast": ["live:status-503", "live:status-429", "live:ok"]})
            async with house:
                for stream in (True, False):
                    answer = await house.post(chat("fast", stream=stream))
                    assert answer.status == 200
                assert [r.model for r in provider.requests] == ["status-503", "status-429", "ok"] * 2
                rows = house.rows()
                assert sorted(r["status"] for r in rows) == ["absorbed"] * 4 + ["success"] * 2
                assert {r["model"] for r in rows if r["status"] == "success"} == {"ok"}
                assert house.balanced()

    play(scene())


def test_keepalives_bridge_the_silence_of_the_provider(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            ScriptedProvider() as provider,
            House(tmp_path, provider, streaming_keepalive_interval_ms=30) as house,
        ):
            before = await house.post(chat("live:slow_headers-200", stream=True))
            assert before.status == 200
            assert before.body.startswith(b": keepalive\n\n")
            assert b"[DONE]" in before.body
            between = await house.post(chat("live:ok-n2-i150", stream=True))
            assert b"\n\n: keepalive\n\ndata:" in between.body
            late = await house.raw(_request(house, chat("live:slow_headers-200-status-500", stream=True)))
            assert b"error" in late
            assert house.balanced()

    play(scene())


def test_the_models_are_listed_with_their_prices(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider, pricing=PRICES, aliases=ALIAS) as house:
            key = {"Otari-Key": house.key}
            listed = (await house.get("/v1/models", **key)).json
            ids = [card["id"] for card in listed["data"]]
            assert ids == sorted(ids)
            assert {"fast", "live:ok", "stub:echo", "stub:script"} <= set(ids)
            one = await house.get("/v1/models/live:ok", **key)
            assert one.json["pricing"] == {"input_price_per_million": 1.0, "output_price_per_million": 2.0}
            assert one.json["object"] == "model"
            assert (await house.get("/v1/models/live%3Aok", **key)).json == one.json
            missing = await house.get("/v1/models/live:a/b", **key)
            assert (missing.status, missing.json["detail"]) == (404, "Model 'live:a/b' not found")

    play(scene())


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("", "required"),
        ("   ", "required"),
        (None, "required"),
        (7, "model"),
        ("gpt-x", "provider:model"),
        ("zzz:m", "zzz"),
        ("stub:", "stub"),
    ],
)
def test_a_model_that_does_not_exist(tmp_path: Path, model: object, word: str) -> None:
    async def scene() -> None:
        async with House(tmp_path, require_pricing=True) as house:
            answer = await house.post({"model": model, "messages": [{"role": "user", "content": "x"}]})
            assert (answer.status, answer.error["param"]) == (400, "model")
            assert word in answer.json["detail"]
            assert house.rows() == []

    play(scene())


def test_many_at_once_for_one_user_all_finish_and_sum_up(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider, pricing=PRICES) as house:
            answers = await asyncio.gather(*[house.post(chat("live:ok", stream=n % 2 == 0)) for n in range(64)])
            assert {answer.status for answer in answers} == {200}
            assert len(house.rows()) == 64
            assert house.balanced()

    play(scene())


def _request(house: House, body: dict[str, object]) -> bytes:
    raw = orjson.dumps(body)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {house.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw
