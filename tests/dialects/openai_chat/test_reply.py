"""Whole answers: canonical and back, and the oddities of servers."""

import functools
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from otari.dialects.openai_chat import OpenAIChat
from otari.dialects.openai_chat.content import MESSAGE_KEYS, NAME
from otari.domain.chat import Audio, Finish, Image, Opaque, Part, Refusal, Reply, Text, Thinking, ToolCall, Usage
from otari.domain.errors import Kind, OtariError
from tests.dialects.openai_chat.golden import cases
from tests.dialects.told import outcome, told_by
from tests.domain.strategies import counts, json_values, replies, some_text, words

CHAT = OpenAIChat(clock=lambda: 1795000000.9)


@st.composite
def own_replies(draw: st.DrawFn) -> Reply:
    """Answers in the form that this wire has: thinking, one text, one refusal, calls; numbers that add up."""
    signed = st.builds(Thinking, some_text, words, st.just("anthropic"))
    redacted = st.builds(Thinking, st.just(""), st.none(), st.just("anthropic"), words)
    thinking = st.lists(signed | redacted, min_size=1, max_size=3) | st.lists(
        st.builds(Thinking, some_text), max_size=1
    )
    parts: list[Part] = [
        *draw(thinking),
        *draw(st.lists(st.builds(Text, some_text), max_size=1)),
        *draw(st.lists(st.builds(Refusal, some_text), max_size=1)),
    ]
    arguments = st.sampled_from(["{}", '{"a": 1}', '{"a":', "[]"])
    calls = draw(st.lists(st.builds(ToolCall, words, words, arguments, st.none() | words), max_size=3))
    whole = bool(calls) and all(call.arguments != '{"a":' for call in calls)
    if whole:
        finish = draw(st.sampled_from([Finish.TOOLS, Finish.LENGTH, Finish.FILTER]))
    else:
        finish = draw(st.sampled_from([Finish.END, Finish.LENGTH, Finish.FILTER]))
    usage = Usage(draw(counts), draw(counts), draw(st.none() | counts), draw(st.none() | counts))
    return Reply(draw(words), draw(words), (*parts, *calls), finish, usage, draw(counts.filter(bool)))


@given(own_replies())
@settings(deadline=None)
def test_what_is_written_is_read_again(reply: Reply) -> None:
    assert CHAT.read_reply(orjson.loads(orjson.dumps(CHAT.write_reply(reply)))) == reply


@given(replies())
@settings(deadline=None)
def test_every_reply_is_a_completion_in_the_eyes_of_the_sdk(reply: Reply) -> None:
    doc = orjson.loads(orjson.dumps(CHAT.write_reply(reply)))
    completion = ChatCompletion.model_validate(doc, strict=True)
    (choice,) = completion.choices
    written = "".join(part.text for part in reply.parts if isinstance(part, Text))
    assert (choice.message.content or "") == written
    assert choice.message.content is not None or choice.message.tool_calls or len(doc["choices"][0]["message"]) > 2
    calls = [part for part in reply.parts if isinstance(part, ToolCall)]
    assert len(choice.message.tool_calls or ()) == len(calls)


@given(replies())
@settings(deadline=None)
def test_a_second_trip_changes_nothing_more(reply: Reply) -> None:
    once = CHAT.read_reply(CHAT.write_reply(reply))
    assert CHAT.read_reply(CHAT.write_reply(once)) == once


@pytest.mark.parametrize(("name", "case"), cases("reply"))
def test_cases(name: str, case: dict[str, Any]) -> None:
    assert told_by(CHAT.read_reply(case["reply"])) == case["expected"], case["about"]


@pytest.mark.parametrize(
    ("finish", "words"),
    [
        (Finish.END, ["stop", "eos", "eos_token", "end_turn", None, "", "odd", 5]),
        (Finish.STOP_SEQUENCE, ["stop_sequence"]),
        (Finish.LENGTH, ["length", "max_tokens", "model_length", "model_context_window_exceeded"]),
        (Finish.FILTER, ["content_filter", "sensitive"]),
    ],
)
def test_finish_reasons(finish: Finish, words: list[Any]) -> None:
    for word in words:
        doc = {"id": "c", "model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": word}]}
        assert CHAT.read_reply(doc).finish is finish, word


def test_a_reply_without_a_time_gets_the_time_of_now() -> None:
    reply = Reply("c1", "m", (Text("Hi"),), Finish.END)
    assert CHAT.write_reply(reply) == {
        "id": "c1",
        "object": "chat.completion",
        "created": 1795000000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }


def test_a_call_without_arguments_is_written_as_an_empty_object() -> None:
    doc = CHAT.write_reply(Reply("c1", "m", (ToolCall("a", "f", ""),), Finish.TOOLS))
    message = doc["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}


def test_calls_of_freeform_tools_take_the_form_of_the_tool_that_the_client_offered() -> None:
    request_doc = {"tools": [{"type": "custom", "custom": {"name": "sh"}}]}
    reply = Reply(
        "c1", "m", (ToolCall("a", "sh", '{"input":"ls"}'), ToolCall("b", "look", "")), Finish.TOOLS, created=7
    )
    doc = CHAT.write_reply(reply, request_doc=request_doc)
    free, plain = doc["choices"][0]["message"]["tool_calls"]
    assert free == {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    assert plain == {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    ChatCompletion.model_validate(orjson.loads(orjson.dumps(doc)), strict=True)
    assert CHAT.read_reply(doc) == replace(reply, parts=(reply.parts[0], ToolCall("b", "look", "{}")))


def test_a_call_of_a_kind_that_nobody_knows_comes_back() -> None:
    call = {"id": "a", "type": "odd", "odd": {"x": 1}}
    reply = CHAT.read_reply({"id": "c", "model": "m", "choices": [{"message": {"tool_calls": [call]}}]})
    assert CHAT.write_reply(reply)["choices"][0]["message"]["tool_calls"] == [call]


def test_what_an_answer_of_another_dialect_holds_beyond_this_wire_is_named() -> None:
    parts: tuple[Part, ...] = (Text("x"), Image(data="AAAA"), Opaque("other", {"type": "search"}), Audio("wav", "AAAA"))
    dropped: list[str] = []
    CHAT.write_reply(Reply("c1", "m", parts, Finish.STOP_SEQUENCE, stop_sequence="END"), dropped=dropped)
    assert dropped == ["stop_sequence", "image in an answer", "part search", "audio in an answer"]


def test_missing_ids_are_made_up_and_differ() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    doc = {"model": "m", "choices": [{"message": {"tool_calls": [call, call]}}]}
    reply = CHAT.read_reply(doc)
    first, second = (part for part in reply.parts if isinstance(part, ToolCall))
    assert reply.id.startswith("chatcmpl-")
    assert first.id.startswith("call_")
    assert first.id != second.id
    assert reply.id != CHAT.read_reply(doc).id


def test_keys_of_a_message_that_only_this_dialect_knows_come_back() -> None:
    sound = {"id": "audio_1", "data": "AAAA"}
    doc = {"id": "c", "model": "m", "choices": [{"message": {"content": "x", "audio": sound}}]}
    reply = CHAT.read_reply(doc)
    assert Opaque(NAME, {"type": "audio", MESSAGE_KEYS: {"audio": sound}}) in reply.parts
    assert CHAT.write_reply(reply)["choices"][0]["message"]["audio"] == sound


@pytest.mark.parametrize(
    "doc",
    [
        {},
        {"id": "c", "model": "m", "choices": []},
        {"choices": None},
        {"choices": "x"},
        {"choices": [5]},
        {"error": {"message": "overloaded"}},
        {"object": "error", "message": "broken"},
    ],
)
def test_a_body_that_is_no_answer_is_the_providers_failure(doc: dict[str, Any]) -> None:
    with pytest.raises(OtariError) as caught:
        CHAT.read_reply(doc)
    assert caught.value.kind is Kind.UPSTREAM
    assert "overloaded" not in caught.value.message


@given(st.dictionaries(st.sampled_from(["id", "created", "model", "choices", "usage", "object"]), json_values))
@settings(deadline=None)
def test_garbage_is_read_or_refused(doc: dict[str, Any]) -> None:
    for candidate in (doc, {"choices": [doc]}, {"choices": [{"message": doc}], "usage": doc}):
        CHAT.usage_in(candidate)
        CHAT.text_in(candidate)
        reply = outcome(functools.partial(CHAT.read_reply, candidate))
        assert isinstance(reply, Reply) or reply.kind is Kind.UPSTREAM


def test_text_in_finds_everything_that_was_written_in_every_choice() -> None:
    call = {"id": "a", "function": {"name": "look", "arguments": '{"z":1}'}}
    custom = {"id": "b", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    doc = {
        "choices": [
            {"message": {"reasoning": "Hm. ", "content": "One. ", "tool_calls": [call, custom]}},
            {"message": {"content": [{"type": "text", "text": " Two."}], "refusal": " No."}},
            {"delta": {"content": " Three."}},
        ]
    }
    assert CHAT.text_in(doc) == 'Hm. One. look{"z":1}shls Two. No. Three.'
    assert CHAT.text_in({}) == ""
