"""Names of files and batches that are the same in every run: they depend on the seed and on what came before."""

import hashlib
from collections import Counter

import orjson


class SeededNames:
    """A `Names`. Every user, which in a run of the stub is a session, has ids of its own: how sessions are interleaved
    makes no difference. What a batch makes is called after the batch, because nobody knows when it comes to that.

    The time stands still in such a run; each id of a user counts as a millisecond, so that a later one is greater.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._given: Counter[tuple[str, str]] = Counter()

    def file(self, user_id: str, now_ms: int) -> str:
        """See Names."""
        return self._next("file-", user_id, now_ms)

    def batch(self, user_id: str, now_ms: int) -> str:
        """See Names."""
        return self._next("batch_", user_id, now_ms)

    def made_file(self, batch_id: str, word: str, now_ms: int) -> str:
        """See Names."""
        return self._name("file-", now_ms, batch_id, word)

    def request(self, batch_id: str, line: int, now_ms: int) -> str:
        """See Names."""
        return self._name("req_", now_ms, batch_id, line, self._count("req_", f"{batch_id} {line}"))

    def _next(self, kind: str, user_id: str, now_ms: int) -> str:
        number = self._count(kind, user_id)
        return self._name(kind, now_ms + number, user_id, number)

    def _count(self, kind: str, whose: str) -> int:
        """How many of a kind somebody had before."""
        number = self._given[kind, whose]
        self._given[kind, whose] += 1
        return number

    def _name(self, kind: str, now_ms: int, *made_of: str | int) -> str:
        told = orjson.dumps([str(self._seed), kind, *made_of])
        return f"{kind}{now_ms:012x}{hashlib.blake2b(told, digest_size=10).hexdigest()}"
