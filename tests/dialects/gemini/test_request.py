"""Requests: canonical and back, and what no golden case can say."""

import itertools
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects.gemini import GEMINI
from otari.dialects.gemini.parts import FAMILY, NAME, NO_SIGNATURE, is_made, made_ids
from otari.dialects.gemini.results import RESPONSE_KEYS
from otari.dialects.gemini.tools import json_schema
from otari.dialects.tool_turns import mended
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
from tests.domain.strategies import conversations, json_objects, some_text, words

HELLO = Turn("user", (Text("hi"),))
THIRD = "gemini-3-pro-preview"


def written(*turns: Turn, dropped: list[str] | None = None, **keys: Any) -> list[dict[str, Any]]:
    request = ChatRequest(**({"model": "m", "turns": turns, "dialect": NAME} | keys))
    contents: list[dict[str, Any]] = GEMINI.write_request(request, dropped=dropped)["contents"]
    return contents


# ---- there and back ------------------------------------------------------------------------------------------------

pictures: st.SearchStrategy[Part] = st.one_of(
    st.builds(Image, st.just("image/png"), st.just("iVBORw0KGgo=")),
    st.builds(Image, st.just("image/jpeg"), url=st.just("gs://b/a")),
    st.builds(Document, st.just("application/pdf"), st.just("JVBERi0=")),
    st.builds(Document, st.none(), url=st.just("https://generativelanguage.googleapis.com/v1beta/files/x")),
    st.builds(Audio, st.sampled_from(["wav", "mp3", "l16;rate=24000"]), st.just("UklGRg==")),
)
known_here = st.builds(
    Opaque, st.just(NAME), json_objects.map(lambda doc: {"type": "later", "part": {"later": 1, "told": doc}})
)
said: st.SearchStrategy[Part] = st.one_of(st.builds(Text, some_text), pictures, known_here)
unsigned: st.SearchStrategy[list[Part]] = st.one_of(st.builds(Text, some_text), known_here).map(lambda part: [part])
signed: st.SearchStrategy[list[Part]] = st.one_of(
    st.builds(lambda text, signature: [Text(text), Thinking("", signature, FAMILY)], some_text, words),
    st.builds(lambda text, signature: [Thinking(text, signature, FAMILY)], some_text, st.none() | words),
    st.builds(lambda signature: [Thinking("", None, FAMILY, signature)], words),
)
objects = st.sampled_from(["{}", '{"a":[1,null,"é"]}', '{"a":', "not json"])
calls = st.builds(ToolCall, st.just(""), words, objects, st.none() | words)
answers = some_text.filter(lambda text: not text.lstrip().startswith("{")) | st.sampled_from(['{"a":1}', '{"error":1}'])


@st.composite
def tool_results(draw: st.DrawFn, call_id: str) -> ToolResult:
    parts: list[Part] = [Text(draw(answers))] if draw(st.booleans()) else []
    parts += draw(st.lists(pictures, max_size=2))
    if draw(st.booleans()):
        parts.append(Opaque(NAME, {"type": "scheduling", RESPONSE_KEYS: {"scheduling": "SILENT"}}))
    return ToolResult(call_id, tuple(parts), draw(st.booleans()))


@st.composite
def round_trips(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Conversations that this wire can hold whole: calls with their results, a user first."""
    turns = [Turn("user", (draw(said),))]
    ids = iter(draw(st.lists(some_text, min_size=9, max_size=9, unique=True)))
    for _ in range(draw(st.integers(0, 3))):
        made = [replace(call, id=next(ids)) for call in draw(st.lists(calls, max_size=3))]
        thought = draw(st.lists(unsigned | signed, min_size=1, max_size=3))
        turns.append(Turn("assistant", (*itertools.chain(*thought), *made)))
        results = [draw(tool_results(call.id)) for call in made]
        turns.append(Turn("user", (*results, *draw(st.lists(said, min_size=1, max_size=2)))))
    if draw(st.booleans()):
        turns.insert(0, Turn("system", tuple(draw(st.lists(st.builds(Text, some_text), min_size=1, max_size=2)))))
    return tuple(turns)


@given(round_trips(), st.sampled_from([THIRD, "gemini-2.5-pro"]))
def test_what_is_written_reads_the_same(turns: tuple[Turn, ...], model: str) -> None:
    dropped: list[str] = []
    doc = GEMINI.write_request(ChatRequest(model, turns, dialect=NAME), dropped=dropped)
    doc = orjson.loads(orjson.dumps(doc))
    GEMINI.read_envelope(doc, 100)
    assert GEMINI.read_request(doc).turns == turns
    assert dropped in ([], ["thought signature missing"])
    assert not {"model", "stream"} & doc.keys()


@given(conversations(), st.sampled_from([THIRD, "gemini-2.5-pro"]))
def test_any_conversation_is_written_in_an_order_that_gemini_takes(turns: tuple[Turn, ...], model: str) -> None:
    dropped: list[str] = []
    try:
        contents = written(*turns, dropped=dropped, dialect="openai-chat", model=model)
    except OtariError as error:
        assert "empty" in error.message  # noqa: PT017
        return
    roles = [content["role"] for content in contents]
    assert roles[0] == "user"
    assert all(first != second for first, second in itertools.pairwise(roles))
    assert mended(turns) == turns or "tool turns mended" in dropped
    for content, following in zip(contents, [*contents[1:], {"parts": []}], strict=True):
        called = [part for part in content["parts"] if "functionCall" in part]
        names = [part["functionCall"]["name"] for part in called]
        answered = [part["functionResponse"]["name"] for part in following["parts"] if "functionResponse" in part]
        assert answered == (names if content["role"] == "model" else [])
        assert all("functionResponse" in part for part in following["parts"][: len(answered)])
        assert ["thoughtSignature" in part for part in called] == [
            number == 0 and model == THIRD for number in range(len(called))
        ]


@given(
    st.builds(
        Sampling,
        st.none() | st.floats(0, 2),
        st.none() | st.floats(0, 1),
        st.none() | st.integers(1, 100),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.floats(-2, 2),
        st.none() | st.floats(-2, 2),
        st.lists(some_text, max_size=5).map(tuple),
    ),
    st.none() | st.integers(1, 10**6),
    st.sampled_from([None, {"effort": "low"}, {"effort": "none"}, {"budget_tokens": 7}, {"mode": "adaptive"}]),
    st.sampled_from([None, Shape("json_object"), Shape("json_schema", None, {"type": "object"})]),
    st.sampled_from(
        [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("named", "look")]
    ),
)
def test_everything_beside_the_turns_comes_back(
    sampling: Sampling,
    limit: int | None,
    reasoning: dict[str, Any] | None,
    shape: Shape | None,
    choice: ToolChoice | None,
) -> None:
    request = ChatRequest(
        "",
        (HELLO,),
        tools=(Tool("look", "Looks.", {"type": "object"}), Opaque(NAME, {"type": "g", "tool": {"g": {}}})),
        tool_choice=choice,
        sampling=sampling,
        max_output_tokens=limit,
        reasoning=reasoning,
        shape=shape,
        extras={"safetySettings": [{}], "generationConfig.logprobs": 2, "thinkingConfig.includeThoughts": True},
        dialect=NAME,
    )
    dropped: list[str] = []
    doc = GEMINI.write_request(request, dropped=dropped)
    GEMINI.read_envelope(doc, 100)
    assert GEMINI.read_request(doc) == request
    assert dropped == []


def test_the_url_s_model_and_stream_may_stand_in_the_document() -> None:
    doc = {"model": "models/gemini-2.5-flash", "stream": True, "contents": [{"parts": [{"text": "hi"}]}]}
    request = GEMINI.read_request(doc)
    assert (request.model, request.stream) == ("gemini-2.5-flash", True)
    assert GEMINI.read_request({"contents": []}).model == ""
    assert orjson.loads(GEMINI.same_request(doc | {"user": "ann", "api_key": "k"}, "other")) == {
        "contents": doc["contents"]
    }


# ---- ids -----------------------------------------------------------------------------------------------------------


def test_made_ids_differ_and_come_again() -> None:
    first, second, other = made_ids("a"), made_ids("a"), made_ids("b")
    told = [first() for _ in range(100)]
    assert [second() for _ in range(100)] == told
    assert len({*told, other()}) == 101
    assert all(map(is_made, told))
    assert not is_made("call_AbCdEf0123456789abcdef01")


def test_results_without_ids_find_their_calls() -> None:
    call = {"functionCall": {"name": "look"}}
    other = {"functionCall": {"name": "find", "id": "f"}}
    answers = [
        {"functionResponse": {"name": "find", "response": {"result": "2"}}},
        {"functionResponse": {"name": "look", "response": {"result": "1"}}},
        {"functionResponse": {"name": "look", "id": "gone", "response": {"result": "3"}}},
        {"functionResponse": {"name": "look", "response": {"result": "4"}}},
        {"functionResponse": {"name": "look", "response": {"result": "5"}}},
    ]
    doc = {"contents": [{"role": "model", "parts": [call, call, other]}, {"role": "user", "parts": answers}]}
    model, user = GEMINI.read_request(doc).turns
    ids = [part.id for part in model.parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 3
    answered = [part.call_id for part in user.parts if isinstance(part, ToolResult)]
    assert answered[:4] == ["f", ids[0], "gone", ids[1]]
    assert answered[4] not in ids
    assert GEMINI.read_request(doc) == GEMINI.read_request(doc)


def test_calls_doubled_under_one_id_are_answered_by_name() -> None:
    turn = Turn("assistant", (ToolCall("a", "look", "{}"), ToolCall("a", "find", "{}")))
    contents = written(HELLO, turn, Turn("user", (ToolResult("a", (Text("x"),)),)), dialect="openai-chat")
    assert [part["functionResponse"]["name"] for part in contents[2]["parts"]] == ["look", "find"]


# ---- signatures ----------------------------------------------------------------------------------------------------


def test_a_signature_goes_back_on_the_part_that_it_came_with() -> None:
    parts = [
        {"text": "hm", "thought": True, "thoughtSignature": "QQ=="},
        {"text": "a"},
        {"text": "b", "thoughtSignature": "Qg=="},
        {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "Qw=="},
        {"functionCall": {"name": "look", "args": {}}},
        {"text": "", "thoughtSignature": "RA=="},
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "thoughtSignature": "RQ=="},
    ]
    reply = GEMINI.read_reply({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})
    for dialect in (NAME, "openai-chat"):
        contents = written(HELLO, Turn("assistant", reply.parts), dialect=dialect, model=THIRD)
        assert contents[1]["parts"] == parts


def test_a_signature_that_lost_its_text_stands_alone() -> None:
    """Clients of Chat Completions give thinking back before the text."""
    turn = Turn("assistant", (Thinking("", "QQ==", FAMILY), Text("a")))
    assert written(HELLO, turn)[1]["parts"] == [{"text": "", "thoughtSignature": "QQ=="}, {"text": "a"}]


def test_the_word_for_a_missing_signature_is_no_signature() -> None:
    doc = {
        "contents": [{"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": NO_SIGNATURE}]}]
    }
    call = GEMINI.read_request(doc).turns[0].parts[0]
    assert isinstance(call, ToolCall)
    assert call.signature is None


# ---- refusals ------------------------------------------------------------------------------------------------------


def refusal(*parts: Part, role: Any = "user", **keys: Any) -> OtariError:
    request = ChatRequest("m", (Turn(role, parts),), **({"dialect": "openai-chat"} | keys))
    with pytest.raises(OtariError) as caught:
        GEMINI.write_request(request)
    assert caught.value.kind is Kind.INVALID
    return caught.value


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Image(url="https://example.org/a.png"), "no image by its URL"),
        (Image(url="http://generativelanguage.googleapis.com.evil.example/x"), "no image by its URL"),
        (Document(url="https://example.org/a.pdf"), "no file by its URL"),
        (Image(file_id="file-1"), "Send the image as data"),
        (Document(file_id="file-1"), "Send the file as data"),
        (Document("application/msword", "/9j/4A=="), "not as application/msword"),
        (Document(None, "/w=="), "not as unknown type"),
        (ToolResult("a", (Image(url="https://example.org/a.png"),)), None),
    ],
)
def test_media_that_can_not_be_sent(part: Part, words: str | None) -> None:
    if words is None:
        turns = (HELLO, Turn("assistant", (ToolCall("a", "look", "{}"),)), Turn("user", (part,)))
        with pytest.raises(OtariError, match="no image by its URL"):
            GEMINI.write_request(ChatRequest("m", turns))
    else:
        error = refusal(part)
        assert words in error.message
        assert error.param == "messages"


def test_other_refusals() -> None:
    assert refusal(Text("a"), choices=2).param == "n"
    assert "audio" in refusal(Text("a"), extras={"modalities": ["text", "audio"]}).message
    assert "empty" in refusal().message
    assert "empty" in refusal(Text(""), role="assistant").message


def test_what_has_no_place_is_named() -> None:
    dropped: list[str] = []
    system = Turn("system", (Text("s"), Image("image/png", "iVBORw0KGgo=")))
    user = Turn("user", (Text("a"), Thinking("hm"), ToolCall("x", "f", ""), Opaque("other", {"type": "x, y\n"})))
    model = Turn("assistant", (Text("b"), ToolResult("z", ())))
    inner = (ToolCall("y", "g", ""), Opaque("other", {"type": "q"}), Refusal("no"))
    turns = (system, user, model, Turn("assistant", (ToolCall("c", "f", ""),)), Turn("user", (ToolResult("c", inner),)))
    plain_text = Opaque("other", {"type": "custom", "name": "g"})
    tools = (Opaque("other", {"type": "hosted"}), Tool("f", cache={"type": "ephemeral"}), Tool("g", native=plain_text))
    request = ChatRequest("m", turns, tools=tools, extras={"odd key": 1}, metadata={"a": "b"}, dialect="other")
    contents = GEMINI.write_request(request, dropped=dropped)["contents"]
    assert contents[-1]["parts"] == [{"functionResponse": {"name": "f", "response": {"result": "no"}}}]
    assert dropped == [
        "image in a system turn",
        "thinking in a user turn",
        "tool call in a user turn",
        "part x_ y_",
        "tool result in an assistant turn",
        "tool call in a tool result",
        "part q",
        "tool hosted",
        "cache_control",
        "tool custom as function",
        "metadata",
        "odd key",
    ]


def test_keys_of_a_part_that_is_not_there_are_named() -> None:
    dropped: list[str] = []
    keys = Opaque(NAME, {"type": "later", "part_keys": {"later": 1}})
    assert written(HELLO, Turn("user", (Text("a"), keys)))[0]["parts"] == [{"text": "hi"}, {"text": "a", "later": 1}]
    assert written(Turn("user", (keys, Text("a"))), dropped=dropped)[0]["parts"] == [{"text": "a"}]
    assert dropped == ["part later"]


def test_later_system_turns_keep_what_only_this_dialect_knows() -> None:
    later = {"later": 1, "told": {}}
    turn = Turn("system", (Opaque(NAME, {"type": "later", "part": later}), Text("s")))
    parts = [{"text": "hi"}, later, {"text": "<system-reminder>\ns\n</system-reminder>"}]
    assert written(HELLO, turn)[0]["parts"] == parts


LONG = "mcp__a_server_with_a_long_name__a_tool_with_an_even_longer_name_than_that"


@pytest.mark.parametrize(
    ("told", "config"),
    [
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": LONG}]},
            {"mode": "VALIDATED", "allowedFunctionNames": [LONG[:55] + "_451c8214"]},
        ),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, None),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}, None),
        ({"type": "allowed_tools"}, None),
        ({"type": "web_search"}, None),
    ],
)
def test_a_choice_among_some_tools_of_responses(told: dict[str, Any], config: dict[str, Any] | None) -> None:
    dropped: list[str] = []
    extras = {"tool_choice": told}
    request = ChatRequest("m", (HELLO,), tools=(Tool(LONG),), extras=extras, dialect="openai-responses")
    doc = GEMINI.write_request(request, dropped=dropped)
    assert doc.get("toolConfig") == (None if config is None else {"functionCallingConfig": config})
    assert dropped == ([] if config else ["tool_choice"])


def test_a_response_that_is_nested_too_deeply_is_refused_by_name() -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = {"a": deep}
    doc = {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": deep}}]}]}
    with pytest.raises(OtariError) as caught:
        GEMINI.read_request(doc)
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID, "contents")


def test_responses_of_other_forms() -> None:
    told = [None, {}, {"output": "x"}, {"error": "x"}, {"error": {"code": 1}}, {"result": "x", "more": 1}, [1]]
    parts = [{"functionResponse": {"name": "f", "response": response}} for response in told]
    results = GEMINI.read_request({"contents": [{"parts": parts}]}).turns[0].parts
    assert [(part.parts, part.failed) for part in results if isinstance(part, ToolResult)] == [
        *[((), False)] * 2,
        ((Text("x"),), False),
        ((Text("x"),), True),
        *(((Text(text),), False) for text in ('{"error":{"code":1}}', '{"result":"x","more":1}', "[1]")),
    ]


def test_who_asks_is_told_to_nobody() -> None:
    dropped: list[str] = []
    request = ChatRequest("m", (HELLO,), user="ann", metadata={"user_id": "ann"}, dialect="anthropic-messages")
    assert b"ann" not in orjson.dumps(GEMINI.write_request(request, dropped=dropped))
    assert dropped == []


def test_schemas_of_the_older_form() -> None:
    older = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True, "format": "date"},
            "a": {"type": "ARRAY", "items": {"anyOf": [{"type": "INTEGER"}, {"type": "NUMBER"}]}, "minItems": 1},
        },
        "propertyOrdering": ["type", "a"],
        "required": ["a"],
    }
    assert json_schema(older) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "format": "date"},
            "a": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "number"}]}, "minItems": 1},
        },
        "required": ["a"],
    }
