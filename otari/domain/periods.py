"""Budget periods: when one begins and when it is over. All times are epoch milliseconds, UTC.

A period has a length in seconds, or it follows the calendar: days, weeks from Monday on (ISO 8601) and months, all in
UTC. Boundaries never drift: the next period begins where the last one ended, however late that is noticed.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

Alignment = Literal["calendar_day", "calendar_week", "calendar_month"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_MONDAY_MS = 4 * _DAY_MS  # 1970-01-05
_LAST_MS = 253_402_300_799_999  # the last millisecond of the year 9999: no calendar goes on behind it


class Window(NamedTuple):
    """A period: the first moment of it, and the first moment after it (None = no end). No budget, no period."""

    started_at_ms: int | None
    next_reset_at_ms: int | None


def first_window(duration_s: int | None, alignment: Alignment | None, now_ms: int) -> Window:
    """The period of an account whose budget is assigned now. It begins now; a calendar's next boundary ends it."""
    if alignment is not None:
        return Window(now_ms, _calendar(alignment, now_ms)[1])
    return Window(now_ms, None if duration_s is None else now_ms + duration_s * 1000)


def window_at(duration_s: int | None, alignment: Alignment | None, boundary_ms: int, now_ms: int) -> Window:
    """The period that `now_ms` lies in, when the one before it ended at `boundary_ms` or earlier."""
    if alignment is not None:
        started_ms, next_ms = _calendar(alignment, now_ms)
        return Window(max(started_ms, boundary_ms), next_ms)
    if duration_s is None:
        return Window(boundary_ms, None)
    length_ms = duration_s * 1000
    started_ms = boundary_ms + (now_ms - boundary_ms) // length_ms * length_ms
    return Window(started_ms, started_ms + length_ms)


def _calendar(alignment: Alignment, now_ms: int) -> tuple[int, int]:
    """Beginning and end of the day, week or month around a moment."""
    now_ms = min(max(now_ms, 0), _LAST_MS - 31 * _DAY_MS)
    if alignment == "calendar_day":
        started_ms = now_ms // _DAY_MS * _DAY_MS
        return started_ms, started_ms + _DAY_MS
    if alignment == "calendar_week":
        started_ms = (now_ms - _MONDAY_MS) // (7 * _DAY_MS) * (7 * _DAY_MS) + _MONDAY_MS
        return started_ms, started_ms + 7 * _DAY_MS
    first = datetime.fromtimestamp(now_ms // 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=31)).replace(day=1)
    return _ms(first), _ms(following)


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
