"""How much a model shall think ↔ canonical `reasoning`. Servers of this dialect are told in four ways."""

from otari.dialects.efforts import effort_of
from otari.dialects.openai_chat.terms import EFFORTS, Terms
from otari.domain.chat import Doc


def read_reasoning(doc: Doc) -> Doc | None:
    """`reasoning_effort`, or OpenRouter's `reasoning` object (which also stays in `extras`)."""
    effort, other = doc.get("reasoning_effort"), doc.get("reasoning")
    budget = None
    if effort is None and isinstance(other, dict):
        effort, budget = other.get("effort"), other.get("max_tokens")
    told: Doc = {}
    if isinstance(effort, str) and effort != "auto":
        told["effort"] = effort
    if type(budget) is int:
        told["budget_tokens"] = budget
    return told or None


def write_reasoning(reasoning: Doc | None, terms: Terms) -> Doc:
    """The keys that tell the server how much to think; none when nothing was said, or that the model shall decide."""
    told = reasoning or {}
    effort, budget = told.get("effort"), told.get("budget_tokens")
    if not isinstance(effort, str):
        if type(budget) is not int:
            return {}
        if terms.quirks.reasoning == "object":
            return {"reasoning": {"max_tokens": budget}}
        if not terms.own:
            terms.drop("thinking budget")
        effort = effort_of(budget)
    if terms.own:
        return {"reasoning_effort": effort}
    return _told(effort, terms)


def _told(effort: str, terms: Terms) -> Doc:
    match terms.quirks.reasoning:
        case "switch" | "enable" as form:
            if effort != "none":
                terms.drop("reasoning effort")
            if form == "enable":
                return {"enable_thinking": effort != "none"}
            return {"thinking": {"type": "disabled" if effort == "none" else "enabled"}}
        case "effort" | "object" as form:
            word = _nearest(effort, terms)
            if word is None:
                return {}
            return {"reasoning_effort": word} if form == "effort" else {"reasoning": {"effort": word}}
    terms.drop("reasoning")
    return {}


def _nearest(effort: str, terms: Terms) -> str | None:
    """The word that the server takes and that means most nearly the same, the smaller one of two; None when there is
    none. Thinking is never switched off where it was asked for, nor on where it was not.
    """
    known = terms.quirks.efforts
    if effort in known:
        return effort
    terms.drop(f"reasoning effort {effort}")
    levels = [word for word in EFFORTS if word in known and word != "none"]
    if effort not in EFFORTS or effort == "none" or not levels:
        return None
    wanted = EFFORTS.index(effort)
    return min(levels, key=lambda word: abs(EFFORTS.index(word) - wanted))
