"""Header lines of an answer that is written in one piece."""

import pytest

from otari.web.whole import head_lines


def test_headers_are_lines() -> None:
    assert head_lines({"Retry-After": "1", "X-RateLimit-Limit": "60"}) == b"Retry-After: 1\r\nX-RateLimit-Limit: 60\r\n"


@pytest.mark.parametrize("value", ["1\r\nSet-Cookie: a=b", "1\n", "1\r", "\0"])
def test_a_value_can_not_become_a_line_of_its_own(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        head_lines({"Retry-After": value})
