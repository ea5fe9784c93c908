"""What the gateway calls the things that it keeps for users."""

import secrets
from typing import Protocol


class Names(Protocol):
    """Ids that were never given before. They begin with a kind and the time in 12 hexadecimal digits, so that a later
    one is greater; 20 digits follow that nobody else could have come upon. `now_ms` is in epoch milliseconds.
    """

    def file(self, user_id: str, now_ms: int) -> str:
        """For a file that a user has sent: `file-…`."""
        ...

    def batch(self, user_id: str, now_ms: int) -> str:
        """For a batch that a user has sent: `batch_…`."""
        ...

    def made_file(self, batch_id: str, word: str, now_ms: int) -> str:
        """For a file that a batch ends with; `word` says which one."""
        ...

    def request(self, batch_id: str, line: int, now_ms: int) -> str:
        """For a request that is sent for a line of a batch, another one whenever it is sent again: `req_…`."""
        ...


class RandomNames:
    """Names that nobody can foresee."""

    def file(self, user_id: str, now_ms: int) -> str:
        """See Names."""
        return _name("file-", now_ms)

    def batch(self, user_id: str, now_ms: int) -> str:
        """See Names."""
        return _name("batch_", now_ms)

    def made_file(self, batch_id: str, word: str, now_ms: int) -> str:
        """See Names."""
        return _name("file-", now_ms)

    def request(self, batch_id: str, line: int, now_ms: int) -> str:
        """See Names."""
        return _name("req_", now_ms)


def _name(kind: str, now_ms: int) -> str:
    return f"{kind}{now_ms:012x}{secrets.token_hex(10)}"


RANDOM_NAMES = RandomNames()
