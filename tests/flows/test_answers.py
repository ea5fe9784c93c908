"""Every answer of Otari's own routes is what the served document says: fields, types, null, headers, statuses."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from otari.domain.access import Access
from otari.web.openapi import plain_path
from otari.web.server import limit_connections
from otari.web.table import ROUTES
from tests.flows.house import MASTER, Answer, House, chat, play
from tests.flows.reference import Reference
from tests.scripted import ScriptedProvider

ADMIN = {"Authorization": f"Bearer {MASTER}"}
OWN = ("keys", "users", "budgets", "pricing", "usage", "models", "health")  # tags
PRICE = {"model_key": "live:ok", "input_price_per_million": 0.15, "output_price_per_million": "0.6"}
FULL_PRICE = {
    "model_key": "live:obeys",
    "input_price_per_million": 1,
    "output_price_per_million": 2.5,
    "cache_read_price_per_million": 0.000001,
    "cache_write_price_per_million": 999_999_999.999999,
    "cache_write_1h_price_per_million": 3,
    "reasoning_price_per_million": 4,
    "price_per_request": "0.000000000001",
    "price_per_image": 0.04,
    "price_per_second": 0.0001,
    "price_per_character": 1000,
    "unit": "image",
    "pricing_tiers": [{"min_input_tokens": 200_000, "input_price_per_million": 2, "reasoning_price_per_million": 8}],
    "effective_at": "2026-01-01T00:00:00+02:00",
}


class Client:
    """Asks a house with the master key, and has every answer judged."""

    def __init__(self, house: House, reference: Reference) -> None:
        self._house = house
        self.reference = reference

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        answer = await self._house.request(method, path, {**ADMIN, **headers}, json=body)
        self.reference.check(method, path, answer)
        return answer

    async def made(self, path: str, body: object) -> Any:
        answer = await self.ask("POST", path, body)
        assert answer.status == 200, answer.body
        return answer.json


async def judged(house: House) -> Client:
    return Client(house, Reference((await house.get("/openapi.json")).body))


async def _manage(client: Client) -> None:
    """Keys, users, budgets and prices: with everything that can be said of them, and with as little as can be."""
    budget = await client.made("/v1/budgets", {"name": "team", "max_budget": 8.123456789, "budget_duration_sec": 60})
    bare = await client.made("/v1/budgets", {})
    aligned = await client.made("/v1/budgets", {"reset_alignment": "calendar_week"})
    limits = {"budget_id": budget["budget_id"], "allowed_models": ["live:*", "stub:*"], "metadata": {"a": [1, None]}}
    await client.made("/v1/users", {"user_id": "alice", "alias": "A", **limits})
    await client.made("/v1/users", {"user_id": "bob"})
    full = {"key_name": "ci", "user_id": "alice", "expires_at": "2099-01-01", "reject_user_mismatch": True, **limits}
    key = await client.made("/v1/keys", full)
    other = await client.made("/v1/keys", {})
    for path in (f"/v1/keys/{key['id']}", f"/v1/keys/{other['id']}", "/v1/users/alice", "/v1/users/bob"):
        await client.ask("GET", path)
    await client.ask("PATCH", f"/v1/keys/{key['id']}", {"is_active": False, "key_name": None, "metadata": None})
    await client.ask("POST", f"/v1/keys/{other['id']}/rotate")
    await client.ask("PATCH", "/v1/users/bob", {"blocked": True, "alias": "B", "budget_id": aligned["budget_id"]})
    await client.ask("PATCH", f"/v1/budgets/{budget['budget_id']}", {"max_budget": None, "name": ""})
    for made in (budget, bare, aligned):
        await client.ask("GET", f"/v1/budgets/{made['budget_id']}")
    for path in ("/v1/keys", "/v1/users", "/v1/budgets"):
        assert len((await client.ask("GET", path)).json) >= 2
    await client.ask("DELETE", f"/v1/keys/{other['id']}")
    await client.ask("DELETE", f"/v1/budgets/{bare['budget_id']}")
    await client.ask("DELETE", "/v1/users/bob")


async def _price(client: Client) -> None:
    await client.made("/v1/pricing", PRICE)
    await client.made("/v1/pricing", FULL_PRICE)
    await client.made("/v1/pricing", {**PRICE, "model_key": "live:gone"})
    await client.ask("GET", "/v1/pricing/live:obeys")
    await client.ask("GET", "/v1/pricing/live:obeys/history")
    assert len((await client.ask("GET", "/v1/pricing")).json) == 4
    await client.ask("DELETE", "/v1/pricing/live:gone")


async def _spend(house: House, client: Client) -> None:
    """Rows of every kind: priced and not, with and without a key, failed, absorbed, counted here."""
    user = {"user": "alice"}
    assert (await house.post(chat("live:ok"))).status == 200
    assert (await house.post(chat("live:obeys", max_tokens=3, **user), headers=ADMIN)).status == 200
    assert (await house.post(chat("fast"))).status == 200
    assert (await house.post(chat("stub:unpriced"))).status == 200
    assert (await house.post(chat("live:status-500"))).status == 502
    assert (await house.post(chat("live:usage_missing"))).status == 200
    assert (await house.post(chat("live:ok", stream=True))).status == 200
    await house.write("UPDATE users SET next_reset_at_ms = 1000 WHERE user_id = 'alice'")
    assert (await house.post(chat("live:ok", **user), headers=ADMIN)).status == 200
    budget_id = (await client.ask("GET", "/v1/users/alice")).json["budget_id"]
    resets = (await client.ask("GET", f"/v1/budgets/{budget_id}/reset-logs")).json
    assert [reset["user_id"] for reset in resets] == ["alice"]
    rows = (await client.ask("GET", "/v1/usage")).json
    assert {row["status"] for row in rows} == {"success", "error", "absorbed"}
    assert {row["price_source"] for row in rows} == {"api", "config", "none"}
    for row in rows:
        await client.ask("GET", f"/v1/usage/{row['id']}")
    for by in ("day", "model", "key", "user"):
        assert (await client.ask("GET", f"/v1/usage/totals?by={by}")).json
    assert (await client.ask("GET", "/v1/users/alice/usage?limit=1")).json


async def _look(client: Client) -> None:
    for path in ("/health", "/health/liveness", "/health/readiness", "/v1/models", "/v1/models/live:ok"):
        assert (await client.ask("GET", path)).status == 200


def test_every_own_route_answers_as_documented(tmp_path: Path) -> None:
    async def scene() -> None:
        pricing = {"live:status-500": {"input_price_per_million": 1, "output_price_per_million": 1}}
        aliases = {"fast": ["live:status-500", "live:ok"]}
        async with (
            ScriptedProvider() as provider,
            House(tmp_path, provider, aliases=aliases, pricing=pricing) as house,
        ):
            client = await judged(house)
            await _price(client)
            await _manage(client)
            await _spend(house, client)
            await _look(client)
            own = {
                operation["operationId"]
                for item in client.reference.paths.values()
                for method, operation in item.items()
                if method != "servers" and operation["tags"][0] in OWN
            }
            done = {name for name, status in client.reference.seen if status < 300}
            assert own - done == set(), "no answer of these was looked at"

    play(scene())


REFUSED = [
    ("GET", "/v1/keys/nope", None, 404, "API key with id 'nope' not found"),
    ("PATCH", "/v1/keys/nope", {}, 404, "API key with id 'nope' not found"),
    ("DELETE", "/v1/keys/nope", None, 404, "API key with id 'nope' not found"),
    ("POST", "/v1/keys/nope/rotate", None, 404, "API key with id 'nope' not found"),
    ("POST", "/v1/keys", {"budget_id": "nope"}, 404, "Budget with id 'nope' not found"),
    (
        *("POST", "/v1/keys", {"user_id": "removed"}, 404),
        "User 'removed' has been deleted. Recreate via POST /v1/users first.",
    ),
    ("POST", "/v1/users", {"user_id": "alice"}, 409, "User with id 'alice' already exists"),
    ("POST", "/v1/users", {"user_id": "new", "budget_id": "nope"}, 404, "Budget with id 'nope' not found"),
    ("GET", "/v1/users/nope", None, 404, "User with id 'nope' not found"),
    ("GET", "/v1/users/removed", None, 404, "User with id 'removed' not found"),
    ("GET", "/v1/users/nope/usage", None, 404, "User with id 'nope' not found"),
    ("PATCH", "/v1/users/alice", {"budget_id": "nope"}, 404, "Budget with id 'nope' not found"),
    ("DELETE", "/v1/users/nope", None, 404, "User with id 'nope' not found"),
    ("GET", "/v1/budgets/nope", None, 404, "Budget with id 'nope' not found"),
    ("GET", "/v1/budgets/nope/reset-logs", None, 404, "Budget with id 'nope' not found"),
    ("PATCH", "/v1/budgets/nope", {}, 404, "Budget with id 'nope' not found"),
    ("DELETE", "/v1/budgets/nope", None, 404, "Budget with id 'nope' not found"),
    (
        *("DELETE", "/v1/budgets/{budget}", None, 409),
        "Budget with id '{budget}' is in use by 1 user ('alice'): take it from them first",
    ),
    (
        *("PATCH", "/v1/budgets/{budget}", {"reset_alignment": "calendar_day"}, 409),
        "A budget has either 'budget_duration_sec' or 'reset_alignment', not both: clear one of them with null",
    ),
    ("GET", "/v1/pricing/live:nope", None, 404, "Pricing for model 'live:nope' not found"),
    ("GET", "/v1/pricing/live/nope/history", None, 404, "Pricing for model 'live:nope' not found"),
    ("DELETE", "/v1/pricing/live:nope", None, 404, "Pricing for model 'live:nope' not found"),
    (
        *("DELETE", "/v1/pricing/live:nope?effective_at=1767225600", None, 404),
        "Pricing for model 'live:nope' with effective_at 2026-01-01T00:00:00.000+00:00 not found",
    ),
    ("GET", "/v1/usage/nope", None, 404, "Usage entry with id 'nope' not found"),
    ("GET", "/v1/models/live:nope", None, 404, "Model 'live:nope' not found"),
]


def test_what_is_not_there_or_in_the_way_is_told_in_the_known_words(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client = await judged(house)
            budget = (await client.made("/v1/budgets", {"budget_duration_sec": 60}))["budget_id"]
            await client.made("/v1/users", {"user_id": "alice", "budget_id": budget})
            await client.made("/v1/users", {"user_id": "removed"})
            await client.ask("DELETE", "/v1/users/removed")
            for prefix in ("", "/api"):
                for method, path, body, status, told in REFUSED:
                    answer = await client.ask(method, prefix + path.format(budget=budget), body)
                    assert (answer.status, answer.json["detail"]) == (status, told.format(budget=budget))
                    assert answer.error["message"] == answer.json["detail"]

    play(scene())


STRANGE = [
    "a/b",
    "a/usage",
    "/",
    'it\'s "quoted" \\ back',
    "🐍",
    "per%cent",
    "line\nbreak",
    "{braces}",
    "?q=1#f",
    "..",
    " ",
]


@pytest.mark.parametrize("name", STRANGE)
def test_an_id_of_any_characters_is_found_or_not_in_json(tmp_path: Path, name: str) -> None:
    """Ids in a path are written percent-encoded, slashes too."""

    async def scene() -> None:
        async with House(tmp_path) as house:
            client = await judged(house)
            there = quote(name, safe="") if name != ".." else "%2E%2E%2F"
            for route in ROUTES:
                if "{" in route.path and route.access is not Access.OPEN:
                    path = plain_path(route.path)
                    path = path[: path.index("{")] + there + path[path.index("}") + 1 :]
                    body: object = None if route.body is None else {}
                    mine = {} if route.access is Access.MASTER else {"Authorization": f"Bearer {house.key}"}
                    answer = await client.ask(route.method, path, body, **mine)
                    assert answer.status == 404, path
                    assert answer.json["detail"] != "Not Found", path

    play(scene())


def test_what_needs_a_key_is_refused_without_one_and_with_a_wrong_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client = await judged(house)
            for route in ROUTES:
                path = plain_path(route.path)
                if route.access is Access.OPEN:
                    continue
                without = await client.ask(route.method, path, Authorization="")
                assert without.status == 401, path
                wrong = await client.ask(route.method, path, Authorization="Bearer gw-wrong")
                assert wrong.status in (401, 429), path  # too many wrong ones from one address are not looked at
                if route.access is Access.MASTER:
                    users = await client.ask(route.method, path, Authorization=f"Bearer {house.key}")
                    assert (users.status, users.json["detail"]) == (401, "Invalid master key")

    play(scene())


def test_a_path_belongs_to_the_first_row_that_takes_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client = await judged(house)
            await client.made("/v1/users", {"user_id": "a/usage"})
            for path, allowed in (("/v1/users/a/usage", "GET"), ("/api/v1/pricing/m:x/history", "GET")):
                async with house.client.delete(house.base + path, headers=ADMIN) as response:
                    assert (response.status, response.headers["Allow"]) == (405, allowed)
            assert (await client.ask("DELETE", "/v1/users/a%2Fusage")).status == 204

    play(scene())


def test_a_connection_too_many_and_an_unknown_encoding_are_answered_as_documented(tmp_path: Path) -> None:
    """These are written before any handler is asked."""

    async def scene() -> None:
        async with House(tmp_path) as house:
            client = await judged(house)
            for encoding in ("br", "zstd", "nothing"):
                path, headers = "/v1/keys", {**ADMIN, "Content-Encoding": encoding, "Content-Type": "application/json"}
                answer = await house.request("POST", path, headers, data=b"{}")
                client.reference.check("POST", path, answer)
                assert (answer.status, answer.error["param"]) == (415, "Content-Encoding")
            assert house.runner.server is not None
            limit_connections(house.runner.server, 0)
            head, _, body = (await house.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")).partition(b"\r\n\r\n")
            status, *lines = head.decode().split("\r\n")
            full = Answer(int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body, True)
            client.reference.check("GET", "/health", full)
            assert (full.status, full.headers["Retry-After"]) == (503, "1")

    play(scene())
