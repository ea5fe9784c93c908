"""What of a request makes tokens, in whatever dialect it was written."""

import base64
import struct
from typing import Any

import pytest

from otari.dialects import DIALECTS
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.domain.chat import Audio, ChatRequest, Document, Image, Opaque, Text, Thinking, Tool, Turn
from otari.domain.families import family_of
from otari.domain.money import REMOTE_FILE_TOKENS, document_tokens
from otari.domain.pictures import Size
from otari.gateway.weight import CALL_TOKENS, RESULT_TOKENS, Weight, weigh

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 300, 200) + bytes(3_000)).decode()
PDF = base64.b64encode(b"%PDF-1.7" + bytes(90_000)).decode()


def weight_of(doc: dict[str, Any], *, as_types: bool = False) -> Weight:
    return weigh(ANTHROPIC_MESSAGES.read_request({"model": "m", **doc}), as_types=as_types)


def of_parts(*parts: Any) -> Weight:
    return weigh(ChatRequest("m", (Turn("user", parts),)), as_types=False)


def test_instructions_messages_calls_and_results_are_messages() -> None:
    weight = weight_of(
        {
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "What is there?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "A look.", "signature": "c2ln"},
                        {"type": "text", "text": "I look."},
                        {"type": "tool_use", "id": "t1", "name": "ls", "input": {"path": "/"}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "etc usr"}]},
            ],
        }
    )
    assert weight.texts == ["Be brief.", "What is there?", "A look.", "I look.", "ls", '{"path":"/"}', "etc usr"]
    assert (weight.messages, weight.other) == (6, CALL_TOKENS + RESULT_TOKENS)
    assert (weight.tools, weight.pictures, weight.readable) == (0, [], True)


def test_the_same_conversation_weighs_the_same_in_every_dialect() -> None:
    function = {"name": "ls", "description": "Lists.", "parameters": {"type": "object", "properties": {}}}
    docs: dict[str, dict[str, Any]] = {
        "anthropic-messages": {
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Hello"}],
            "tools": [{"name": "ls", "description": "Lists.", "input_schema": function["parameters"]}],
        },
        "openai-chat": {
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
            "tools": [{"type": "function", "function": function}],
        },
        "openai-responses": {
            "instructions": "Be brief.",
            "input": "Hello",
            "tools": [{"type": "function", **function}],
        },
    }
    weights = [weigh(DIALECTS[name].read_request({"model": "m", **doc}), as_types=False) for name, doc in docs.items()]
    assert weights[0].texts[:2] == ["Be brief.", "Hello"]
    assert weights[0] == weights[1] == weights[2]


@pytest.mark.parametrize("as_types", [False, True])
def test_a_tool_is_told_as_json_or_as_a_type(as_types: bool) -> None:
    tool = {"name": "ls", "description": 'Lists "all".', "input_schema": {"type": "object", "properties": {}}}
    weight = weight_of({"messages": [{"role": "user", "content": "x"}], "tools": [tool]}, as_types=as_types)
    told = weight.texts[-1]
    assert told == (
        '// Lists "all".\ntype ls = (_: {\n}) => any;\n\n'
        if as_types
        else '{"name":"ls","description":"Lists \\"all\\".","parameters":{"type":"object","properties":{}}}'
    )
    assert (weight.tools, weight.readable) == (1, True)


def test_a_form_for_the_answer_is_text_of_the_prompt() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    shape = {"format": {"type": "json_schema", "schema": schema}}
    weight = weight_of({"messages": [{"role": "user", "content": "x"}], "output_config": shape})
    assert weight.texts == ["x", '{"type":"object","properties":{"a":{"type":"string"}}}']


def test_pictures_count_by_their_size_and_never_by_their_data() -> None:
    weight = of_parts(Image("image/png", PNG), Image(url="https://example.com/a.png"), Image(file_id="f"))
    assert weight.pictures == [Size(300, 200), None, None]
    assert (weight.texts, weight.other, weight.readable) == ([], 0, False)


def test_documents_count_by_their_size_or_their_text() -> None:
    text = base64.b64encode(b"word " * 400).decode()
    assert of_parts(Document("application/pdf", PDF)).other == pytest.approx(document_tokens(90_008), rel=0.01)
    assert of_parts(Document(None, PDF)).other == of_parts(Document("application/pdf", PDF)).other
    assert of_parts(Document("text/plain", text)).other == pytest.approx(500, rel=0.01)
    assert of_parts(Document("text/plain", text="words", name="a.txt")).texts == ["a.txt", "words"]
    assert of_parts(Document(url="https://example.com/a.pdf")).other == REMOTE_FILE_TOKENS


def test_sound_and_hidden_thinking_count_by_their_size() -> None:
    assert of_parts(Audio("wav", "A" * 40_000)).other == pytest.approx(30_000 / 400 + 100, rel=0.01)
    assert of_parts(Thinking("", redacted="A" * 4_000, family="x")).other == 750


def test_what_only_its_dialect_understands_counts_by_its_words_but_not_by_files_in_it() -> None:
    block = {
        "type": "odd",
        "title": "A title",
        "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
            {"url": f"data:image/png;base64,{PNG}"},
        ],
    }
    weight = of_parts(Text("Hello"), Opaque("anthropic-messages", block))
    assert weight.pictures == [Size(300, 200)]
    assert weight.other == pytest.approx(document_tokens(90_008), rel=0.01)
    assert {"Hello", "A title", "odd", "title"} <= set(weight.texts)
    assert sum(map(len, weight.texts)) < 200
    assert not weight.readable


def test_a_tool_of_a_providers_own_is_text_that_can_not_be_compared() -> None:
    tool = Opaque("anthropic-messages", {"type": "web_search_20260209", "name": "web_search"})
    weight = weigh(ChatRequest("m", (Turn("user", (Text("x"),)),), (tool,)), as_types=True)
    assert weight.texts[-1] == '{"type":"web_search_20260209","name":"web_search"}'
    assert (weight.tools, weight.readable) == (1, False)


@pytest.mark.parametrize("as_types", [False, True])
def test_a_tool_that_no_json_can_hold_is_passed_over(as_types: bool) -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"items": deep, "type": "array"}
    weight = weigh(ChatRequest("m", (), (Tool("f", parameters=deep),)), as_types=as_types)
    assert (weight.texts, weight.tools, weight.readable) == ([], 1, False)


def test_what_stands_around_the_texts_is_added_by_family() -> None:
    family = family_of("gpt-4o")
    weight = Weight(messages=3, tools=2, other=11, pictures=[Size(512, 512), None])
    pictures = 255 + family.picture(None)
    assert weight.around(family) == family.request + 3 * family.message + family.tools + 2 * family.tool + 11 + pictures
    assert Weight(messages=1).around(family) == family.request + family.message
