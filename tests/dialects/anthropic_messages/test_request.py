"""Requests: canonical and back, and what no golden case can say."""

import itertools
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.anthropic_messages.blocks import NAME
from otari.dialects.anthropic_messages.marks import Mark, write_mark
from otari.dialects.anthropic_messages.shape import enforceable
from otari.dialects.anthropic_messages.thinking import decides_itself, takes_sampling
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
LOOK = Tool("look", None, {"type": "object"})


def written(*turns: Turn, dropped: list[str] | None = None, **keys: Any) -> list[dict[str, Any]]:
    request = ChatRequest("m", turns, **({"dialect": NAME, "tools": (LOOK,)} | keys))
    messages: list[dict[str, Any]] = ANTHROPIC_MESSAGES.write_request(request, dropped=dropped)["messages"]
    return messages


def read(*messages: dict[str, Any], **keys: Any) -> ChatRequest:
    doc = {"model": "m", "max_tokens": 5, "messages": list(messages)} | keys
    ANTHROPIC_MESSAGES.read_envelope(doc, 100)
    return ANTHROPIC_MESSAGES.read_request(doc)


def joined(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Neighbours of one role in one turn, and all leading system turns: as this wire tells them."""
    out: list[Turn] = []
    for number, turn in enumerate(turns):
        leading = all(other.role == "system" for other in turns[: number + 1])
        same = bool(out) and out[-1].role == turn.role
        if same and (leading or turn.role != "system"):
            out[-1] = Turn(turn.role, out[-1].parts + turn.parts)
        else:
            out.append(turn)
    return tuple(out)


# ---- there and back ------------------------------------------------------------------------------------------------

marks = st.none() | st.just({"type": "ephemeral", "ttl": "1h"})
solid = some_text.filter(lambda text: bool(text.strip()))
said: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, solid, marks),
    st.builds(Image, st.just("image/png"), st.just("iVBORw0KGgo="), cache=marks),
    st.builds(Image, url=st.just("https://example.org/a.png")),
    st.builds(Image, file_id=words),
    st.builds(Document, st.just("application/pdf"), st.just("JVBERi0="), name=st.none() | words, cache=marks),
    st.builds(Document, st.just("text/plain"), text=solid, name=st.none() | words),
    st.builds(Document, url=st.just("https://example.org/a.pdf")),
    st.builds(Opaque, st.just(NAME), json_objects.map(lambda doc: {"type": "search_result", "told": doc})),
)
thought: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, solid, marks),
    st.builds(Thinking, some_text, words, st.just("anthropic")),
    st.builds(Thinking, st.just(""), st.none(), st.just("anthropic"), words),
    st.builds(Opaque, st.just(NAME), json_objects.map(lambda doc: {"type": "server_tool_use", "told": doc})),
)
calls = st.builds(ToolCall, some_text, words, st.sampled_from(["{}", '{"a":[1,null,"é"]}', '{"a":', "not json"]))


@st.composite
def round_trips(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Conversations that this wire can hold whole: calls with their results, a user first, few cache marks."""
    turns = [Turn("user", (draw(said),))]
    ids = iter(draw(st.lists(some_text, min_size=9, max_size=9, unique=True)))
    for _ in range(draw(st.integers(0, 3))):
        made = [replace(call, id=next(ids)) for call in draw(st.lists(calls, max_size=3))]
        turns.append(Turn("assistant", (*draw(st.lists(thought, min_size=1, max_size=3)), *made)))
        results = [
            ToolResult(call.id, tuple(draw(st.lists(said, max_size=2))), draw(st.booleans()), draw(marks))
            for call in made
        ]
        turns.append(Turn("user", (*results, *draw(st.lists(said, min_size=1, max_size=2)))))
        if draw(st.booleans()):
            turns.append(Turn("system", (draw(st.builds(Text, solid)),)))
    if draw(st.booleans()):
        turns.insert(0, Turn("system", tuple(draw(st.lists(st.builds(Text, solid), min_size=1, max_size=2)))))
    return tuple(turns)


def marked(turns: tuple[Turn, ...]) -> int:
    parts = [part for turn in turns for part in turn.parts]
    parts += [inner for part in parts if isinstance(part, ToolResult) for inner in part.parts]
    return sum(getattr(part, "cache", None) is not None for part in parts)


@given(round_trips().filter(lambda turns: marked(turns) <= 4))
def test_what_is_written_reads_the_same(turns: tuple[Turn, ...]) -> None:
    dropped: list[str] = []
    request = ChatRequest("m", turns, tools=(LOOK,), max_output_tokens=5, dialect=NAME)
    doc = orjson.loads(orjson.dumps(ANTHROPIC_MESSAGES.write_request(request, dropped=dropped)))
    ANTHROPIC_MESSAGES.read_envelope(doc, 100)
    assert ANTHROPIC_MESSAGES.read_request(doc).turns == joined(turns)
    assert dropped == []


@given(conversations())
def test_any_conversation_is_written_in_an_order_that_anthropic_takes(turns: tuple[Turn, ...]) -> None:
    dropped: list[str] = []
    try:
        messages = written(*turns, dropped=dropped, dialect="openai-chat")
    except OtariError as error:
        assert "empty" in error.message  # noqa: PT017
        return
    roles = [message["role"] for message in messages]
    assert roles[0] == "user"
    assert all(first != second for first, second in itertools.pairwise(roles))
    assert mended(turns) == turns or "tool turns mended" in dropped
    used: set[str] = set()
    for message, following in zip(messages, [*messages[1:], {"content": []}], strict=True):
        blocks = message["content"] if isinstance(message["content"], list) else []
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert not used & set(called)
        assert len(set(called)) == len(called)
        used |= set(called)
        answers = following["content"] if isinstance(following["content"], list) else []
        assert [block.get("tool_use_id") for block in answers[: len(called)]] == called
        assert all(block["type"] != "tool_result" for block in answers[len(called) :])


@given(
    st.builds(
        ChatRequest,
        model=words,
        turns=st.just((HELLO,)),
        tools=st.lists(
            st.builds(Tool, words, st.none() | some_text, json_objects.map(lambda doc: doc | {"type": "object"}))
            | st.builds(Opaque, st.just(NAME), words.map(lambda name: {"type": "web_search_20250305", "name": name})),
            min_size=1,
            max_size=3,
            unique_by=lambda tool: tool.name if isinstance(tool, Tool) else tool.doc["name"],
        ).map(tuple),
        tool_choice=st.none()
        | st.builds(ToolChoice, st.sampled_from(["auto", "required"]), parallel=st.none() | st.booleans())
        | st.builds(ToolChoice, st.just("named"), words),
        sampling=st.builds(
            Sampling,
            temperature=st.none() | st.floats(0, 1),
            top_p=st.none() | st.floats(0, 1),
            top_k=st.none() | st.integers(0, 500),
            stop=st.lists(some_text, max_size=2).map(tuple),
        ),
        max_output_tokens=st.integers(1, 10**6),
        reasoning=st.sampled_from(
            [
                *(None, {"effort": "none"}, {"effort": "max"}, {"mode": "adaptive", "effort": "low"}),
                *({"mode": "adaptive"}, {"budget_tokens": 4000}, {"budget_tokens": 4000, "effort": "high"}),
            ]
        ),
        shape=st.none() | st.builds(Shape, st.just("json_schema"), schema=json_objects),
        stream=st.booleans(),
        metadata=st.none() | st.just({"user_id": "{}"}),
        extras=st.just({}) | st.just({"service_tier": "auto", "betas": ["b"], "thinking.display": "omitted"}),
        dialect=st.just(NAME),
    )
)
def test_requests_of_this_dialect_survive(request_: ChatRequest) -> None:
    request = request_
    thinks = request.reasoning is not None and ({"mode", "budget_tokens"} & request.reasoning.keys())
    if not thinks and request.reasoning != {"effort": "none"}:
        request = replace(request, extras={k: v for k, v in request.extras.items() if k != "thinking.display"})
    doc = ANTHROPIC_MESSAGES.write_request(request)
    if request.shape is not None and not request.shape.schema:
        request = replace(request, shape=Shape("json_schema", None, {"type": "object", "properties": {}}))
    assert ANTHROPIC_MESSAGES.read_request(doc) == request


# ---- what Anthropic refuses ----------------------------------------------------------------------------------------


def refusal(part: Part, **keys: Any) -> OtariError:
    with pytest.raises(OtariError) as caught:
        written(Turn("user", (part,)), **keys)
    assert caught.value.kind is Kind.INVALID
    return caught.value


def test_what_can_not_be_sent_is_refused_and_never_dropped() -> None:
    assert "audio" in refusal(Audio("wav", "AAAA")).message
    assert "docx" in refusal(Document("application/docx", "UEsDBP8=")).message
    assert "file id" in refusal(Image(file_id="file-1"), dialect="openai-chat").message
    assert "file id" in refusal(Document(file_id="file-1"), dialect="openai-chat").message
    with pytest.raises(OtariError, match="n must be 1"):
        written(HELLO, choices=2)
    with pytest.raises(OtariError, match="empty"):
        written(Turn("user", (Text(" "),)))


def test_calls_and_results_without_ids_are_refused() -> None:
    for block in ({"type": "tool_use", "name": "x"}, {"type": "tool_result", "content": "x"}):
        with pytest.raises(OtariError, match="lacks its") as caught:
            read({"role": "user", "content": [block]})
        assert caught.value.kind is Kind.INVALID


def test_parts_in_turns_that_have_no_place_for_them_are_named() -> None:
    dropped: list[str] = []
    turns = (
        Turn("system", (Text("s"), Image(url="https://example.org"))),
        Turn("user", (Text("a"), Thinking("hm"), Opaque("gemini", {"type": "x, y\n"}))),
        Turn("assistant", (Text("b"), Image(url="https://example.org"), Refusal("No."))),
    )
    messages = written(*turns, dropped=dropped)
    assert messages == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "No."}]},
    ]
    assert dropped == [
        "image in a system turn",
        "thinking in a user turn",
        "part x_ y_",
        "image in an assistant turn",
    ]


def test_marked_thinking_comes_back_to_its_maker() -> None:
    mark = write_mark(Mark("openai", "enc"))
    carrier = write_mark(Mark(signature="sig", call_id="t"))
    request = read(
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": mark},
                {"type": "thinking", "thinking": "ha", "signature": write_mark(Mark())},
                {"type": "redacted_thinking", "data": write_mark(Mark("openai", "red"))},
                {"type": "redacted_thinking", "data": carrier},
                {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
    )
    assert request.turns[1].parts == (
        Thinking("hm", "enc", "openai"),
        Thinking("ha", None, None),
        Thinking("", None, "openai", "red"),
        ToolCall("t", "f", "{}", "sig"),
    )
    dropped: list[str] = []
    doc = ANTHROPIC_MESSAGES.write_request(request, dropped=dropped)
    assert doc["messages"][1]["content"] == [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]
    assert dropped == ["thinking of another model", "tools added for earlier calls"]


def test_tools_that_only_anthropic_s_models_know_become_functions() -> None:
    request = read(
        {"role": "user", "content": "hi"},
        tools=[{"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "edit"}],
    )
    bash, edit = request.tools
    assert isinstance(bash, Tool)
    assert isinstance(edit, Tool)
    assert bash.parameters is not None
    assert set(bash.parameters["properties"]) == {"command", "restart"}
    assert edit.parameters is not None
    assert "str_replace" in edit.parameters["properties"]["command"]["enum"]
    assert bash.native == Opaque(NAME, {"type": "bash_20250124", "name": "bash"})
    assert request.extras == {}


def test_what_tools_hold_beyond_canonical_ones_is_named() -> None:
    tool = {"name": "a", "input_schema": {"type": "object"}, "defer_loading": True, "input_examples": [{}]}
    request = read({"role": "user", "content": "hi"}, tools=[tool, {"name": "b"}, tool | {"name": "c"}])
    assert request.extras == {"tools.defer_loading": ["a", "c"], "tools.input_examples": ["a", "c"]}


def test_a_thousand_tools_and_a_schema_that_refers_to_itself() -> None:
    loop = {"type": "object", "properties": {"next": {"$ref": "#"}}, "minProperties": 1}
    tools = tuple(Tool(f"t{number}", "d", loop, strict=True) for number in range(1000))
    request = ChatRequest("claude-opus-4-6", (HELLO,), tools=tools, dialect="openai-chat")
    doc = ANTHROPIC_MESSAGES.write_request(request)
    assert len(doc["tools"]) == 1000
    assert doc["tools"][0]["input_schema"]["properties"] == {"next": {"$ref": "#"}}


def test_nothing_that_was_read_is_changed_by_writing() -> None:
    mark = {"type": "ephemeral"}
    block = {"type": "web_search_20250305", "name": "web_search", "cache_control": mark}
    texts = [{"type": "text", "text": text, "cache_control": mark} for text in "abcde"]
    doc = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": texts}], "tools": [block]}
    before = orjson.dumps(doc)
    ANTHROPIC_MESSAGES.write_request(ANTHROPIC_MESSAGES.read_request(doc))
    assert orjson.dumps(doc) == before


@pytest.mark.parametrize(
    ("model", "itself", "sampling"),
    [
        ("claude-2.1", False, True),
        ("claude-3-7-sonnet-20250219", False, True),
        ("claude-3-5-haiku-latest", False, True),
        ("claude-sonnet-4-20250514", False, True),
        ("claude-opus-4-1-20250805", False, True),
        ("claude-sonnet-4-5", False, True),
        ("anthropic/claude-haiku-4.5", False, True),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", False, True),
        ("claude-opus-4-6", True, True),
        ("anthropic/claude-sonnet-4.6", True, True),
        ("claude-opus-4-7", True, False),
        ("claude-opus-4-10", True, False),
        ("claude-opus-5-5", True, False),
        ("claude-fable-5", True, False),
        ("deepseek-chat", False, True),
    ],
)
def test_what_a_model_takes_shows_in_its_name(model: str, itself: bool, sampling: bool) -> None:
    assert (decides_itself(model), takes_sampling(model)) == (itself, sampling)


def test_a_budget_from_elsewhere_and_top_k() -> None:
    request = ChatRequest(
        "claude-sonnet-4-5",
        (HELLO,),
        sampling=Sampling(top_k=5, top_p=0.5),
        reasoning={"budget_tokens": 100},
        dialect="gemini",
    )
    dropped: list[str] = []
    doc = ANTHROPIC_MESSAGES.write_request(request, dropped=dropped)
    assert doc["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert doc["max_tokens"] == 8192 + 1024
    assert dropped == ["thinking budget", "top_k beside thinking", "top_p beside thinking"]
    newer = ANTHROPIC_MESSAGES.write_request(replace(request, model="claude-opus-4-6", sampling=Sampling()))
    assert newer["output_config"] == {"effort": "low"}


# ---- schemas -------------------------------------------------------------------------------------------------------


def test_what_constrains_nothing_is_no_constraint() -> None:
    dropped: list[str] = []
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$comment": "a", "type": "string"}
    assert enforceable(schema, dropped.append) == {"type": "string"}
    assert dropped == []


@pytest.mark.parametrize("key", ["properties", "items", "anyOf", "not"])
@pytest.mark.parametrize("depth", [300, 480])
def test_a_schema_that_is_too_deep_is_refused(key: str, depth: int) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", key: {"properties": {"a": schema}, "anyOf": [schema]}.get(key, schema)}
    with pytest.raises(OtariError, match="nested too deeply"):
        enforceable(schema, lambda name: None)
