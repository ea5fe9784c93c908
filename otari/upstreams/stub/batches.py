"""Batches at the stub, where a script has a rule for them: done at the look that the rule says, line by line.

Every line is answered as the same request would be that is asked for alone, without its pauses. What is handed in is
kept in memory, within bounds, and ends with the run.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from otari.domain.arrival import Arrival, arrival
from otari.domain.batches import BatchAnswer, BatchLine, BatchLines, BatchLook, BatchState
from otari.domain.chat import ChatRequest
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, Call
from otari.domain.provider import Timeouts
from otari.upstreams.batches.roll import CANCELLED, refusal
from otari.upstreams.batches.spool import too_large
from otari.upstreams.stub.act import Act, Props
from otari.upstreams.stub.dice import Identity
from otari.upstreams.stub.frames import Move
from otari.upstreams.stub.matching import Match, Miss
from otari.upstreams.stub.reply import values_of
from otari.upstreams.stub.rules import BatchPlan
from otari.upstreams.stub.scene import Scene
from otari.upstreams.stub.single_act import act_of
from otari.upstreams.stub.templates import fill

SURFACE = "batches"
BATCHES_MAX = 100  # that are remembered
BYTES_MAX = 64 << 20  # of one
_BREATH = 16  # lines between two chances for others to run
_OPERATIONS = ("embeddings", "moderations", "rerank")
_FAILS = "The script says that this line fails."
_HURRIED = Timeouts(silence_s=0.001)  # nobody waits for a line: one that hangs has failed


@dataclass(slots=True)
class _Batch:
    """What was handed in, and how it goes. `came` is the request that did it."""

    lines: list[BatchLine]
    dialect: str
    plan: BatchPlan
    came: Arrival
    looks: int = 0
    state: BatchState = "in_progress"
    answers: list[BatchAnswer] = field(default_factory=list)


class BatchAct(Act):
    """A batch being handed in: rules that name the surface decide how it goes, or refuse it."""

    def __init__(self, props: Props, attempt: Attempt, call: Call, came: Arrival) -> None:
        texts = dict.fromkeys(("user", "system", "last", "tool_result", "thought"), "")
        scene = Scene(
            surface=SURFACE,
            model=attempt.model,
            texts=texts,
            tools=(),
            turn=0,
            step=0,
            stream=False,
            features=frozenset(),
            came=came,
            request=ChatRequest(attempt.model, ()),
        )
        super().__init__(props, attempt, call, scene, b"")
        self.plan = BatchPlan()

    def find(self) -> Match | Miss:
        return self.found_in(rule for rule in self.props.script.rules if SURFACE in rule.when.surface)

    def filled(self, text: str, found: Match, identity: Identity) -> str:
        return fill(text, values_of(self.scene, found), self.props.script.defaults.seed, self.scene.body)

    def moves(self, found: Match, identity: Identity) -> tuple[str, Iterable[Move]]:
        wish = found.answer.wish
        self.plan = BatchPlan() if wish is None or wish.batch is None else wish.batch
        return "application/json", (b"{}",)


class StubBatches:
    """See `BatchUpstream`."""

    flavour = "stub"
    dialects = MappingProxyType(
        {name: name for name in ("openai-chat", "anthropic-messages", "openai-responses", "gemini", *_OPERATIONS)}
    )
    lines_max = 10_000
    asks_often = True

    def __init__(self, props: Props) -> None:
        self._props = props
        self._hurried = replace(props, sleep=_no_pause)
        self._all: OrderedDict[str, _Batch] = OrderedDict()

    async def create(self, attempt: Attempt, batch_id: str, dialect: str, lines: BatchLines) -> BatchLook:
        """See `BatchUpstream.create`. Raises what the script's own `error` stands for, or its miss."""
        came = arrival() or Arrival()
        came.heard = True
        act = BatchAct(self._props, attempt, Call(batch_id, SURFACE, SURFACE, b"", stream=False), came)
        answer, delay_s = act.play()
        if delay_s:
            await self._props.sleep(delay_s)
        if isinstance(answer, OtariError):
            raise answer
        kept, size = [], 0
        async for line in lines():
            kept.append(line)
            size += len(line.body)
            if size > BYTES_MAX or len(kept) > self.lines_max:
                raise too_large("is larger than what the stub takes")
        self._all[batch_id] = _Batch(kept, dialect, act.plan, came)
        if len(self._all) > BATCHES_MAX:
            self._all.popitem(last=False)
        return self._told(batch_id, self._all[batch_id])

    async def find(self, attempt: Attempt, batch_id: str) -> BatchLook | None:
        """See `BatchUpstream.find`."""
        batch = self._all.get(batch_id)
        return None if batch is None else self._told(batch_id, batch)

    async def look(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.look`. The look that ends a batch has its lines answered."""
        batch = self._get(remote_id)
        if batch.state == "in_progress":
            batch.looks += 1
            if batch.looks >= batch.plan.polls:
                batch.state = "finalizing"
                batch.answers = await self._answers(attempt, remote_id, batch)
                batch.state = "completed"
        return self._told(remote_id, batch)

    async def cancel(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.cancel`."""
        batch = self._get(remote_id)
        if batch.state == "in_progress":
            batch.state = "cancelled"
            status, code, message = CANCELLED
            batch.answers = [BatchAnswer(line.number, status, None, code, message) for line in batch.lines]
        return self._told(remote_id, batch)

    async def results(self, attempt: Attempt, look: BatchLook, lines: int) -> AsyncIterator[BatchAnswer]:
        """See `BatchUpstream.results`."""
        for answer in self._get(look.remote_id).answers:
            yield answer

    async def _answers(self, attempt: Attempt, batch_id: str, batch: _Batch) -> list[BatchAnswer]:
        answers = []
        for count, line in enumerate(batch.lines, 1):
            if line.number in batch.plan.fail:
                answers.append(refusal(attempt, 400, _FAILS)._replace(number=line.number))
            else:
                answers.append(await self._answer(attempt, batch_id, batch, line))
            if count % _BREATH == 0:
                await asyncio.sleep(0)
        return answers

    async def _answer(self, attempt: Attempt, batch_id: str, batch: _Batch, line: BatchLine) -> BatchAnswer:
        single = batch.dialect in _OPERATIONS
        operation, wire = (
            (batch.dialect, attempt.operations.get(batch.dialect, "")) if single else ("chat", batch.dialect)
        )
        call = Call(f"{batch_id}.{line.number}", operation, wire, line.body, stream=False)
        came = replace(batch.came, labels={}, damage=None, heard=True)
        try:
            answer, _ = act_of(self._hurried, replace(attempt, timeouts=_HURRIED), call, came).play()
            if isinstance(answer, OtariError):
                raise answer
            return BatchAnswer(line.number, 200, await answer.read(), None, None)
        except OtariError as error:
            return BatchAnswer(line.number, error.status, None, error.code or error.kind.value, error.message)

    def _get(self, remote_id: str) -> _Batch:
        batch = self._all.get(remote_id)
        if batch is None:
            raise OtariError(Kind.NOT_FOUND, "The stub knows no such batch: what it is given ends with its run.")
        return batch

    def _told(self, remote_id: str, batch: _Batch) -> BatchLook:
        good = sum(answer.body is not None for answer in batch.answers)
        return BatchLook(remote_id, batch.state, len(batch.lines), good, len(batch.answers) - good, None, "")


async def _no_pause(seconds: float) -> None:
    """Nobody waits for the lines of a batch."""
