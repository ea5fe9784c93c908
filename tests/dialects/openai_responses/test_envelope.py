"""The first look at a request: what is refused, what may cost how much, and what goes on unchanged."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.dialect import Envelope
from otari.dialects.openai_responses.carrier import Carried, write_carrier
from otari.dialects.openai_responses.envelope import needs_state
from otari.domain.chat import Started
from otari.domain.errors import Kind, OtariError
from otari.domain.money import IMAGE_TOKENS, REMOTE_FILE_TOKENS
from tests.dialects.openai_responses.wire import RESPONSES
from tests.dialects.told import outcome
from tests.domain.strategies import json_objects, json_values

BODY = {"model": "m", "input": "Hi"}
USER = {"role": "user", "content": "Hi"}


def look(**keys: Any) -> Envelope:
    return RESPONSES.read_envelope(BODY | keys, 100)


def said(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(content)}


def test_a_request_at_first_sight() -> None:
    assert look(stream=True, max_output_tokens=9, user="ann") == Envelope("m", True, "ann", 100, 9, 1, True)
    assert look(input=[USER], stream=None, user=None) == Envelope("m", False, None, 100, None, 1, True)


@pytest.mark.parametrize(
    ("keys", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {}}, "input"),
        ({"input": 7}, "input"),
        ({"input": {"role": "user"}, "previous_response_id": "r"}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{}]}, "input[0]"),
        ({"input": [{"type": 3}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [USER, {"role": "user", "content": 3}]}, "input[1].content"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content"),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": ["x"]}]}, "input[0].output"),
        ({"input": [{"type": "additional_tools", "tools": [3]}]}, "tools[0]"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"tools": [{"type": "otari_web_search"}]}, "tools"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"stream": 1}, "stream"),
        ({"reasoning": "low"}, "reasoning"),
        ({"text": "x"}, "text"),
        ({"metadata": []}, "metadata"),
        ({"instructions": ["x"]}, "instructions"),
        ({"user": 3}, "user"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], param: str) -> None:
    with pytest.raises(OtariError) as caught:
        look(**keys)
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID, param)


def test_items_of_any_kind_pass() -> None:
    look(
        input=[{"type": "compaction", "encrypted_content": "x"}, {"type": "new in 2030", "x": 1}, {"role": "assistant"}]
    )
    look(input=None, previous_response_id="resp_1")
    look(input="", tools=None, include=["reasoning.encrypted_content"])


def test_media_count_by_their_size_and_not_by_their_text() -> None:
    picture = "data:image/png;base64," + "A" * 4000
    pdf = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7" + bytes(40_000)).decode()
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 40_000, "format": "wav"}}

    def extra(item: dict[str, Any]) -> int:
        return look(input=[item]).prompt_tokens - 100

    assert extra(said({"type": "input_image", "image_url": picture})) == IMAGE_TOKENS - len(picture)
    assert extra(said({"type": "input_image", "image_url": "https://example.org/a.png"})) == IMAGE_TOKENS
    assert extra(said({"type": "input_image", "file_id": "file-1"})) == IMAGE_TOKENS
    assert extra(said({"type": "input_file", "file_url": "https://example.org/a.pdf"})) == REMOTE_FILE_TOKENS
    assert extra(said({"type": "input_file", "file_data": pdf})) == 12_007 - len(pdf)
    assert extra(said(sound)) < 0
    output = {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": picture}]}
    assert extra(output) == IMAGE_TOKENS - len(picture)
    screen = {"type": "computer_screenshot", "image_url": picture}
    assert extra({"type": "computer_call_output", "call_id": "a", "output": screen}) == IMAGE_TOKENS - len(picture)


def test_what_the_provider_has_stored_costs_too() -> None:
    assert look(previous_response_id="resp_1").prompt_tokens == 100 + REMOTE_FILE_TOKENS


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({}, None),
        ({"store": False, "background": False, "previous_response_id": None, "conversation": None}, None),
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"input": [USER, {"type": "item_reference", "id": "x"}]}, "input[1]"),
    ],
)
def test_what_only_a_store_can_honour(keys: dict[str, Any], field: str | None) -> None:
    assert needs_state(BODY | keys) == field


# ---- the same dialect ------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(["input", "tools", "store", "client_metadata", "x"]), json_values))
@settings(deadline=None)
def test_nothing_changes_but_the_model(keys: dict[str, Any]) -> None:
    doc = BODY | keys
    sent = RESPONSES.same_request(doc, "other", stream_usage=True)
    assert sent == orjson.dumps(doc | {"model": "other"})


def test_keys_of_the_gateway_stay_behind() -> None:
    doc = BODY | {"user": "ann", "session_label": "x", "aws_secret": "y", "stream": True}
    assert orjson.loads(RESPONSES.same_request(doc, "m")) == BODY | {"stream": True}


def test_thinking_of_another_family_stays_behind() -> None:
    marked = {"type": "reasoning", "summary": [], "encrypted_content": write_carrier(Carried("anthropic", "sig"))}
    theirs = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    doc = BODY | {"input": [USER, marked, theirs]}
    assert orjson.loads(RESPONSES.same_request(doc, "m"))["input"] == [USER, theirs]
    assert doc["input"] == [USER, marked, theirs]


# ---- anything at all -------------------------------------------------------------------------------------------------

KINDS = ["message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "local_shell_call"]
KINDS += ["custom_tool_call_output", "tool_search_call", "tool_search_output", "additional_tools", "web_search_call"]
item_keys = ["content", "call_id", "id", "name", "namespace", "arguments", "input", "output", "tools", "action"]
item_keys += ["summary", "encrypted_content", "execution"]
items = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS), "role": st.sampled_from(["user", "assistant", "developer"])},
    optional=dict.fromkeys(item_keys, json_values),
)
tools = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "custom", "namespace", "local_shell", "tool_search", "web_search"])},
    optional={"name": json_values, "tools": st.lists(json_objects, max_size=2) | json_values, "function": json_values},
)


@given(
    st.fixed_dictionaries(
        {"model": st.just("m"), "input": st.lists(items, max_size=5) | json_values},
        optional={
            "tools": st.lists(tools, max_size=3) | json_values,
            "tool_choice": json_values,
            "reasoning": json_objects,
            "text": json_objects,
            "instructions": json_values,
        },
    )
)
@settings(deadline=None)
def test_every_request_is_refused_or_understood(doc: dict[str, Any]) -> None:
    envelope = outcome(lambda: RESPONSES.read_envelope(doc, 100))
    if isinstance(envelope, OtariError):
        assert envelope.kind is Kind.INVALID
        return
    needs_state(doc)
    request = outcome(lambda: RESPONSES.read_request(doc))
    if isinstance(request, OtariError):
        assert request.kind is Kind.INVALID
        return
    again = outcome(lambda: RESPONSES.write_request(request))
    if isinstance(again, OtariError):
        assert again.kind is Kind.INVALID
    else:
        orjson.dumps(again)
    RESPONSES.writer(wants_usage=True, request_doc=doc).write(Started("i", "m"))
