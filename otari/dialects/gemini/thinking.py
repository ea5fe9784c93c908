"""How much a model shall think: `thinkingConfig` ↔ canonical `reasoning`.

Beside `effort` and `budget_tokens`, `reasoning` read from this dialect may hold `mode` ("adaptive"): the model decides
for itself. Models of the third generation are told a level, those of 2.5 a budget of tokens; no request may hold both.
Levels and bounds are those of Google's public page on thinking.
"""

from typing import Any

from otari.dialects.efforts import BUDGETS, effort_of
from otari.dialects.gemini.models import generation, is_lite, is_pro, takes_levels, thinks
from otari.dialects.losses import Drop
from otari.domain.chat import Doc

THINKING = "thinkingConfig."  # how keys of `extras` begin that stand inside thinkingConfig

_LEVELS = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
_MOST_OF_PRO, _MOST = 32768, 24576
_LEAST_OF_PRO, _LEAST_OF_LITE = 128, 512


# ---- reading -------------------------------------------------------------------------------------------------------


def read_thinking(told: Any) -> tuple[Doc | None, Doc]:
    """The canonical `reasoning` of a `thinkingConfig`, and the `extras` for what it says beyond that."""
    if not isinstance(told, dict):
        return None, {}
    reasoning: Doc = {}
    rest = {key: value for key, value in told.items() if value is not None}
    budget, level = rest.get("thinkingBudget"), rest.get("thinkingLevel")
    if isinstance(level, str) and level.lower() in _LEVELS and level.lower() != "none":
        reasoning["effort"] = rest.pop("thinkingLevel").lower()
    if type(budget) is int and budget >= -1:
        del rest["thinkingBudget"]
        reasoning |= {0: {"effort": "none"}, -1: {"mode": "adaptive"}}.get(budget, {"budget_tokens": budget})
    return reasoning or None, {THINKING + key: value for key, value in rest.items()}


# ---- writing -------------------------------------------------------------------------------------------------------


def write_own(reasoning: Doc | None, extras: Doc) -> Doc:
    """Put back what a client of this dialect said."""
    told = reasoning or {}
    config: Doc = {}
    if told.get("effort") == "none":
        config["thinkingBudget"] = 0
    elif "effort" in told:
        config["thinkingLevel"] = str(told["effort"]).upper()
    if "budget_tokens" in told:
        config["thinkingBudget"] = told["budget_tokens"]
    elif told.get("mode") == "adaptive":
        config["thinkingBudget"] = -1
    return config | extras


def write_foreign(reasoning: Doc | None, model: str, drop: Drop) -> Doc:
    """Put what a client of another dialect said into the form that the model takes; {} when there is nothing to say.

    Who asks for thinking wants to see it: thoughts are told only to those who ask for them.
    """
    told = reasoning or {}
    effort, budget = told.get("effort"), told.get("budget_tokens")
    effort = effort if isinstance(effort, str) else None
    budget = budget if type(budget) is int else None
    adaptive = told.get("mode") == "adaptive"
    if effort is None and budget is None and not adaptive:
        return {}
    if not thinks(model):
        if effort != "none":
            drop("reasoning")
        return {}
    if effort is not None and effort not in _LEVELS:
        drop("reasoning effort")
        return {}
    write = _level if takes_levels(model) else _budget
    config = write(effort, budget, model, drop)
    return config if effort == "none" else config | {"includeThoughts": True}


def _level(effort: str | None, budget: int | None, model: str, drop: Drop) -> Doc:
    if effort is None:
        if budget is None:
            return {}
        effort = effort_of(min(budget, BUDGETS["high"]))  # no level is higher
        drop("thinking budget")
    level = _LEVELS[effort]
    if is_pro(model) and level == "MINIMAL":
        level = "LOW"
    if is_pro(model) and level == "MEDIUM" and generation(model) == (3, 0):
        level = "HIGH"
    if level.lower() != effort:
        drop("reasoning effort")
    return {"thinkingLevel": level}


def _budget(effort: str | None, budget: int | None, model: str, drop: Drop) -> Doc:
    """Only the large models can not be kept from thinking; each kind has its own bounds."""
    if effort is None and budget is None:
        return {"thinkingBudget": -1}
    if effort == "none" and not is_pro(model):
        return {"thinkingBudget": 0}
    wanted = budget if budget is not None else BUDGETS.get(effort or "", 0)
    least = _LEAST_OF_PRO if is_pro(model) else _LEAST_OF_LITE if is_lite(model) else 1
    tokens = min(max(wanted, least), _MOST_OF_PRO if is_pro(model) else _MOST)
    if tokens != wanted:
        drop("reasoning effort" if budget is None else "thinking budget")
    return {"thinkingBudget": tokens}
