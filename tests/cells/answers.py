"""Answers of providers, whole and as the events of a stream that tells them piece by piece."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import orjson
from hypothesis import strategies as st

from otari.domain.chat import (
    Citation,
    Event,
    Finish,
    Finished,
    Part,
    PartCited,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Refusal,
    Reply,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)
from tests.cells.cell import CHAT, GEMINI, MESSAGES, RESPONSES
from tests.domain.strategies import json_objects, some_text, texts, words

CUT_OFF = '{"a":'
_counts = st.integers(0, 10**6)


class Answer(NamedTuple):
    """One answer in both forms."""

    reply: Reply
    events: tuple[Event, ...]


_objects = json_objects.map(lambda value: orjson.dumps(value).decode())
_names = words.map(lambda word: f"t{word}"[:40])  # such as every wire allows
_ids = words | texts.filter(lambda text: 0 < len(text) <= 40)


def _calls(server: str) -> st.SearchStrategy[ToolCall]:
    """Calls, also of the tools of `responses_client.ASKED`: one that takes plain text, and one of a group."""
    signature = words if server == GEMINI else st.none()
    plain_text = texts.map(lambda text: orjson.dumps({"input": text}).decode())
    return st.one_of(
        st.builds(ToolCall, _ids, _names, st.sampled_from(["", "{}"]) | _objects, signature),
        st.builds(ToolCall, _ids, st.just("apply_patch"), plain_text, signature),
        st.builds(ToolCall, _ids, st.just("clock__sleep"), st.just("{}"), signature),
    )


# Who signs the thinking that comes over a wire; None where nobody does.
FAMILIES = {CHAT: None, MESSAGES: "anthropic", RESPONSES: "openai", GEMINI: "google"}


def _thoughts(family: str | None) -> st.SearchStrategy[Part]:
    """Thinking of a model of this family: signed or not, or hidden."""
    if family is None:
        return st.builds(Thinking, some_text)
    signed = st.builds(Thinking, some_text if family == "google" else texts, words, st.just(family))
    plain = st.builds(Thinking, some_text, st.none(), st.just(family))
    hidden = st.builds(Thinking, st.just(""), st.none(), st.just(family), words)
    return signed | plain | hidden if family == "anthropic" else signed | plain


@st.composite
def answers(draw: st.DrawFn, server: str, *, ordered: bool = False, cut_off: bool = True) -> Answer:
    """Answers of texts, thinking and calls in any order, maybe declined or cut off, with an ending that fits.

    `server` is the dialect that they come over.
    `ordered`: one thought, one text and then calls, which is all that a message of Chat Completions can tell apart.
    `cut_off`: the last call may have broken off within its arguments.
    """
    thoughts, said, calls = _thoughts(FAMILIES[server]), _texts(), _calls(server)
    if ordered:
        parts = [*draw(_at_most_one(thoughts)), *draw(_at_most_one(said)), *draw(st.lists(calls, max_size=3))]
    else:
        parts = draw(st.lists(said | thoughts | calls, max_size=5))
    parts = _distinct(parts)
    finish = draw(st.sampled_from([Finish.END, Finish.STOP_SEQUENCE, Finish.LENGTH, Finish.FILTER]))
    called = [part for part in parts if isinstance(part, ToolCall)]
    if called and finish in (Finish.END, Finish.STOP_SEQUENCE):
        finish = Finish.TOOLS
    if cut_off and finish is Finish.LENGTH and draw(st.booleans()):
        parts.append(ToolCall("cut", "look", CUT_OFF))
    if finish is Finish.FILTER and draw(st.booleans()):
        parts.insert(len(parts) - len(called) if ordered else len(parts), Refusal(draw(some_text)))
    read, written = draw(_counts), draw(_counts)
    usage = Usage(
        input=read + written + draw(_counts),
        output=draw(_counts),
        cache_read=draw(st.sampled_from([None, read])),
        cache_write=draw(st.sampled_from([None, written])),
        reasoning=draw(st.none() | st.just(0)),
    )
    stop = draw(some_text) if finish is Finish.STOP_SEQUENCE else None
    tier = draw(st.sampled_from([None, "default", "priority"]))
    reply = Reply(draw(words), draw(words), tuple(parts), finish, usage, draw(st.integers(1, 2**31)), stop, tier)
    return Answer(reply, tuple(_streamed(draw, reply)))


@st.composite
def _texts(draw: st.DrawFn) -> Text:
    """A text that is taken from nowhere, or from some pages."""
    text = draw(some_text)
    citations = []
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        start = draw(st.integers(0, len(text)))
        bounds = draw(st.sampled_from([(None, None), (start, draw(st.integers(start, len(text))))]))
        citations.append(Citation(f"https://{draw(words)}.example", draw(words), *bounds))
    return Text(text, citations=tuple(citations))


def _at_most_one(parts: st.SearchStrategy[Part]) -> st.SearchStrategy[list[Part]]:
    return st.lists(parts, max_size=1)


def _distinct(parts: Iterable[Part]) -> list[Part]:
    """Without a second call of the same id."""
    kept: dict[object, Part] = {}
    for number, part in enumerate(parts):
        kept.setdefault(part.id if isinstance(part, ToolCall) else number, part)
    return list(kept.values())


def _streamed(draw: st.DrawFn, reply: Reply) -> Iterator[Event]:
    """The events of an answer; calls that follow each other are told at the same time."""
    yield Started(reply.id, reply.model, reply.created, reply.service_tier)
    together: list[list[Event]] = []
    for index, part in enumerate(reply.parts):
        if together and not isinstance(part, ToolCall):
            yield from _interleaved(draw, together)
            together = []
        together.append(list(_pieces(draw, index, part)))
        if not isinstance(part, ToolCall):
            yield from together.pop()
    yield from _interleaved(draw, together)
    yield UsageSeen(reply.usage)
    yield Finished(reply.finish, reply.stop_sequence, reply.service_tier)


def _interleaved(draw: st.DrawFn, queues: list[list[Event]]) -> Iterator[Event]:
    """The events of several parts; they begin in their order."""
    begun = 0
    while any(queues):
        number = draw(st.sampled_from([at for at, queue in enumerate(queues) if queue and at <= begun]))
        begun = max(begun, number + 1)
        yield queues[number].pop(0)


def _pieces(draw: st.DrawFn, index: int, part: Part) -> Iterator[Event]:
    """The events of one part, its text cut somewhere."""
    empty, text, signature = _begun(part)
    yield PartStarted(index, empty)
    place = draw(st.integers(0, len(text)))
    cited = [PartCited(index, citation) for citation in part.citations] if isinstance(part, Text) else []
    early = draw(st.integers(0, len(cited)))  # a text may be said to come from somewhere before it comes
    yield from cited[:early]
    yield from (PartDelta(index, piece) for piece in (text[:place], text[place:]) if piece)
    yield from cited[early:]
    if signature is not None:
        yield PartSigned(index, signature)
    yield PartEnded(index)


def _begun(part: Part) -> tuple[Part, str, str | None]:
    """A part before anything of it came, its text, and its signature."""
    match part:
        case Text(text):
            return Text(""), text, None
        case Refusal(text):
            return replace(part, text=""), text, None
        case Thinking(text, signature):
            return replace(part, text="", signature=None), text, signature
        case ToolCall(_, _, arguments, signature):
            return replace(part, arguments="", signature=None), arguments, signature
    raise AssertionError(part)
