"""How much a model shall think: `thinking` and `output_config.effort` ↔ canonical `reasoning`.

Beside `effort` and `budget_tokens`, `reasoning` read from this dialect holds `mode` ("adaptive"): the model decides
when to think, and nothing was said of how much.
"""

import re
from typing import Any

from otari.dialects.efforts import BUDGETS, effort_of
from otari.dialects.losses import Drop
from otari.domain.chat import ChatRequest, Doc

DISPLAY = "thinking.display"  # the key of `extras` for what a client wants to see of the thinking
MIN_BUDGET = 1024  # tokens; Anthropic refuses less

_LOWEST = {"minimal": "low"}  # what the wire calls an effort that it does not know

# Claude models that think by a budget of tokens: all before 4.6. Newer ones decide for themselves and take an effort;
# most of them refuse a budget. Models of other makers that speak this dialect know the older form.
_OLD = re.compile(r"claude-(?:instant|v?[123](?!\d)|(?:opus|sonnet|haiku)-4(?!\d)(?![-.@](?:[6-9]|[1-9]\d)(?!\d)))")
_FREE = re.compile(r"claude-(?:opus|sonnet|haiku)-4[-.@]6(?!\d)")


def decides_itself(model: str) -> bool:
    """Whether a model thinks as much as it sees fit, so that it is told an effort and no budget."""
    return "claude" in model and _OLD.search(model) is None


def takes_sampling(model: str) -> bool:
    """Whether a model lets clients choose how tokens are drawn: Claude models after 4.6 do not."""
    return not decides_itself(model) or _FREE.search(model) is not None


# ---- reading -------------------------------------------------------------------------------------------------------


def read_reasoning(doc: Doc) -> tuple[Doc | None, Doc]:
    """The canonical `reasoning` of a request and the `extras` for what it says beyond that."""
    thinking, config = doc.get("thinking"), doc.get("output_config")
    extras: Doc = {}
    told: Doc = {}
    rest = {key: value for key, value in config.items() if value is not None} if isinstance(config, dict) else {}
    rest.pop("format", None)
    effort = rest.get("effort")
    if isinstance(thinking, dict):
        more = _read_thinking(thinking, told)
        if more is not None and isinstance(more.get("display"), str):
            extras[DISPLAY] = more["display"]
        elif more is None:
            extras["thinking"] = thinking
    if isinstance(effort, str) and told.get("effort") != "none":
        told["effort"] = rest.pop("effort")
    if rest:
        extras["output_config"] = rest
    return told or None, extras


def _read_thinking(thinking: Doc, told: Doc) -> Doc | None:
    """Put what `thinking` says into `told`; the object itself when it was understood, else None."""
    match thinking:
        case {"type": "enabled", "budget_tokens": int(budget)}:
            told["budget_tokens"] = budget
        case {"type": "adaptive"}:
            told["mode"] = "adaptive"
        case {"type": "disabled"}:
            told["effort"] = "none"
        case _:
            return None
    return thinking


# ---- writing -------------------------------------------------------------------------------------------------------


def write_own(request: ChatRequest, doc: Doc) -> None:
    """Put back what a client of this dialect said."""
    told = dict(request.reasoning or {})
    config = dict(request.extras.get("output_config") or {})
    thinking: Doc | None = None
    if told.get("effort") == "none":
        thinking = {"type": "disabled"}
    elif "effort" in told:
        config["effort"] = told["effort"]
    if "budget_tokens" in told:
        thinking = {"type": "enabled", "budget_tokens": told["budget_tokens"]}
    elif told.get("mode") == "adaptive":
        thinking = {"type": "adaptive"}
    if thinking is not None:
        display = request.extras.get(DISPLAY)
        doc["thinking"] = thinking if display is None else thinking | {"display": display}
    if config:
        doc["output_config"] = config | doc.get("output_config", {})


def write_foreign(request: ChatRequest, doc: Doc, drop: Drop) -> None:
    """Put what a client of another dialect said into the form that the model of the request takes.

    Anthropic refuses thinking together with a forced tool, a temperature or top_k: the tool counts more than the
    thinking, and the thinking more than how tokens are drawn. `max_tokens` must leave room for the budget.
    """
    told = request.reasoning or {}
    effort, budget = told.get("effort"), told.get("budget_tokens")
    if not isinstance(effort, str) and type(budget) is not int:
        return
    if effort == "none":
        doc["thinking"] = {"type": "disabled"}
        return
    if decides_itself(request.model):
        doc.setdefault("output_config", {})["effort"] = _level(effort, budget, drop)
        thinking: Doc = {"type": "adaptive"}
    else:
        tokens = budget if type(budget) is int else BUDGETS.get(str(effort), BUDGETS["medium"])
        thinking = {"type": "enabled", "budget_tokens": max(MIN_BUDGET, tokens)}
    if not _think(thinking, request.max_output_tokens, doc):
        drop("reasoning")
        return
    if type(budget) is int and thinking.get("budget_tokens", budget) != budget:
        drop("thinking budget")
    _without_sampling(doc, drop)


def _level(effort: Any, budget: Any, drop: Drop) -> str:
    """The effort as this wire calls it."""
    if not isinstance(effort, str):
        drop("thinking budget")
        told = effort_of(budget)
        return _LOWEST.get(told, told)
    if effort in _LOWEST:
        drop(f"reasoning effort {effort}")
    return _LOWEST.get(effort, effort)


def _think(thinking: Doc, limit: int | None, doc: Doc) -> bool:
    """Put `thinking` into a request if the rest of it allows that.

    A budget must be below the limit of tokens; without a limit of the client's there is room for both.
    """
    if doc.get("tool_choice", {}).get("type") in ("any", "tool") or lacks_thinking(doc | {"thinking": thinking}):
        return False
    budget = thinking.get("budget_tokens", 0)
    if budget and limit is None:
        doc["max_tokens"] += budget
    elif budget and limit is not None:
        if limit <= MIN_BUDGET:
            return False
        thinking["budget_tokens"] = min(budget, limit - 1)
    doc["thinking"] = thinking
    return True


def _without_sampling(doc: Doc, drop: Drop) -> None:
    if doc.get("temperature") not in (None, 1):
        del doc["temperature"]
        drop("temperature beside thinking")
    if "top_k" in doc:
        del doc["top_k"]
        drop("top_k beside thinking")
    if doc.get("top_p", 1) < 0.95:
        del doc["top_p"]
        drop("top_p beside thinking")


def lacks_thinking(doc: Doc) -> bool:
    """Whether a written request demands thinking by a budget while a tool is being used without any.

    Anthropic refuses that: the turn that made the calls must then begin with its own thinking. It lacks it when another
    model made the calls.
    """
    thinking, messages = doc.get("thinking"), doc["messages"]
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled" or len(messages) < 2:
        return False
    caller, results = messages[-2], messages[-1]
    if caller.get("role") != "assistant" or not _kinds(results) or "tool_result" not in _kinds(results):
        return False
    return _kinds(caller)[:1] not in (["thinking"], ["redacted_thinking"])


def _kinds(message: Doc) -> list[Any]:
    content = message.get("content")
    return [block.get("type") for block in content if isinstance(block, dict)] if isinstance(content, list) else []
