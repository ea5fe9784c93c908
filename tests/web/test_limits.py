"""Limits as the edge tells them: headers, refusals, which limit speaks; and guesses at keys."""

from collections.abc import Mapping

import pytest

from otari.domain.errors import Kind, OtariError
from otari.web.limits import Guesses, Limits

NOON_S = 1_700_000_000
WRONG = OtariError(Kind.UNAUTHENTICATED, "Invalid API key", code="invalid_api_key")


class Clock:
    """Milliseconds since the start, moved by hand; `wall` is the same on the wall."""

    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms

    def wall(self) -> int:
        return NOON_S * 1000 + self.ms


def limits(clock: Clock, **most: int) -> Limits:
    made = Limits.of(**most, now_ms=clock.wall, clock_ms=clock)
    assert made is not None
    return made


def refused(limited: Limits, user_id: str | None = "alice", key_id: str | None = "k1") -> OtariError:
    with pytest.raises(OtariError) as caught:
        limited.enter(user_id, key_id)
    assert caught.value.kind is Kind.RATE_LIMITED
    assert caught.value.code == "rate_limit_exceeded"
    return caught.value


def trio(headers: Mapping[str, str], of: str = "") -> tuple[int, int, int]:
    limit, remaining, reset = (int(headers[f"X-RateLimit-{word}{of}"]) for word in ("Limit", "Remaining", "Reset"))
    return limit, remaining, reset - NOON_S


def test_without_limits_there_is_nothing_to_ask() -> None:
    assert Limits.of(now_ms=Clock()) is None


def test_requests_count_down_and_come_back() -> None:
    clock = Clock()
    limited = limits(clock, user_rpm=3)
    assert trio(limited.enter("alice", "k1")) == (3, 2, 60)
    clock.ms = 20_000
    assert trio(limited.enter("alice", "k2")) == (3, 1, 60)
    assert trio(limited.enter("alice", "k1")) == (3, 0, 60)
    clock.ms = 20_500
    error = refused(limited)
    assert error.message == "Rate limit exceeded: at most 3 requests per minute for this user"
    assert error.retry_after == 39.5
    assert trio(dict(error.headers)) == (3, 0, 60)
    clock.ms = 60_000
    assert trio(limited.enter("alice", "k1")) == (3, 0, 80)


def test_who_is_refused_does_not_wait_longer_for_it() -> None:
    clock = Clock()
    limited = limits(clock, user_rpm=1)
    limited.enter("alice", None)
    for clock.ms in range(1_000, 60_000, 1_000):
        assert refused(limited).retry_after == 60 - clock.ms / 1000
    clock.ms = 60_000
    limited.enter("alice", None)


def test_a_key_has_its_own_limit_beside_its_users() -> None:
    clock = Clock()
    limited = limits(clock, user_rpm=5, key_rpm=2)
    assert trio(limited.enter("alice", "k1"))[:2] == (2, 1)
    assert trio(limited.enter("alice", "k1"))[:2] == (2, 0)
    assert refused(limited).message.endswith("at most 2 requests per minute for this key")
    assert trio(limited.enter("alice", "k2"))[:2] == (2, 1)
    limited.enter("alice", "k3")
    assert trio(limited.enter("alice", "k4"))[:2] == (5, 0)
    assert refused(limited, key_id="k5").message.endswith("for this user")
    assert trio(limited.enter("bob", "k9"))[:2] == (2, 1)


def test_a_refused_request_takes_nothing_of_the_other_limit() -> None:
    clock = Clock()
    limited = limits(clock, user_rpm=2, key_rpm=1)
    limited.enter("alice", "k1")
    for _ in range(5):
        refused(limited, key_id="k1")
    limited.enter("alice", "k2")


def test_tokens_are_checked_against_what_was_settled() -> None:
    clock = Clock()
    limited = limits(clock, user_tpm=100)
    assert limited.of_tokens
    assert trio(limited.enter("alice", "k1")) == (100, 100, 0)
    assert trio(limited.enter("alice", "k1")) == (100, 100, 0)
    limited.spent("alice", "k1", 60)
    clock.ms = 10_000
    assert trio(limited.enter("alice", "k1")) == (100, 40, 60)
    limited.spent("alice", "k1", 500)
    error = refused(limited)
    assert error.message == "Rate limit exceeded: at most 100 tokens per minute for this user"
    assert error.retry_after == 60
    clock.ms = 60_000
    assert refused(limited).retry_after == 10
    clock.ms = 70_000
    assert trio(limited.enter("alice", "k1")) == (100, 100, 70)


def test_with_both_kinds_tokens_are_told_under_names_of_their_own() -> None:
    clock = Clock()
    limited = limits(clock, user_rpm=10, key_tpm=100)
    limited.spent("alice", "k1", 30)
    headers = limited.enter("alice", "k1")
    assert trio(headers)[:2] == (10, 9)
    assert trio(headers, "-Tokens") == (100, 70, 60)
    assert "X-RateLimit-Limit-Tokens" not in limited.enter("alice", None)


def test_of_several_full_limits_the_longest_wait_is_told() -> None:
    clock = Clock()
    limited = limits(clock, user_rpm=1, key_tpm=10)
    limited.enter("alice", "k1")
    clock.ms = 30_000
    limited.spent("alice", "k1", 10)
    clock.ms = 31_000
    error = refused(limited)
    assert error.retry_after == 59
    assert "10 tokens per minute for this key" in error.message


def test_nobody_named_is_nobody_limited() -> None:
    limited = limits(Clock(), user_rpm=1, key_rpm=1)
    for _ in range(3):
        assert limited.enter(None, None) == {}


def test_the_time_of_the_reset_is_rounded_up() -> None:
    clock = Clock()
    limited = limits(clock, user_rpm=1)
    clock.ms = 1
    assert trio(limited.enter("alice", None)) == (1, 0, 61)


# ---- guesses ----


def test_ten_wrong_keys_a_minute_are_told_why_then_when() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(10):
        assert guesses.refused("10.0.0.1", WRONG) is WRONG
    clock.ms = 15_000
    error = guesses.refused("10.0.0.1", WRONG)
    assert (error.kind, error.code, error.retry_after) == (Kind.RATE_LIMITED, "too_many_wrong_keys", 45)
    assert error.message.endswith("Invalid API key")
    assert guesses.refused("10.0.0.2", WRONG) is WRONG
    clock.ms = 60_000
    assert guesses.refused("10.0.0.1", WRONG) is WRONG


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_neighbours_of_an_ipv6_network_count_as_one(first: str, second: str, same: bool) -> None:
    guesses = Guesses(Clock())
    for _ in range(10):
        guesses.refused(first, WRONG)
    assert (guesses.refused(second, WRONG) is not WRONG) is same


def test_a_peer_without_an_address_is_counted_too() -> None:
    guesses = Guesses(Clock())
    for _ in range(10):
        guesses.refused(None, WRONG)
    assert guesses.refused(None, WRONG) is not WRONG
