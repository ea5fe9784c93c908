"""Which part of a file a client wants."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.errors import OtariError
from otari.web.ranges import Span, names, wanted_span


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("", None),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=2-4", Span(2, 3)),
        ("bytes=2-", Span(2, 8)),
        ("bytes=2-1000", Span(2, 8)),
        ("bytes=-3", Span(7, 3)),
        ("bytes=-1000", Span(0, 10)),
        ("Bytes = 2 - 4", Span(2, 3)),
        ("bytes=9-", Span(9, 1)),
        ("bytes=4-2", None),  # not a range: everything
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=0x1-2", None),
        ("bytes=٣-٤", None),
    ],
)
def test_a_single_range_is_understood(header: str | None, span: Span | None) -> None:
    assert wanted_span(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=999999999999999999-", "bytes=-0"])
def test_what_lies_behind_the_end_is_refused(header: str) -> None:
    with pytest.raises(OtariError) as caught:
        wanted_span(header, 10)
    assert caught.value.status == 416
    assert caught.value.headers == (("Content-Range", "bytes */10"),)


@given(st.text(max_size=30), st.integers(0, 100))
def test_whatever_is_asked_for_lies_in_the_file(rest: str, size: int) -> None:
    for header in (rest, f"bytes={rest}"):
        with contextlib.suppress(OtariError):
            span = wanted_span(header, size)
            assert span is None or (span.length > 0 and span.start + span.length <= size)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (None, False),
        ("", False),
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc" ,"y"', True),
        ("*", True),
        ('"ab"', False),
        ("abc", False),
        ('"a", "bc"', False),
    ],
)
def test_an_entity_tag_is_recognised(header: str | None, named: bool) -> None:
    assert names(header, '"abc"') is named
