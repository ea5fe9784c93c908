"""Results directly after their calls, whatever a client sends."""

from hypothesis import given, settings

from otari.dialects.tool_turns import INTERRUPTED, mended
from otari.domain.chat import Image, Part, Text, ToolCall, ToolResult, Turn
from tests.domain.strategies import conversations


def call(*ids: str) -> Turn:
    return Turn("assistant", tuple(ToolCall(call_id, "f", "{}") for call_id in ids))


def result(call_id: str, text: str = "ok") -> ToolResult:
    return ToolResult(call_id, (Text(text),))


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def test_results_take_the_order_of_the_calls_and_stand_before_text() -> None:
    turns = (call("a", "b"), user(Text("go on"), result("b"), result("a")))
    assert mended(turns) == (call("a", "b"), user(result("a"), result("b"), Text("go on")))


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    missing = ToolResult("b", (Text(INTERRUPTED),), failed=True)
    assert mended((call("a", "b"), user(result("a")))) == (call("a", "b"), user(result("a"), missing))
    alone = ToolResult("a", (Text(INTERRUPTED),), failed=True)
    assert mended((call("a"),)) == (call("a"), user(alone))
    assert mended((call("a"), user(Text("stop")))) == (call("a"), user(alone), user(Text("stop")))


def test_of_two_results_for_one_call_the_later_counts() -> None:
    turns = (call("a"), user(result("a", "first")), user(result("a", "second"), Text("x")))
    assert mended(turns) == (call("a"), user(result("a", "second")), user(Text("x")))


def test_a_result_without_a_call_becomes_text_and_keeps_its_pictures() -> None:
    picture = Image(url="https://example.org/a.png")
    turns = (user(ToolResult("z", (Text("shot"), picture))),)
    assert mended(turns) == (user(Text("[tool result z] shot"), picture),)


def test_a_system_turn_between_call_and_result_moves_behind_them() -> None:
    note = Turn("system", (Text("note"),))
    assert mended((call("a"), note, user(result("a")))) == (call("a"), user(result("a")), note)


@given(conversations())
@settings(deadline=None)
def test_every_call_is_answered_in_the_next_turn_and_nothing_else_is(turns: tuple[Turn, ...]) -> None:
    out = mended(turns)
    before: list[str] = []
    for turn in (*out, Turn("user", ())):
        answered = [part.call_id for part in turn.parts if isinstance(part, ToolResult)]
        assert answered == before
        assert all(isinstance(part, ToolResult) for part in turn.parts[: len(answered)])
        before = [part.id for part in turn.parts if isinstance(part, ToolCall)]


@given(conversations())
@settings(deadline=None)
def test_mending_twice_is_mending_once_and_loses_no_text(turns: tuple[Turn, ...]) -> None:
    out = mended(turns)
    assert mended(out) == out
    kept = [part for turn in out for part in turn.parts if isinstance(part, Text)]
    assert all(part in kept for turn in turns for part in turn.parts if isinstance(part, Text))
    assert [turn for turn in out if turn.role != "user"] == [turn for turn in turns if turn.role != "user"]


@given(conversations())
@settings(deadline=None)
def test_a_conversation_without_tools_stays_as_it_is(turns: tuple[Turn, ...]) -> None:
    plain = tuple(
        Turn(turn.role, parts)
        for turn in turns
        if (parts := tuple(part for part in turn.parts if isinstance(part, Text)))
    )
    assert mended(plain) == plain
