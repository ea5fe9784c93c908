"""What a provider tells corrects our counts: quickly, within bounds, and for exact families only upwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.calibration import CALM_MS, EAGER_MS, SAMPLE_TOKENS, WINDOW, Calibration
from otari.domain.families import family_of

NOW_MS = 1_700_000_000_000
believable = st.integers(1, 200_000).flatmap(
    lambda counted: st.tuples(st.just(counted), st.integers(-(-counted * 3 // 10), counted * 4))
)


def calibration(model: str = "claude-sonnet-4-5") -> Calibration:
    return Calibration(family_of(model))


def test_at_first_the_factor_is_the_familys() -> None:
    assert calibration().factor == family_of("claude-sonnet-4-5").factor


def test_one_long_request_tells_nearly_all() -> None:
    learned = calibration()
    learned.learn(16_000, 20_800)
    assert learned.factor == pytest.approx(1.3, abs=0.01)


def test_one_short_request_tells_little() -> None:
    learned = calibration()
    learned.learn(10, 30)
    assert learned.factor == pytest.approx(learned.family.factor, abs=0.05)


@given(samples=st.lists(believable, min_size=1, max_size=3 * WINDOW))
def test_the_factor_lies_between_the_familys_and_what_was_told(samples: list[tuple[int, int]]) -> None:
    learned = calibration()
    for counted, told in samples:
        learned.learn(counted, told)
    ratios = [told / counted for counted, told in samples] + [learned.family.factor]
    assert min(ratios) * 0.999 <= learned.factor <= max(ratios) * 1.001


@given(ratio=st.floats(0.4, 3.5), counts=st.lists(st.integers(2_000, 50_000), min_size=WINDOW, max_size=WINDOW))
def test_a_full_window_of_one_mind_is_believed_within_three_per_cent(ratio: float, counts: list[int]) -> None:
    learned = calibration()
    for counted in counts:
        learned.learn(counted, round(counted * ratio))
    assert learned.factor == pytest.approx(ratio, rel=0.03)


def test_what_was_told_long_ago_is_forgotten() -> None:
    learned, fresh = calibration(), calibration()
    for _ in range(WINDOW):
        learned.learn(5_000, 15_000)
    for number in range(WINDOW):
        learned.learn(5_000 + number, 6_000)
        fresh.learn(5_000 + number, 6_000)
    assert learned.factor == fresh.factor


def test_a_huge_request_weighs_no_more_than_a_long_one() -> None:
    one, other = calibration(), calibration()
    one.learn(SAMPLE_TOKENS, SAMPLE_TOKENS * 2)
    other.learn(SAMPLE_TOKENS * 100, SAMPLE_TOKENS * 200)
    assert one.factor == pytest.approx(other.factor)


@pytest.mark.parametrize(("counted", "told"), [(0, 5), (1_000, 299), (1_000, 4_001), (1_000, -7), (-1, 5)])
def test_what_can_not_be_believed_is_passed_over(counted: int, told: int) -> None:
    learned = calibration()
    learned.learn(counted, told)
    assert learned.factor == learned.family.factor


@given(samples=st.lists(believable, max_size=WINDOW))
def test_an_exact_count_is_never_made_smaller(samples: list[tuple[int, int]]) -> None:
    learned = calibration("gpt-5")
    for counted, told in samples:
        learned.learn(counted, told)
        assert learned.factor >= 1.0


def test_an_exact_count_follows_a_provider_that_finds_more() -> None:
    learned = calibration("gpt-5")
    for _ in range(4):
        learned.learn(5_000, 5_500)
    assert learned.factor == pytest.approx(1.1, abs=0.01)


def test_samples_are_taken_every_second_until_the_window_is_full_then_every_minute() -> None:
    learned, now_ms = calibration(), NOW_MS
    for _ in range(WINDOW):
        assert learned.take(now_ms)
        assert not learned.take(now_ms + EAGER_MS - 1)
        learned.learn(5_000, 6_000)
        now_ms += EAGER_MS
    assert learned.take(now_ms)
    assert not learned.take(now_ms + CALM_MS - 1)
    assert learned.take(now_ms + CALM_MS)
