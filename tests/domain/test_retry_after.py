"""When to ask again, as providers tell it."""

import pytest

from otari.domain.retry_after import delay_in, retry_after_s

NOW = 1_445_412_000.0  # 2015-10-21 07:20:00 UTC


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 480.0),
        ("Wed, 21 Oct 2015 07:28:00", 480.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("999999999", 86_400.0),
        ("Wed, 21 Oct 2999 07:28:00 GMT", 86_400.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Wed, 99 Oct 2015 99:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=NOW) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (
            b'{"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}]}}',
            34.4,
        ),
        (b'{"retryDelay":"7s"}', 7.0),
        (b'{"retryDelay": "999999s"}', 86_400.0),
        (b'{"retryDelay": "soon"}', None),
        (b'{"retryDelay": "-1s"}', None),
        (b"", None),
    ],
)
def test_a_delay_is_read_from_the_body_of_google(body: bytes, seconds: float | None) -> None:
    assert delay_in(body) == seconds
