"""`Retry-After`: when to ask again, as other servers say it (RFC 9110, 10.2.3)."""

import math
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

LIMIT_S = 86_400.0
_RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,6}(?:\.\d{1,9})?)s"')


def retry_after_s(value: str | None, *, now: float) -> float | None:
    """The seconds that a `Retry-After` header asks for: a number, or an HTTP date (RFC 9110, 10.2.3).

    `now` is in epoch seconds. None when the header is missing or makes no sense; 0 for a date that has
    passed; at most a day.
    """
    text = (value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        return _seconds_until(text, now)
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(seconds, LIMIT_S)


def _seconds_until(http_date: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LIMIT_S)


def delay_in(body: bytes) -> float | None:
    """The seconds that an error body asks for; None when it does not.

    Google tells them there and in no header: the `retryDelay` of a `google.rpc.RetryInfo`, such as "34.4s".
    """
    found = _RETRY_DELAY.search(body)
    return min(float(found[1]), LIMIT_S) if found else None
