"""The input of a batch: what a line is, and that all of them are looked at, however they come."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.gateway.batches.input import LINES_MAX, PROBLEMS_MAX, InputCheck, WrongLine, is_blank, read_line

CHAT = "/v1/chat/completions"


def line(custom_id: object = "a", model: object = "m", **more: object) -> bytes:
    return orjson.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"model": model}, **more})


def checked(lines: list[bytes | None], selector: str = "") -> InputCheck:
    check = InputCheck(CHAT, selector)
    check.feed(lines)
    check.end()
    return check


def test_a_line_is_a_number_a_name_and_a_body() -> None:
    assert read_line(3, line("x"), CHAT) == (3, "x", {"model": "m"})


def test_a_body_with_a_number_that_would_become_another_one_is_refused() -> None:
    with pytest.raises(WrongLine, match="not parseable"):
        read_line(1, line(body={"seed": 1}).replace(b"1}", b"123456789012345678901}"), CHAT)


@pytest.mark.parametrize("raw", [b"", b"  ", b"\t\r"])
def test_blank_lines_are_no_requests(raw: bytes) -> None:
    assert is_blank(raw)
    assert checked([line("a"), raw, line("b")]).total == 2


def test_a_line_that_was_too_long_to_be_read_is_told_by_its_number() -> None:
    assert [(p.code, p.line) for p in checked([line(), None]).problems] == [("line_too_long", 2)]


def test_a_model_that_is_told_apart_makes_those_of_the_lines_unimportant() -> None:
    check = checked([line("a", "x"), line("b", "y"), line("c", None)], "stub:echo")
    assert (check.problems, check.selector) == ([], "stub:echo")


@given(st.lists(st.sampled_from([line("a"), line("b"), line("c", "other"), b"", b"{", None]), max_size=30), st.data())
def test_it_does_not_matter_how_lines_come_together(lines: list[bytes | None], data: st.DataObject) -> None:
    whole = checked(lines)
    check = InputCheck(CHAT)
    rest = list(lines)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        check.feed(rest[:size])
        rest = rest[size:]
    check.end()
    assert (check.total, check.selector, check.problems) == (whole.total, whole.selector, whole.problems)


def test_a_hundred_thousand_lines_are_a_batch_and_one_more_is_not() -> None:
    lines: list[bytes | None] = [line(f"line-{n}") for n in range(LINES_MAX)]
    check = checked(lines)
    assert (check.total, check.problems) == (LINES_MAX, [])
    more = checked([*lines, line("one more")])
    assert [problem.code for problem in more.problems] == ["too_many_requests"]


def test_nobody_looks_further_than_what_is_told() -> None:
    check = InputCheck(CHAT)
    check.feed([b"{"] * (PROBLEMS_MAX * 10))
    check.end()
    assert len(check.problems) == PROBLEMS_MAX
    assert check.has_enough
