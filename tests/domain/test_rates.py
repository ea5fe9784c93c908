"""Sliding windows: never more than the limit in any minute, room again as soon as promised, memory that ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.rates import WINDOW_MS, Rate, Window

NOON = 1_700_000_000_000


def test_what_was_used_a_minute_ago_is_forgotten_to_the_millisecond() -> None:
    rate = Rate(5)
    rate.window("alice", NOON).add(3, NOON)
    assert rate.window("alice", NOON + WINDOW_MS - 1).used == 3
    assert rate.window("alice", NOON + WINDOW_MS).used == 0


def test_names_do_not_share() -> None:
    rate = Rate(5)
    rate.window("alice", NOON).add(5, NOON)
    assert rate.window("bob", NOON).used == 0


def test_the_wait_is_until_enough_is_forgotten() -> None:
    window = Window()
    for second in range(4):
        window.add(10, NOON + second * 1000)
    now = NOON + 10_000
    assert window.wait_ms(40, now) == 0
    assert window.wait_ms(39, now) == 50_000
    assert window.wait_ms(30, now) == 50_000
    assert window.wait_ms(29, now) == 51_000
    assert window.wait_ms(0, now) == 53_000


def test_the_oldest_use_is_the_first_to_go() -> None:
    window = Window()
    assert window.relief_ms(NOON) == 0
    window.add(1, NOON)
    window.add(1, NOON + 30_000)
    assert window.relief_ms(NOON + 40_000) == 20_000


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 9)), max_size=60), st.integers(1, 12))
def test_no_minute_holds_more_than_was_allowed(steps: list[tuple[int, int]], limit: int) -> None:
    """One amount at a time is let in while there is room for it, as requests are; every window of 60 s is checked."""
    rate = Rate(limit)
    let_in: list[int] = []
    now = NOON
    for pause, tries in steps:
        now += pause
        for _ in range(tries):
            window = rate.window("alice", now)
            if window.used < limit:
                assert window.wait_ms(limit - 1, now) == 0
                window.add(1, now)
                let_in.append(now)
            else:
                assert sum(1 for at in let_in if now - WINDOW_MS - 250 < at) >= limit  # not refused without reason
    for start in let_in:
        assert sum(1 for at in let_in if start <= at < start + WINDOW_MS) <= limit


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 1000)), min_size=1, max_size=80), st.integers(0, 5_000))
def test_after_the_wait_there_is_room_and_before_it_there_is_none(uses: list[tuple[int, int]], allowed: int) -> None:
    rate = Rate(1)
    now = NOON
    for pause, amount in uses:
        now += pause
        rate.window("alice", now).add(amount, now)
    wait = rate.window("alice", now).wait_ms(allowed, now)
    assert 0 <= wait <= WINDOW_MS
    if wait:
        assert rate.window("alice", now + wait - 1).used > allowed
    assert rate.window("alice", now + wait).used <= allowed


def test_a_window_is_small_however_much_is_asked() -> None:
    rate = Rate(10**6)
    for now in range(NOON, NOON + 3 * WINDOW_MS, 7):
        rate.window("alice", now).add(1, now)
    assert len(rate.window("alice", now)._slots) <= 241


def test_names_that_fell_silent_are_dropped() -> None:
    rate = Rate(5)
    for minute in range(10):
        for name in range(100):
            now = NOON + minute * WINDOW_MS + name
            rate.window(f"{minute}-{name}", now).add(1, now)
        assert len(rate) <= 201


def test_a_name_that_goes_on_is_not_dropped() -> None:
    rate = Rate(100)
    for second in range(300):
        now = NOON + second * 1000
        window = rate.window("alice", now)
        assert window.used == min(second, 59)
        window.add(1, now)


@pytest.mark.parametrize("names", [10, 1000])
def test_a_flood_of_names_does_not_fill_the_memory(names: int) -> None:
    rate = Rate(5, names_max=50)
    for name in range(names):
        rate.window(str(name), NOON).add(1, NOON)
    assert len(rate) <= 100
    assert rate.window(str(names - 1), NOON).used == 1
