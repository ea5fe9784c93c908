"""The money of batches that their providers carry out: held as a whole, charged by the line, at prices for batches."""

import sqlite3
from collections.abc import Callable, Sequence

from otari.control import charge
from otari.control.charge import Ticket
from otari.control.local import LocalControl
from otari.domain.access import Principal
from otari.domain.batch import Batch, Ending, LineProblem, LineResult
from otari.domain.batches import Weight
from otari.domain.catalog import Catalog, ModelRef
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.money import MAX_NANO_USD
from otari.domain.ports import Ask, Attempt, Outcome
from otari.domain.price import Price
from otari.domain.remote_account import FLAG
from otari.store import remote_batches
from otari.store.db import Database
from otari.store.ledger import Hold, Settlement
from otari.store.recovery import OnCrash
from otari.store.remote_batches import LineEnd


class BatchAccount:
    """See `RemoteAccount` in `domain/remote_account.py`."""

    def __init__(
        self, db: Database, control: LocalControl, catalog: Catalog, on_crash: OnCrash, dated_ms: Callable[[], int]
    ) -> None:
        """`on_crash` says what is charged for a batch of which nobody knows whether its provider has it, `dated_ms` by
        what clock batches are dated.
        """
        self._db = db
        self._dated_ms = dated_ms
        self._control = control
        self._catalog = catalog
        self._on_crash = on_crash
        self.on_settled: Callable[[Settlement], object] | None = None  # hears the end of every line

    def attempts(self, selector: str) -> tuple[Attempt, ...]:
        """What the selector stands for. Raises OtariError(INVALID)."""
        return self._control.attempts(selector)

    async def attempt_of(self, batch_id: str) -> Attempt:
        """The model whose money is held for a batch. Raises OtariError(INVALID) when it is not configured any more."""
        held = await self._held(batch_id)
        (attempt,) = self._control.attempts(f"{held.provider}:{held.model}")  # no alias has a colon
        return attempt

    def weigh(self, principal: Principal, ask: Ask) -> Weight:
        """What a line holds. Raises as `ControlPlane.admit` does, but for what only the accounts can tell."""
        hold = self._control.weigh(principal, ask, self._price).hold
        return Weight(hold.hold_nano, hold.hold_prompt_nano, hold.hold_estimated)

    async def hold(self, principal: Principal, ask: Ask, weight: Weight) -> None:
        """Hold the money of a batch, which `ask.request_id` names, and note that it is about to be handed in.

        Raises as `ControlPlane.admit` does.
        """
        hold = self._control.weigh(principal, ask, self._price).hold._replace(
            hold_nano=min(weight.hold_nano, MAX_NANO_USD),
            hold_prompt_nano=min(weight.prompt_nano, MAX_NANO_USD),
            hold_estimated=weight.estimated,
        )
        await self._control.take(hold, lambda conn: remote_batches.note_submitting(conn, hold.id))

    async def sent(self, batch_id: str, remote_id: str) -> None:
        """The provider has the batch."""
        await self._db.write(lambda conn: remote_batches.note_sent(conn, batch_id, remote_id))

    async def take_back(self, batch_id: str) -> None:
        """The provider does not have it, for sure."""
        await self._db.write(lambda conn: remote_batches.take_back(conn, batch_id))

    async def keep(self, batch_id: str, ends: Sequence[tuple[LineResult, Outcome | None]]) -> None:
        """Results of lines, each with what it cost; an outcome of None costs nothing and has no row."""
        held = await self._held(batch_id)
        price = self._price(ModelRef(held.provider, held.model), held.created_at_ms)
        kept = [
            LineEnd(result, None if outcome is None else self._row(held, price, result, outcome))
            for result, outcome in ends
        ]
        await self._db.write(lambda conn: remote_batches.keep_ends(conn, batch_id, kept))

    async def close(self, batch: Batch, ending: Ending, problems: Sequence[LineProblem] = ()) -> None:
        """All results of the batch are here: what is held for it is given back, and it ends so."""
        held = await self._held(batch.batch_id)
        succeeded = ending != "failed"
        told = None if succeeded else "; ".join(problem.message for problem in problems) or "the batch failed"
        await self._end(held, _outcome(held, succeeded, told), ending, problems, cost_nano=None)

    async def give_up(self, batch: Batch, problem: LineProblem) -> None:
        """Nobody will ever know what the provider did with it: charged as a request that a crash has cut off."""
        held = await self._held(batch.batch_id)
        cost = {"hold": held.hold_nano, "prompt_only": held.hold_prompt_nano, "release": 0}[self._on_crash]
        outcome = _outcome(held, False, problem.message)._replace(flags=(FLAG, "estimated"), usage_source="estimated")
        await self._end(held, outcome, "failed", (problem,), cost_nano=cost)

    async def _end(
        self, held: Hold, outcome: Outcome, ending: Ending, problems: Sequence[LineProblem], cost_nano: int | None
    ) -> None:
        now_ms, ends_at_ms = self._control.stamp(), self._dated_ms()
        named = Attempt(held.provider, held.model, via="", base_url="", secret=None, speaks=())
        end = charge.settlement(Ticket(held, (named,), (None,)), outcome, now_ms)._replace(
            state="released" if cost_nano is None else "settled",
            cost_nano=None if held.rates is None else cost_nano or 0,
            rates=held.rates,
            price_source=held.price_source,
        )

        def op(conn: sqlite3.Connection) -> None:
            remote_batches.close_batch(conn, held, end, ending, problems, ends_at_ms)

        await self._db.write(op)

    def _row(self, held: Hold, price: Price | None, result: LineResult, outcome: Outcome) -> tuple[Hold, Settlement]:
        assert outcome.attempt is not None  # its provider has answered
        now_ms = self._control.stamp()
        rates = charge.rates(price, outcome.usage.input or 0)
        row = held._replace(
            id=result.request_id,
            hold_nano=0,
            hold_prompt_nano=0,
            hold_estimated=False,
            rates=rates[0],
            price_source=rates[1],
            created_at_ms=now_ms,
        )
        end = charge.settlement(Ticket(row, (outcome.attempt,), (price,)), outcome, now_ms)
        end = end._replace(over_hold=False)  # it is held for by the row of its batch
        if self.on_settled is not None:
            self.on_settled(end)
        return row, end

    def _price(self, ref: ModelRef, at_ms: int) -> Price | None:
        price = self._catalog.price(ref, at_ms)
        return None if price is None else price.less(self._catalog.providers[ref.provider].batch_discount_percent)

    async def _held(self, batch_id: str) -> Hold:
        held = await self._db.read(lambda conn: remote_batches.find_hold(conn, batch_id))
        if held is None:
            raise OtariError(Kind.INTERNAL, "The money of this batch is not held any more", code="hold_lost")
        return held


def _outcome(held: Hold, succeeded: bool, error: str | None) -> Outcome:
    return Outcome(None, succeeded, 200 if succeeded else 502, Usage(), "none", error, (FLAG,))
