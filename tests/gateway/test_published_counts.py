"""Counts of OpenAI's models against the rules that OpenAI has published for them: never under by more than 3 per cent.

The rules are those of OpenAI's cookbook ("How to count tokens with tiktoken", sections 6 and 7), which are correct to
the token for plain messages and functions. They are written here once more, from their description.
"""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.domain.catalog import Catalog, ModelRef
from otari.domain.provider import Provider
from otari.domain.tokens import Approximate
from otari.gateway.counting import Counting
from tests.gateway.coding_client import Writer, request
from tests.gateway.tables import TOKENIZERS

# The encoding of a model, and what stands around a function of it.
RULES = {"gpt-4o": ("o200k_base", 7), "gpt-4": ("cl100k_base", 10)}
SHORT = 0.97

words = st.text(st.sampled_from("abcdefghij klmnop.,_\n漢字é👋"), max_size=200)
names = st.text(st.sampled_from("abcdefghij_"), min_size=1, max_size=12)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": words}),
    min_size=1,
    max_size=12,
)
properties = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "boolean"]), "description": words},
    optional={"enum": st.lists(names, min_size=1, max_size=20, unique=True)},
)
tools = st.lists(
    st.fixed_dictionaries(
        {
            "name": names,
            "description": words,
            "input_schema": st.dictionaries(names, properties, max_size=8).map(
                lambda told: {"type": "object", "properties": told, "required": list(told)[:2]}
            ),
        }
    ),
    max_size=6,
)


def published(model: str, told: list[dict[str, Any]], functions: list[dict[str, Any]]) -> int:
    """The tokens of a request by the published rules."""
    encoding, around = RULES[model]
    count = TOKENIZERS[encoding].count
    total = 3 + sum(3 + count(message["role"]) + count(message["content"]) for message in told)
    for function in functions:
        total += around + count(f"{function['name']}:{function['description'].removesuffix('.')}")
        fields = function["input_schema"]["properties"]
        total += 3 * bool(fields) + 3 * len(fields)
        for name, field in fields.items():
            if "enum" in field:
                total += sum(3 + count(value) for value in field["enum"]) - 3
            total += count(f"{name}:{field['type']}:{field['description'].removesuffix('.')}")
    return total + 12 * bool(functions)


def ours(model: str, doc: dict[str, Any]) -> int:
    book = Counting(Catalog([Provider("openai", "live")]), Approximate(), TOKENIZERS, lambda: 0)
    try:
        return asyncio.run(book.count(ANTHROPIC_MESSAGES, doc, 10**6, ModelRef("openai", model)))
    finally:
        book.close()


@pytest.mark.parametrize("model", RULES)
@settings(deadline=None, max_examples=60)
@given(told=messages)
def test_messages_have_no_fewer_tokens_than_published(model: str, told: list[dict[str, Any]]) -> None:
    rule = published(model, told, [])
    assert SHORT * rule <= ours(model, {"model": "m", "messages": told}) <= rule + len(told) + 3


@pytest.mark.parametrize("model", RULES)
@settings(deadline=None, max_examples=60)
@given(told=messages, functions=tools)
def test_tools_have_no_fewer_tokens_than_published(
    model: str, told: list[dict[str, Any]], functions: list[dict[str, Any]]
) -> None:
    doc = {"model": "m", "messages": told, "tools": functions}
    assert ours(model, doc) >= SHORT * published(model, told, functions)


# Where the published rule finds more than a type has: short names, and descriptions of a token or none.
@pytest.mark.parametrize("model", RULES)
@pytest.mark.parametrize("kind", ["string", "integer"])
@pytest.mark.parametrize("description", ["", " ", "_", "_,_", "é "])
@pytest.mark.parametrize("choices", [None, ["_", "__", "___"], ["a_" * times for times in range(1, 7)]])
def test_the_smallest_properties_have_no_fewer_tokens_than_published(
    model: str, kind: str, description: str, choices: list[str] | None
) -> None:
    field = {"type": kind, "description": description} | ({} if choices is None else {"enum": choices})
    fields = {"_" * length: field for length in range(1, 9)}
    function = {"name": "_", "description": "", "input_schema": {"type": "object", "properties": fields}}
    told = [{"role": "user", "content": ""}]
    rule = published(model, told, [function] * 6)
    assert ours(model, {"model": "m", "messages": told, "tools": [function] * 6}) >= SHORT * rule


@pytest.mark.parametrize("model", RULES)
def test_the_tools_of_a_coding_client_are_counted_closely(model: str) -> None:
    told = [{"role": "user", "content": Writer(1).prose(3_000)}]
    functions = request(60_000)["tools"]
    rule = published(model, told, functions)
    assert SHORT * rule <= ours(model, {"model": "m", "messages": told, "tools": functions}) <= 1.12 * rule


def test_a_greeting_is_about_as_small_as_it_is() -> None:
    """8 tokens, as OpenAI's API counts it."""
    assert 8 <= ours("gpt-4o", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}) <= 12
