"""Requests: canonical and back, and what other dialects' requests look like on this wire."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.openai_chat import OPENAI_CHAT
from otari.dialects.openai_chat.content import NAME
from otari.dialects.openai_chat.terms import EFFORTS
from otari.domain.chat import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Sampling,
    Shape,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from otari.domain.errors import Kind, OtariError
from otari.domain.provider import NO_QUIRKS, Quirks
from tests.dialects.openai_chat.golden import cases
from tests.dialects.openai_chat.servers import quirks
from tests.domain.strategies import json_objects, some_text, texts, words

LOOK = {"type": "function", "function": {"name": "look"}}


def read(**keys: Any) -> ChatRequest:
    doc = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | keys
    OPENAI_CHAT.read_envelope(doc, 100)
    return OPENAI_CHAT.read_request(doc)


def turns(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    return read(messages=list(messages)).turns


def written(*told: Turn, quirks: Quirks = NO_QUIRKS, **keys: Any) -> list[dict[str, Any]]:
    doc = OPENAI_CHAT.write_request(ChatRequest("m", told, **keys), quirks=quirks)
    messages: list[dict[str, Any]] = doc["messages"]
    return messages


# ---- reading -------------------------------------------------------------------------------------------------------


def test_roles_names_and_contents() -> None:
    assert turns(
        {"role": "system", "content": "A"},
        {"role": "developer", "content": [{"type": "text", "text": "B"}], "name": "dev"},
        {"role": "user", "content": "", "name": "ann"},
        {"role": "assistant", "content": None},
    ) == (
        Turn("system", (Text("A"),)),
        Turn("developer", (Text("B"),), "dev"),
        Turn("user", (), "ann"),
        Turn("assistant", ()),
    )


def test_content_parts() -> None:
    mark = {"type": "ephemeral"}
    odd = {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}
    (turn,) = turns(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look", "cache_control": mark},
                {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,/9j/4A==", "detail": "low"}},
                {"type": "image_url", "image_url": "https://example.org/a.png"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_data": "JVBERi0="}},
                {"type": "file", "file": {"file_id": "file-1"}},
                odd,
            ],
        }
    )
    assert turn.parts == (
        Text("look", mark),
        Image(media_type="image/jpeg", data="/9j/4A==", detail="low"),
        Image(url="https://example.org/a.png"),
        Audio("wav", "AAAA"),
        Document(media_type="application/pdf", data="JVBERi0=", name="a.pdf"),
        Document(media_type="application/pdf", data="JVBERi0="),
        Document(file_id="file-1"),
        Opaque(NAME, odd),
    )


def test_tool_messages_in_a_row_are_one_turn_of_results() -> None:
    calls = [{"id": call, "type": "function", "function": {"name": "f", "arguments": ""}} for call in "ab"]
    told = turns(
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "content": "two"},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "one"}]},
        {"role": "user", "content": "and?"},
    )
    assert told == (
        Turn("assistant", (ToolCall("a", "f", ""), ToolCall("b", "f", ""))),
        Turn("user", (ToolResult("b", (Text("two"),)), ToolResult("a", (Text("one"),)))),
        Turn("user", (Text("and?"),)),
    )


def test_calls_of_the_old_kind_find_their_results() -> None:
    told = turns(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "done"},
    )
    assert told == (Turn("assistant", (ToolCall("call_0_0", "f", "{}"),)), Turn("user", (_result("call_0_0", "done"),)))


def _result(call_id: str, text: str) -> ToolResult:
    return ToolResult(call_id, (Text(text),))


def test_a_tool_message_must_say_which_call_it_answers() -> None:
    with pytest.raises(OtariError) as caught:
        turns({"role": "user", "content": "x"}, {"role": "tool", "content": "y"})
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID, "messages[1].tool_call_id")


def test_arguments_that_are_an_object_become_text() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"b": [1], "a": None}}}
    (turn,) = turns({"role": "assistant", "tool_calls": [call]})
    assert turn.parts == (ToolCall("a", "f", '{"b":[1],"a":null}'),)


def test_signatures_ride_on_calls_and_messages() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "r"}]
    (turn,) = turns(
        {
            "role": "assistant",
            "reasoning_content": "hm",
            "extra_content": {"anthropic": {"thinking_blocks": blocks}},
            "tool_calls": [call | {"extra_content": {"google": {"thought_signature": "g"}}}],
        }
    )
    assert turn.parts == (
        Thinking("hm", "s", "anthropic"),
        Thinking("", None, "anthropic", "r"),
        ToolCall("a", "f", "{}", "g"),
    )


def test_settings() -> None:
    request = read(
        temperature=0.5,
        top_k=5,
        seed=7,
        stop="X",
        max_tokens=10,
        max_completion_tokens=20,
        n=2,
        stream=True,
        user="ann",
        metadata={"a": "b"},
        reasoning_effort="high",
        logit_bias={"5": 1},
        api_key="secret",
    )
    assert request.sampling == Sampling(temperature=0.5, top_k=5, seed=7, stop=("X",))
    assert (request.max_output_tokens, request.choices, request.stream, request.user) == (20, 2, True, "ann")
    assert (request.metadata, request.reasoning, request.dialect) == ({"a": "b"}, {"effort": "high"}, NAME)
    assert request.extras == {"logit_bias": {"5": 1}, "max_completion_tokens": 20}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"tool_choice": "auto"}, ToolChoice()),
        ({"tool_choice": "required", "parallel_tool_calls": False}, ToolChoice("required", parallel=False)),
        ({"tool_choice": "any"}, ToolChoice("required")),
        ({"tool_choice": LOOK}, ToolChoice("named", "look")),
        ({"parallel_tool_calls": True}, ToolChoice(parallel=True)),
        ({"function_call": {"name": "look"}}, ToolChoice("named", "look")),
        ({}, None),
    ],
)
def test_tool_choice(keys: dict[str, Any], expected: ToolChoice | None) -> None:
    request = read(tools=[LOOK], **keys)
    assert request.tool_choice == expected
    assert request.extras == {}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"reasoning_effort": "low"}, {"effort": "low"}),
        ({"reasoning_effort": "auto"}, None),
        ({"reasoning": {"effort": "high"}}, {"effort": "high"}),
        ({"reasoning": {"max_tokens": 2000}}, {"budget_tokens": 2000}),
        ({}, None),
    ],
)
def test_reasoning(told: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert read(**told).reasoning == expected


# ---- writing what came from elsewhere ------------------------------------------------------------------------------


def test_system_texts_are_joined_and_developer_becomes_system() -> None:
    told = (Turn("system", (Text("A"), Text("B"))), Turn("developer", (Text("C"),)))
    assert written(*told) == [{"role": "system", "content": "A\n\nB\n\nC"}]
    assert written(*told, quirks=Quirks(later_system="keep")) == [
        {"role": "system", "content": "A\n\nB"},
        {"role": "system", "content": "C"},
    ]


def test_results_come_first_and_their_pictures_follow_in_a_user_message() -> None:
    picture = Image(media_type="image/png", data="iVBORw0KGgo=")
    calls = (ToolCall("t1", "ls", ""), ToolCall("t2", "screenshot", '{"n":1}'), ToolCall("t3", "lost", ""))
    results = (
        ToolResult("t2", (Text("shot"), picture)),
        ToolResult("t1", (Text("permission denied"),), failed=True),
        Text("go on"),
    )
    messages = written(Turn("assistant", (Thinking("hm", "sig", "x"), Text("Ok."), *calls)), Turn("user", results))
    assert messages[0]["content"] == "Ok."
    assert "reasoning_content" not in messages[0]
    assert [call["function"]["arguments"] for call in messages[0]["tool_calls"]] == ["{}", '{"n":1}', "{}"]
    assert messages[1:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "Error: permission denied"},
        {"role": "tool", "tool_call_id": "t2", "content": "shot"},
        {"role": "tool", "tool_call_id": "t3", "content": "Error: Tool execution was interrupted; no result."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Image returned by tool screenshot (t2):"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "text", "text": "go on"},
            ],
        },
    ]


def test_a_result_that_is_only_a_picture_still_says_something() -> None:
    picture = Image(url="https://example.org/a.png")
    messages = written(Turn("assistant", (ToolCall("a", "f", ""),)), Turn("user", (ToolResult("a", (picture,)),)))
    assert messages[1]["content"] == "The result follows in the next message."
    assert messages[2]["content"][1] == {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


def test_reasoning_goes_back_beside_calls_and_signed_thinking_never() -> None:
    plain, signed = Thinking("hm"), Thinking("secret", "sig", "anthropic")
    call = ToolCall("a", "f", "{}")
    with_call, _result, without = written(
        Turn("assistant", (plain, signed, call)),
        Turn("user", (_result_of_a(),)),
        Turn("assistant", (plain, Text("x"))),
        quirks=Quirks(reasoning_replay=True),
    )
    assert with_call["reasoning_content"] == "hm"
    assert with_call["content"] is None
    assert without == {"role": "assistant", "content": "x"}
    assert written(Turn("assistant", (signed,)), Turn("user", (Text("x"),))) == [{"role": "user", "content": "x"}]
    (own,) = written(Turn("assistant", (plain, Text("x"))), dialect=NAME)
    assert own["reasoning_content"] == "hm"


def _result_of_a() -> ToolResult:
    return _result("a", "ok")


def test_a_stream_asks_for_usage_and_the_user_stays_here() -> None:
    doc = OPENAI_CHAT.write_request(ChatRequest("m", (Turn("user", (Text("x"),)),), stream=True, user="ann"))
    assert doc["stream"] is True
    assert "stream_options" not in orjson.loads(OPENAI_CHAT.same_request(doc, "m", stream_usage=False))
    assert orjson.loads(OPENAI_CHAT.same_request(doc, "m")) == {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_only_another_dialect_understands_is_left_out() -> None:
    doc = OPENAI_CHAT.write_request(
        ChatRequest(
            "m",
            (Turn("user", (Text("x"), Opaque("other", {"type": "odd"}))),),
            tools=(Opaque("other", {"type": "bash"}),),
            tool_choice=ToolChoice("required"),
            sampling=Sampling(top_k=5),
            metadata={"user_id": "u"},
            extras={"betas": ["x"]},
            dialect="other",
        )
    )
    assert doc == {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    ("budget", "effort"), [(1024, "minimal"), (2048, "low"), (4096, "medium"), (24576, "high"), (30000, "xhigh")]
)
def test_a_budget_of_thinking_becomes_an_effort(budget: int, effort: str) -> None:
    request = ChatRequest("m", (), reasoning={"budget_tokens": budget})
    doc = OPENAI_CHAT.write_request(request, quirks=Quirks(efforts=EFFORTS))
    assert doc["reasoning_effort"] == effort


@pytest.mark.parametrize("part", [Image(file_id="f"), Document(url="https://example.org/a.pdf")])
def test_media_that_can_not_be_carried_are_refused_and_not_dropped(part: Part) -> None:
    with pytest.raises(OtariError) as caught:
        written(Turn("user", (part,)))
    assert caught.value.kind is Kind.INVALID


def test_a_plain_text_document_becomes_text() -> None:
    assert written(Turn("user", (Document(text="abc", name="a.txt"),))) == [{"role": "user", "content": "a.txt:\nabc"}]


# ---- there and back ------------------------------------------------------------------------------------------------

base64s = st.sampled_from(["AAAA", "iVBORw0KGgo=", "/9j/4A=="])
mimes = st.sampled_from(["image/png", "image/jpeg", "application/pdf"])
urls = words.map(lambda word: f"https://example.org/{word}")
odd_parts = st.builds(lambda doc: Opaque(NAME, {"type": "video_url", "video_url": doc}), json_objects)
media: st.SearchStrategy[Part] = st.one_of(
    st.builds(Image, mimes, base64s, detail=st.none() | words, cache=st.sampled_from([None, {"type": "ephemeral"}])),
    st.builds(Image, url=urls, detail=st.none() | words),
    st.builds(Document, mimes, base64s, name=st.none() | words),
    st.builds(Document, file_id=words, name=st.none() | words),
    st.builds(Audio, words, base64s),
    odd_parts,
)
marks = st.sampled_from([None, {"type": "ephemeral"}])
said = st.builds(Text, some_text, marks)
names = st.none() | words


@st.composite
def own_turns(draw: st.DrawFn) -> list[Turn]:
    """One to three turns in the form that this wire has: one text each, calls answered in their order."""
    kind = draw(st.sampled_from(["system", "user", "assistant", "tools"]))
    if kind == "system":
        return [Turn(draw(st.sampled_from(["system", "developer"])), (draw(said),), draw(names))]
    if kind == "user":
        return [Turn("user", tuple(draw(st.lists(said | media, max_size=3))), draw(names))]
    answer = [draw(said)] if draw(st.booleans()) or kind == "assistant" else []
    refusal = [Refusal(draw(some_text))] if draw(st.booleans()) else []
    thinking = [Thinking(draw(some_text))] if draw(st.booleans()) else []
    if kind == "assistant":
        return [Turn("assistant", (*thinking, *answer, *refusal), draw(names))]
    arguments = st.sampled_from(["{}", '{"a":', "[1]"])
    calls = draw(
        st.lists(st.builds(ToolCall, words, words, arguments, names), min_size=1, max_size=3, unique_by=lambda c: c.id)
    )
    results = tuple(ToolResult(call.id, tuple(draw(st.lists(said | media, max_size=2)))) for call in calls)
    return [Turn("assistant", (*thinking, *answer, *refusal, *calls), draw(names)), Turn("user", results)]


@st.composite
def own_requests(draw: st.DrawFn) -> ChatRequest:
    numbers = st.none() | st.floats(0, 2)
    tools = draw(
        st.lists(st.builds(Tool, words, st.none() | texts, st.none() | json_objects, st.none() | st.booleans(), marks))
    )
    choice = st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"]), st.none(), st.none() | st.booleans())
    named = st.builds(ToolChoice, st.just("named"), words, st.none() | st.booleans())
    shape = st.builds(Shape, st.just("json_schema"), words, json_objects, st.none() | st.booleans())
    groups = draw(st.lists(own_turns(), min_size=1, max_size=4))
    return ChatRequest(
        model=draw(words),
        turns=tuple(turn for group in groups for turn in group),
        tools=tuple(tools),
        tool_choice=draw(st.none() | choice | named) if tools else None,
        sampling=Sampling(draw(numbers), draw(numbers), draw(st.none() | st.integers(1, 99)), stop=("X",)),
        max_output_tokens=draw(st.none() | st.integers(1, 10**9)),
        choices=draw(st.integers(1, 128)),
        reasoning=draw(st.none() | st.builds(dict, effort=st.sampled_from(["none", "low", "max"]))),
        shape=draw(st.none() | st.just(Shape("json_object")) | shape),
        metadata=draw(st.none() | json_objects),
        extras=draw(st.builds(dict, logit_bias=json_objects, service_tier=words)),
        dialect=NAME,
    )


@given(own_requests(), quirks())
@settings(deadline=None)
def test_what_is_written_is_read_again_whatever_the_server_is_like(request: ChatRequest, server: Quirks) -> None:
    dropped: list[str] = []
    doc = OPENAI_CHAT.write_request(request, dropped=dropped, quirks=server)
    assert dropped == []
    OPENAI_CHAT.read_envelope(doc, 1)
    assert OPENAI_CHAT.read_request(doc) == request


@pytest.mark.parametrize(("name", "case"), cases("request"))
def test_cases(name: str, case: dict[str, Any]) -> None:
    OPENAI_CHAT.read_envelope(case["request"], 100)
    assert OPENAI_CHAT.write_request(OPENAI_CHAT.read_request(case["request"])) == case["expected"], case["about"]
