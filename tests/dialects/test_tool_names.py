"""Names of tools on a narrow wire, and back."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.tool_names import originals, renamed, restored_event, restored_reply, wire_names
from otari.domain.chat import ChatRequest, Reply, Text, Tool, ToolCall, ToolChoice, Turn, fold, unfold
from tests.domain.strategies import replies, texts, words

LONG = "mcp__a_server_with_a_long_name__a_tool_with_an_even_longer_name_than_that"
names = st.one_of(words, texts, words.map(lambda word: word * 9), st.just(LONG))


def request(*told: str, called: str = "", choice: str | None = None) -> ChatRequest:
    turn = Turn("assistant", (ToolCall("a", called, "{}"),) if called else (Text("x"),))
    chosen = None if choice is None else ToolChoice("named", choice)
    return ChatRequest("m", (turn,), tuple(map(Tool, told)), chosen)


def test_names_that_fit_stay() -> None:
    assert wire_names(request("look", "a-b_C9" * 10, called="ls", choice="look")) == {}


def test_a_long_name_is_cut_and_keeps_its_beginning() -> None:
    assert wire_names(request(LONG)) == {LONG: LONG[:55] + "_451c8214"}


def test_characters_that_are_not_allowed_are_replaced() -> None:
    assert wire_names(request("files.read")) == {"files.read": "files_read_601e4eb6"}


@pytest.mark.parametrize("name", ["3d_print", "-x"])
def test_a_name_begins_with_a_letter(name: str) -> None:
    wire = wire_names(request(name))[name]
    assert wire.startswith(f"_{name}_")


def test_all_that_is_named_is_renamed() -> None:
    asked = request("a.b", called="a.b", choice="a.b")
    wire = wire_names(asked)
    assert wire_names(renamed(asked, wire)) == {}
    assert renamed(asked, {}) is asked


def test_tools_that_were_called_or_chosen_are_named_too() -> None:
    assert wire_names(request(called="a.b", choice="c.d")).keys() == {"a.b", "c.d"}


def test_a_name_that_another_tool_has_is_not_given_again() -> None:
    squatter = wire_names(request("files.read"))["files.read"]
    wire = wire_names(request("files.read", squatter))
    assert wire.keys() == {"files.read"}
    assert wire["files.read"] != squatter


@given(st.lists(names, max_size=6))
@settings(deadline=None)
def test_every_name_is_allowed_differs_from_all_others_and_depends_on_no_order(told: list[str]) -> None:
    wire = wire_names(request(*told))
    on_the_wire = {wire.get(name, name) for name in told}
    assert len(on_the_wire) == len(set(told))
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", name) for name in on_the_wire)
    assert wire_names(request(*reversed(told))) == wire


@given(replies())
@settings(deadline=None)
def test_answers_get_the_clients_names_back(reply: Reply) -> None:
    called = [part.name for part in reply.parts if isinstance(part, ToolCall)]
    back = originals({f"{name}.": name for name in called})
    restored = restored_reply(reply, back)
    assert [part.name for part in restored.parts if isinstance(part, ToolCall)] == [f"{name}." for name in called]
    assert fold(restored_event(event, back) for event in unfold(reply)) == restored
    assert restored_reply(reply, {}) == reply
