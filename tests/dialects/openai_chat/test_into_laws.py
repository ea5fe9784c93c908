"""Laws of conversations of other dialects written as Chat Completions, whatever the server is like."""

import itertools
import re
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from otari.dialects.openai_chat import OPENAI_CHAT
from otari.dialects.openai_chat.terms import EFFORTS
from otari.domain.chat import ChatRequest, Opaque, Part, Text, Thinking, Tool, ToolChoice, ToolResult, Turn
from otari.domain.errors import Kind, OtariError
from otari.domain.provider import NO_QUIRKS, Quirks
from tests.dialects.openai_chat.servers import quirks
from tests.domain.strategies import conversations, json_objects, some_text, texts, words

Messages = list[dict[str, Any]]


def written(turns: tuple[Turn, ...], server: Quirks, dropped: list[str] | None = None) -> Messages:
    doc = OPENAI_CHAT.write_request(ChatRequest("m", turns, dialect="other"), quirks=server, dropped=dropped)
    messages: Messages = doc["messages"]
    return messages


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, list):
        return "\n\n".join(part["text"] for part in content if part["type"] == "text")
    return content or ""


@given(conversations(), quirks())
@settings(deadline=None)
def test_every_call_is_followed_by_its_results_and_nothing_else(turns: tuple[Turn, ...], server: Quirks) -> None:
    assume(turns)
    waiting: list[str] = []
    for message in written(turns, server):
        if waiting:
            assert (message["role"], message["tool_call_id"]) == ("tool", waiting.pop(0))
            continue
        assert message["role"] != "tool"
        waiting = [call["id"] for call in message.get("tool_calls", ())]
        assert len(waiting) < 2 or not server.split_calls
    assert not waiting


@given(conversations(), quirks())
@settings(deadline=None)
def test_strict_templates_get_one_system_message_and_roles_in_turn(turns: tuple[Turn, ...], server: Quirks) -> None:
    assume(turns)
    roles = [message["role"] for message in written(turns, server)]
    if server.later_system != "keep":
        assert "system" not in roles[1:]
        users = [a for a, b in itertools.pairwise(roles) if a == b == "user"]
        assert not users
    if not server.user_after_tools:
        assert ("tool", "user") not in itertools.pairwise(roles)
    assert server.developer_role or "developer" not in roles


@given(conversations(), quirks())
@settings(deadline=None)
def test_no_text_is_lost(turns: tuple[Turn, ...], server: Quirks) -> None:
    assume(turns)
    whole = "\n".join(map(text_of, written(turns, server)))
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, Text):
                assert part.text in whole
    last: dict[str, str] = {}
    for turn in turns:  # of two results for one call the later counts
        if turn.role == "assistant":
            last = {}
        for part in turn.parts:
            if isinstance(part, ToolResult):
                last[part.call_id] = part.parts[-1].text if part.parts and isinstance(part.parts[-1], Text) else ""
    assert all(text in whole for text in last.values())


@given(conversations(), quirks())
@settings(deadline=None)
def test_ids_are_in_the_form_that_the_server_takes(turns: tuple[Turn, ...], server: Quirks) -> None:
    assume(turns)
    form = re.compile(r"[a-zA-Z0-9]{9}" if server.tool_ids == "nine" else r".{1,40}")
    ids = [call["id"] for message in written(turns, server) for call in message.get("tool_calls", ())]
    assert all(form.fullmatch(call_id) for call_id in ids)


@given(conversations(), quirks(content_null=True))
@settings(deadline=None)
def test_what_is_written_is_a_request_that_says_the_same_again(turns: tuple[Turn, ...], server: Quirks) -> None:
    """Written once more from its own dialect, nothing changes: all repairs have been made."""
    assume(turns)
    messages = written(turns, server)
    doc = {"model": "m", "messages": messages}
    OPENAI_CHAT.read_envelope(doc, 1)
    dropped: list[str] = []
    assert OPENAI_CHAT.write_request(OPENAI_CHAT.read_request(doc), dropped=dropped)["messages"] == messages
    assert dropped == []


foreign: st.SearchStrategy[Part] = st.one_of(
    st.builds(Opaque, st.just("other"), json_objects),
    st.builds(Thinking, texts, st.none() | words, st.none() | words),
    st.builds(Text, some_text, st.just({"type": "ephemeral"})),
)


@given(st.lists(foreign, min_size=1, max_size=3), quirks())
@settings(deadline=None)
def test_nothing_goes_in_silence(parts: list[Part], server: Quirks) -> None:
    """Whatever another dialect's turn holds beyond plain text either is on the wire or is named."""
    turns = (Turn("user", (Text("a"),)), Turn("assistant", tuple(parts)), Turn("user", (Text("b"),)))
    dropped: list[str] = []
    wire = orjson.dumps(written(turns, server, dropped)).decode()
    for part in parts:
        match part:
            case Opaque():
                assert any(name.startswith("part ") for name in dropped)
            case Thinking(text, signature):
                told = '"reasoning_content"' in wire or "thinking_blocks" in wire
                assert told or "thinking of another model" in dropped or not (text or signature)
            case Text():
                assert ("cache_control" in wire) != ("cache_control" in dropped)


@given(
    st.lists(st.one_of(words, texts).map(Tool), min_size=1, max_size=4, unique_by=lambda tool: tool.name),
    st.sampled_from([None, "auto", "none", "required", "named"]),
    quirks(),
)
@settings(deadline=None)
def test_a_choice_is_one_that_the_server_knows_of_a_tool_that_it_gets(
    tools: list[Tool], mode: Any, server: Quirks
) -> None:
    choice = None if mode is None else ToolChoice(mode, tools[0].name if mode == "named" else None)
    request = ChatRequest("m", (Turn("user", (Text("a"),)),), tuple(tools), choice, dialect="other")
    dropped: list[str] = []
    doc = OPENAI_CHAT.write_request(request, quirks=server, dropped=dropped)
    names = [tool["function"]["name"] for tool in doc.get("tools", ())]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
    told = doc.get("tool_choice")
    assert (told is None) == (mode is None or "tools" not in doc)
    if isinstance(told, dict):
        assert told["function"]["name"] == names[0]
    if told == "auto" and mode != "auto":
        assert f"tool_choice {mode}" in dropped
    if "tools" not in doc:
        assert "tools that must not be called" in dropped


@given(st.sampled_from(EFFORTS), quirks())
@settings(deadline=None)
def test_thinking_is_never_switched_against_the_client(effort: str, server: Quirks) -> None:
    request = ChatRequest("m", (Turn("user", (Text("a"),)),), reasoning={"effort": effort}, dialect="other")
    dropped: list[str] = []
    doc = OPENAI_CHAT.write_request(request, quirks=server, dropped=dropped)
    off = (
        doc.get("reasoning_effort") == "none"
        or doc.get("reasoning") == {"effort": "none"}
        or doc.get("thinking") == {"type": "disabled"}
        or doc.get("enable_thinking") is False
    )
    said = doc.keys() & {"reasoning_effort", "reasoning", "thinking", "enable_thinking"}
    assert off == (effort == "none" and bool(said))
    assert said or dropped


def test_an_unknown_server_gets_nothing_that_is_not_in_every_servers_reference() -> None:
    request = ChatRequest(
        "m", (Turn("user", (Text("a"),)),), reasoning={"effort": "max"}, max_output_tokens=5, dialect="other"
    )
    doc = OPENAI_CHAT.write_request(request, quirks=NO_QUIRKS)
    assert doc == {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 5,
        "reasoning_effort": "high",
    }


def test_several_answers_of_another_dialect_are_refused() -> None:
    request = ChatRequest("m", (Turn("user", (Text("a"),)),), choices=2, dialect="other")
    with pytest.raises(OtariError) as caught:
        OPENAI_CHAT.write_request(request)
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID, "n")
