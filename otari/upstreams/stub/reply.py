"""A scripted answer → canonical events with pauses and cuts between them, and the canonical reply they add up to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from otari.dialects.anthropic_messages.marks import FAMILY as ANTHROPIC
from otari.dialects.gemini.parts import FAMILY as GOOGLE
from otari.dialects.openai_responses.carrier import FAMILY as OPENAI
from otari.domain.chat import (
    ChatRequest,
    Event,
    Finish,
    Finished,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Reply,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
    fold,
)
from otari.domain.tokens import Counter
from otari.upstreams.stub.defaults import CLOCK, Defaults
from otari.upstreams.stub.dice import Identity
from otari.upstreams.stub.matching import Match
from otari.upstreams.stub.pieces import argument_pieces, pieces
from otari.upstreams.stub.rules import Block, CallTool, Cut, Pause, Say, SayJson, Think
from otari.upstreams.stub.sample import sample
from otari.upstreams.stub.scene import Scene
from otari.upstreams.stub.templates import fill, fill_all
from otari.upstreams.stub.usage import usage_of

Beat = Event | Pause | Cut
Open = Text | Thinking | ToolCall

# How each surface begins its ids: of an answer, of a tool call. Clients of some surfaces look at them.
_PREFIXES = {"chat": ("chatcmpl-", "call_"), "messages": ("msg_", "toolu_"), "responses": ("resp_", "call_")}
_PREFIX = ("stub-", "call_")

# Whose models sign what they think, by surface: clients must give it back as it came. Others tell it as plain text.
_FAMILIES = {"messages": ANTHROPIC, "responses": OPENAI, "gemini": GOOGLE}
_ASKED = "reasoning.encrypted_content"  # OpenAI signs only when `include` says so


@dataclass(frozen=True, slots=True)
class Casting:
    """Everything that an answer is made from: the request, what a script sees of it, and the rule that fits."""

    request: ChatRequest
    scene: Scene
    match: Match
    identity: Identity
    defaults: Defaults
    created: int = CLOCK

    def values(self) -> Mapping[str, str]:
        """What fills the places of templates."""
        return values_of(self.scene, self.match)

    def filled(self, text: str) -> str:
        """A template with its places filled."""
        return fill(text, self.values(), self.defaults.seed, self.scene.body)

    def filled_all(self, value: Any) -> Any:
        """A JSON value with every template in it filled."""
        return fill_all(value, self.values(), self.defaults.seed, self.scene.body)


def values_of(scene: Scene, match: Match) -> Mapping[str, str]:
    """What fills the places of templates in the answer to a request."""
    return {
        **match.groups,
        "user": scene.texts["user"],
        "model": scene.model,
        "turn": str(scene.turn),
        "call": scene.called,
        "tool_result": scene.texts["tool_result"],
        "session": scene.came.session,
    }


def beats(cast: Casting, counter: Counter) -> tuple[Beat, ...]:
    """The answer as it is streamed. A cut ends it: no part is ended after one, and nothing is finished."""
    answer = cast.match.answer
    prefix, _ = _PREFIXES.get(cast.scene.surface, _PREFIX)
    reply_id = answer.id or cast.identity.id(prefix, "reply")
    played = list(_parts(answer.blocks, cast))
    start = Started(reply_id, answer.model or cast.scene.model, cast.created)
    if played and isinstance(played[-1], Cut):
        return (start, *played)
    parts = _whole(start, played, Finish.END).parts
    called = any(isinstance(part, ToolCall) for part in parts)
    usage = usage_of(answer.tokens, cast.request, parts, counter)
    finish = answer.finish or (Finish.TOOLS if called else Finish.END)
    return (start, *played, UsageSeen(usage), Finished(finish))


def plain_reply(cast: Casting, counter: Counter) -> Reply | None:
    """The reply that `beats` add up to, made at once; None when there are pauses or cuts in the answer."""
    answer = cast.match.answer
    blocks = answer.blocks
    if any(type(block) is Pause or type(block) is Cut for block in blocks):
        return None
    prefix, _ = _PREFIXES.get(cast.scene.surface, _PREFIX)
    parts = tuple(_plain_parts(blocks, cast))
    called = any(type(part) is ToolCall for part in parts)
    return Reply(
        id=answer.id or cast.identity.id(prefix, "reply"),
        model=answer.model or cast.scene.model,
        parts=parts,
        finish=answer.finish or (Finish.TOOLS if called else Finish.END),
        usage=usage_of(answer.tokens, cast.request, parts, counter),
        created=cast.created,
    )


def _plain_parts(blocks: Iterable[Block], cast: Casting) -> Iterator[Open]:
    """The blocks as whole parts: what `_parts` tells bit by bit."""
    index = -1
    current: Open | None = None
    called = False
    for number, block in enumerate(blocks):
        if isinstance(block, Pause | Cut):
            continue
        part, text = _part(block, number, cast)
        if isinstance(part, ToolCall) and not called:
            part, called = _first_call(part, cast), True
        if current is not None and type(part) is type(current) and not isinstance(part, ToolCall):
            current = _longer(current, text)
            continue
        if current is not None:
            yield _signed(index, current, cast)
        index, current = index + 1, _longer(part, text)
    if current is not None:
        yield _signed(index, current, cast)


def _longer(part: Open, text: str) -> Open:
    match part:
        case Text():
            return Text(part.text + text)
        case Thinking():
            return replace(part, text=part.text + text)
    return replace(part, arguments=part.arguments + text)


def _signed(index: int, part: Open, cast: Casting) -> Open:
    if isinstance(part, Thinking) and _signs(part.family, cast):
        return replace(part, signature=cast.identity.id("stub", f"signature {index}"))
    return part


def whole(played: Iterable[Beat]) -> Reply:
    """The reply that `beats` add up to; up to a cut, if there is one."""
    events = [beat for beat in played if not isinstance(beat, Pause | Cut)]
    start = events[0]
    assert isinstance(start, Started)
    if isinstance(events[-1], Finished):
        reply = fold(events)
        assert isinstance(reply, Reply)
        return reply
    return _whole(start, events[1:], Finish.END)


def _whole(start: Started, played: Iterable[Beat], finish: Finish) -> Reply:
    events = [beat for beat in played if not isinstance(beat, Pause | Cut)]
    reply = fold([start, *events, Finished(finish)])
    assert isinstance(reply, Reply)
    return reply


def _parts(blocks: Iterable[Block], cast: Casting) -> Iterator[Beat]:
    """The blocks as events. Texts that follow each other are one part, also with a pause between them."""
    index = -1
    current: Open | None = None
    called = False
    for number, block in enumerate(blocks):
        if isinstance(block, Pause):
            yield block
            continue
        if isinstance(block, Cut):
            yield block
            return
        part, whole_text = _part(block, number, cast)
        if isinstance(part, ToolCall) and not called:
            part, called = _first_call(part, cast), True
        if isinstance(part, ToolCall) or type(part) is not type(current):
            if current is not None:
                yield from _end(index, current, cast)
            index, current = index + 1, part
            yield PartStarted(index, part)
        in_pieces = pieces if isinstance(block, Say | Think) else argument_pieces
        for text in in_pieces(whole_text):
            yield PartDelta(index, text)
    if current is not None:
        yield from _end(index, current, cast)


def _end(index: int, part: Open, cast: Casting) -> Iterator[Event]:
    if isinstance(part, Thinking) and _signs(part.family, cast):
        yield PartSigned(index, cast.identity.id("stub", f"signature {index}"))
    yield PartEnded(index)


def _first_call(call: ToolCall, cast: Casting) -> ToolCall:
    """The first call of an answer: Google signs that one and not the thinking before it."""
    google = cast.scene.surface == "gemini"
    return replace(call, signature=cast.identity.id("stub", "signature of calls")) if google else call


def _signs(family: str | None, cast: Casting) -> bool:
    asked = cast.request.extras.get("include")
    return family == ANTHROPIC or (family == OPENAI and isinstance(asked, list) and _ASKED in asked)


def _part(block: Say | Think | SayJson | CallTool, number: int, cast: Casting) -> tuple[Open, str]:
    """A block as an empty part and its text."""
    match block:
        case Say(text):
            return Text(""), cast.filled(text)
        case Think(text):
            return Thinking("", family=_FAMILIES.get(cast.scene.surface)), cast.filled(text)
        case SayJson(value, auto):
            dice = cast.identity.dice(f"sample {number}")
            made = sample(cast.scene.schema, dice) if auto else cast.filled_all(value)
            return Text(""), orjson.dumps(made).decode()
        case CallTool():
            return _call(block, number, cast)


def _call(block: CallTool, number: int, cast: Casting) -> tuple[ToolCall, str]:
    filled = cast.filled_all(block.arguments)
    arguments = filled if isinstance(filled, str) else orjson.dumps(filled).decode()
    if block.cut_at is not None:
        arguments = arguments[: int(len(arguments) * block.cut_at)]
    _, prefix = _PREFIXES.get(cast.scene.surface, _PREFIX)
    call_id = block.id or cast.identity.id(prefix, f"call {number}")
    return ToolCall(call_id, block.name, ""), arguments
