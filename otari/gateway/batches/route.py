"""Where a batch goes when its provider carries it out as one, and what its lines are written in."""

from collections.abc import Callable
from typing import NamedTuple

from otari.domain.batch import Batch
from otari.domain.batches import BatchUpstream
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.domain.remote_account import RemoteAccount
from otari.gateway.batches.lines import Lines


class Route(NamedTuple):
    """The provider and model of a batch, its API, and the dialect or operation of the lines (see `Lines.dialect`)."""

    attempt: Attempt
    upstream: BatchUpstream
    dialect: str


class Routes:
    """Finds the routes of batches."""

    def __init__(
        self, account: RemoteAccount, lines: Lines, upstream_of: Callable[[Attempt], BatchUpstream | None]
    ) -> None:
        """`upstream_of` gives the API for batches of a provider that has one."""
        self._account = account
        self._lines = lines
        self._upstream_of = upstream_of

    def find(self, batch: Batch) -> Route | None:
        """The one provider that the selector means, if it has an API for such batches. Raises OtariError(INVALID)."""
        attempts = self._account.attempts(batch.selector)
        return self._to(batch, attempts[0]) if len(attempts) == 1 else None

    async def get(self, batch: Batch) -> Route:
        """Where it goes, or has gone.

        Raises OtariError: UNAVAILABLE or INVALID when that is not configured any more.
        """
        if batch.remote_state is None:
            route = self.find(batch)
        else:
            route = self._to(batch, await self._account.attempt_of(batch.batch_id))
        if route is None:
            words = f"Provider '{batch.provider}' is not configured for batches any more"
            raise OtariError(Kind.UNAVAILABLE, words, code="batch_no_provider")
        return route

    def _to(self, batch: Batch, attempt: Attempt) -> Route | None:
        upstream = self._upstream_of(attempt)
        dialect = None if upstream is None else self._lines.dialect(batch.endpoint, attempt, upstream)
        return None if upstream is None or dialect is None else Route(attempt, upstream, dialect)
