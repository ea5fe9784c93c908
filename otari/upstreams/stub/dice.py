"""Chance without randomness: numbers and ids that depend on nothing but a seed."""

import hashlib
from collections.abc import Iterator

import orjson

from otari.domain.arrival import DEFAULT_SESSION
from otari.domain.chat import Doc
from otari.domain.errors import invalid

# Keys that say how an answer travels, not what is asked: an answer has the same ids streamed and whole.
_TRAVEL = ("stream", "stream_options")


class Dice:
    """An endless row of numbers out of a seed; the same seed gives the same row in every process."""

    def __init__(self, seed: bytes) -> None:
        self._bytes = self._row(seed)

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1; `limit` is 1 to 65536."""
        return (next(self._bytes) << 8 | next(self._bytes)) % limit

    def share(self) -> float:
        """A number from 0.0 to 1.0, both included."""
        return self.below(65_536) / 65_535

    @staticmethod
    def _row(seed: bytes) -> Iterator[int]:
        number = 0
        while True:
            yield from hashlib.blake2b(seed + number.to_bytes(8, "big")).digest()
            number += 1


class Identity:
    """What makes one answer itself: the seed of the script, the rule, the step, the session and the request.

    Raises OtariError(INVALID) for a request that is nested too deeply.

    Ids made from it are equal in every run and differ between different requests. The order of keys and
    white space in the request do not matter, and neither does whether the answer is streamed.
    """

    def __init__(self, seed: int, rule: str, step: int, request: Doc, session: str = DEFAULT_SESSION) -> None:
        asked = {key: value for key, value in request.items() if key not in _TRAVEL}
        try:
            told = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            raise invalid("The request is nested too deeply: the stub reads at most 250 levels.") from None
        named = [] if session == DEFAULT_SESSION else [session]
        place = orjson.dumps([str(seed), rule, step, *named])
        self.key = hashlib.blake2b(place + told, digest_size=32).digest()

    def again(self, number: int) -> "Identity":
        """Become that of the same request when it has come `number` times before: a provider gives other ids then."""
        if number:
            self.key = hashlib.blake2b(number.to_bytes(8, "big"), key=self.key, digest_size=32).digest()
        return self

    def id(self, prefix: str, purpose: str) -> str:
        """An id with 24 hexadecimal digits, another one for each `purpose`."""
        return prefix + hashlib.blake2b(purpose.encode(), key=self.key, digest_size=12).hexdigest()

    def dice(self, purpose: str) -> Dice:
        """Numbers for one `purpose`."""
        return Dice(hashlib.blake2b(purpose.encode(), key=self.key, digest_size=32).digest())
