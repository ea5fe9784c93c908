"""Hypothesis strategies for canonical values; use them wherever a law about conversations is stated."""

from hypothesis import strategies as st

from otari.domain.chat import (
    Citation,
    Finish,
    Opaque,
    Part,
    Refusal,
    Reply,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)

# Any text that UTF-8 can carry, with the characters that break careless line splitting and JSON writing made likely.
texts = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from('\n\r\u2028\u2029\u0085\x0b\x0c"\\{}[]:é🌍')))
some_text = texts.filter(bool)
words = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=1, max_size=40)
counts = st.integers(0, 10**9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(words, json_values, max_size=4)
# What models write as arguments: whole objects, nothing, and texts that were cut off.
arguments = st.one_of(st.sampled_from(["", "{}", '{"a":1}', '{"a":', "[1]", "not json"]), texts)


def usages() -> st.SearchStrategy[Usage]:
    """Usage with every number told or not."""
    counted = counts | st.none()
    return st.builds(Usage, counted, counted, counted, counted, counted, counted)


thinking = st.builds(Thinking, texts, st.none() | words, st.none() | words) | st.builds(
    Thinking, st.just(""), st.none(), st.none() | words, words
)
tool_calls = st.builds(ToolCall, words, words, arguments, st.none() | words)
citations = st.builds(Citation, words, texts) | st.builds(Citation, words, texts, st.just(0), counts)
answer_parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, texts),
    st.builds(Text, texts, citations=st.lists(citations, max_size=2).map(tuple)),
    thinking,
    tool_calls,
    st.builds(Refusal, texts),
    st.builds(Opaque, words, json_objects),
)


@st.composite
def replies(draw: st.DrawFn, parts: st.SearchStrategy[Part] = answer_parts) -> Reply:
    """Any canonical answer."""
    return Reply(
        id=draw(words),
        model=draw(words),
        parts=tuple(draw(st.lists(parts, max_size=6))),
        finish=draw(st.sampled_from(Finish)),
        usage=draw(usages()),
        created=draw(st.none() | st.integers(1, 2**40)),
        stop_sequence=draw(st.none() | texts),
    )


def results(call_ids: st.SearchStrategy[str] = words) -> st.SearchStrategy[ToolResult]:
    """Results of tools, of text."""
    return st.builds(ToolResult, call_ids, st.lists(st.builds(Text, texts), max_size=2).map(tuple), st.booleans())


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Conversations with tools as clients really send them: results missing, doubled, late, out of order, uncalled."""
    ids = st.sampled_from("abcdef")
    said = st.builds(Text, some_text)
    calls = st.lists(st.builds(ToolCall, ids, words, st.just("{}")), max_size=3, unique_by=lambda call: call.id)
    assistant = st.builds(lambda text, more: Turn("assistant", (text, *more)), said, calls)
    user = st.builds(lambda parts: Turn("user", tuple(parts)), st.lists(said | results(ids), min_size=1, max_size=4))
    system = st.builds(lambda text: Turn("system", (text,)), said)
    return tuple(draw(st.lists(st.one_of(assistant, user, system), max_size=8)))
