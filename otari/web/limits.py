"""Who asks too often: requests and tokens per minute of users and keys, and guesses at keys.

Everything is counted in this process's memory and starts from nothing with it. A request counts when it is let in, its
tokens when it is settled; a refused one counts nothing.
"""

import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from otari.domain.errors import Kind, OtariError
from otari.domain.rates import Rate, Window

GUESSES_PER_MINUTE = 10
PEERS_MAX = 10_000
_IPV6_NETWORK = 64  # what one customer is given: single addresses cost an attacker nothing


def monotonic_ms() -> int:
    """Milliseconds that only go forward: setting the clock of the machine opens and locks nobody's door."""
    return time.monotonic_ns() // 1_000_000


class _Limit(NamedTuple):
    """One configured limit: of requests or of tokens, for each user or for each key."""

    rate: Rate
    per_user: bool
    of_tokens: bool

    @property
    def words(self) -> str:
        what = "tokens" if self.of_tokens else "requests"
        return f"at most {self.rate.limit} {what} per minute for this {'user' if self.per_user else 'key'}"


_Seen = Sequence[tuple[_Limit, Window]]
_NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_TOKEN_NAMES = ("X-RateLimit-Limit-Tokens", "X-RateLimit-Remaining-Tokens", "X-RateLimit-Reset-Tokens")


class Limits:
    """The limits of the inference routes. Make them with `of`, which gives None when nothing is limited."""

    def __init__(self, limits: tuple[_Limit, ...], now_ms: Callable[[], int], clock_ms: Callable[[], int]) -> None:
        self._of_requests = tuple(limit for limit in limits if not limit.of_tokens)
        self._of_tokens = tuple(limit for limit in limits if limit.of_tokens)
        self.of_tokens = bool(self._of_tokens)  # whether anybody wants to hear of `spent`
        self._now_ms = now_ms
        self._clock_ms = clock_ms

    @classmethod
    def of(
        cls,
        *,
        user_rpm: int | None = None,
        user_tpm: int | None = None,
        key_rpm: int | None = None,
        key_tpm: int | None = None,
        now_ms: Callable[[], int],
        clock_ms: Callable[[], int] = monotonic_ms,
    ) -> "Limits | None":
        """Requests (`rpm`) and tokens (`tpm`) per minute; None = no such limit.

        `now_ms` is the wall clock, for the header that tells a time; `clock_ms` is what the windows go by.
        """
        wanted = ((user_rpm, True, False), (key_rpm, False, False), (user_tpm, True, True), (key_tpm, False, True))
        limits = tuple(_Limit(Rate(most), user, tokens) for most, user, tokens in wanted if most is not None)
        return cls(limits, now_ms, clock_ms) if limits else None

    def enter(self, user_id: str | None, key_id: str | None) -> Mapping[str, str]:
        """Let one request in and count it; the headers that tell what is left. None is not limited by that side.

        Of requests they tell what is scarcest; of tokens too, under names of their own if requests are limited as well.

        Raises OtariError(RATE_LIMITED), with the same headers, for the limit that is full for the longest time.
        """
        now = self._clock_ms()
        requests = _windows(self._of_requests, user_id, key_id, now)
        tokens = _windows(self._of_tokens, user_id, key_id, now)
        for limit, window in (*requests, *tokens):
            if window.used >= limit.rate.limit:
                raise self._refusal((*requests, *tokens), now)
        for _, window in requests:
            window.add(1, now)
        headers: dict[str, str] = {}
        if requests:
            self._tell(headers, _NAMES, *_scarcest(requests, now))
        if tokens:
            self._tell(headers, _TOKEN_NAMES if requests else _NAMES, *_scarcest(tokens, now))
        return headers

    def spent(self, user_id: str | None, key_id: str | None, tokens: int) -> None:
        """Count the tokens of a request that was settled."""
        now = self._clock_ms()
        for _, window in _windows(self._of_tokens, user_id, key_id, now):
            window.add(tokens, now)

    def _refusal(self, seen: _Seen, now: int) -> OtariError:
        wait_ms, limit = max(
            ((window.wait_ms(limit.rate.limit - 1, now), limit) for limit, window in seen), key=lambda pair: pair[0]
        )
        headers: dict[str, str] = {}
        self._tell(headers, _NAMES, limit.rate.limit, 0, wait_ms)
        return OtariError(
            Kind.RATE_LIMITED,
            f"Rate limit exceeded: {limit.words}",
            code="rate_limit_exceeded",
            retry_after=wait_ms / 1000,
            headers=tuple(headers.items()),
        )

    def _tell(
        self, headers: dict[str, str], names: tuple[str, str, str], most: int, remaining: int, more_in_ms: int
    ) -> None:
        # The time is in whole seconds, rounded up: who waits until then is not refused for a fraction of one.
        reset = -((self._now_ms() + more_in_ms) // -1000)
        headers[names[0]], headers[names[1]], headers[names[2]] = str(most), str(remaining), str(reset)


def _scarcest(seen: _Seen, now: int) -> tuple[int, int, int]:
    """Of the windows the one with least left (of two that are equal, the one that waits longer).

    Its limit, what is left of it, and in how many milliseconds there is more.
    """
    found: tuple[int, int, int] | None = None
    for limit, window in seen:
        remaining = max(0, limit.rate.limit - window.used)
        if found is None or remaining <= found[1]:
            relief_ms = window.relief_ms(now)
            if found is None or remaining < found[1] or relief_ms > found[2]:
                found = (limit.rate.limit, remaining, relief_ms)
    assert found is not None  # asked only when there is a window
    return found


def _windows(limits: tuple[_Limit, ...], user_id: str | None, key_id: str | None, now: int) -> _Seen:
    """The windows that a request of this user and this key falls into."""
    return [
        (limit, limit.rate.window(name, now))
        for limit in limits
        if (name := user_id if limit.per_user else key_id) is not None
    ]


class Guesses:
    """Wrong keys, counted by who sends them. A right key is never refused, wherever it comes from."""

    def __init__(self, clock_ms: Callable[[], int] = monotonic_ms) -> None:
        self._rate = Rate(GUESSES_PER_MINUTE, PEERS_MAX)
        self._clock_ms = clock_ms

    def refused(self, peer: str | None, error: OtariError) -> OtariError:
        """What a wrong key from `peer` (an IP address) is told: `error`, or RATE_LIMITED after ten in a minute."""
        now = self._clock_ms()
        window = self._rate.window(_neighbourhood(peer or ""), now)
        if window.used < GUESSES_PER_MINUTE:
            window.add(1, now)
            return error
        return OtariError(
            Kind.RATE_LIMITED,
            f"Too many wrong keys from this address in the last minute. {error.message}",
            code="too_many_wrong_keys",
            retry_after=window.wait_ms(GUESSES_PER_MINUTE - 1, now) / 1000,
        )


def _neighbourhood(peer: str) -> str:
    """An IPv4 address itself, the network of an IPv6 one."""
    if ":" not in peer:
        return peer
    try:
        address = ipaddress.IPv6Address(peer)
    except ValueError:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed, _IPV6_NETWORK), strict=False))
