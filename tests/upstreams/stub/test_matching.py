"""Conditions: what each key of `when` sees of a request."""

from typing import Any

import pytest
import yaml

from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import ChatRequest, Image, Opaque, Text, ToolResult, Turn
from otari.upstreams.stub.matching import Match, Miss, find
from otari.upstreams.stub.scene import Scene, scene_of
from tests.upstreams.stub.rig import asks, script, tool

CALLS = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "it is 42"}
ANSWER = {"role": "assistant", "content": "is"}
THOUGHT = {"role": "assistant", "content": "is", "reasoning_content": "hm"}
BE = {"role": "system", "content": "be"}
KIND = {"role": "developer", "content": "kind"}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
PAPER = {"type": "file", "file": {"file_id": "f1"}}
SHAPE = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}


def scene(*messages: Any, surface: str = "chat", **more: Any) -> Scene:
    return scene_of(OPENAI_CHAT.read_request(asks(*messages, **more)), surface)


def fits(when: str, seen: Scene) -> bool:
    rules = script(yaml.safe_dump({"rules": [{"when": yaml.safe_load(when), "reply": "a"}]})).rules
    found = find(rules, seen)
    if isinstance(found, Miss):
        assert found.failed == tuple(yaml.safe_load(when))  # exactly what was asked for failed
    return isinstance(found, Match)


@pytest.mark.parametrize(
    ("when", "yes", "no"),
    [
        ("{user: hell}", scene("hello"), scene("HELLO")),
        ("{user: =hello}", scene("hello\n"), scene("hello you")),
        ("{user: '='}", scene(""), scene("a")),
        ("{user: /^H.L/i}", scene("hello"), scene("oh hello")),
        ("{user: /a.b/s}", scene("a\nb"), scene("ab")),
        ("{user: /^b$/m}", scene("a\nb"), scene("ab")),
        ("{user: [he, lo]}", scene("hello"), scene("help")),
        ("{user: first}", scene("first", CALLS, RESULT, "remember"), scene("first", CALLS, RESULT, ANSWER, "then")),
        ("{user: first}", scene("first", CALLS, RESULT), scene("first", ANSWER, "then")),
        ("{system: [be, kind]}", scene(BE, KIND, "a"), scene("be kind")),
        ("{last: '42'}", scene("a", CALLS, RESULT), scene("42", ANSWER)),
        ("{tool_result: is}", scene("a", CALLS, RESULT), scene("a", CALLS, RESULT, CALLS)),
        ("{tool_result: is}", scene("a", CALLS, RESULT), scene("a", CALLS, RESULT, ANSWER, "is")),
        ("{thought: hm}", scene("a", THOUGHT, "b"), scene("a", THOUGHT, "hm", ANSWER, "hm")),
        ("{model: 'gpt-*'}", scene("a"), scene("a", model="claude")),
        ("{model: [claude, '*-x']}", scene("a"), scene("a", model="gpt-y")),
        ("{surface: messages}", scene("a", surface="messages"), scene("a")),
        ("{surface: [responses, chat]}", scene("a"), scene("a", surface="messages")),
        ("{tools: f}", scene("a", tools=[tool("f"), tool("g")]), scene("a", tools=[tool("g")])),
        ("{tools: [f, g]}", scene("a", tools=[tool("f"), tool("g")]), scene("a", tools=[tool("g")])),
        ("{turn: 0}", scene("a"), scene("a", {"role": "assistant", "content": "x"}, "b")),
        ("{turn: '>=1'}", scene("a", {"role": "assistant", "content": "x"}, "b"), scene("a", CALLS, RESULT)),
        ("{step: 0}", scene("a"), scene("a", CALLS, RESULT)),
        ("{step: '> 1'}", scene("a", CALLS, RESULT, CALLS, RESULT), scene("a", CALLS, RESULT)),
        ("{step: 1}", scene("a", CALLS, RESULT, "remember"), scene("a", CALLS, RESULT, ANSWER, "b")),
        ("{step: '<1'}", scene("b", CALLS, RESULT, ANSWER, "a"), scene("a", CALLS, RESULT)),
        ("{stream: true}", scene("a", stream=True), scene("a")),
        ("{stream: false}", scene("a"), scene("a", stream=True)),
        ("{has: image}", scene({"role": "user", "content": [PICTURE]}), scene("a")),
        ("{has: [file, image]}", scene({"role": "user", "content": [PICTURE, PAPER]}),
         scene({"role": "user", "content": [PICTURE]})),
        ("{has: schema}", scene("a", response_format=SHAPE), scene("a", response_format={"type": "json_object"})),
        ("{has: thinking}", scene("a", reasoning_effort="high"), scene("a", reasoning_effort="none")),
        ("{has: thinking}", scene("a", reasoning_effort="low"), scene("a")),
    ],
)  # fmt: skip
def test_a_condition_tells_apart(when: str, yes: Scene, no: Scene) -> None:
    assert fits(when, yes)
    assert not fits(when, no)


def test_named_groups_come_from_all_patterns_and_missing_ones_are_empty() -> None:
    rules = script(
        """
        rules:
        - when: {user: ["/(?P<a>\\\\d)(?P<b>x)?/", "/(?P<c>y)/"], system: "/(?P<d>z)/"}
          reply: hm
        """
    ).rules
    found = find(rules, scene({"role": "system", "content": "z"}, "1y"))
    assert isinstance(found, Match)
    assert found.groups == {"a": "1", "b": "", "c": "y", "d": "z"}


def test_groups_of_a_rule_that_does_not_fit_are_forgotten() -> None:
    rules = script(
        """
        rules:
        - {id: a, when: {user: "/(?P<x>h)/", turn: 5}, reply: hm}
        - {id: b, when: {user: "/(?P<y>e)/"}, reply: hm}
        """
    ).rules
    found = find(rules, scene("hello"))
    assert isinstance(found, Match)
    assert (found.rule, found.groups) == ("b", {"y": "e"})


def test_the_nearest_rule_has_the_fewest_failures_and_the_first_of_equals_counts() -> None:
    rules = script(
        """
        rules:
        - {id: a, when: {user: x, model: y}, reply: hm}
        - {id: b, when: {model: y, user: hello}, reply: hm}
        - {id: c, when: {model: z}, reply: hm}
        """
    ).rules
    assert find(rules, scene("hello")) == Miss("b", ("model",))


def test_results_of_parallel_calls_stand_under_each_other_and_the_last_call_is_named() -> None:
    two = {"role": "assistant", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]}  # fmt: skip
    seen = scene("a", two, RESULT, {"role": "tool", "tool_call_id": "c2", "content": "and 43"})
    assert seen.texts["tool_result"] == "it is 42\nand 43"
    assert (seen.called, seen.step) == ("g", 1)


def test_reminders_beside_tool_results_do_not_start_a_new_turn() -> None:
    """Wires that put results into user messages let clients put text beside them."""
    turns = (
        Turn("user", (Text("go"),)),
        Turn("assistant", (Text("x"),)),
        Turn("user", (ToolResult("c1", (Text("42"), Image(url="u"))), Text("remember"))),
    )
    seen = scene_of(ChatRequest("m", turns, tools=(Opaque("d", {"type": "bash"}),)), "messages")
    assert (seen.texts["user"], seen.step, seen.turn) == ("go", 1, 0)
    assert seen.texts["last"] == "42\nremember"
    assert seen.features == {"image"}
    assert seen.tools == ("bash",)


def test_a_request_without_user_messages_has_a_scene() -> None:
    seen = scene({"role": "system", "content": "s"}, {"role": "assistant", "content": "x"})
    assert (seen.texts["user"], seen.turn, seen.step) == ("", 0, 1)
