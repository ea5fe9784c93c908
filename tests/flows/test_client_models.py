"""What the public clients of Otari demand of our answers (`client_models.yaml`) is in them."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.flows.house import MASTER, House, chat, play
from tests.scripted import ScriptedProvider

DEMANDED: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("client_models.yaml").read_text())
TIER = {"min_input_tokens": 1000, "input_price_per_million": 2, "output_price_per_million": 4}
PRICE = {
    "model_key": "live:ok",
    "input_price_per_million": 1,
    "output_price_per_million": 2,
    "pricing_tiers": [TIER],
}


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and str(uuid.UUID(value)) == value


TYPES: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "flag": lambda value: isinstance(value, bool),
    "map": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "uuid": _is_uuid,
}


def lacks(answer: dict[str, Any], model: str) -> list[str]:
    """The demands of a client that an answer does not meet."""
    found = []
    for field, kind in DEMANDED[model].items():
        if field not in answer:
            found.append(f"{model}: there is no {field}")
        elif not (answer[field] is None and kind.endswith("?")) and not TYPES[kind.rstrip("?")](answer[field]):
            found.append(f"{model}: {field} is {answer[field]!r}, not {kind}")
    return found


def test_what_clients_demand_is_there(tmp_path: Path) -> None:
    seen: list[tuple[str, Any]] = []

    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:

            async def ask(method: str, path: str, body: object = None) -> Any:
                headers = {"Authorization": f"Bearer {MASTER}"}
                async with house.client.request(method, house.base + path, json=body, headers=headers) as response:
                    assert response.status == 200, await response.text()
                    return await response.json()

            price = await ask("POST", "/api/v1/pricing", PRICE)
            budget = await ask("POST", "/api/v1/budgets", {"max_budget": 1, "budget_duration_sec": 60})
            under = f"/api/v1/budgets/{budget['budget_id']}"
            user = await ask("POST", "/api/v1/users", {"user_id": "alice", "budget_id": budget["budget_id"]})
            key = await ask("POST", "/api/v1/keys", {"user_id": "alice"})
            caller = {"Authorization": f"Bearer {key['key']}"}
            assert (await house.post(chat("live:ok"), headers=caller)).status == 200
            assert (await house.post(chat("live:status-500"), headers=caller)).status == 502
            await house.write("UPDATE users SET next_reset_at_ms = 1 WHERE user_id = ?", "alice")
            completion = (await house.post(chat("live:ok"), headers=caller)).json
            models = await ask("GET", "/api/v1/models")

            seen.extend([("price", price), ("budget", budget), ("user", user), ("new key", key), ("models", models)])
            seen.append(("chat completion", completion))
            seen.append(("new key", await ask("POST", f"/api/v1/keys/{key['id']}/rotate")))
            seen.append(("key", await ask("PATCH", f"/api/v1/keys/{key['id']}", {"key_name": None})))
            seen.append(("user", await ask("GET", "/api/v1/users/alice")))
            seen.append(("budget", await ask("GET", under)))
            for model, path in (
                ("price", "/api/v1/pricing"),
                ("price", "/api/v1/pricing/live:ok/history"),
                ("budget", "/api/v1/budgets"),
                ("reset", f"{under}/reset-logs"),
                ("user", "/api/v1/users"),
                ("key", "/api/v1/keys"),
                ("usage", "/api/v1/usage"),
                ("usage of a user", "/api/v1/users/alice/usage"),
            ):
                listed = await ask("GET", path)
                assert listed, path
                seen.extend((model, entry) for entry in listed)
            seen.extend(("model", card) for card in models["data"])
            seen.extend(("model price", card["pricing"]) for card in models["data"] if card["pricing"])
            seen.extend(("tier", tier) for tier in price["pricing_tiers"])

    play(scene())
    assert {model for model, _ in seen} == set(DEMANDED)
    assert [each for model, answer in seen for each in lacks(answer, model)] == []


def test_a_demand_that_is_not_met_is_noticed() -> None:
    assert lacks({"object": "list"}, "models") == ["models: there is no data"]
    assert lacks({"object": "list", "data": None}, "models") == ["models: data is None, not list"]
    assert lacks({"id": True, "object": "model", "created": 0, "owned_by": "x", "pricing": None}, "model") == [
        "model: id is True, not text"
    ]
