"""The anthropic package, unchanged, against the built gateway: lists of models, page by page, and counts of tokens."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.e2e.gateway import Gateway
from tests.gateway.coding_client import request

MODELS = [f"stub:m{number:02}" for number in range(45)]


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = {
        "providers": {
            "stub": {"type": "stub", "models": [model.removeprefix("stub:") for model in MODELS]},
            "openai": {"type": "openai", "api_key": "sk-0123456789abcdef", "models": ["gpt-4o"]},
        },
        "model_limits": {"stub:m00": {"context_window": 200_000, "max_output_tokens": 64_000}},
    }
    with Gateway(pyz, tmp_path_factory.mktemp("anthropic"), config) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


@pytest.mark.parametrize("limit", [7, 20, 1000])
def test_every_model_comes_once_over_all_pages(client: Anthropic, limit: int) -> None:
    listed = [model.id for model in client.models.list(limit=limit)]
    assert listed == ["openai:gpt-4o", *MODELS]


def test_a_page_knows_its_neighbours(client: Anthropic) -> None:
    first = client.models.list(limit=10)
    assert (first.has_more, first.first_id, first.last_id) == (True, "openai:gpt-4o", MODELS[8])
    second = first.get_next_page()
    assert [model.id for model in second.data] == MODELS[9:19]
    before = client.models.list(limit=5, before_id=second.data[0].id)
    assert [model.id for model in before.data] == MODELS[4:9]
    backward = [model.id for model in client.models.list(limit=5, before_id=MODELS[9])]
    assert sorted(backward) == ["openai:gpt-4o", *MODELS[:9]]


def test_a_model_tells_what_it_takes_and_gives(client: Anthropic) -> None:
    model = client.models.retrieve("stub:m00")
    assert (model.id, model.type, model.display_name) == ("stub:m00", "model", "stub:m00")
    assert (model.max_input_tokens, model.max_tokens, model.lifecycle) == (200_000, 64_000, "active")
    assert model.created_at.year == 1970
    assert list(client.models.list(lifecycle=["retired"])) == []
    assert len(list(client.models.list(lifecycle=["active", "retired"], limit=1000))) == len(MODELS) + 1


def test_a_model_that_is_not_there_is_not_found(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.models.retrieve("stub:nobody")
    assert caught.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "Model 'stub:nobody' not found"},
        "detail": "Model 'stub:nobody' not found",
    }


@pytest.mark.parametrize("model", ["openai:gpt-4o", "stub:m00"])
def test_tokens_are_counted(client: Anthropic, model: str) -> None:
    asked: dict[str, Any] = request(48_000, model=model)
    counted = client.messages.count_tokens(**asked)
    assert 8_000 < counted.input_tokens < 16_000
    assert counted.to_dict() == {"input_tokens": counted.input_tokens}


def test_a_model_of_nobody_is_a_bad_request(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="not configured"):
        client.messages.count_tokens(model="nobody:m", messages=[{"role": "user", "content": "Hello"}])


def test_what_comes_at_once_is_all_counted_and_none_of_it_charged(gateway: Gateway) -> None:
    async def many() -> list[int]:
        async with AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
            asked = [request(chars, model="openai:gpt-4o", seed=seed) for seed, chars in enumerate([600, 86_000] * 12)]
            counts = await asyncio.gather(*(client.messages.count_tokens(**body) for body in asked))
            return [count.input_tokens for count in counts]

    counts = asyncio.run(many())
    assert len(counts) == 24
    assert min(counts[1::2]) > 10 * max(counts[::2])
    assert gateway.ledger.usage() == []
