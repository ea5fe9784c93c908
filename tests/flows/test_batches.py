"""Batches through the whole gateway: both ways in, what comes of every line, what it costs, and whose it is."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.store import accounts
from otari.store.batches import cancel_batches_of
from tests.flows.batches_client import CHAT, Batches, ask, jsonl, line, script
from tests.flows.files_client import Files
from tests.flows.house import MASTER, House, chat, play
from tests.flows.stage import Stage

PRICE = {"input_price_per_million": 1_000, "output_price_per_million": 2_000}
SLOW = {"id": "slow", "reply": {"blocks": [{"pause": "30ms"}, {"say": "${user}"}]}}


def said(result: dict[str, Any]) -> Any:
    return result["result"]["choices"][0]["message"]["content"]


def counts(batch: dict[str, Any]) -> tuple[int, int, int]:
    told = batch["request_counts"]
    return told["total"], told["completed"], told["failed"]


# ---- both ways in ----


def test_requests_that_come_with_the_batch_are_answered(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, pricing={"stub:echo": PRICE}) as house:
            batches = Batches(house)
            begun = await batches.send([f"text {n}" for n in range(20)], metadata={"job": "nightly"})
            assert begun.status == 200
            assert begun.json["status"] == "validating"
            assert (begun.json["model"], begun.json["provider"]) == ("stub:echo", "stub")
            assert begun.json["expires_at"] - begun.json["created_at"] == 86_400
            batch = await batches.ended(begun)
            assert batch["status"] == "completed"
            assert counts(batch) == (20, 20, 0)
            assert (batch["endpoint"], batch["input_file_id"], batch["metadata"]) == (CHAT, "", {"job": "nightly"})
            assert batch["error_file_id"] is None
            results = await batches.results(batch["id"])
            assert {name: said(result) for name, result in results.items()} == {f"r{n}": f"text {n}" for n in range(20)}
            rows = house.rows()
            assert {(row["endpoint"], row["state"], row["selector"]) for row in rows} == {
                ("/v1/batches", "settled", "stub:echo")
            }
            assert batch["usage"]["input_tokens"] == sum(row["input_tokens"] for row in rows)
            assert batch["usage"]["total_tokens"] == sum(row["input_tokens"] + row["output_tokens"] for row in rows)
            assert all(row["cost_nano"] > 0 for row in rows)
            assert house.balanced()

    play(scene())


def test_a_file_of_requests_is_answered_in_a_file(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            content = jsonl([line("a", ask("one")), b"", line("b", ask("two")), b"  "]) + b"\n"
            begun = await batches.send_file(content, metadata=None)
            assert begun.json["model"] is None
            batch = await batches.ended(begun)
            assert (batch["status"], counts(batch), batch["model"]) == ("completed", (2, 2, 0), "stub:echo")
            answers = await batches.lines(batch["output_file_id"])
            assert [name for name, _ in answers.items()] == ["a", "b"]
            for name, text in (("a", "one"), ("b", "two")):
                answer = answers[name]
                assert set(answer) == {"id", "custom_id", "response", "error"}
                assert answer["error"] is None
                assert answer["response"]["status_code"] == 200
                assert answer["response"]["body"]["choices"][0]["message"]["content"] == text
            ids = {answer["response"]["request_id"] for answer in answers.values()}
            assert ids == {row["id"] for row in house.rows()}
            file = await batches.files.ask("GET", f"/{batch['output_file_id']}")
            assert file.json["purpose"] == "batch_output"
            assert file.json["filename"] == f"{batch['id']}_output.jsonl"

    play(scene())


@pytest.mark.parametrize(
    ("endpoint", "body", "kind"),
    [
        ("/v1/responses", {"model": "stub:echo", "input": "Hello"}, ("object", "response")),
        ("/v1/messages", {**chat(), "max_tokens": 50}, ("type", "message")),
        ("/v1/embeddings", {"model": "stub:any", "input": ["a", "b"]}, ("object", "list")),
        ("/v1/moderations", {"model": "stub:any", "input": "I like you."}, ("model", "any")),
        ("/v1/rerank", {"model": "stub:any", "query": "q", "documents": ["a", "b"]}, None),
    ],
)
def test_every_endpoint_answers_in_its_own_shape(
    tmp_path: Path, endpoint: str, body: dict[str, Any], kind: tuple[str, str] | None
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            broken = {"model": body["model"]}
            begun = await batches.send_file(jsonl([line("a", body, endpoint), line("b", broken, endpoint)]), endpoint)
            batch = await batches.ended(begun)
            assert (batch["endpoint"], counts(batch)) == (endpoint, (2, 1, 1))
            answer = (await batches.lines(batch["output_file_id"]))["a"]["response"]["body"]
            assert kind is None or answer[kind[0]] == kind[1]
            alone = await house.post(broken, path=endpoint)
            failure = (await batches.lines(batch["error_file_id"]))["b"]
            assert failure["error"] is None
            assert failure["response"]["status_code"] in (400, alone.status)
            assert ("type" in failure["response"]["body"]) == (endpoint == "/v1/messages")
            results = await batches.results(batch["id"])
            assert results["a"] == {"custom_id": "a", "result": answer, "error": None}
            assert results["b"]["result"] is None
            assert results["b"]["error"]["code"]
            assert results["b"]["error"]["message"] == failure["response"]["body"]["error"]["message"]

    play(scene())


def test_lines_that_can_not_be_carried_out_fail_alone(tmp_path: Path) -> None:
    nobodys = {"type": "file", "file": {"file_id": "file-" + "0" * 32}}
    nested = orjson.Fragment(b'{"a":' * 500 + b"1" + b"}" * 500)
    bad = {
        "streamed": (ask("x", stream=True), 400),
        "a million": (ask("x", n=1_000_000), 400),
        "empty": ({"model": "stub:echo", "messages": []}, 400),
        "odd": ({"model": "stub:echo", "messages": "no"}, 400),
        "nobody's file": ({"model": "stub:echo", "messages": [{"role": "user", "content": [nobodys]}]}, 404),
        "somebody else": (ask("x", user="somebody-else"), 403),
        "deep": (ask("x", metadata=nested), 400),
    }

    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            lines = [line(name, body) for name, (body, _) in bad.items()] + [line("good", ask("fine"))]
            batch = await batches.ended(await batches.send_file(jsonl(lines)))
            assert (batch["status"], counts(batch)) == ("completed", (len(bad) + 1, 1, len(bad)))
            failed = await batches.lines(batch["error_file_id"])
            statuses = {name: each["response"]["status_code"] for name, each in failed.items()}
            assert statuses == {name: status for name, (_, status) in bad.items()}
            assert "leave out stream" in failed["streamed"]["response"]["body"]["error"]["message"]
            assert house.balanced()

    play(scene())


def test_a_body_of_requests_may_be_written_over_many_lines(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            body = {"model": "stub:echo", "requests": [{"custom_id": "a", "body": ask("x\ny", model="other")}]}
            pretty = orjson.dumps(body, option=orjson.OPT_INDENT_2).replace(b"\n", b"\r\n")
            batch = await batches.ended(await batches.ask("POST", body=pretty))
            assert said((await batches.results(batch["id"]))["a"]) == "x\ny"
            assert house.rows()[0]["selector"] == "stub:echo"  # the model is that of the batch

    play(scene())


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_on_windows(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            lines = jsonl([line("a", ask("first")), line("b", ask("second"))]).replace(b"\n", b"\r\n")
            batch = await batches.ended(await batches.send_file(b"\xef\xbb\xbf" + lines))
            assert (batch["status"], counts(batch)) == ("completed", (2, 2, 0))
            assert said((await batches.results(batch["id"]))["a"]) == "first"

    play(scene())


# ---- input that is refused ----


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        ([b""], [("empty_file", None, None)]),
        ([b"{"], [("invalid_json_line", 1, None)]),
        ([b"[]"], [("invalid_json_line", 1, None)]),
        ([b'{"custom_id": "\\ud800"}'], [("invalid_json_line", 1, None)]),
        ([line("a", ask("x")), b"\xff\xfe"], [("invalid_json_line", 2, None)]),
        (
            [line(7, ask("x")), line("", ask("x"))],
            [("invalid_custom_id", 1, "custom_id"), ("invalid_custom_id", 2, "custom_id")],
        ),
        ([line("a" * 513, ask("x"))], [("invalid_custom_id", 1, "custom_id")]),
        ([line("a", ask("x")), line("b", ask("x")), line("a", ask("x"))], [("duplicate_custom_id", 3, "custom_id")]),
        ([line("a", ask("x"), "/v1/embeddings")], [("invalid_url", 1, "url")]),
        ([line("a", ask("x"), method="GET")], [("invalid_method", 1, "method")]),
        ([line("a", "x")], [("invalid_body", 1, "body")]),
        ([line("a", {})], [("missing_model", 1, "body.model")]),
        ([line("a", ask("x", "m" * 513))], [("invalid_model", 1, "body.model")]),
        ([line("a", ask("x")), line("b", ask("x", "stub:other"))], [("mismatched_model", 2, "body.model")]),
        ([line("a", ask("x", "nobody:m"))], [("model_not_found", None, "model")]),
    ],
)
def test_broken_input_is_told_line_by_line(
    tmp_path: Path, lines: list[object], problems: list[tuple[str, int | None, str | None]]
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            batch = await batches.ended(await batches.send_file(jsonl(lines) or b"\n"))
            assert batch["status"] == "failed"
            assert batch["failed_at"] is not None
            assert batch["errors"]["object"] == "list"
            found = [(each["code"], each["line"], each["param"]) for each in batch["errors"]["data"]]
            assert found == problems
            assert all(each["message"] for each in batch["errors"]["data"])
            assert house.rows() == []
            assert await batches.results(batch["id"]) == {}
            assert (batch["output_file_id"], batch["error_file_id"]) == (None, None)

    play(scene())


def test_of_many_broken_lines_the_first_are_told(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            batch = await batches.ended(await batches.send_file(b"{\n" * 5_000))
            assert [each["line"] for each in batch["errors"]["data"]] == list(range(1, 51))

    play(scene())


def test_a_line_that_is_longer_than_a_request_may_be_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, json_max_bytes=2_000) as house:
            batches = Batches(house)
            content = jsonl([line("a", ask("x")), line("b", ask("x" * 300_000)), line("c", ask("x"))])
            batch = await batches.ended(await batches.send_file(content))
            assert [(each["code"], each["line"]) for each in batch["errors"]["data"]] == [("line_too_long", 2)]

    play(scene())


_REQUEST = {"custom_id": "a", "body": {"messages": []}}


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (b"{", ["body"]),
        (b"[]", ["body"]),
        ({}, ["body.model", "body.requests"]),
        ({"model": 1, "requests": []}, ["body.model", "body.requests"]),
        ({"model": "stub:echo", "requests": [_REQUEST], "extra": 1}, ["body.extra"]),
        ({"model": "stub:echo", "requests": [{"custom_id": "a", "body": 1}]}, ["body.requests.0.body"]),
        ({"model": "stub:echo", "requests": [{"body": {}}]}, ["body.requests.0.custom_id"]),
        ({"model": "stub:echo", "requests": [_REQUEST, _REQUEST]}, ["body.requests.1.custom_id"]),
        ({"model": "stub:echo", "requests": [{**_REQUEST, "custom_id": ""}]}, ["body.requests.0.custom_id"]),
        ({"model": "stub:echo", "requests": [_REQUEST], "completion_window": "1h"}, ["body.completion_window"]),
        ({"model": "stub:echo", "requests": [_REQUEST], "metadata": {"a": 1}}, ["body.metadata"]),
        ({"model": "stub:echo", "requests": [_REQUEST], "metadata": {"a" * 65: "x"}}, ["body.metadata"]),
        ({"model": "stub:echo", "requests": [_REQUEST] * 10_001}, ["body.requests"]),
    ],
)
def test_a_body_of_requests_is_refused_field_by_field(tmp_path: Path, body: object, places: list[str]) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await Batches(house).ask("POST", body=body)
            assert answer.status == 422, answer.body
            assert [".".join(map(str, each["loc"])) for each in answer.json["detail"]] == places
            assert answer.error["code"] == "invalid_fields"
            assert house.query("SELECT * FROM batches") == []

    play(scene())


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"endpoint": "/v1/files"}, 400, "endpoint"),
        ({"endpoint": "/v1/images/generations"}, 400, "endpoint"),
        ({"completion_window": "48h"}, 400, "completion_window"),
        ({"input_file_id": 5}, 400, "input_file_id"),
        ({"input_file_id": "../../etc/passwd"}, 404, "file_id"),
        ({"input_file_id": "file-" + "0" * 32}, 404, "file_id"),
        ({"metadata": {"a": "x" * 513}}, 400, "metadata"),
        ({"nonsense": 1}, 400, "nonsense"),
    ],
)
def test_a_batch_of_a_file_is_refused_in_the_shape_of_openai(
    tmp_path: Path, change: dict[str, object], status: int, param: str
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            file = await Files(house).send(jsonl([line("a", ask("x"))]))
            body = {"input_file_id": file.json["id"], "endpoint": CHAT, "completion_window": "24h", **change}
            answer = await Batches(house).ask("POST", body=body)
            assert (answer.status, answer.error["param"]) == (status, param)
            assert isinstance(answer.json["detail"], str)

    play(scene())


def test_a_model_of_no_provider_is_refused_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await Batches(house).send(["x"], model="nobody:m")
            assert (answer.status, answer.error["code"]) == (400, "model_not_found")

    play(scene())


# ---- money ----


def test_a_budget_that_is_used_up_in_the_middle_ends_the_rest_of_the_lines(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, pricing={"stub:echo": PRICE}, batch_concurrency=1) as house:
            batches = Batches(house)
            headers = {"Authorization": f"Bearer {MASTER}"}
            budget = await house.post({"max_budget": 0.2}, path="/v1/budgets", headers=headers)
            await house.post(
                {"user_id": "bob", "budget_id": budget.json["budget_id"]}, path="/v1/users", headers=headers
            )
            key = (await house.post({"user_id": "bob"}, path="/v1/keys", headers=headers)).json["key"]
            lines = [line(f"r{n}", ask("hello", max_tokens=10)) for n in range(60)]
            begun = await batches.send_file(jsonl(lines), key=key)
            batch = await batches.ended(begun, key)
            total, completed, failed = counts(batch)
            assert batch["status"] == "completed"
            assert total == 60 == completed + failed
            assert completed > 0
            assert failed > 0
            refused = await batches.lines(batch["error_file_id"], key)
            assert {each["response"]["body"]["error"]["code"] for each in refused.values()} == {"insufficient_quota"}
            (bob,) = house.query("SELECT spend_nano FROM users WHERE user_id = 'bob'")
            assert 0 < bob["spend_nano"] <= 200_000_000
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (("DELETE", "/v1/keys/{key_id}", None), 401, "Invalid API key"),
        (("PATCH", "/v1/keys/{key_id}", {"is_active": False}), 401, "API key is inactive"),
        (("PATCH", "/v1/users/bob", {"blocked": True}), 403, "User 'bob' is blocked"),
    ],
)
def test_who_may_not_ask_any_more_gets_no_more_answers(
    tmp_path: Path, change: tuple[str, str, object], status: int, words: str
) -> None:
    async def scene() -> None:
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=1) as house:
            batches = Batches(house)
            headers = {"Authorization": f"Bearer {MASTER}", "Content-Type": "application/json"}
            made = await house.post({"user_id": "bob"}, path="/v1/keys", headers=headers)
            key, other = made.json["key"], (await house.post({"user_id": "bob"}, path="/v1/keys", headers=headers)).json
            lines = [line(f"r{n}", ask("x", "stub:script")) for n in range(30)]
            begun = await batches.send_file(jsonl(lines), key=key)
            await house.eventually(lambda: len(house.rows()) > 2)
            method, path, body = change
            changed = await house.request(method, path.format(key_id=made.json["id"]), headers, json=body)
            assert changed.status in (200, 204)
            await house.eventually(lambda: house.query("SELECT state FROM batches")[0]["state"] == "completed")
            (row,) = house.query("SELECT error_file_id, completed, failed FROM batches")
            assert 0 < row["completed"] < 30
            assert row["completed"] + row["failed"] == 30
            asking = MASTER if "users" in path else other["key"]
            query = {"user": "bob"} if asking == MASTER else None
            answer = await batches.files.ask("GET", f"/{row['error_file_id']}/content", key=asking, query=query)
            failures = [orjson.loads(each)["response"] for each in answer.body.splitlines()]
            assert {each["status_code"] for each in failures} == {status}
            assert {each["body"]["error"]["message"] for each in failures} == {words}
            assert begun.status == 200
            assert house.balanced()

    play(scene())


def test_to_rate_limits_a_batch_is_one_request_and_has_no_tokens(tmp_path: Path) -> None:
    """Else a batch would stop the conversations of its key for as long as it takes."""

    async def scene() -> None:
        few: dict[str, Any] = {
            "rate_limit_tpm": 30,
            "key_rate_limit_tpm": 30,
            "rate_limit_rpm": 3,
            "key_rate_limit_rpm": 3,
        }
        async with House(tmp_path, **few) as house:
            batches = Batches(house)
            batch = await batches.ended(await batches.send(["many words " * 5] * 20))
            assert counts(batch) == (20, 20, 0)
            assert batch["usage"]["total_tokens"] > 10 * few["rate_limit_tpm"]
            answers = [await house.post(chat(max_tokens=1)) for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 200]
            full = await batches.send(["x"])
            assert (full.status, full.error["code"]) == (429, "rate_limit_exceeded")
            assert "requests" in full.error["message"]

    play(scene())


def test_what_needs_no_price_alone_needs_none_in_a_batch(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, require_pricing=True) as house:
            batches = Batches(house)
            for endpoint, body, expected in (
                ("/v1/moderations", {"model": "stub:unpriced", "input": "x"}, (1, 1, 0)),
                ("/v1/embeddings", {"model": "stub:unpriced", "input": "x"}, (1, 0, 1)),
            ):
                batch = await batches.ended(await batches.send_file(jsonl([line("a", body, endpoint)]), endpoint))
                assert counts(batch) == expected
            assert (await batches.results(batch["id"]))["a"]["error"]["code"] == "model_not_priced"

    play(scene())


# ---- an early end ----


def test_a_batch_that_is_cancelled_keeps_what_it_has(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=2) as house:
            batches = Batches(house)
            begun = await batches.send([f"t{n}" for n in range(200)], "stub:script")
            await batches.until(begun, 3)
            cancelled = await batches.ask("POST", f"/{begun.json['id']}/cancel", query={"provider": "stub"})
            assert (cancelled.status, cancelled.json["status"]) == (200, "cancelling")
            batch = await batches.ended(begun)
            assert batch["status"] == "cancelled"
            assert batch["cancelling_at"] is not None
            assert batch["cancelled_at"] is not None
            assert batch["completed_at"] is None
            total, completed, failed = counts(batch)
            assert 3 <= completed < 100
            assert completed + failed == total == 200
            assert completed == len(house.rows())
            results = await batches.results(batch["id"])
            assert len(results) == 200
            answered = {name: said(result) for name, result in results.items() if result["result"] is not None}
            assert len(answered) == completed
            assert all(name[1:] == text[1:] for name, text in answered.items())
            codes = {result["error"]["code"] for result in results.values() if result["error"] is not None}
            assert codes == {"batch_cancelled"}
            again = await batches.ask("POST", f"/{batch['id']}/cancel")
            assert (again.status, again.json["status"]) == (200, "cancelled")

    play(scene())


def test_one_user_s_batches_leave_turns_for_others_and_those_that_wait_can_be_cancelled(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=1) as house:
            batches = Batches(house)
            key = await batches.files.another_user()
            begun = [await batches.send(["x"] * 200, "stub:script") for _ in range(6)]
            theirs = await batches.send_file(jsonl([line("a", ask("x", "stub:script"))]), key=key)
            assert (await batches.ended(theirs, key))["status"] == "completed"
            stands = [await batches.get(each.json["id"]) for each in begun]
            assert [each["status"] for each in stands] == ["in_progress"] * 4 + ["validating"] * 2
            await batches.ask("POST", f"/{begun[5].json['id']}/cancel")
            assert (await batches.ended(begun[5]))["status"] == "cancelled"
            assert (await batches.get(begun[0].json["id"]))["status"] == "in_progress"
            for each in begun[:5]:
                await batches.ask("POST", f"/{each.json['id']}/cancel")
                await batches.ended(each)

    play(scene())


def test_the_batches_of_a_user_end_with_it(tmp_path: Path) -> None:
    """What is under way is paid for, nothing more is sent, and nobody gets files."""

    async def scene() -> None:
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=2) as house:
            batches = Batches(house)
            key = await batches.files.another_user()
            lines = [line(f"r{n}", ask("x", "stub:script")) for n in range(200)]
            begun = await batches.send_file(jsonl(lines), key=key)
            waiting = [await batches.send_file(jsonl(lines), key=key) for _ in range(5)]
            assert all(answer.status == 200 for answer in (begun, *waiting))
            await batches.until(begun, 3, key=key)
            (user,) = {row["user_id"] for row in house.query("SELECT user_id FROM batches")}
            gone = await house.request("DELETE", f"/v1/users/{user}", {"Authorization": f"Bearer {MASTER}"})
            assert gone.status in (200, 204)
            await house.eventually(lambda: {row["state"] for row in rows(house)} == {"cancelled"})
            assert {(row["output_file_id"], row["error_file_id"]) for row in rows(house)} == {(None, None)}
            answered = sum(row["completed"] for row in rows(house))
            assert 3 <= answered < 100
            assert [row["state"] for row in house.rows()] == ["settled"] * answered
            assert house.query("SELECT * FROM batch_results") == []
            assert house.query("SELECT * FROM files WHERE purpose = 'batch_output'") == []
            assert house.balanced()

    play(scene())


def rows(house: House) -> list[dict[str, Any]]:
    return house.query("SELECT state, completed, output_file_id, error_file_id FROM batches")


def test_a_batch_whose_user_went_while_the_gateway_was_down_is_ended_by_the_next_run(tmp_path: Path) -> None:
    async def scene() -> None:
        stub = script(tmp_path, SLOW)
        async with House(tmp_path, providers={"stub": stub}, batch_concurrency=1, shutdown_timeout_s=0) as house:
            batches = Batches(house)
            key = await batches.files.another_user()
            begun = await batches.send_file(jsonl([line(f"r{n}", ask("x", "stub:script")) for n in range(99)]), key=key)
            await batches.until(begun, 1, key=key)
        await asyncio.to_thread(_remove_its_user, house)
        async with House(tmp_path, providers={"stub": stub}) as house:
            await house.eventually(lambda: [row["state"] for row in rows(house)] == ["cancelled"])
            assert [(row["output_file_id"], row["error_file_id"]) for row in rows(house)] == [(None, None)]
            assert house.balanced()

    play(scene())


def _remove_its_user(house: House) -> None:
    """As the command line does it on a ledger that no gateway has open."""
    (user,) = {row["user_id"] for row in house.query("SELECT user_id FROM batches")}
    conn = sqlite3.connect(house.folder / "otari.db")
    with contextlib.closing(conn), conn:
        accounts.remove_user(conn, user, 1)
        found = cancel_batches_of(conn, user, 1)
        assert len(found) == 1


LASTING = {"anchor": "created_at", "seconds": 7_200}


@pytest.mark.parametrize("asked", [LASTING, LASTING | {"seconds": 7_200.0}, None])
@pytest.mark.parametrize("with_file", [True, False])
def test_the_files_of_a_batch_are_kept_as_long_as_was_asked_for(tmp_path: Path, asked: object, with_file: bool) -> None:
    async def scene() -> None:
        clock = Clock()
        house = House(tmp_path)
        house.now_ms = clock
        async with house:
            batches = Batches(house)
            more: dict[str, Any] = {} if asked is None else {"output_expires_after": asked}
            broken = {"messages": "x"}
            lines = [line("a", ask("x")), line("b", {"model": "stub:echo", **broken})]
            sending = batches.send_file(jsonl(lines), **more) if with_file else batches.send(["x", broken], **more)
            batch = await batches.ended(await sending)
            names = [batch["output_file_id"], batch["error_file_id"]]
            files = [(await batches.files.ask("GET", f"/{name}")).json for name in names]
            for file in files:
                assert file["expires_at"] == (None if asked is None else file["created_at"] + 7_200)
            clock.now += 7_200_000
            for name in names:
                assert (await batches.files.ask("GET", f"/{name}")).status == (200 if asked is None else 404)

    play(scene())


@pytest.mark.parametrize(
    ("told", "param"),
    [
        ({"anchor": "created_at"}, "output_expires_after.seconds"),
        ({"seconds": 7_200}, "output_expires_after.anchor"),
        ({"anchor": "completed_at", "seconds": 7_200}, "output_expires_after.anchor"),
        ({"anchor": "created_at", "seconds": 3_599}, "output_expires_after.seconds"),
        ({"anchor": "created_at", "seconds": 2_592_001}, "output_expires_after.seconds"),
        ({"anchor": "created_at", "seconds": "7200"}, "output_expires_after.seconds"),
        ({"anchor": "created_at", "seconds": 7_200, "more": 1}, "output_expires_after.more"),
        (7_200, "output_expires_after"),
    ],
)
def test_a_lifetime_that_makes_no_sense_is_refused_by_its_name(tmp_path: Path, told: object, param: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            answer = await batches.send_file(jsonl([line("a", ask("x"))]), output_expires_after=told)
            assert (answer.status, answer.error["param"]) == (400, param)
            answer = await batches.send(["x"], output_expires_after=told)
            assert answer.status == 422
            assert [".".join(fault["loc"]) for fault in answer.json["detail"]] == [f"body.{param}"]
            assert rows(house) == []

    play(scene())


def test_what_has_ended_can_not_be_cancelled(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            batch = await batches.ended(await batches.send(["x"]))
            answer = await batches.ask("POST", f"/{batch['id']}/cancel")
            assert (answer.status, answer.error["code"]) == (409, "batch_not_cancellable")
            assert f"Batch '{batch['id']}'" in answer.json["detail"]

    play(scene())


class Clock:
    """A wall clock that can be put forward."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


def test_what_is_not_done_in_time_expires(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = Clock()
        house = House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=1)
        house.now_ms = clock
        async with house:
            batches = Batches(house)
            begun = await batches.send([f"t{n}" for n in range(100)], "stub:script")
            await batches.until(begun, 2)
            clock.now += 86_400_000
            batch = await batches.ended(begun)
            assert batch["status"] == "expired"
            assert batch["expired_at"] == batch["expires_at"]
            total, completed, failed = counts(batch)
            assert 2 <= completed < 100
            assert completed + failed == total
            expired = await batches.lines(batch["error_file_id"])
            assert {each["error"]["code"] for each in expired.values()} == {"batch_expired"}
            assert {each["response"] for each in expired.values()} == {None}
            assert house.balanced()

    play(scene())


def test_results_wait_for_the_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=1) as house:
            batches = Batches(house)
            begun = await batches.send(["x"] * 30, "stub:script")
            await batches.until(begun, 1)
            batch_id = begun.json["id"]
            answer = await batches.ask("GET", f"/{batch_id}/results", query={"provider": "stub"})
            assert answer.status == 409
            assert answer.json["detail"] == (
                f"Batch '{batch_id}' is not yet complete (status: in_progress). Call GET"
                f" /v1/batches/{batch_id}?provider=stub to check the current status."
            )
            await batches.ask("POST", f"/{batch_id}/cancel")
            await batches.ended(begun)

    play(scene())


# ---- stops ----


def test_a_batch_goes_on_with_the_next_run(tmp_path: Path) -> None:
    async def scene() -> None:
        config: dict[str, Any] = {
            "providers": {"stub": script(tmp_path, SLOW)},
            "pricing": {"stub:script": PRICE},
            "batch_concurrency": 3,
            "master_key": MASTER,
        }
        async with House(tmp_path, **config) as house:
            key = house.key
            begun = await Batches(house).send([f"t{n}" for n in range(40)], "stub:script")
            await Batches(house).until(begun, 5)
        before = len(house.rows())
        assert 5 <= before < 40
        assert house.balanced()  # what was under way has come to its end
        async with House(tmp_path, **config) as house:
            house.key = key
            batches = Batches(house)
            batch = await batches.ended(begun)
            assert (batch["status"], counts(batch)) == ("completed", (40, 40, 0))
            results = await batches.results(batch["id"])
            assert {name: said(each) for name, each in results.items()} == {f"r{n}": f"t{n}" for n in range(40)}
            assert len(house.rows()) == 40
            assert house.balanced()

    play(scene())


def test_a_batch_that_was_being_cancelled_is_cancelled_by_the_next_run(tmp_path: Path) -> None:
    async def scene() -> None:
        config: dict[str, Any] = {
            "providers": {"stub": script(tmp_path, SLOW)},
            "batch_concurrency": 1,
            "master_key": MASTER,
        }
        async with House(tmp_path, **config) as house:
            key = house.key
            begun = await Batches(house).send(["x"] * 40, "stub:script")
            await Batches(house).until(begun, 2)
        async with House(tmp_path, **config) as house:
            await house.write("UPDATE batches SET state = 'cancelling', cancelling_at_ms = 1")
        done = len(house.rows())
        async with House(tmp_path, **config) as house:
            house.key = key
            batch = await Batches(house).ended(begun)
            assert batch["status"] == "cancelled"
            assert batch["request_counts"]["completed"] <= done
            assert len(house.rows()) == done

    play(scene())


def test_a_stop_does_not_wait_for_ever_and_the_next_run_asks_again(tmp_path: Path) -> None:
    async def scene() -> None:
        rule = {"id": "long", "reply": {"blocks": [{"say": "a"}, {"pause": "60s"}, {"say": "b"}]}}
        config: dict[str, Any] = {"pricing": {"stub:script": PRICE}, "master_key": MASTER, "shutdown_timeout_s": 0.1}
        async with House(tmp_path, providers={"stub": script(tmp_path, rule)}, **config) as house:
            key = house.key
            begun = await Batches(house).send(["x"], "stub:script")
            await house.eventually(lambda: len(house.rows()) == 1)
        (row,) = house.rows()
        assert (row["state"], row["status"], row["http_status"]) == ("settled", "error", 503)
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, **config) as house:
            house.key = key
            batch = await Batches(house).ended(begun)
            assert counts(batch) == (1, 1, 0)
            assert [row["status"] for row in house.rows()] == ["error", "success"]
            assert house.balanced()

    play(scene())


# ---- whose it is ----


def test_a_batch_of_somebody_else_is_no_batch(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            key = await batches.files.another_user()
            theirs = await batches.ended(await batches.send_file(jsonl([line("a", ask("x"))]), key=key), key)
            absent = "batch_" + "0" * 32
            for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/results")):
                foreign = await batches.ask(method, f"/{theirs['id']}{path}", query={"provider": "stub"})
                nothing = await batches.ask(method, f"/{absent}{path}", query={"provider": "stub"})
                assert foreign.status == nothing.status == 404
                assert foreign.body.replace(theirs["id"].encode(), absent.encode()) == nothing.body
            for file_id in (theirs["input_file_id"], theirs["output_file_id"]):
                body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
                foreign = await batches.ask("POST", body=body)
                nothing = await batches.ask("POST", body={**body, "input_file_id": "file-" + "0" * 32})
                assert (foreign.status, foreign.body) == (404, nothing.body)
            assert (await batches.ask("GET")).json["data"] == []
            assert (await batches.get(theirs["id"], key))["status"] == "completed"

    play(scene())


@pytest.mark.parametrize("batch_id", ["x", "batch_../../x", "batch_%00", "batch_" + "0" * 33, "%2e%2e%2f", "a" * 5_000])
def test_what_is_no_id_is_no_batch(tmp_path: Path, batch_id: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            assert (await Batches(house).ask("GET", f"/{batch_id}")).status == 404

    play(scene())


def test_the_master_key_names_whose_batch_it_is(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            batches = Batches(house)
            await batches.files.another_user("bob")
            nobody = await batches.ask("POST", key=MASTER, body={"model": "stub:echo", "requests": [_REQUEST]})
            assert (nobody.status, nobody.error["param"]) == (400, "user")
            request = {"custom_id": "a", "body": {"messages": ask("x")["messages"], "user": "carol"}}
            begun = await batches.ask(
                "POST", key=MASTER, body={"model": "stub:echo", "requests": [request], "user": "bob"}
            )
            query = {"user": "bob"}
            await house.eventually(lambda: house.query("SELECT state FROM batches")[0]["state"] == "completed")
            found = await batches.ask("GET", f"/{begun.json['id']}", key=MASTER, query=query)
            assert found.json["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
            assert [row["user_id"] for row in house.rows()] == ["bob"]
            unknown = await batches.ask("GET", key=MASTER, query={"user": "nobody"})
            assert unknown.status == 404

    play(scene())


def test_a_list_comes_in_pages_newest_first(tmp_path: Path) -> None:
    async def scene() -> None:
        providers = {name: {"type": "stub"} for name in ("stub", "other")}
        async with House(tmp_path, providers=providers) as house:
            batches = Batches(house)
            made = [(await batches.ended(await batches.send(["x"])))["id"] for _ in range(5)]
            other = (await batches.ended(await batches.send(["x"], "other:echo")))["id"]
            first = await batches.ask("GET", query={"limit": "2"})
            assert [each["id"] for each in first.json["data"]] == [other, made[4]]
            assert (first.json["first_id"], first.json["last_id"]) == (other, made[4])
            assert first.json["has_more"] is True
            rest = await batches.ask("GET", query={"after": first.json["last_id"]})
            assert [each["id"] for each in rest.json["data"]] == made[3::-1]
            assert rest.json["has_more"] is False
            of_other = await batches.ask("GET", query={"provider": "other"})
            assert [each["id"] for each in of_other.json["data"]] == [other]
            assert (await batches.ask("GET", f"/{other}", query={"provider": "stub"})).status == 404
            for query, status in (
                ({"limit": "0"}, 422),
                ({"limit": "101"}, 422),
                ({"after": "batch_1"}, 400),
                ({"provider": "../../evil"}, 400),
            ):
                assert (await batches.ask("GET", query=query)).status == status, query
            told = (await batches.ask("GET", query={"provider": "../../evil"})).json["detail"]
            assert told == "'../../evil' is not a supported provider. Supported providers: other, stub"

    play(scene())


# ---- files ----


def test_the_input_may_be_deleted_and_so_may_the_output(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=4) as house:
            batches = Batches(house)
            begun = await batches.send_file(jsonl(line(f"r{n}", ask("x", "stub:script")) for n in range(20)))
            assert (await batches.files.ask("DELETE", f"/{begun.json['input_file_id']}")).status == 200
            batch = await batches.ended(begun)
            assert counts(batch) == (20, 20, 0)
            inputs = batches.files.folder / "batches"
            await house.eventually(lambda: {path.name for path in inputs.iterdir()} == {".lock"})
            assert batches.files.kept == {batch["output_file_id"]}
            await batches.files.ask("DELETE", f"/{batch['output_file_id']}")
            assert (await batches.ask("GET", f"/{batch['id']}/results")).status == 404

    play(scene())


def test_what_a_user_may_keep_does_not_keep_it_from_its_results(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, files_max_count=1) as house:
            batches = Batches(house)
            batch = await batches.ended(await batches.send_file(jsonl([line("a", ask("x"))])))
            assert await batches.lines(batch["output_file_id"])
            assert (await batches.files.send()).status == 403  # but now there is no room for more

    play(scene())


def test_nothing_of_a_batch_can_be_read_by_others_on_the_machine(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=1) as house:
            batches = Batches(house)
            begun = await batches.send(["x"] * 20, "stub:script")
            folder = batches.files.folder / "batches"
            assert folder.stat().st_mode & 0o077 == 0
            assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
            await batches.ask("POST", f"/{begun.json['id']}/cancel")
            await batches.ended(begun)

    play(scene())


def test_without_files_there_are_no_batches(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, files_enabled=False) as house:
            answer = await Batches(house).send(["x"])
            assert (answer.status, answer.error["code"]) == (404, "files_disabled")

    play(scene())


def test_a_user_may_have_so_many_batches_that_have_not_ended(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, providers={"stub": script(tmp_path, SLOW)}, batch_concurrency=1) as house:
            batches = Batches(house)
            begun = [await batches.send(["x"] * 50, "stub:script") for _ in range(100)]
            assert {each.status for each in begun} == {200}
            refused = await batches.send(["x"])
            assert (refused.status, refused.error["code"]) == (429, "too_many_batches")
            assert "Retry-After" in refused.headers
            for each in begun:
                await batches.ask("POST", f"/{each.json['id']}/cancel")
            for each in begun:
                await batches.ended(each)
            assert (await batches.send(["x"])).status == 200

    play(scene())


def test_a_batch_is_one_request_to_the_rate_limits(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, rate_limit_rpm=2) as house:
            batches = Batches(house)
            batch = await batches.ended(await batches.send(["x"] * 10))
            assert counts(batch) == (10, 10, 0)
            assert (await batches.send(["x"])).status == 200
            refused = await batches.send(["x"])
            assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")

    play(scene())


# ---- with a script for a model ----


def test_the_lines_of_a_batch_are_asked_in_the_session_that_sent_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, "rules: [{reply: '${session}'}]") as stage:
            batches = Batches(stage)
            names = [f"session-{n}" for n in range(20)]
            lines = [line("a", ask("x", "gpt-x")), line("b", ask("y", "gpt-x"))]
            keys = {name: f"sk-stub-{name}" for name in names}
            begun = await asyncio.gather(*(batches.send_file(jsonl(lines), key=key) for key in keys.values()))
            for name, each in zip(names, begun, strict=True):
                batch = await batches.ended(each, keys[name])
                answers = await batches.lines(batch["output_file_id"], keys[name])
                texts = [answer["response"]["body"]["choices"][0]["message"]["content"] for answer in answers.values()]
                assert texts == [name, name]
                listed = await batches.ask("GET", key=keys[name])
                assert [each["id"] for each in listed.json["data"]] == [batch["id"]]
            assert sorted(row["user_id"] for row in stage.rows()) == sorted([*names, *names])

    play(scene())
