"""Canonical events → streams that OpenAI's own types and stream helper understand."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.dialects.openai_responses.carrier import FAMILY, Carried, write_carrier
from otari.domain.chat import (
    Event,
    Failed,
    Finish,
    Finished,
    Image,
    Opaque,
    Part,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Refusal,
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
from otari.domain.errors import Kind, OtariError
from tests.dialects.openai_chat.golden import VECTORS as CHAT_VECTORS
from tests.dialects.openai_responses.replies import answers, as_read
from tests.dialects.openai_responses.wire import (
    ASKED,
    RESPONSES,
    STREAMS,
    VECTORS,
    client_of,
    events_of,
    typed,
    written,
)
from tests.dialects.told import read_all

START = Started("resp_1", "m", 7)
END = Finished(Finish.END)


def told(*parts: Part, finish: Finish = Finish.END, **keys: Any) -> list[dict[str, Any]]:
    """The events of an answer of those parts."""
    reply = Reply("resp_1", "m", parts, finish, created=7, **keys)
    return events_of(written(unfold(reply), ASKED))


def output(*parts: Part) -> list[dict[str, Any]]:
    """The items of a whole answer, as its last event tells them."""
    items: list[dict[str, Any]] = told(*parts)[-1]["response"]["output"]
    return items


def test_the_whole_life_of_a_text() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, "Hé"), PartDelta(0, "llo"), PartEnded(0), END]
    docs = events_of(written(events))
    where = {"item_id": "msg_1_0", "output_index": 0, "content_index": 0}
    empty: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    full = empty | {"text": "Héllo"}
    item = {"id": "msg_1_0", "type": "message", "role": "assistant"}
    whole = item | {"content": [full], "status": "completed"}
    assert [{k: v for k, v in doc.items() if k not in ("sequence_number", "response")} for doc in docs] == [
        {"type": "response.created"},
        {"type": "response.in_progress"},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": item | {"content": [], "status": "in_progress"},
        },
        {"type": "response.content_part.added", **where, "part": empty},
        {"type": "response.output_text.delta", **where, "delta": "Hé", "logprobs": []},
        {"type": "response.output_text.delta", **where, "delta": "llo", "logprobs": []},
        {"type": "response.output_text.done", **where, "text": "Héllo", "logprobs": []},
        {"type": "response.content_part.done", **where, "part": full},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {"type": "response.completed"},
    ]
    first, last = docs[0]["response"], docs[-1]["response"]
    assert (first["status"], first["output"], first["id"]) == ("in_progress", [], "resp_1")
    assert (last["status"], last["output"], last["created_at"]) == ("completed", [whole], 7)


def test_a_delta_is_one_small_frame() -> None:
    writer = RESPONSES.writer(wants_usage=True)
    for event in (START, PartStarted(0, Text(""))):
        writer.write(event)
    assert writer.write(PartDelta(0, 'a"b')).decode() == (
        "event: response.output_text.delta\n"
        'data: {"type":"response.output_text.delta","item_id":"msg_1_0","output_index":0,"content_index":0,'
        '"delta":"a\\"b","logprobs":[],"sequence_number":4}\n\n'
    )


def test_calls_take_the_form_of_the_tools_that_were_offered() -> None:
    items = output(
        ToolCall("a", "look", '{"ms":1}'),
        ToolCall("b", "apply_patch", '{"input":"*** Begin\\n"}'),
        ToolCall("c", "clock__sleep", "{}"),
        ToolCall("d", "local_shell", '{"command":["ls"],"timeout_ms":5,"user":7}'),
        ToolCall("e", "tool_search", '{"query":"mail"}'),
        ToolCall("f", "unknown", "{}"),
    )
    bare = [{key: value for key, value in item.items() if key != "id"} for item in items]
    done = {"status": "completed"}
    action = {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5}
    assert bare == [
        {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"ms":1}', **done},
        {"type": "custom_tool_call", "call_id": "b", "name": "apply_patch", "input": "*** Begin\n", **done},
        {"type": "function_call", "call_id": "c", "name": "sleep", "namespace": "clock", "arguments": "{}", **done},
        {"type": "local_shell_call", "call_id": "d", "action": action, **done},
        {"type": "tool_search_call", "call_id": "e", "execution": "client", "arguments": {"query": "mail"}, **done},
        {"type": "function_call", "call_id": "f", "name": "unknown", "arguments": "{}", **done},
    ]
    prefixes = ["fc_", "ctc_", "fc_", "lsh_", "tsc_", "fc_"]
    assert all(item["id"].startswith(prefix) for item, prefix in zip(items, prefixes, strict=True))


def test_plain_text_is_told_as_it_is() -> None:
    docs = told(ToolCall("b", "apply_patch", '{"input":"x\\ny"}'))
    pieces = [doc for doc in docs if "custom_tool_call_input" in doc["type"]]
    assert [(doc["type"].rpartition(".")[2], doc.get("delta", doc.get("input"))) for doc in pieces] == [
        ("delta", "x\ny"),
        ("done", "x\ny"),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"x"}', "x"),
        ('{"patch":"x"}', "x"),
        ('"x"', "x"),
        ('{"input":1}', '{"input":1}'),
        ('{"input":"x', '{"input":"x'),
        ("*** Begin", "*** Begin"),
        ("", ""),
    ],
)
def test_plain_text_is_found_in_what_models_write(arguments: str, text: str) -> None:
    (item,) = output(ToolCall("b", "apply_patch", arguments))
    assert item["input"] == text


def test_calls_may_grow_at_the_same_time() -> None:
    events: list[Event] = [
        START,
        PartStarted(3, ToolCall("a", "f", "")),
        PartStarted(7, ToolCall("b", "g", "")),
        PartDelta(7, '{"y":'),
        PartDelta(3, "{}"),
        PartDelta(7, "2}"),
        PartEnded(7),
        PartEnded(3),
        Finished(Finish.TOOLS),
    ]
    docs = events_of(written(events))
    deltas = [(doc["output_index"], doc["delta"]) for doc in docs if doc["type"].endswith("arguments.delta")]
    assert deltas == [(1, '{"y":'), (0, "{}"), (1, "2}")]
    assert [item["call_id"] for item in docs[-1]["response"]["output"]] == ["a", "b"]


def test_a_call_without_arguments_says_an_empty_object() -> None:
    docs = told(ToolCall("a", "f", ""))
    assert [doc["delta"] for doc in docs if doc["type"].endswith("arguments.delta")] == ["{}"]
    assert [doc["arguments"] for doc in docs if doc["type"].endswith("arguments.done")] == ["{}"]


def test_a_call_that_was_cut_off_is_incomplete() -> None:
    (item,) = told(ToolCall("a", "f", '{"x":'), finish=Finish.LENGTH)[-1]["response"]["output"]
    assert item["status"] == "incomplete"


def test_two_calls_of_one_id_are_two_calls() -> None:
    assert [item["call_id"] for item in output(*(ToolCall("a", "f", "{}") for _ in range(3)))] == ["a", "a_2", "a_3"]


def test_thinking_is_a_summary_and_carries_what_must_come_back() -> None:
    own, unsigned, other, redacted = output(
        Thinking("A", "gAAA", FAMILY),
        Thinking("A", None, FAMILY),
        Thinking("B", "sig", "anthropic"),
        Thinking("", None, "anthropic", "data"),
    )
    assert own["summary"] == [{"type": "summary_text", "text": "A"}]
    assert own["encrypted_content"] == "gAAA"
    assert other["encrypted_content"] == write_carrier(Carried("anthropic", "sig"))
    assert (redacted["summary"], redacted["encrypted_content"]) == (
        [],
        write_carrier(Carried("anthropic", None, "data")),
    )
    assert "encrypted_content" not in unsigned


def test_thinking_that_nobody_signed_comes_back_as_it_was_told() -> None:
    """Clients drop reasoning without `encrypted_content`, but some servers demand their thinking in a tool loop."""
    (item,) = output(Thinking("hm"))
    assert item["encrypted_content"] == write_carrier(Carried())
    (streamed,) = events_of(written(list(unfold(Reply("resp_1", "m", (Thinking("hm"),), Finish.END)))))[-1]["response"][
        "output"
    ]
    assert streamed["encrypted_content"] == write_carrier(Carried())
    (turn,) = RESPONSES.read_request({"model": "m", "input": [item]}).turns
    assert turn.parts == (Thinking("hm"),)


def test_the_signature_of_a_call_rides_in_an_item_beside_it() -> None:
    carrier, call = output(ToolCall("a", "f", "{}", signature="sig"))
    assert carrier["encrypted_content"] == write_carrier(Carried("google", "sig", None, "a"))
    assert call["type"] == "function_call"
    reply = Reply("resp_1", "m", (ToolCall("a", "f", "{}", signature="sig"),), Finish.END, created=7)
    assert RESPONSES.write_reply(reply, request_doc=ASKED)["output"] == [carrier, call]
    events: list[Event] = [START, PartStarted(0, ToolCall("a", "f", "")), PartDelta(0, "{}"), PartSigned(0, "late")]
    items = events_of(written([*events, PartEnded(0), Finished(Finish.TOOLS)]))[-1]["response"]["output"]
    assert [item["type"] for item in items] == ["function_call", "reasoning"]


def test_a_refusal_is_a_message() -> None:
    docs = told(Refusal("No."), finish=Finish.FILTER)
    assert [doc["type"] for doc in docs if "refusal" in doc["type"]] == [
        "response.refusal.delta",
        "response.refusal.done",
    ]
    assert docs[-1]["type"] == "response.incomplete"
    assert docs[-1]["response"]["incomplete_details"] == {"reason": "content_filter"}


def test_items_of_this_dialect_pass_and_those_of_others_do_not() -> None:
    web = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
    keys = {"type": "phase", "item_keys": {"phase": "commentary"}}
    items = output(
        Opaque(RESPONSES.name, web),
        Opaque("other", {"type": "x"}),
        Image(url="https://example.org/a.png"),
        Opaque(RESPONSES.name, keys),
        Text("Hi"),
        Text("you"),
    )
    assert items[0] == web
    assert [item.get("phase") for item in items[1:]] == ["commentary", None]


def test_usage_is_told_whole_or_not_at_all() -> None:
    docs = told(Text("x"), usage=Usage(input=5, output=2, cache_read=1))
    assert docs[0]["response"]["usage"] is None
    assert docs[-1]["response"]["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }
    for unknown in (Usage(), Usage(input=-5, output=1)):
        assert told(usage=unknown)[-1]["response"]["usage"] is None


def test_every_response_object_repeats_the_request() -> None:
    docs = events_of(written(unfold(Reply("resp_1", "m", (), Finish.END)), ASKED | {"temperature": 0.5, "top_p": None}))
    for response in (docs[0]["response"], docs[1]["response"], docs[-1]["response"]):
        typed(response)
        assert [tool["type"] for tool in response["tools"]] == [tool["type"] for tool in ASKED["tools"]]
        assert (response["temperature"], response["top_p"], response["store"]) == (0.5, 1.0, False)


def test_a_failure_is_told_to_both_kinds_of_clients() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, "Hal"), UsageSeen(Usage(1, 1))]
    stream = written([*events, Failed("broke", "rate_limit_exceeded"), END, PartDelta(0, "x")])
    *_, error, failed = events_of(stream)
    assert (error["type"], error["message"], error["code"]) == ("error", "broke", "rate_limit_exceeded")
    assert error["error"]["message"] == "broke"
    assert failed["type"] == "response.failed"
    assert (failed["response"]["id"], failed["response"]["status"]) == ("resp_1", "failed")
    assert failed["response"]["error"] == {"code": "rate_limit_exceeded", "message": "broke"}


@pytest.mark.parametrize(
    ("kind", "code", "told_code"),
    [
        (Kind.UPSTREAM, None, "server_error"),
        (Kind.UPSTREAM, "a word of their own", "server_error"),
        (Kind.RATE_LIMITED, None, "rate_limit_exceeded"),
        (Kind.INVALID, "invalid_prompt", "invalid_prompt"),
    ],
)
def test_an_error_that_nobody_wrote_a_stream_for(kind: Kind, code: str | None, told_code: str) -> None:
    error, failed = events_of(RESPONSES.stream_error(OtariError(kind, "no", code=code)))
    assert (error["code"], failed["response"]["error"]["code"]) == (code, told_code)


def test_the_clients_of_openai_raise_on_a_failure() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), PartDelta(0, "Hal"), Failed("broke", "x")]
    client = client_of(written(events))
    stream = client.responses.create(model="m", input="hi", stream=True)
    with stream, pytest.raises(openai.APIError, match="broke"):
        list(stream)


@pytest.mark.parametrize("finish", [Finish.END, Finish.LENGTH, Finish.FILTER, Finish.TOOLS, Finish.STOP_SEQUENCE])
def test_every_ending_has_its_event(finish: Finish) -> None:
    last = told(finish=finish)[-1]
    assert last["type"] == f"response.{last['response']['status']}"
    assert (last["type"] == "response.incomplete") == (finish in (Finish.LENGTH, Finish.FILTER))


def test_a_request_that_can_not_be_repeated_is_not() -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    doc = events_of(written([START, END], ASKED | {"tools": [{"type": "web_search", "x": deep}]}))[-1]["response"]
    assert doc["tools"] == []


def test_a_sign_of_life_is_an_event_that_tells_nothing_new() -> None:
    (doc,) = events_of(RESPONSES.sign_of_life())
    assert (doc["type"], doc["response"]["output"]) == ("response.in_progress", [])


def test_a_stream_without_a_beginning_still_has_one() -> None:
    docs = events_of(written([END]))
    assert [doc["type"] for doc in docs] == ["response.created", "response.in_progress", "response.completed"]
    assert docs[0]["response"]["created_at"] == 1795000000
    assert docs[0]["response"]["id"].startswith("resp_")


# ---- OpenAI's own stream helper --------------------------------------------------------------------------------------


def rebuilt(stream: bytes) -> dict[str, Any]:
    """The answer as the stream helper of OpenAI's client rebuilds it from bytes."""
    with client_of(stream).responses.stream(model="m", input="hi") as events:
        ended = [event for event in events if event.type in ("response.completed", "response.incomplete")]
    doc: dict[str, Any] = ended[0].response.to_dict()
    return doc


@given(answers())
@settings(deadline=None, max_examples=50)
def test_the_stream_helper_rebuilds_the_answer(reply: Reply) -> None:
    stream = written(unfold(reply), ASKED)
    docs = events_of(stream)
    again = rebuilt(stream)
    assert without_parsed(again) == without_parsed(docs[-1]["response"])


def without_parsed(value: Any) -> Any:
    """The same without what the helper adds, and without nulls."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in ("parsed", "parsed_arguments") and v is not None}
        return {key: without_parsed(inner) for key, inner in kept.items()}
    return [without_parsed(inner) for inner in value] if isinstance(value, list) else value


# ---- laws ----------------------------------------------------------------------------------------------------------


@given(answers())
@settings(deadline=None)
def test_what_is_written_is_read_again(reply: Reply) -> None:
    stream = written(unfold(reply))
    events_of(stream)
    assert fold(read_all(RESPONSES.reader(), stream)) == as_read(reply)


@given(answers())
@settings(deadline=None)
def test_a_stream_tells_the_same_as_a_whole_answer(reply: Reply) -> None:
    last = events_of(written(unfold(reply), ASKED))[-1]["response"]
    assert last == orjson.loads(orjson.dumps(RESPONSES.write_reply(reply, request_doc=ASKED)))


@given(answers(), st.integers(1, 90))
@settings(deadline=None, max_examples=40)
def test_any_cut_of_the_bytes_gives_the_same_events(reply: Reply, size: int) -> None:
    stream = written(unfold(reply), ASKED)
    reader, framer = RESPONSES.reader(), sse.Framer()
    blocks = [framer.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    frames = [frame for block in [*blocks, framer.rest()] for frame in sse.split(block)]
    cut = [*(event for frame in frames for event in reader.read(frame)), *reader.end()]
    assert cut == read_all(RESPONSES.reader(), stream)


def streams() -> Iterator[tuple[str, bytes, Any]]:
    for name in STREAMS:
        yield name, (VECTORS / name).read_bytes(), RESPONSES
    for path in sorted(CHAT_VECTORS.glob("0*_cc_*.sse")):
        yield path.name, path.read_bytes(), OPENAI_CHAT


@pytest.mark.parametrize(("name", "stream", "dialect"), list(streams()), ids=[entry[0] for entry in streams()])
def test_a_stream_that_is_translated_tells_the_same(name: str, stream: bytes, dialect: Any) -> None:
    first = fold(read_all(dialect.reader(), stream))
    again = written(read_all(dialect.reader(), stream), ASKED)
    events_of(again)
    second = fold(read_all(RESPONSES.reader(), again))
    if isinstance(first, Failed):
        assert isinstance(second, Failed)
        assert second.message == first.message
    else:
        assert isinstance(second, Reply)
        assert second == as_read(replace(first, usage=second.usage))
        assert (second.usage.input, second.usage.output) == (first.usage.input, first.usage.output)
