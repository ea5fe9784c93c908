"""What the name of a model tells of it: its generation, and what only later generations take.

Facts are those of Google's public pages on thinking, thought signatures and function calling.
"""

import re

_NUMBERED = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_ALIAS = re.compile(r"gemini-(?:[a-z-]+-)?latest")  # stands for the newest model of its kind
_THIRD = (3, 0)
_FIRST_THINKING = (2, 5)


def generation(model: str) -> tuple[int, int] | None:
    """Major and minor number; None for aliases and for models of other names."""
    found = _NUMBERED.search(model)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def is_pro(model: str) -> bool:
    """Whether it is one of the large models, which can not be kept from thinking."""
    return "-pro" in model


def is_lite(model: str) -> bool:
    """Whether it is one of the smallest models."""
    return "-lite" in model


def thinks(model: str) -> bool:
    """Whether a model may be told how much to think; the others refuse to be told."""
    numbers = generation(model)
    return "gemma" not in model if numbers is None else numbers >= _FIRST_THINKING


def takes_levels(model: str) -> bool:
    """Whether thinking is told by a level. Models before refuse levels, later ones still take a budget: so does an
    alias."""
    numbers = generation(model)
    return numbers is not None and numbers >= _THIRD


def is_third(model: str) -> bool:
    """Whether a model is of the third generation or later: it refuses calls without a thought signature in its history,
    and takes media inside the results of tools."""
    return takes_levels(model) or _ALIAS.search(model) is not None
