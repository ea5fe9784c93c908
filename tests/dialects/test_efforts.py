"""Efforts and budgets: every effort is that of its own budget, and more room never means less effort."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects.efforts import BUDGETS, effort_of

LEVELS = ["minimal", "low", "medium", "high", "xhigh"]


@pytest.mark.parametrize("effort", LEVELS)
def test_the_budget_of_an_effort_is_read_as_that_effort(effort: str) -> None:
    assert effort_of(BUDGETS[effort]) == effort
    if effort != "xhigh":
        assert effort_of(BUDGETS[effort] + 1) == LEVELS[LEVELS.index(effort) + 1]


def test_beyond_all_budgets_the_effort_is_the_greatest_that_every_wire_can_lower() -> None:
    assert effort_of(10**9) == "xhigh"


@given(st.integers(0, 50_000), st.integers(0, 50_000))
def test_a_larger_budget_is_no_smaller_effort(one: int, more: int) -> None:
    assert LEVELS.index(effort_of(one)) <= LEVELS.index(effort_of(one + more))
