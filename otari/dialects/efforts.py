"""Efforts of reasoning as budgets of thinking tokens, and back: the table that any-llm uses."""

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 24576, "xhigh": 32768, "max": 32768}


def effort_of(budget: int) -> str:
    """The smallest effort that has room for a budget of tokens; "xhigh" for all that are larger than "high"."""
    return next((effort for effort, most in BUDGETS.items() if budget <= most), "xhigh")
