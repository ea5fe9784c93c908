"""Answers that this wire can hold, and what they are once they went over it."""

from dataclasses import replace

import orjson
from hypothesis import strategies as st

from otari.dialects.anthropic_messages.blocks import read_arguments
from otari.dialects.gemini import GEMINI
from otari.dialects.gemini.parts import FAMILY, NAME
from otari.dialects.tool_arguments import complete
from otari.domain.chat import (
    Event,
    Finish,
    Image,
    Opaque,
    Part,
    Refusal,
    Reply,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from tests.domain.strategies import arguments, counts, json_objects, some_text, words

_parts: st.SearchStrategy[list[Part]] = st.one_of(
    st.builds(Text, some_text).map(lambda part: [part]),
    st.builds(Thinking, some_text, st.none() | words, st.sampled_from([FAMILY, None, "anthropic"])).map(lambda p: [p]),
    st.builds(Thinking, st.just(""), st.none(), st.just(FAMILY), words).map(lambda part: [part]),
    st.builds(Image, st.just("image/png"), st.just("iVBORw0KGgo=")).map(lambda part: [part]),
    st.builds(lambda text, signature: [Text(text), Thinking("", signature, FAMILY)], some_text, words),
    json_objects.map(lambda doc: [Opaque(NAME, {"type": "later", "part": {"later": 1, "told": doc}})]),
)
_calls = st.builds(ToolCall, words, words, arguments, st.none() | words)


@st.composite
def answers(draw: st.DrawFn) -> Reply:
    """Answers of texts, thinking, pictures and calls, with or without a refusal."""
    parts = [part for some in draw(st.lists(_parts, max_size=4)) for part in some]
    made: list[ToolCall] = draw(st.lists(_calls, max_size=3, unique_by=lambda call: call.id))
    parts += made
    if draw(st.booleans()):
        parts.append(Refusal(draw(some_text)))
    output, reasoning = draw(counts), draw(st.none() | counts)
    usage = Usage(draw(counts), max(output, reasoning or 0), draw(st.none() | counts), reasoning=reasoning)
    created = draw(st.none() | st.integers(1, 2**32))
    return Reply(draw(words), draw(words), tuple(parts), draw(st.sampled_from(Finish)), usage, created)


def as_read(reply: Reply) -> Reply:
    """The answer as it is read again.

    What the wire can not hold: which sequence stopped the model, and what other families signed. What it says
    otherwise: texts that follow each other are one, unless they are signed; thinking is its own; arguments are an
    object; whole calls mean that tools are wanted, and a refusal that the answer was filtered.
    """
    parts: list[Part] = []
    told = list(map(_part, reply.parts))
    for number, part in enumerate(told):
        following = told[number + 1] if number + 1 < len(told) else None
        last = parts[-1] if parts else None
        if isinstance(part, Text) and isinstance(last, Text) and not _signs(following):
            parts[-1] = Text(last.text + part.text)
        elif isinstance(part, Thinking) and part.text and isinstance(last, Thinking) and _open(last):
            parts[-1] = replace(part, text=last.text + part.text)
        else:
            parts.append(part)
    calls = [part.arguments for part in parts if isinstance(part, ToolCall)]
    finish = reply.finish
    if any(isinstance(part, Refusal) for part in parts):
        finish = Finish.FILTER
    if finish not in (Finish.LENGTH, Finish.FILTER):
        finish = Finish.TOOLS if calls and all(map(complete, calls)) else Finish.END
    return replace(reply, parts=tuple(parts), finish=finish, stop_sequence=None)


def _signs(part: Part | None) -> bool:
    """Whether a part is the signature of the text before it."""
    return isinstance(part, Thinking) and not part.text and part.signature is not None


def _open(part: Thinking) -> bool:
    return bool(part.text) and part.signature is None and part.redacted is None


def _part(part: Part) -> Part:
    if isinstance(part, ToolCall):
        told = read_arguments(part.arguments)
        whole = "INVALID_JSON" not in told
        return replace(part, arguments=orjson.dumps(told).decode() if whole else part.arguments)
    if isinstance(part, Thinking):
        return part if part.family == FAMILY else Thinking(part.text, None, FAMILY)
    return part


def written(events: list[Event]) -> bytes:
    """A whole stream."""
    writer = GEMINI.writer()
    return b"".join(map(writer.write, events))
