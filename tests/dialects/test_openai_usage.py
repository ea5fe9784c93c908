"""Token counts: evened out, never invented, never a reason to fall over."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.openai_usage import read_usage, usage_in, write_usage
from otari.domain.chat import Usage
from otari.domain.money import believable
from tests.domain.strategies import counts, json_values, usages


@given(counts, counts, usages())
def test_what_is_written_is_read_again(read: int, written: int, rest: Usage) -> None:
    usage = rest.merged(Usage(input=read, output=written))
    doc = write_usage(usage)
    assert doc is not None
    assert doc["total_tokens"] == read + written
    again = read_usage(doc)
    assert again is not None
    assert (again.input, again.cache_read, again.cache_write) == (read, usage.cache_read, usage.cache_write)
    assert (again.output, again.reasoning) == (written, usage.reasoning)


def test_reasoning_beside_the_completion_is_added_to_it() -> None:
    told = {
        "prompt_tokens": 307,
        "completion_tokens": 26,
        "total_tokens": 560,
        "completion_tokens_details": {"reasoning_tokens": 227},
    }
    assert read_usage(told) == Usage(input=307, output=253, reasoning=227)
    assert read_usage(told | {"total_tokens": 333}) == Usage(input=307, output=26, reasoning=227)


@pytest.mark.parametrize("value", [-1, "12", 1e30, 12.5, True, [1], {}, 10**10])
def test_a_number_that_can_not_be_is_kept_to_be_refused_later(value: object) -> None:
    usage = read_usage({"prompt_tokens": 1, "completion_tokens": value, "total_tokens": 2})
    assert usage is not None
    assert believable(usage) is None
    assert write_usage(usage) is None


@pytest.mark.parametrize("told", [None, {}, [], "x", 5, {"total_tokens": 5}, {"prompt_tokens": None}])
def test_nothing_told_is_nothing_known(told: Any) -> None:
    assert read_usage(told) is None
    assert usage_in({"usage": told}) is None


def test_unknown_usage_is_not_written_as_zero() -> None:
    assert write_usage(Usage()) is None
    assert write_usage(Usage(cache_read=5)) is None


@given(json_values | st.dictionaries(st.sampled_from(["prompt_tokens", "prompt_tokens_details"]), json_values))
@settings(deadline=None)
def test_garbage_never_raises(told: Any) -> None:
    usage = read_usage(told)
    if usage is not None:
        believable(usage)
    usage_in({"usage": told, "x_groq": told, "choices": told})
    usage_in({"choices": [{"usage": told}, told]})
