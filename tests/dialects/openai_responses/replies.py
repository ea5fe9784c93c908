"""Answers that this wire can hold, and what they are once they went over it."""

from dataclasses import replace

from hypothesis import strategies as st

from otari.dialects.openai_responses.carrier import FAMILY, encrypted_content
from otari.dialects.openai_responses.response import response_id
from otari.dialects.tool_arguments import complete
from otari.domain.chat import Finish, Part, Refusal, Reply, Text, Thinking, ToolCall, Usage
from tests.domain.strategies import arguments, counts, some_text, words

_parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, some_text),
    st.builds(Refusal, some_text),
    st.builds(Thinking, some_text, st.none() | words, st.sampled_from([None, "openai", "anthropic"])),
    st.builds(Thinking, st.just(""), words, st.just("openai")),
    st.builds(Thinking, st.just(""), st.none(), st.just("anthropic"), words),
)


@st.composite
def answers(draw: st.DrawFn) -> Reply:
    """Answers of texts, refusals, thinking and calls of functions, each with an ending that fits."""
    calls = draw(st.lists(st.builds(ToolCall, words, words, arguments), max_size=3, unique_by=lambda call: call.id))
    usage = draw(st.builds(Usage, counts, counts, counts, counts, st.none(), counts) | st.just(Usage()))
    parts = (*draw(st.lists(_parts, max_size=4)), *calls)
    return Reply(draw(words), draw(words), parts, draw(st.sampled_from(Finish)), usage, draw(counts) or 1)


def as_read(reply: Reply) -> Reply:
    """The answer as it is read again.

    What the wire can not hold: which sequence stopped the model, and that thinking belongs to nobody. What it says
    otherwise: ids begin with `resp_`, no arguments are `{}`, whole calls mean that tools are wanted, a refusal that the
    answer was filtered, and signatures of other families are somebody else's encrypted content.
    """
    parts = tuple(map(_part, reply.parts))
    calls = [part.arguments for part in parts if isinstance(part, ToolCall)]
    finish = reply.finish
    if finish not in (Finish.LENGTH, Finish.FILTER):
        finish = Finish.FILTER if any(isinstance(part, Refusal) for part in parts) else Finish.END
        if calls and all(map(complete, calls)):
            finish = Finish.TOOLS
    return replace(reply, id=response_id(reply.id), parts=parts, finish=finish, stop_sequence=None)


def _part(part: Part) -> Part:
    if isinstance(part, ToolCall):
        return replace(part, arguments=part.arguments or "{}")
    if isinstance(part, Thinking):
        return Thinking(part.text, encrypted_content(part.family, part.signature, part.redacted), FAMILY)
    return part
