"""Which family a model belongs to, by the many ways in which its name is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.families import family_of
from otari.domain.pictures import Size


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("ft:gpt-4o:acme::1", "gpt-4o"),
        ("chatgpt-4o-latest", "gpt-4o"),
        ("gpt-4.1", "gpt-4o"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("gpt-4.1-nano", "gpt-4.1-nano"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4", "gpt-4"),
        ("gpt-4-turbo-2024-04-09", "gpt-4"),
        ("gpt-3.5-turbo", "gpt-4"),
        ("gpt-35-turbo", "gpt-4"),
        ("o1", "o-series"),
        ("openai/o3-pro", "o-series"),
        ("o4-mini-2025-04-16", "o4-mini"),
        ("gpt-5", "gpt-5"),
        ("gpt-5.1-codex", "gpt-5"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gpt-5.4-nano", "gpt-5-nano"),
        ("gpt-5.5-pro", "gpt-5.4"),
        ("global.openai.gpt-5.6-sol", "gpt-5.4"),
        ("gpt-6.1-sol", "gpt"),
        ("gpt-oss-120b", "gpt-oss"),
        ("claude-3-5-sonnet-20241022", "claude"),
        ("claude-2.1", "claude"),
        ("claude-opus-4-20250514", "claude"),
        ("claude-4-sonnet", "claude"),
        ("anthropic/claude-sonnet-4.5", "claude"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude"),
        ("claude-opus-4-6", "claude"),
        ("claude-opus-4-7", "claude, since 4.7"),
        ("claude-opus-4.8-fast", "claude, since 4.7"),
        ("claude-sonnet-5-5", "claude, since 4.7"),
        ("claude-fable-5", "claude, since 4.7"),
        ("models/gemini-2.5-pro", "gemini"),
        ("gemma-3-27b-it", "gemini"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama"),
        ("Llama-2-7b-chat-hf", "llama 2"),
        ("mixtral-8x7b-instruct", "llama 2"),
        ("mistral-large-latest", "mistral"),
        ("Qwen/Qwen3-Coder-480B", "qwen"),
        ("deepseek-chat", "deepseek"),
        ("deepseek-r1-distill-llama-70b", "llama"),
        ("grok-4", "grok"),
        ("kimi-k2", "other"),
        ("my-deployment", "other"),
    ],
)
def test_a_model_is_known_by_its_name(model: str, family: str) -> None:
    assert family_of(model).name == family


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "o3", "gpt-5", "gpt-5.4-mini"])
def test_openais_models_are_counted_exactly(model: str) -> None:
    family = family_of(model)
    assert (family.exact, family.factor) == (True, 1.0)
    assert family.encoding == ("cl100k_base" if model == "gpt-4" else "o200k_base")


@given(name=st.text())
def test_every_name_has_a_family(name: str) -> None:
    family = family_of(name)
    assert family.exact == (family.factor == 1.0)
    assert family.picture(Size(100, 100)) <= family.picture(None)
