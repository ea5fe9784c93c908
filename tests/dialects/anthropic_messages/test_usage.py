"""Token counts: cached ones beside the input on the wire, inside it everywhere else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects.anthropic_messages.usage import laid_over, read_usage, write_usage
from otari.domain.chat import Usage
from otari.domain.money import believable
from tests.domain.strategies import counts, json_values, usages

KEYS = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"]


@given(
    st.tuples(counts, counts, counts).filter(lambda told: sum(told) <= 10**9),
    counts,
    st.none() | st.floats(0, 1),
    counts,
)
def test_what_is_written_reads_the_same(
    told: tuple[int, int, int], output: int, long: float | None, reasoning: int
) -> None:
    plain, read, write = told
    usage = Usage(plain + read + write, output, read, write, None if long is None else round(write * long), reasoning)
    assert read_usage(write_usage(usage)) == usage


@given(usages())
def test_counts_that_contradict_each_other_never_become_negative(usage: Usage) -> None:
    doc = write_usage(usage)
    assert all(count >= 0 for count in doc.values() if isinstance(count, int))
    assert ("output_tokens" in doc) == (usage.output is not None)


def test_what_was_not_told_is_not_written() -> None:
    assert write_usage(Usage()) == {}
    assert write_usage(Usage(output=3)) == {"output_tokens": 3}
    odd: Any = "12"
    assert write_usage(Usage(input=odd, output=3)) == {}


def test_the_first_frame_tells_no_output() -> None:
    told = {"input_tokens": 43, "cache_read_input_tokens": 7, "output_tokens": 1}
    assert read_usage(told, begins=True) == Usage(input=50, cache_read=7)
    assert read_usage(told) == Usage(input=50, output=1, cache_read=7)
    assert read_usage({"output_tokens": 1}, begins=True) is None
    assert read_usage(None) is None


def test_later_numbers_count_one_by_one() -> None:
    first = {"input_tokens": 43, "cache_read_input_tokens": 7, "output_tokens": 1}
    later = laid_over(laid_over(first, {"input_tokens": 61, "cache_read_input_tokens": None}), "x")
    assert read_usage(later) == Usage(input=68, output=1, cache_read=7)


@pytest.mark.parametrize("odd", [-1, "12", 1.5, True, [1]])
@pytest.mark.parametrize("key", KEYS[:4])
def test_unusable_numbers_stay_unusable(key: str, odd: Any) -> None:
    told = dict.fromkeys(KEYS[:4], 100) | {key: odd}
    usage = read_usage(told)
    assert usage is not None
    assert believable(usage) is None


@given(st.dictionaries(st.sampled_from([*KEYS, "output_tokens_details"]), json_values) | json_values)
def test_garbage_never_raises(told: Any) -> None:
    read_usage(told)
