"""The account of batches that providers carry out: where `gateway/batches` meets who decides about money."""

from collections.abc import Sequence
from typing import Protocol

from otari.domain.access import Principal
from otari.domain.batch import Batch, Ending, LineProblem, LineResult
from otari.domain.batches import Weight
from otari.domain.ports import Ask, Attempt, Outcome

FLAG = "batch"  # of the rows of such batches, and of their lines


class RemoteAccount(Protocol):
    """Who accounts for batches that their providers carry out. Everything may raise OtariError(UNAVAILABLE)."""

    def attempts(self, selector: str) -> tuple[Attempt, ...]:
        """What is tried for a selector. Raises OtariError(INVALID)."""
        ...

    async def attempt_of(self, batch_id: str) -> Attempt:
        """Whom a batch was handed in to, whatever its selector stands for by now. Raises OtariError(INVALID)."""
        ...

    def weigh(self, principal: Principal, ask: Ask) -> Weight:
        """What a line holds. Raises OtariError as `ControlPlane.admit` does, but for what accounts alone can tell."""
        ...

    async def hold(self, principal: Principal, ask: Ask, weight: Weight) -> None:
        """Hold the money of a batch, which `ask.request_id` names, and note that it is about to be handed in.

        Raises OtariError as `ControlPlane.admit` does.
        """
        ...

    async def sent(self, batch_id: str, remote_id: str) -> None:
        """The provider has it."""
        ...

    async def take_back(self, batch_id: str) -> None:
        """The provider does not have it, for sure: nothing is held any more."""
        ...

    async def keep(self, batch_id: str, ends: Sequence[tuple[LineResult, Outcome | None]]) -> None:
        """Results of lines, each with what it cost; those that were kept before are not charged again."""
        ...

    async def close(self, batch: Batch, ending: Ending, problems: Sequence[LineProblem] = ()) -> None:
        """All results are here: nothing is held any more, and the batch will end so."""
        ...

    async def give_up(self, batch: Batch, problem: LineProblem) -> None:
        """Nobody will know what the provider did: charged as what a crash has cut off, and the batch fails."""
        ...
