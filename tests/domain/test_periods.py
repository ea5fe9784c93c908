"""Budget periods: lengths that never drift, and the calendar in UTC."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.periods import Alignment, Window, first_window, window_at

HOUR_MS = 3_600_000
ALIGNMENT = st.sampled_from(("calendar_day", "calendar_week", "calendar_month"))
MOMENT = st.integers(0, 32_503_680_000_000)  # to the year 3000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("alignment", "now", "end"),
    [
        ("calendar_day", "2026-03-01 00:00", "2026-03-02"),
        ("calendar_day", "2026-02-28 23:59:59.999", "2026-03-01"),
        ("calendar_week", "2026-11-22 23:59", "2026-11-23"),  # a Sunday: the week ends with it
        ("calendar_week", "2026-11-23 00:00", "2026-11-30"),  # a Monday
        ("calendar_week", "2026-01-01", "2026-01-05"),  # the first ISO week began in the year before
        ("calendar_month", "2026-01-31 12:00", "2026-02-01"),
        ("calendar_month", "2028-02-29 12:00", "2028-03-01"),
        ("calendar_month", "2026-12-31 23:59", "2027-01-01"),
        ("calendar_month", "2026-04-01", "2026-05-01"),
    ],
)
def test_a_calendar_s_period_begins_now_and_ends_on_its_boundary(alignment: Alignment, now: str, end: str) -> None:
    assert first_window(None, alignment, ms(now)) == (ms(now), ms(end))


def test_without_a_period_there_is_no_end() -> None:
    assert first_window(None, None, 5) == (5, None)
    assert window_at(None, None, 7, 9) == (7, None)
    assert first_window(60, None, 5) == (5, 60_005)


@given(st.integers(1, 10**7), MOMENT, MOMENT)
def test_a_length_counts_from_the_old_boundary(duration_s: int, boundary_ms: int, later_ms: int) -> None:
    now_ms = boundary_ms + later_ms
    started_ms, next_ms = window_at(duration_s, None, boundary_ms, now_ms)
    assert started_ms is not None
    assert next_ms is not None
    assert started_ms <= now_ms < next_ms
    assert (started_ms - boundary_ms) % (duration_s * 1_000) == 0
    assert next_ms - started_ms == duration_s * 1_000


@given(ALIGNMENT, MOMENT, MOMENT)
def test_a_calendar_holds_the_moment(alignment: Alignment, boundary_ms: int, later_ms: int) -> None:
    now_ms = boundary_ms + later_ms
    started_ms, next_ms = window_at(None, alignment, boundary_ms, now_ms)
    assert started_ms is not None
    assert next_ms is not None
    assert boundary_ms <= started_ms <= now_ms < next_ms
    assert window_at(None, alignment, next_ms, next_ms).started_at_ms == next_ms  # no gap, no overlap
    moment = datetime.fromtimestamp(next_ms / 1_000, UTC)
    assert (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    assert alignment != "calendar_week" or moment.weekday() == 0
    assert alignment != "calendar_month" or moment.day == 1


def test_a_budget_that_changes_to_the_calendar_begins_where_the_old_period_ended() -> None:
    boundary = ms("2026-05-10 13:00")
    assert window_at(None, "calendar_day", boundary, boundary + HOUR_MS) == Window(boundary, ms("2026-05-11"))
