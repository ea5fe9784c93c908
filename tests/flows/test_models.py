"""`GET /v1/models` in both vendors' shapes, with limits."""

from pathlib import Path
from typing import Any

import pytest

from tests.flows.house import House, play

VERSION = {"anthropic-version": "2023-06-01"}
PROVIDERS: dict[str, object] = {
    "stub": {"type": "stub", "models": [f"m{number:02}" for number in range(30)]},
    "openai": {"type": "openai", "api_key": "sk-0123456789abcdef", "models": ["gpt-4o"]},
}
ALIASES = {"fast": ["openai:gpt-4o", "stub:m01", "stub:m00"]}
LIMITS = {"openai:gpt-4o": {"max_output_tokens": 16_384}, "stub:m01": {"context_window": 32_000}}


def house_with(folder: Path) -> House:
    return House(folder, providers=PROVIDERS, aliases=ALIASES, model_limits=LIMITS)


def test_cards_tell_limits_where_they_are_known(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house_with(tmp_path) as house:
            key = {"Authorization": f"Bearer {house.key}"}
            listed: dict[str, Any] = {card["id"]: card for card in (await house.get("/v1/models", **key)).json["data"]}
            known, unknown = listed["openai:gpt-4o"], listed["stub:m00"]
            assert (known["context_window"], known["max_output_tokens"]) == (128_000, 16_384)
            assert (unknown["context_window"], unknown["max_output_tokens"]) == (None, None)
            fast = listed["fast"]  # any of its models may be asked
            assert (fast["owned_by"], fast["context_window"], fast["max_output_tokens"]) == ("otari", 32_000, 16_384)
            one = (await house.get("/v1/models/openai:gpt-4o", **key, **VERSION)).json
            assert (one["type"], one["max_input_tokens"], one["max_tokens"]) == ("model", 128_000, 16_384)

    play(scene())


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_client_that_sends_anthropic_version_gets_pages(tmp_path: Path, prefix: str) -> None:
    async def scene() -> None:
        async with house_with(tmp_path) as house:
            headers = {"x-api-key": house.key, **VERSION}
            first = (await house.get(f"{prefix}/v1/models", **headers)).json
            assert (len(first["data"]), first["has_more"], "object" in first) == (20, True, False)
            rest = (await house.get(f"{prefix}/v1/models?limit=1000&after_id={first['last_id']}", **headers)).json
            assert (len(rest["data"]), rest["has_more"]) == (12, False)
            back = (await house.get(f"{prefix}/v1/models?before_id={rest['first_id']}", **headers)).json
            assert (back["data"], back["has_more"]) == (first["data"], False)
            own = (await house.get(f"{prefix}/v1/models?provider=otari&beta=true", **headers)).json
            assert [info["id"] for info in own["data"]] == ["fast"]
            retired = (await house.get(f"{prefix}/v1/models?lifecycle[]=retired", **headers)).json
            assert retired["data"] == []

    play(scene())


@pytest.mark.parametrize(
    ("path", "status", "kind", "word"),
    [
        ("?limit=0", 400, "invalid_request_error", "limit"),
        ("?limit=1001", 400, "invalid_request_error", "limit"),
        ("?limit=many", 400, "invalid_request_error", "limit"),
        ("?after_id=stub:nope", 400, "invalid_request_error", "after_id"),
        ("/stub:nope", 404, "not_found_error", "stub:nope"),
    ],
)
def test_refusals_have_the_shape_that_such_a_client_reads(
    tmp_path: Path, path: str, status: int, kind: str, word: str
) -> None:
    async def scene() -> None:
        async with house_with(tmp_path) as house:
            answer = await house.get(f"/v1/models{path}", Authorization=f"Bearer {house.key}", **VERSION)
            assert (answer.status, answer.json["type"], answer.error["type"]) == (status, "error", kind)
            assert word in answer.error["message"]

    play(scene())


def test_clients_of_openai_get_the_whole_list_whatever_they_add(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house_with(tmp_path) as house:
            answer = await house.get("/v1/models?limit=5000&after_id=x", Authorization=f"Bearer {house.key}")
            assert (answer.status, answer.json["object"], len(answer.json["data"])) == (200, "list", 32)

    play(scene())
