"""The grammar of events: folding, unfolding, merging."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.chat import (
    Citation,
    Event,
    Failed,
    Finish,
    Finished,
    PartCited,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Reply,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
    fold,
    unfold,
)
from tests.domain.strategies import replies, usages

START = Started("id-1", "model-1", 7)
END = Finished(Finish.END)


@given(replies())
def test_a_reply_unfolded_and_folded_is_the_same_reply(reply: Reply) -> None:
    assert fold(unfold(reply)) == reply


@given(replies())
def test_unfold_keeps_the_grammar(reply: Reply) -> None:
    events = list(unfold(reply))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Started | Finished | Failed) for event in events[1:-1])
    opened: set[int] = set()
    for event in events:
        match event:
            case PartStarted(index):
                assert index not in opened
                opened.add(index)
            case PartDelta(index) | PartSigned(index) | PartCited(index):
                assert index in opened
            case PartEnded(index):
                opened.remove(index)
            case _:
                assert not opened
    assert not opened


@given(replies(), st.data())
def test_where_a_text_is_cut_does_not_matter(reply: Reply, data: st.DataObject) -> None:
    cut: list[Event] = []
    for event in unfold(reply):
        if isinstance(event, PartDelta):
            at = data.draw(st.integers(0, len(event.text)))
            cut += (PartDelta(event.index, event.text[:at]), PartDelta(event.index, event.text[at:]))
        else:
            cut.append(event)
    assert fold(cut) == reply


def test_parts_that_overlap_come_out_in_the_order_of_their_index() -> None:
    events: list[Event] = [
        START,
        PartStarted(0, ToolCall("a", "f", "")),
        PartStarted(1, ToolCall("b", "g", "")),
        PartDelta(1, "2"),
        PartDelta(0, "1"),
        PartEnded(1),
        PartEnded(0),
        Finished(Finish.TOOLS),
    ]
    told = fold(events)
    assert isinstance(told, Reply)
    assert told.parts == (ToolCall("a", "f", "1"), ToolCall("b", "g", "2"))


def test_usage_is_merged_and_never_replaced() -> None:
    told = fold([START, UsageSeen(Usage(input=5, cache_read=2)), UsageSeen(Usage(output=3)), END])
    assert isinstance(told, Reply)
    assert told.usage == Usage(input=5, output=3, cache_read=2)


@given(usages(), usages())
def test_merged_usage_has_the_later_number_where_there_is_one(earlier: Usage, later: Usage) -> None:
    merged = earlier.merged(later)
    for name in Usage._fields:
        told = getattr(later, name)
        assert getattr(merged, name) == (getattr(earlier, name) if told is None else told)


def test_a_failure_is_the_outcome_whatever_came_before() -> None:
    failed = Failed("overloaded", "529")
    assert fold([START, PartStarted(0, Text("")), PartDelta(0, "Par"), failed]) == failed
    assert fold([failed]) == failed


@pytest.mark.parametrize(
    "events",
    [
        [],
        [START],
        [END],
        [START, END, END],
        [START, Failed("x"), END],
        [START, PartStarted(0, Text("")), PartStarted(0, Text("")), END],
        [START, PartDelta(0, "x"), END],
        [START, PartEnded(0), END],
        [START, PartSigned(0, "s"), END],
        [START, PartStarted(0, Text("")), PartSigned(0, "s"), END],
        [START, PartCited(0, Citation("https://example.org")), END],
        [START, PartStarted(0, Thinking("")), PartCited(0, Citation("https://example.org")), END],
    ],
)
def test_events_that_break_the_grammar_are_refused(events: list[Event]) -> None:
    with pytest.raises(ValueError, match=r"."):
        fold(events)


def test_a_signature_belongs_to_thinking_or_to_a_call() -> None:
    events: list[Event] = [START, PartStarted(0, Thinking("")), PartSigned(0, "sig"), PartEnded(0), END]
    told = fold(events)
    assert isinstance(told, Reply)
    assert told.parts == (Thinking("", "sig"),)


def test_a_citation_belongs_to_its_text() -> None:
    cited = Citation("https://example.org", "Hello", 0, 5)
    events: list[Event] = [START, PartStarted(0, Text("")), PartCited(0, cited), PartDelta(0, "Hello"), PartEnded(0)]
    told = fold([*events, END])
    assert isinstance(told, Reply)
    assert told.parts == (Text("Hello", citations=(cited,)),)


def test_the_service_tier_that_the_end_tells_is_right() -> None:
    """Some wires tell at first which one was asked for."""
    asked = Started("id-1", "model-1", 7, "auto")
    for end, tier in ((END, "auto"), (Finished(Finish.END, service_tier="flex"), "flex")):
        told = fold([asked, end])
        assert isinstance(told, Reply)
        assert told.service_tier == tier
