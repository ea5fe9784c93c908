"""Streams: what the reader tells and when, and what it makes of nonsense."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.gemini import GEMINI
from otari.dialects.gemini.partial import Arguments
from otari.dialects.gemini.parts import FAMILY
from otari.domain.chat import (
    Event,
    Failed,
    Finish,
    Finished,
    Image,
    Opaque,
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
)
from otari.domain.errors import Kind, OtariError
from tests.dialects.gemini.golden import STREAMS, VECTORS, answer, frame_of, stream_of
from tests.dialects.told import frames_of, keeps_the_grammar, read_all
from tests.domain.strategies import json_values


def events_of(*frames: Any) -> list[Event]:
    return read_all(GEMINI.reader(), stream_of(frames))


def reply_of(*frames: Any) -> Reply:
    reply = fold(events_of(*frames))
    assert isinstance(reply, Reply)
    return reply


def test_text_reaches_the_reader_as_it_comes() -> None:
    reader = GEMINI.reader()
    first, second = (list(reader.read(frame_of(answer({"text": text})))) for text in "ab")
    assert first == [Started("r", "g"), PartStarted(0, Text("")), PartDelta(0, "a")]
    assert second == [PartDelta(0, "b")]
    assert reader.read(frame_of(answer({"text": ""}, reason="STOP"))) == []
    assert reader.end() == [PartEnded(0), Finished(Finish.END)]
    assert reader.end() == []
    assert reader.read(frame_of(answer({"text": "late"}))) == []


def test_a_call_is_told_at_once() -> None:
    part = {"functionCall": {"name": "look", "args": {"a": 1}, "id": "x"}, "thoughtSignature": "S"}
    events = events_of(answer(part))[1:4]
    assert events == [PartStarted(0, ToolCall("x", "look", "", "S")), PartDelta(0, '{"a":1}'), PartEnded(0)]


def test_a_streamed_call_is_told_when_its_name_is_known() -> None:
    reader = GEMINI.reader()
    begun = reader.read(frame_of(answer({"functionCall": {"name": "look", "id": "x", "willContinue": True}})))
    assert begun[1:] == [PartStarted(0, ToolCall("x", "look", ""))]
    value = {"jsonPath": "$.a", "stringValue": "b"}
    more = {"functionCall": {"partialArgs": [value], "willContinue": True}, "thoughtSignature": "S"}
    assert reader.read(frame_of(answer(more))) == [PartSigned(0, "S")]
    assert reader.read(frame_of(answer({"functionCall": {}}))) == [PartDelta(0, '{"a":"b"}'), PartEnded(0)]


def test_a_streamed_call_that_was_cut_off_does_not_look_whole() -> None:
    value = {"jsonPath": "$.a", "stringValue": "b", "willContinue": True}
    part = {"functionCall": {"name": "look", "id": "x", "partialArgs": [value], "willContinue": True}}
    reply = reply_of(answer(part), answer(reason="MAX_TOKENS"))
    assert reply.parts == (ToolCall("x", "look", '{"a":"b"'),)
    assert reply.finish is Finish.LENGTH


def test_a_signed_text_stands_alone() -> None:
    reply = reply_of(
        answer({"text": "a"}), answer({"text": "b", "thoughtSignature": "S"}), answer({"text": "c"}, reason="STOP")
    )
    assert reply.parts == (Text("a"), Text("b"), Thinking("", "S", FAMILY), Text("c"))


def test_a_signature_at_the_end_is_kept() -> None:
    reply = reply_of(answer({"text": "a"}), answer({"text": "", "thoughtSignature": "S"}, reason="STOP"))
    assert reply.parts == (Text("a"), Thinking("", None, FAMILY, "S"))


def test_signed_thoughts() -> None:
    parts = [{"text": "a", "thought": True}, {"text": "b", "thought": True, "thoughtSignature": "S"}]
    last = {"text": "", "thought": True, "thoughtSignature": "T"}
    reply = reply_of(*map(answer, parts), answer(last, reason="STOP"))
    assert reply.parts == (Thinking("ab", "S", FAMILY), Thinking("", None, FAMILY, "T"))


def test_a_picture_is_told_whole_with_what_belongs_to_it() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "thoughtSignature": "S"}
    reply = reply_of(answer(part, reason="STOP"))
    keys = {"type": "thoughtSignature", "part_keys": {"thoughtSignature": "S"}}
    assert reply.parts == (Image("image/png", "iVBORw0KGgo="), Opaque("gemini", keys))


def test_ids_are_made_from_the_answer_s_own() -> None:
    def ids(reply_id: str) -> list[str]:
        call = {"functionCall": {"name": "look"}}
        reply = reply_of(answer(call, call, responseId=reply_id), answer(call, reason="STOP"))
        return [part.id for part in reply.parts if isinstance(part, ToolCall)]

    assert ids("r") == ids("r")
    assert len({*ids("r"), *ids("s")}) == 6


def test_tokens_seen_with_a_failure_are_told_before_it() -> None:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 1}
    events = events_of(answer({"text": "a"}), answer(reason="MALFORMED_RESPONSE", usageMetadata=usage))
    assert events[-2] == UsageSeen(Usage(3, 1))
    assert isinstance(events[-1], Failed)


def test_the_time_of_creation_is_kept() -> None:
    reply = reply_of(answer({"text": "a"}, reason="STOP", createTime="2026-11-22T10:00:00.123Z"))
    assert reply.created == 1795341600
    assert reply_of(answer({"text": "a"}, reason="STOP", createTime="soon")).created is None


def test_arguments_that_are_nested_too_deeply() -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    text = '{"a":' * 300 + "1" + "}" * 300
    frame = f'data: {{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"f","args":{text}}}}}]}}}}]}}\n\n'
    events = read_all(GEMINI.reader(), frame.encode())
    assert isinstance(events[-1], Failed)
    assert keeps_the_grammar(events)
    steps = "$" + ".a" * 300
    value = {"functionCall": {"name": "f", "partialArgs": [{"jsonPath": steps, "stringValue": "x"}]}}
    assert isinstance(events_of(answer(value))[-1], Failed)
    value["functionCall"]["partialArgs"] = [{"jsonPath": "$.a", "stringValue": deep}]
    assert GEMINI.reader().read_doc(answer(value))[-1] == Failed(
        "The provider sent arguments of a tool call that make no sense."
    )
    with pytest.raises(OtariError) as caught:
        GEMINI.read_reply(answer({"functionCall": {"name": "f", "args": deep}}))
    assert caught.value.kind is Kind.UPSTREAM
    assert GEMINI.text_in(answer({"functionCall": {"name": "f", "args": deep}})) == "f"


# ---- whole answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
def test_the_whole_answer_and_its_stream_tell_the_same(name: str) -> None:
    stream = (VECTORS / name).read_bytes()
    docs = [orjson.loads(frame.partition(b"data: ")[2]) for frame in frames_of(stream)]
    parts = [part for doc in docs for part in doc["candidates"][0]["content"]["parts"]]
    whole = docs[-1] | {"candidates": [docs[-1]["candidates"][0] | {"content": {"parts": parts}}]}
    assert GEMINI.read_reply(whole) == fold(read_all(GEMINI.reader(), stream))


@pytest.mark.parametrize(
    ("body", "words", "code"),
    [
        ({}, "ended before", None),
        ({"candidates": []}, "ended before", None),
        (
            {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}},
            "Slow",
            "RESOURCE_EXHAUSTED",
        ),
        (answer({"text": "a"}, reason="MALFORMED_FUNCTION_CALL"), "broke off", "MALFORMED_FUNCTION_CALL"),
    ],
)
def test_bodies_that_are_no_answer(body: dict[str, Any], words: str, code: str | None) -> None:
    with pytest.raises(OtariError) as caught:
        GEMINI.read_reply(body)
    error = caught.value
    assert (error.kind, error.retryable, error.code) == (Kind.UPSTREAM, True, code)
    assert words in str(error.detail)


def test_all_text_of_an_answer_is_counted() -> None:
    parts = [
        {"text": "hm", "thought": True},
        {"text": "a"},
        {"functionCall": {"name": "look", "args": {"b": "c"}}},
        {"executableCode": {"code": "1+1"}},
        {"text": 3, "functionCall": 4, "executableCode": 5},
    ]
    filtered = answer(*parts, reason="SAFETY")
    filtered["candidates"][0]["finishMessage"] = "No."
    assert GEMINI.text_in(filtered).split("\n") == ["hm", "a", "look", '{"b":"c"}', "1+1", "No."]
    assert GEMINI.text_in({"promptFeedback": {"blockReason": "X", "blockReasonMessage": "No."}}) == "No."
    assert GEMINI.text_in({}) == ""


# ---- nonsense ------------------------------------------------------------------------------------------------------

values = st.fixed_dictionaries(
    {"jsonPath": st.sampled_from(["$.a", "$.a.b", "$.a[0]", "$.a[1]", "$['a']", "$", "a"]) | json_values},
    optional=dict.fromkeys(["stringValue", "numberValue", "boolValue", "nullValue", "willContinue"], json_values),
)
called = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["f", "g"]) | json_values,
        "id": st.sampled_from(["x", "y"]) | json_values,
        "args": json_values,
        "partialArgs": st.lists(values, max_size=2) | json_values,
        "willContinue": st.booleans() | json_values,
    },
)
odd_parts = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["", "a"]) | json_values,
        "thought": st.booleans() | json_values,
        "thoughtSignature": st.sampled_from(["S", ""]) | json_values,
        "functionCall": called | json_values,
        "inlineData": st.fixed_dictionaries({"data": st.just("aGk=")}) | json_values,
        "fileData": json_values,
        "later": json_values,
    },
)
reasons = st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_RESPONSE"])
odd_frames = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(
            st.fixed_dictionaries(
                {"content": st.fixed_dictionaries({"parts": st.lists(odd_parts, max_size=3)}) | json_values},
                optional={"finishReason": reasons | json_values, "finishMessage": json_values, "index": json_values},
            ),
            max_size=2,
        )
        | json_values,
        "promptFeedback": st.fixed_dictionaries({"blockReason": json_values}) | json_values,
        "usageMetadata": json_values,
        "error": json_values,
        "responseId": json_values,
        "modelVersion": json_values,
        "createTime": json_values,
    },
)


@given(st.lists(odd_frames | json_values, max_size=5))
@settings(deadline=None)
def test_garbage_ends_in_one_ending(docs: list[Any]) -> None:
    events = events_of(*docs)
    assert isinstance(events[-1], Failed | Finished)
    assert keeps_the_grammar(events)
    fold(events)


@given(st.lists(st.integers(0, 5), max_size=12))
def test_frames_missing_doubled_or_out_of_order_keep_the_grammar(order: list[int]) -> None:
    for name in STREAMS:
        frames = frames_of((VECTORS / name).read_bytes())
        events = read_all(GEMINI.reader(), b"".join(frames[number % len(frames)] for number in order))
        assert keeps_the_grammar(events)
        ids = [event.part.id for event in events if isinstance(event, PartStarted) and isinstance(event.part, ToolCall)]
        assert len(set(ids)) == len(ids)


# ---- arguments value by value --------------------------------------------------------------------------------------


def put(*told: Any) -> Any:
    arguments = Arguments()
    for value in told:
        arguments.put(value)
    return orjson.loads(arguments.text(whole=True))


def test_a_text_only_grows_while_it_is_announced_to() -> None:
    more, last = {"jsonPath": "$.a", "stringValue": "x", "willContinue": True}, {"jsonPath": "$.a", "stringValue": "y"}
    assert put(more, last) == {"a": "xy"}
    assert put(last, last) == {"a": "y"}
    assert put(more, {"jsonPath": "$.b", "stringValue": "z"}, last) == {"a": "y", "b": "z"}
    assert put({"jsonPath": "$.a", "willContinue": True}, last) == {"a": "y"}


def test_names_in_quotes() -> None:
    assert put({"jsonPath": r"$['a\'b']['c.d[0]']", "stringValue": "x"}) == {"a'b": {"c.d[0]": "x"}}
    assert put({"jsonPath": '$["é"][0]', "boolValue": False}) == {"é": [False]}


@pytest.mark.parametrize(
    "told",
    [
        *(None, 3, {}, {"jsonPath": 3}),
        *({"jsonPath": path} for path in ("", "$", "a", "$.", "$a", "$[0]", "$.a[", "$.a[x]", "$.a[1]", "$.a..b")),
        {"jsonPath": "$.a[99999999]"},
        {"jsonPath": "$" + ".a" * 101},
    ],
)
def test_places_that_make_no_sense(told: Any) -> None:
    with pytest.raises(ValueError, match="path"):
        Arguments().put(told)
