"""How much a model shall think, model by model."""

from typing import Any

import pytest

from otari.dialects.gemini import GEMINI
from otari.dialects.gemini.models import generation, is_third, takes_levels, thinks
from otari.domain.chat import ChatRequest, Text, Turn

PRO, PRO_3, PRO_31 = "gemini-2.5-pro", "gemini-3-pro-preview", "models/gemini-3.1-pro-preview"
FLASH, LITE, FLASH_3 = "gemini-2.5-flash", "gemini-2.5-flash-lite-preview", "gemini-3-flash-preview"


def config(model: str, dropped: list[str] | None = None, **reasoning: Any) -> Any:
    request = ChatRequest(model, (Turn("user", (Text("hi"),)),), reasoning=reasoning or None, dialect="openai-chat")
    return GEMINI.write_request(request, dropped=dropped).get("generationConfig", {}).get("thinkingConfig")


def test_who_asks_for_nothing_gets_the_default_of_the_model() -> None:
    assert config(PRO) is None
    assert config(FLASH_3) is None


@pytest.mark.parametrize(
    ("model", "effort", "level", "lossy"),
    [
        (FLASH_3, "minimal", "MINIMAL", False),
        (FLASH_3, "low", "LOW", False),
        (FLASH_3, "medium", "MEDIUM", False),
        (FLASH_3, "high", "HIGH", False),
        (FLASH_3, "xhigh", "HIGH", True),
        (FLASH_3, "max", "HIGH", True),
        (FLASH_3, "none", "MINIMAL", True),
        (PRO_3, "none", "LOW", True),
        (PRO_3, "minimal", "LOW", True),
        (PRO_3, "medium", "HIGH", True),
        (PRO_31, "medium", "MEDIUM", False),
    ],
)
def test_levels(model: str, effort: str, level: str, lossy: bool) -> None:
    dropped: list[str] = []
    expected = {"thinkingLevel": level} | ({} if effort == "none" else {"includeThoughts": True})
    assert config(model, dropped, effort=effort) == expected
    assert dropped == (["reasoning effort"] if lossy else [])


@pytest.mark.parametrize(
    ("model", "effort", "budget", "lossy"),
    [
        (FLASH, "minimal", 1024, False),
        (FLASH, "low", 2048, False),
        (FLASH, "medium", 8192, False),
        (FLASH, "high", 24576, False),
        (FLASH, "max", 24576, True),
        (FLASH, "none", 0, False),
        (LITE, "none", 0, False),
        (PRO, "xhigh", 32768, False),
        (PRO, "none", 128, True),
        ("gemini-flash-latest", "low", 2048, False),
        ("some-tuned-model", "low", 2048, False),
    ],
)
def test_budgets_of_efforts(model: str, effort: str, budget: int, lossy: bool) -> None:
    dropped: list[str] = []
    expected = {"thinkingBudget": budget} | ({} if effort == "none" else {"includeThoughts": True})
    assert config(model, dropped, effort=effort) == expected
    assert dropped == (["reasoning effort"] if lossy else [])


@pytest.mark.parametrize(
    ("model", "budget", "expected", "lossy"),
    [
        (FLASH, 5000, {"thinkingBudget": 5000}, False),
        (FLASH, 30000, {"thinkingBudget": 24576}, True),
        (FLASH, 0, {"thinkingBudget": 1}, True),
        (LITE, 100, {"thinkingBudget": 512}, True),
        (PRO, 30000, {"thinkingBudget": 30000}, False),
        (PRO, 100, {"thinkingBudget": 128}, True),
        (FLASH_3, 1024, {"thinkingLevel": "MINIMAL"}, True),
        (FLASH_3, 2048, {"thinkingLevel": "LOW"}, True),
        (FLASH_3, 8192, {"thinkingLevel": "MEDIUM"}, True),
        (FLASH_3, 8193, {"thinkingLevel": "HIGH"}, True),
    ],
)
def test_budgets_of_clients(model: str, budget: int, expected: dict[str, Any], lossy: bool) -> None:
    dropped: list[str] = []
    assert config(model, dropped, budget_tokens=budget) == expected | {"includeThoughts": True}
    assert dropped == (["thinking budget"] if lossy else [])


def test_of_effort_and_budget_the_one_that_the_model_takes_counts() -> None:
    assert config(FLASH, effort="low", budget_tokens=3000)["thinkingBudget"] == 3000
    assert config(FLASH_3, effort="low", budget_tokens=30000)["thinkingLevel"] == "LOW"


def test_a_model_may_decide_for_itself() -> None:
    assert config(FLASH, mode="adaptive") == {"thinkingBudget": -1, "includeThoughts": True}
    assert config(PRO_3, mode="adaptive") == {"includeThoughts": True}


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemini-1.5-pro", "gemma-3-27b-it"])
def test_models_that_do_not_think_are_not_told_to(model: str) -> None:
    dropped: list[str] = []
    assert config(model, dropped, effort="high") is None
    assert dropped == ["reasoning"]
    assert config(model, dropped := [], effort="none") is None
    assert dropped == []


def test_an_effort_that_nobody_knows_is_named() -> None:
    dropped: list[str] = []
    assert config(PRO_3, dropped, effort="heroic") is None
    assert dropped == ["reasoning effort"]


def test_what_names_tell() -> None:
    assert generation("gemini-10.2-flash") == (10, 2)
    assert generation("gemini-pro-latest") is None
    assert [is_third(model) for model in ("gemini-2.5-pro", "gemini-3-pro", "gemini-pro-latest", "x")] == [
        *(False, True, True, False),
    ]
    assert not takes_levels("gemini-pro-latest")
    assert thinks("gemini-pro-latest")
