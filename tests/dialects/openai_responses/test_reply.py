"""Whole answers: read from all sorts of servers, and written so that OpenAI's own types and client take them."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from otari.domain.chat import Citation, Finish, Opaque, Part, Refusal, Reply, Text, Thinking, ToolCall, Usage
from otari.domain.errors import Kind, OtariError
from tests.dialects.openai_responses.replies import answers, as_read
from tests.dialects.openai_responses.wire import ASKED, RESPONSES, client_of, response, typed


def message(*content: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(content), **keys}


def read(*items: dict[str, Any], **keys: Any) -> Reply:
    return RESPONSES.read_reply(response(output=list(items), **keys))


def parts(*items: dict[str, Any]) -> tuple[Part, ...]:
    return read(*items).parts


def test_items_become_parts() -> None:
    cited = {"type": "url_citation", "url": "https://example.org", "title": "t", "start_index": 0, "end_index": 1}
    assert parts(
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        message(
            {"type": "output_text", "text": "A", "annotations": [], "logprobs": []}, id="msg_1", status="completed"
        ),
        message({"type": "output_text", "text": "B", "annotations": [cited]}, phase="final_answer"),
        message({"type": "output_text", "text": ""}, {"type": "refusal", "refusal": "No."}),
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{"x":1}'},
        {"type": "image_generation_call", "id": "ig_1", "result": "AAAA", "status": "completed"},
    ) == (
        Thinking("hm", None, "openai"),
        Text("A"),
        Opaque(RESPONSES.name, {"type": "phase", "item_keys": {"phase": "final_answer"}}),
        Text("B", citations=(Citation("https://example.org", "t", 0, 1),)),
        Refusal("No."),
        ToolCall("c", "f", '{"x":1}'),
        Opaque(
            RESPONSES.name, {"type": "image_generation_call", "id": "ig_1", "result": "AAAA", "status": "completed"}
        ),
    )


@pytest.mark.parametrize(
    ("keys", "items", "finish"),
    [
        ({"status": "completed"}, [], Finish.END),
        ({}, [], Finish.END),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, [], Finish.LENGTH),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, [], Finish.FILTER),
        ({"status": "incomplete"}, [], Finish.LENGTH),
        ({"status": "completed"}, [{"type": "function_call", "call_id": "c", "name": "f"}], Finish.TOOLS),
        (
            {"status": "incomplete"},
            [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}],
            Finish.LENGTH,
        ),
        ({"status": "completed"}, [message({"type": "refusal", "refusal": "No."})], Finish.FILTER),
    ],
)
def test_why_the_model_stopped(keys: dict[str, Any], items: list[dict[str, Any]], finish: Finish) -> None:
    assert read(*items, **keys).finish is finish


@pytest.mark.parametrize(
    ("doc", "retry"),
    [
        ({}, True),
        (response(status="failed", error={"code": "server_error", "message": "secret"}), True),
        (response(status="queued"), True),
        ({"error": {"message": "no"}}, True),
        (response(output=None), True),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_provider(doc: dict[str, Any], retry: bool) -> None:
    with pytest.raises(OtariError) as caught:
        RESPONSES.read_reply(doc)
    assert (caught.value.kind, caught.value.retryable) == (Kind.UPSTREAM, retry)
    assert "secret" not in caught.value.message


def test_usage_is_found_in_answers_and_in_events() -> None:
    told = {
        "input_tokens": 70,
        "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 2},
        "output_tokens": 33,
        "output_tokens_details": {"reasoning_tokens": 16},
        "total_tokens": 103,
    }
    usage = Usage(70, 33, 64, 2, None, 16)
    assert RESPONSES.usage_in({"usage": told}) == usage
    assert RESPONSES.usage_in({"response": {"usage": told}}) == usage
    nothing: list[dict[str, Any]] = [{}, {"usage": None}, {"usage": {}}, {"response": None}, {"usage": [1]}]
    assert [RESPONSES.usage_in(doc) for doc in nothing] == [None] * 5


def test_all_that_was_written_is_counted() -> None:
    doc = response(
        output=[
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "x"},
            message({"type": "output_text", "text": "b"}, {"type": "refusal", "refusal": "c"}),
            {"type": "function_call", "call_id": "i", "name": "d", "arguments": "e"},
            "odd",
        ]
    )
    assert RESPONSES.text_in(doc) == "abcde"
    assert RESPONSES.text_in({}) == ""


# ---- writing -------------------------------------------------------------------------------------------------------


def test_what_an_answer_can_not_say_is_named() -> None:
    dropped: list[str] = []
    odd = Opaque("other", {"type": "x"})
    RESPONSES.write_reply(Reply("i", "m", (odd,), Finish.STOP_SEQUENCE, stop_sequence="."), dropped=dropped)
    assert dropped == ["stop_sequence", "part x"]


@pytest.mark.parametrize(
    ("told", "written"),
    [("resp_1", "resp_1"), ("chatcmpl-1", "resp_chatcmpl-1"), ("msg_01", "resp_msg_01")],
)
def test_ids_have_the_form_of_this_wire(told: str, written: str) -> None:
    doc = RESPONSES.write_reply(Reply(told, "m", (Text("x"),), Finish.END, created=7))
    assert doc["id"] == written
    (item,) = doc["output"]
    assert item["id"].startswith("msg_")
    assert len(item["id"]) <= 64


def test_ids_of_items_never_grow_too_long() -> None:
    doc = RESPONSES.write_reply(Reply("x" * 90, "m", (Text("x"), Text("y")), Finish.END))
    ids = [item["id"] for item in doc["output"]]
    assert all(len(item_id) <= 64 for item_id in ids)
    assert len(set(ids)) == 2


def test_an_answer_repeats_what_was_asked() -> None:
    asked = ASKED | {
        "instructions": "Be kind.",
        "max_output_tokens": 9,
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "context": "all_turns"},
        "text": {"verbosity": "low", "format": None},
        "metadata": {"a": "b", "c": 1},
        "service_tier": "a word",
        "prompt_cache_key": "k",
        "store": True,
        "tools": [{"type": "function", "function": {"name": "look"}}],
    }
    doc = RESPONSES.write_reply(Reply("i", "m", (), Finish.END), request_doc=asked)
    typed(doc)
    assert doc["tools"] == [{"type": "function", "name": "look", "parameters": None, "strict": None}]
    assert doc["tool_choice"] == {"type": "function", "name": "look"}
    assert doc["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (doc["instructions"], doc["max_output_tokens"], doc["parallel_tool_calls"]) == ("Be kind.", 9, False)
    assert (doc["metadata"], doc["reasoning"]) == ({"a": "b"}, {"effort": "low", "summary": None})
    assert (doc["prompt_cache_key"], doc["store"]) == ("k", False)
    assert "service_tier" not in doc


@pytest.mark.parametrize("kind", [None, {"a": 1}, ["function"], 7])
def test_a_tool_of_no_kind_is_repeated_as_it_was(kind: object) -> None:
    asked = ASKED | {"tools": [{"type": kind, "name": "x"}]}
    doc = RESPONSES.write_reply(Reply("i", "m", (), Finish.END), request_doc=asked)
    assert doc["tools"] == [{"name": "x"} if kind is None else {"type": kind, "name": "x"}]


@given(answers())
@settings(deadline=None)
def test_what_is_written_is_read_again(reply: Reply) -> None:
    doc = orjson.loads(orjson.dumps(RESPONSES.write_reply(reply)))
    typed(doc)
    assert RESPONSES.read_reply(doc) == as_read(reply)


def test_the_client_of_openai_takes_a_whole_answer() -> None:
    reply = Reply("i", "m", (Text("Hi"), ToolCall("a", "apply_patch", '{"input":"x"}')), Finish.TOOLS, Usage(1, 2))
    body = orjson.dumps(RESPONSES.write_reply(reply, request_doc=ASKED))
    answer = client_of(body, "application/json").responses.create(model="m", input="hi")
    assert answer.output_text == "Hi"
    assert [item.type for item in answer.output] == ["message", "custom_tool_call"]
