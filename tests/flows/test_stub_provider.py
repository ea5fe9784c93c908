"""A scripted provider in an ordinary configuration: beside real ones, in fallback chains, with prices."""

from pathlib import Path
from typing import Any

import pytest

from tests.flows.house import House, chat, play
from tests.flows.stage import Stage, said
from tests.scripted import ScriptedProvider

SCRIPT = """
stub: 1
rules:
- {id: one, when: {user: "fail, please"}, reply: {error: 500}}
- {id: any, reply: {say: "I am ${model}", usage: {input: 1000, output: 10}}}
"""
DEAR = {"stub:dear": {"input_price_per_million": 3, "output_price_per_million": 15}}


def house(folder: Path, provider: ScriptedProvider | None = None, *chain: str, **config: Any) -> House:
    """As the page has it: a script as a provider, and a chain of models that it is in."""
    (folder / "stub.yaml").write_text(SCRIPT)
    made = House(folder, provider, aliases={"fast": list(chain)} if chain else {}, pricing=DEAR, **config)
    providers = made.config["providers"]
    assert isinstance(providers, dict)
    providers["stub"] = {"type": "stub", "script": str(folder / "stub.yaml")}
    return made


def tried(gateway: House) -> list[tuple[str, ...]]:
    """The answer first, and what failed before it."""
    return [tuple(row[name] for name in ("selector", "provider", "model", "status")) for row in gateway.rows()]


def test_it_takes_over_when_the_provider_before_it_fails(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            ScriptedProvider() as provider,
            house(tmp_path, provider, "live:status-503", "stub:script") as gateway,
        ):
            assert said(await gateway.post(chat("fast"))) == "I am script"
            assert len(provider.requests) == 1
            assert tried(gateway) == [("fast", "stub", "script", "success"), ("fast", "live", "status-503", "absorbed")]

    play(scene())


def test_it_may_stand_before_a_real_one_and_fail_as_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, house(tmp_path, provider, "stub:script", "live:ok") as gateway:
            assert (await gateway.post(chat("fast", "fail, please"))).status == 200
            assert len(provider.requests) == 1
            assert tried(gateway) == [("fast", "live", "ok", "success"), ("fast", "stub", "script", "absorbed")]

    play(scene())


def test_its_models_cost_what_is_set_for_them_and_else_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, require_pricing=True) as gateway:
            for model in ("stub:dear", "stub:cheap"):
                assert (await gateway.post(chat(model, max_tokens=10))).status == 200
            assert [row["cost_nano"] for row in gateway.rows()] == [1000 * 3000 + 10 * 15000, 0]
            assert gateway.balanced()

    play(scene())


def test_without_a_session_of_its_own_a_key_is_needed_as_everywhere(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as gateway:
            refused = await gateway.post(chat("stub:script"), headers={"Authorization": "Bearer sk-stub-me"})
            assert refused.status == 401

    play(scene())


SPOKEN = "A text that is long enough to be spoken"
SURFACES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
    ("messages", {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}),
    ("messages/count_tokens", {"messages": [{"role": "user", "content": "hello"}]}),
    ("responses", {"input": "hello"}),
    ("embeddings", {"input": "hello"}),
    ("moderations", {"input": "hello"}),
    ("rerank", {"query": "hello", "documents": ["a", "b"]}),
    ("images/generations", {"prompt": "hello"}),
    ("audio/speech", {"input": SPOKEN, "voice": "alloy"}),
)


@pytest.mark.parametrize("speaks", ["openai-chat", "anthropic-messages", "openai-responses", "gemini"])
@pytest.mark.parametrize(("path", "body"), SURFACES, ids=[path for path, _ in SURFACES])
def test_every_surface_answers_whatever_dialect_the_stub_speaks(
    tmp_path: Path, path: str, body: dict[str, Any], speaks: str
) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, "rules: [{id: hi, when: {user: hello}, reply: Hi}]", speaks=(speaks,)) as stage:
            answer = await stage.post({"model": "any", **body}, path=f"/v1/{path}")
            assert answer.status == 200, answer.body
            assert answer.whole
            assert answer.body

    play(scene())


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/anything", "/health", "/health/readiness", "/docs"])
def test_what_is_only_looked_at_answers_too(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, "rules: [{reply: Hi}]") as stage:
            assert (await stage.get(path)).status == 200
            assert (await stage.get(path, **{"anthropic-version": "2023-06-01"})).status == 200

    play(scene())
