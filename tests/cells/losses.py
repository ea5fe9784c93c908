"""What an answer loses on its way: the one table of it. A cell loses what the provider's wire can not tell, and then
what the client's wire can not.

What is lost by name in a request stands in `golden/` and, feature by feature, in `docs/translation.md`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from otari.dialects.tool_arguments import complete
from otari.domain.chat import Finish, Part, Refusal, Reply, Text, Thinking, ToolCall, Usage
from tests.cells.cell import CHAT, GEMINI, MESSAGES, RESPONSES, Cell


@dataclass(frozen=True)
class Told:
    """What an answer says, in whatever form. Signatures are judged when they come back: `test_history`."""

    model: str
    text: str
    thinking: str
    refusal: str
    calls: tuple[tuple[str, str, object], ...]
    finish: Finish
    stop_sequence: str | None
    usage: Usage
    created: int | None
    cited: tuple[tuple[str, str, str], ...]
    service_tier: str | None


class Loss(NamedTuple):
    """Something that a wire can not tell: its name, and the answer without it."""

    name: str
    without: Callable[[Told], Told]


def _no_stop_sequence(told: Told) -> Told:
    end = Finish.END if told.finish is Finish.STOP_SEQUENCE else told.finish
    return replace(told, finish=end, stop_sequence=None)


STOP_SEQUENCE = Loss("which stop sequence ended it", _no_stop_sequence)
CREATED = Loss("when it was made", lambda told: replace(told, created=None))
CACHE_WRITE = Loss(
    "how much was written to the cache", lambda told: replace(told, usage=told.usage._replace(cache_write=0))
)

CITATIONS = Loss("which web pages a text is taken from", lambda told: replace(told, cited=()))
TIER = Loss("the service tier", lambda told: replace(told, service_tier=None))

LOSSES: dict[str, tuple[Loss, ...]] = {
    CHAT: (STOP_SEQUENCE,),
    MESSAGES: (CREATED, CITATIONS),
    RESPONSES: (STOP_SEQUENCE,),
    GEMINI: (STOP_SEQUENCE, CACHE_WRITE, CITATIONS, TIER),
}


def losses(cell: Cell) -> tuple[Loss, ...]:
    """What an answer loses in a cell."""
    return tuple(dict.fromkeys((*LOSSES[cell.server], *LOSSES[cell.client])))


def surviving(cell: Cell, reply: Reply) -> Told:
    """What of a provider's answer must reach the client."""
    told = told_by(reply)
    for loss in losses(cell):
        told = loss.without(told)
    return told


def told_by(reply: Reply) -> Told:
    """What an answer says. A count that nobody told is 0: most wires demand all of them."""
    return Told(
        model=reply.model,
        text=_joined(reply.parts, Text),
        thinking=_joined(reply.parts, Thinking),
        refusal=_joined(reply.parts, Refusal),
        calls=tuple((part.id, part.name, _meant(part.arguments)) for part in reply.parts if isinstance(part, ToolCall)),
        finish=reply.finish,
        stop_sequence=reply.stop_sequence,
        usage=Usage(*[count or 0 for count in reply.usage]),
        created=reply.created,
        cited=tuple(_cited(reply.parts)),
        service_tier=reply.service_tier,
    )


def _cited(parts: tuple[Part, ...]) -> Iterator[tuple[str, str, str]]:
    """The pages that texts are taken from, each with the piece that is."""
    for part in parts:
        for citation in part.citations if isinstance(part, Text) else ():
            assert isinstance(part, Text)
            yield citation.url, citation.title, part.text[citation.start : citation.end]


def _joined(parts: tuple[Part, ...], kind: type[Text | Thinking | Refusal]) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))


def _meant(arguments: str) -> object:
    """Arguments as what they mean; a text that was cut off means itself."""
    return orjson.loads(arguments or "{}") if complete(arguments) else arguments
