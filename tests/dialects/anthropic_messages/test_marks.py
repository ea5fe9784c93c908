"""What travels through clients inside values that they return unread."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects.anthropic_messages.marks import Mark, is_mark, read_id, read_mark, write_id, write_mark
from tests.domain.strategies import texts


@given(st.builds(Mark, st.none() | texts, st.none() | texts, st.none() | texts))
def test_a_mark_gives_back_what_it_carries(mark: Mark) -> None:
    told = write_mark(mark)
    assert is_mark(told)
    assert read_mark(told) == mark
    assert re.fullmatch(r"otari1:[A-Za-z0-9_=-]+", told)


@given(texts)
def test_other_values_are_no_marks(value: str) -> None:
    assert (read_mark(value) is None) == (not value.startswith("otari1:"))


@pytest.mark.parametrize("damaged", ["otari1:", "otari1:%%%", "otari1:W10=", "otari1:eyJmYW1pbHkiOjF9"])
def test_a_damaged_mark_carries_nothing_but_stays_ours(damaged: str) -> None:
    assert read_mark(damaged) == Mark()


@given(texts)
def test_ids_fit_the_wire_and_come_back(call_id: str) -> None:
    wire = write_id(call_id)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", wire)
    assert read_id(wire) == call_id


@given(st.sets(texts, max_size=5))
def test_different_ids_stay_different(ids: set[str]) -> None:
    assert len({write_id(call_id) for call_id in ids}) == len(ids)


@pytest.mark.parametrize("told", ["toolu_01", "otari1_", "otari1_%", "otari1_A", "otari1_dG9vbHVfMDE"])
def test_ids_that_we_did_not_write_stay_as_they_are(told: str) -> None:
    assert read_id(told) in (told, "")
    assert read_id("otari1_dG9vbHVfMDE") == "otari1_dG9vbHVfMDE"  # would be written plainly
