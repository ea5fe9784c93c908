"""Keys, users, budgets, prices and usage over HTTP: what is answered, and what takes effect."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.flows.house import MASTER, Answer, House, chat, play
from tests.scripted import ScriptedProvider

ADMIN = {"Authorization": f"Bearer {MASTER}"}
PRICE = {"model_key": "live:ok", "input_price_per_million": 1, "output_price_per_million": 2}


async def ask(house: House, method: str, path: str, body: object = None, **headers: str) -> Answer:
    return await house.request(method, path, {**ADMIN, **headers}, json=body)


async def made(house: House, path: str, body: object) -> Any:
    answer = await ask(house, "POST", path, body)
    assert answer.status == 200, answer.body
    return answer.json


def test_a_key_from_its_making_to_its_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            key = await made(house, "/v1/keys", {"key_name": "ci", "user_id": "alice", "metadata": {"a": 1}})
            assert key["key"].startswith("gw-")
            assert (key["user_id"], key["is_active"], key["exclude_from_budget"]) == ("alice", True, False)
            assert key["created_at"].endswith("+00:00")
            mine = {"Authorization": f"Bearer {key['key']}"}
            assert (await house.post(chat(), headers=mine)).status == 200
            shown = (await ask(house, "GET", f"/v1/keys/{key['id']}")).json
            assert "key" not in shown
            assert shown["metadata"] == {"a": 1}
            off = await ask(house, "PATCH", f"/v1/keys/{key['id']}", {"is_active": False, "key_name": None})
            assert (off.json["is_active"], off.json["key_name"]) == (False, None)
            refused = await house.post(chat(), headers=mine)
            assert (refused.status, refused.json["detail"]) == (401, "API key is inactive")
            await ask(house, "PATCH", f"/v1/keys/{key['id']}", {"is_active": True})
            turned = (await ask(house, "POST", f"/api/v1/keys/{key['id']}/rotate")).json
            assert (await house.post(chat(), headers=mine)).status == 401
            assert (await house.post(chat(), headers={"Authorization": f"Bearer {turned['key']}"})).status == 200
            gone = await ask(house, "DELETE", f"/v1/keys/{key['id']}")
            assert (gone.status, gone.body) == (204, b"")
            again = await ask(house, "GET", f"/v1/keys/{key['id']}")
            assert (again.status, again.json["detail"]) == (404, f"API key with id '{key['id']}' not found")
            history = (await ask(house, "GET", "/v1/users/alice/usage")).json
            assert {row["api_key_id"] for row in history} == {key["id"]}

    play(scene())


@pytest.mark.parametrize("user_id", ["alice", "a/b", 'it\'s "quoted"', "🐍 snake", "per%cent", "../up"])
def test_a_user_of_any_name(tmp_path: Path, user_id: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            path = "/v1/users/" + quote(user_id, safe="")
            user = await made(house, "/v1/users", {"user_id": user_id, "alias": "A"})
            assert (user["spend"], user["reserved"], user["blocked"]) == (0, 0, False)
            twice = await ask(house, "POST", "/v1/users", {"user_id": user_id})
            assert (twice.status, twice.json["detail"]) == (409, f"User with id '{user_id}' already exists")
            changed = await ask(house, "PATCH", path, {"blocked": True, "alias": None})
            assert (changed.json["blocked"], changed.json["alias"]) == (True, None)
            blocked = await house.post(chat(user=user_id), headers=ADMIN)
            assert (blocked.status, blocked.json["detail"]) == (403, f"User '{user_id}' is blocked")
            assert (await ask(house, "GET", path + "/usage")).json == []
            assert (await ask(house, "DELETE", path)).status == 204
            assert (await ask(house, "GET", path)).status == 404

    play(scene())


def test_a_budget_holds_and_is_not_deleted_under_its_users(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            await made(house, "/v1/pricing", PRICE)
            budget = await made(house, "/v1/budgets", {"max_budget": 0.001, "reset_alignment": "calendar_month"})
            assert budget["max_budget"] == 0.001
            user = (await ask(house, "GET", "/v1/users")).json[0]["user_id"]
            given = await ask(house, "PATCH", f"/v1/users/{user}", {"budget_id": budget["budget_id"]})
            assert given.json["next_budget_reset_at"] is not None
            assert (await house.post(chat("live:ok", max_tokens=5))).status == 200
            over = await house.post(chat("live:ok", max_tokens=5_000))
            assert (over.status, over.json["detail"]) == (403, f"User '{user}' has exceeded budget limit")
            kept = await ask(house, "DELETE", f"/v1/budgets/{budget['budget_id']}")
            assert kept.status == 409
            assert user in kept.json["detail"]
            raised = await ask(house, "PATCH", f"/v1/budgets/{budget['budget_id']}", {"max_budget": None})
            assert raised.json["max_budget"] is None
            assert raised.json["user_count"] == 1
            assert (await house.post(chat("live:ok", max_tokens=5_000))).status == 200
            await ask(house, "PATCH", f"/v1/users/{user}", {"budget_id": None})
            assert (await ask(house, "DELETE", f"/v1/budgets/{budget['budget_id']}")).status == 204
            assert house.balanced()

    play(scene())


def test_prices_are_set_read_and_deleted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            reader = {"Authorization": f"Bearer {house.key}"}
            old = {**PRICE, "model_key": "live/ok", "effective_at": "2026-01-01T00:00:00Z"}
            first = await made(house, "/v1/pricing", old)
            assert (first["model_key"], first["effective_at"]) == ("live:ok", "2026-01-01T00:00:00.000+00:00")
            said = {**PRICE, "input_price_per_million": 0.15, "unit": "tokens"}  # as client libraries do
            assert (await made(house, "/v1/pricing", said))["unit"] == "token"
            now = await ask(house, "GET", "/v1/pricing/live:ok", **reader)
            assert b'"input_price_per_million":0.15,' in now.body
            then = await ask(house, "GET", "/v1/pricing/live:ok?as_of=2026-02-01", **reader)
            assert then.json["input_price_per_million"] == 1
            assert (await ask(house, "GET", "/v1/pricing/live:ok?as_of=2025-02-01")).status == 404
            assert len((await ask(house, "GET", "/v1/pricing/live:ok/history")).json) == 2
            assert (await ask(house, "POST", "/v1/pricing", PRICE, **reader)).json["detail"] == "Invalid master key"
            assert (await ask(house, "DELETE", "/v1/pricing/live:ok")).status == 204
            missing = await ask(house, "DELETE", "/v1/pricing/live:ok")
            assert (missing.status, missing.json["detail"]) == (404, "Pricing for model 'live:ok' not found")

    play(scene())


def test_usage_is_listed_summed_and_explained(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            await made(house, "/v1/pricing", PRICE)
            ids = [(await house.post(chat("live:ok"))).headers["Otari-Request-ID"] for _ in range(3)]
            rows = (await ask(house, "GET", "/v1/usage")).json
            assert [row["id"] for row in rows] == ids[::-1]
            page = (await ask(house, "GET", f"/v1/usage?limit=1&after={ids[2]}")).json
            assert [row["id"] for row in page] == [ids[1]]
            one = rows[0]
            nano = one["prompt_tokens"] * 1000 + one["completion_tokens"] * 2000
            assert (one["cost"], one["price_source"], one["usage_source"]) == (nano / 1e9, "api", "provider")
            assert (one["source"], one["counts_toward_budget"], one["status"]) == ("gateway", True, "success")
            start = quote(one["timestamp"])
            assert (await ask(house, "GET", f"/v1/usage?end_date={quote(rows[-1]['timestamp'])}")).json == []
            assert len((await ask(house, "GET", f"/v1/usage?start_date={start}")).json) >= 1
            (total,) = (await ask(house, "GET", "/v1/usage/totals?by=model")).json
            assert (total["name"], total["requests"]) == ("live:ok", 3)
            bill = (await ask(house, "GET", f"/v1/usage/{ids[0]}")).json
            assert bill["cost_nano_usd"] == bill["rounded_nano_usd"] == nano

    play(scene())


BAD = [
    ("POST", "/v1/keys", {"key_nam": "x"}, ["body", "key_nam"]),
    ("POST", "/v1/keys", {"key_name": 5}, ["body", "key_name"]),
    ("POST", "/v1/keys", {"expires_at": "SECRET-no-time"}, ["body", "expires_at"]),
    ("POST", "/v1/keys", [1], ["body"]),
    ("POST", "/v1/users", {}, ["body", "user_id"]),
    ("POST", "/v1/users", {"user_id": ""}, ["body", "user_id"]),
    ("POST", "/v1/users", {"user_id": "u", "token_limit": 5}, ["body", "token_limit"]),
    ("POST", "/v1/budgets", {"max_budget": -1}, ["body", "max_budget"]),
    ("POST", "/v1/budgets", {"max_budget": 1e300}, ["body", "max_budget"]),
    ("POST", "/v1/budgets", {"max_budget": 0.1234567891}, ["body", "max_budget"]),
    ("POST", "/v1/budgets", {"budget_duration_sec": 0}, ["body", "budget_duration_sec"]),
    ("POST", "/v1/budgets", {"reset_alignment": "SECRET"}, ["body", "reset_alignment"]),
    ("POST", "/v1/pricing", {**PRICE, "input_price_per_million": -1}, ["body", "input_price_per_million"]),
    ("POST", "/v1/pricing", {**PRICE, "input_price_per_million": 1e-9}, ["body", "input_price_per_million"]),
    ("POST", "/v1/pricing", {**PRICE, "model_key": "nothing"}, ["body", "model_key"]),
    ("GET", "/v1/users?limit=0", None, ["query", "limit"]),
    ("GET", "/v1/users?after=nobody", None, ["query", "after"]),
    ("GET", "/v1/budgets?after=none", None, ["query", "after"]),
    ("GET", "/v1/pricing?after=SECRET", None, ["query", "after"]),
    ("GET", "/v1/usage?after=none", None, ["query", "after"]),
    ("GET", "/v1/usage?start_date=9999-99-99", None, ["query", "start_date"]),
    ("GET", "/v1/usage/totals?by=SECRET", None, ["query", "by"]),
]


@pytest.mark.parametrize(("method", "path", "body", "loc"), BAD)
def test_what_breaks_its_schema_is_told_by_field(
    tmp_path: Path, method: str, path: str, body: object, loc: list[str]
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await ask(house, method, path, body)
            assert answer.status == 422
            (problem,) = answer.json["detail"]
            assert problem["loc"] == loc
            assert problem["msg"]
            assert set(problem) == {"type", "loc", "msg"}
            assert "SECRET" not in answer.body.decode()
            assert answer.error["message"]

    play(scene())


ALL_AT_ONCE: list[tuple[str, str, object, list[list[str | int]]]] = [
    (
        "POST",
        "/v1/keys",
        {"key_name": 5, "expires_at": "SECRET", "allowed_models": ["", "stub:echo", 7], "key_nam": "SECRET"},
        [["key_name"], ["expires_at"], ["allowed_models", 0], ["allowed_models", 2], ["key_nam"]],
    ),
    (
        "PATCH",
        "/v1/keys/any",
        {"is_active": None, "exclude_from_budget": "SECRET", "metadata": []},
        [["is_active"], ["metadata"], ["exclude_from_budget"]],
    ),
    ("POST", "/v1/users", {"alias": 1, "blocked": "SECRET"}, [["user_id"], ["alias"], ["blocked"]]),
    (
        "POST",
        "/v1/budgets",
        {"max_budget": -1, "budget_duration_sec": 1.5, "reset_alignment": "SECRET", "token_limit": 1},
        [["max_budget"], ["budget_duration_sec"], ["reset_alignment"], ["token_limit"]],
    ),
    (
        "POST",
        "/v1/pricing",
        {
            "model_key": "SECRET",
            "input_price_per_million": -1,
            "price_per_image": 1e-13,
            "effective_at": "SECRET",
            "pricing_tiers": [{"min_input_tokens": 0, "input_price_per_million": 1e-9}, {"input": 1}, "SECRET"],
        },
        [
            ["model_key"],
            ["input_price_per_million"],
            ["output_price_per_million"],
            ["price_per_image"],
            ["pricing_tiers", 0, "min_input_tokens"],
            ["pricing_tiers", 0, "input_price_per_million"],
            ["pricing_tiers", 1, "min_input_tokens"],
            ["pricing_tiers", 1, "input"],
            ["pricing_tiers", 2],
            ["effective_at"],
        ],
    ),
    ("GET", "/v1/users?limit=999999999&skip=-1", None, [["skip"], ["limit"]]),
    ("GET", "/v1/usage?start_date=SECRET&end_date=SECRET&limit=x", None, [["limit"], ["start_date"], ["end_date"]]),
]


@pytest.mark.parametrize(("method", "path", "body", "fields"), ALL_AT_ONCE)
def test_all_that_is_wrong_is_told_at_once(
    tmp_path: Path, method: str, path: str, body: object, fields: list[list[str | int]]
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await ask(house, method, path, body)
            assert answer.status == 422
            assert [problem["loc"][1:] for problem in answer.json["detail"]] == fields
            assert {problem["loc"][0] for problem in answer.json["detail"]} == {"query" if body is None else "body"}
            assert "SECRET" not in answer.body.decode()

    play(scene())


def test_a_key_may_have_ended_before_it_was_made(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            key = await made(house, "/v1/keys", {"expires_at": "2020-01-01T00:00:00"})
            assert key["expires_at"] == "2020-01-01T00:00:00.000+00:00"
            refused = await house.post(chat(), headers={"Authorization": f"Bearer {key['key']}"})
            assert (refused.status, refused.json["detail"]) == (401, "API key has expired")
            cleared = await ask(house, "PATCH", f"/v1/keys/{key['id']}", {"expires_at": None})
            assert cleared.json["expires_at"] is None
            assert (await house.post(chat(), headers={"Authorization": f"Bearer {key['key']}"})).status == 200

    play(scene())


CLEARED: list[tuple[str, dict[str, object], dict[str, object]]] = [
    (
        "/v1/keys",
        {
            "key_name": "ci",
            "expires_at": "2099-01-01",
            "metadata": {"a": 1},
            "allowed_models": ["stub:*"],
            "reject_user_mismatch": True,
            "budget_id": "BUDGET",
        },
        {"metadata": {}},
    ),
    (
        "/v1/users",
        {"alias": "Alice", "metadata": {"a": 1}, "allowed_models": ["stub:*"], "budget_id": "BUDGET"},
        {"metadata": {}},
    ),
    ("/v1/budgets", {"max_budget": 5, "name": "team", "budget_duration_sec": 60}, {}),
    ("/v1/budgets", {"max_budget": 5, "reset_alignment": "calendar_month"}, {}),
]


@pytest.mark.parametrize(("path", "facts", "empty"), CLEARED)
def test_null_clears_a_field_and_an_absent_one_stays(
    tmp_path: Path, path: str, facts: dict[str, object], empty: dict[str, object]
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            budget = await made(house, "/v1/budgets", {"max_budget": 1, "budget_duration_sec": 60})
            given = {name: budget["budget_id"] if value == "BUDGET" else value for name, value in facts.items()}
            extra = {"user_id": "alice"} if path == "/v1/users" else {}
            first = await made(house, path, {**given, **extra})
            place = f"{path}/{first.get('id') or first.get('budget_id' if path == '/v1/budgets' else 'user_id')}"
            unchanged = (await ask(house, "PATCH", place, {})).json
            told = {name: value for name, value in first.items() if name not in ("key", "updated_at")}
            assert {**unchanged, "updated_at": None} == {**told, "updated_at": None}
            for name in given:
                before = (await ask(house, "GET", place)).json
                changed = await ask(house, "PATCH", place, {name: None})
                assert changed.status == 200, changed.body
                assert changed.json[name] == empty.get(name)
                others = {other: changed.json[other] for other in given if other != name}
                assert others == {other: before[other] for other in others}
            ended = (await ask(house, "GET", place)).json
            assert {name: ended[name] for name in given} == {name: empty.get(name) for name in given}
            if "budget_id" in given:
                assert (ended["budget_started_at"], ended["next_budget_reset_at"]) == (None, None)

    play(scene())


def test_a_deleted_key_stays_in_the_history(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            key = await made(house, "/v1/keys", {"key_name": "ci", "user_id": "alice"})
            caller = {"Authorization": f"Bearer {key['key']}"}
            assert (await house.post(chat(), headers=caller)).status == 200
            assert (await ask(house, "DELETE", f"/v1/keys/{key['id']}")).status == 204
            assert (await house.post(chat(), headers=caller)).status == 401
            (row,) = (await ask(house, "GET", "/v1/usage?user_id=alice")).json
            assert (row["api_key_id"], row["api_key_name"]) == (key["id"], "ci")
            (total,) = (await ask(house, "GET", "/v1/usage/totals?by=key")).json
            assert (total["name"], total["label"]) == (key["id"], "ci")
            assert (await ask(house, "DELETE", f"/v1/keys/{key['id']}")).status == 404

    play(scene())


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_budget_in_use_names_who_is_under_it(tmp_path: Path, count: int) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            budget = await made(house, "/v1/budgets", {"max_budget": 1})
            path = f"/v1/budgets/{budget['budget_id']}"
            for number in range(count):
                await made(house, "/v1/users", {"user_id": f"u{number}", "budget_id": budget["budget_id"]})
            refused = await ask(house, "DELETE", path)
            assert (refused.status, refused.error["code"]) == (409, "budget_in_use")
            named = [f"u{number}" for number in range(count) if f"'u{number}'" in refused.json["detail"]]
            assert len(named) == min(count, 5)
            assert (f"{count - 5} more" in refused.json["detail"]) == (count > 5)
            for number in range(count):
                assert (await ask(house, "DELETE", f"/v1/users/u{number}")).status == 204
            assert (await ask(house, "DELETE", path)).status == 204

    play(scene())


def test_the_models_of_a_provider_are_asked_for(tmp_path: Path) -> None:
    async def scene() -> None:
        providers = {"stub": {"type": "stub"}, "lab": {"type": "stub"}}
        async with House(tmp_path, providers=providers, aliases={"fast": "stub:echo"}) as house:
            whole = (await house.get("/v1/models", **ADMIN)).json["data"]
            assert {card["owned_by"] for card in whole} == {"stub", "lab", "otari"}
            for owner in ("stub", "lab", "otari", "nobody"):
                shown = (await house.get(f"/v1/models?provider={owner}", **ADMIN)).json
                assert shown == {"object": "list", "data": [card for card in whole if card["owned_by"] == owner]}

    play(scene())


def test_a_name_that_no_model_can_have_has_no_price(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for method, path in (("GET", "nothing"), ("GET", "nothing/history"), ("DELETE", "nothing")):
                answer = await ask(house, method, f"/v1/pricing/{path}")
                assert (answer.status, answer.json["detail"]) == (404, "Pricing for model 'nothing' not found")

    play(scene())


@pytest.mark.parametrize(
    "raw", [b"{", b'{"max_budget": NaN}', b'{"max_budget": 1e400}', b"", b'{"metadata": "\\ud800"}']
)
def test_what_is_no_json_is_told_so(tmp_path: Path, raw: bytes) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(raw, path="/v1/budgets", headers=ADMIN)
            assert answer.status == 422

    play(scene())


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/users", "/v1/budgets", "/v1/usage"])
def test_only_the_master_key_manages(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for other in (house.key, "gw-" + "x" * 64, "mk-flows-0123456789abcdeg", "nothing"):
                answer = await house.get(path, Authorization=f"Bearer {other}")
                assert (answer.status, answer.json["detail"]) == (401, "Invalid master key")

    play(scene())


def test_a_management_body_is_small(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await ask(house, "POST", "/v1/keys", {"metadata": {"a": "x" * 70_000}})
            assert answer.status == 413

    play(scene())


def test_the_models_of_a_key_are_its_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            key = await made(house, "/v1/keys", {"allowed_models": ["stub:ech*"]})
            mine = {"Authorization": f"Bearer {key['key']}"}
            assert (await house.post(chat("stub:echo"), headers=mine)).status == 200
            refused = await house.post(chat("stub:script"), headers=mine)
            assert refused.status == 403
            assert refused.error["code"] == "model_not_allowed"

    play(scene())
