"""The first look at a request: what is refused and how it is said, what is counted, what goes on."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.anthropic_messages.marks import Mark, write_mark
from otari.dialects.envelope import is_private
from otari.domain.errors import Kind, OtariError
from otari.domain.money import IMAGE_TOKENS, REMOTE_FILE_TOKENS
from tests.dialects.told import outcome
from tests.domain.strategies import json_values, texts

HELLO = {"role": "user", "content": "Hello"}
MINIMAL: dict[str, Any] = {"model": "anthropic:claude-haiku-4-5", "max_tokens": 64, "messages": [HELLO]}


def refusal(doc: dict[str, Any]) -> OtariError:
    with pytest.raises(OtariError) as caught:
        ANTHROPIC_MESSAGES.read_envelope(doc, 100)
    assert caught.value.kind is Kind.INVALID
    return caught.value


def said(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return MINIMAL | {"messages": [{"role": role, "content": list(blocks)}]}


def bound(*blocks: Any) -> int:
    """The bound for one message of these blocks, above the bytes of its body."""
    doc = said(*blocks)
    size = len(orjson.dumps(doc))
    return ANTHROPIC_MESSAGES.read_envelope(doc, size).prompt_tokens - size


def test_a_minimal_request() -> None:
    envelope = ANTHROPIC_MESSAGES.read_envelope(MINIMAL, 77)
    assert (envelope.model, envelope.stream, envelope.user) == ("anthropic:claude-haiku-4-5", False, None)
    assert (envelope.prompt_tokens, envelope.output_tokens, envelope.choices) == (77, 64, 1)
    assert envelope.wants_usage


def test_null_is_the_same_as_absent() -> None:
    keys = "stream metadata system tools tool_choice thinking temperature top_p top_k stop_sequences mcp_servers"
    doc = MINIMAL | dict.fromkeys(keys.split())
    assert ANTHROPIC_MESSAGES.read_envelope(doc, 77) == ANTHROPIC_MESSAGES.read_envelope(MINIMAL, 77)
    assert ANTHROPIC_MESSAGES.read_envelope(MINIMAL | {"metadata": {"user_id": None}}, 77).user is None


def test_system_turns_anywhere_and_both_forms_of_content() -> None:
    text = {"type": "text", "text": "x"}
    messages = [{"role": "system", "content": "a"}, HELLO, {"role": "system", "content": [text]}]
    for system in ("s", [text]):
        envelope = ANTHROPIC_MESSAGES.read_envelope(MINIMAL | {"messages": messages, "system": system}, 77)
        assert envelope.prompt_tokens == 77


@pytest.mark.parametrize(
    ("changed", "param", "words"),
    [
        ({"model": None}, "model", "model is required"),
        ({"model": 3}, "model", "string"),
        ({"max_tokens": None}, "max_tokens", "required"),
        ({"max_tokens": 0}, "max_tokens", "from 1 to"),
        ({"max_tokens": 1.5}, "max_tokens", "integer"),
        ({"max_tokens": True}, "max_tokens", "integer"),
        ({"messages": []}, "messages", "at least one"),
        ({"messages": "hi"}, "messages", "list"),
        ({"messages": ["hi"]}, "messages[0]", "object"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "required"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "user, assistant, system"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "string or a list"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content", "content blocks"),
        ({"system": {"a": 1}}, "system", "content blocks"),
        ({"stream": "yes"}, "stream", "true or false"),
        ({"temperature": "1"}, "temperature", "number"),
        ({"tools": {}}, "tools", "list"),
        ({"tool_choice": "auto"}, "tool_choice", "object"),
        ({"thinking": "on"}, "thinking", "object"),
        ({"metadata": "x"}, "metadata", "object"),
        ({"metadata": {"user_id": 3}}, "metadata.user_id", "string"),
        ({"stop_sequences": "END"}, "stop_sequences", "list of strings"),
        ({"stop_sequences": [1]}, "stop_sequences", "list of strings"),
        ({"mcp_servers": []}, "mcp_servers", "not available"),
        ({"tools": [{"type": "otari_web_search"}]}, "tools", "OTARI_WEB_SEARCH_URL"),
    ],
)
def test_what_is_refused(changed: dict[str, Any], param: str, words: str) -> None:
    error = refusal(MINIMAL | changed)
    assert error.param == param
    assert words in error.message


def test_a_count_needs_no_limit() -> None:
    doc = {key: value for key, value in MINIMAL.items() if key != "max_tokens"}
    assert ANTHROPIC_MESSAGES.read_count(doc, 77).output_tokens is None
    with pytest.raises(OtariError):
        ANTHROPIC_MESSAGES.read_count({"model": "m"}, 77)


@pytest.mark.parametrize(
    ("user_id", "user"),
    [
        ("ann", "ann"),
        ("user_ann", "user_ann"),
        ("", None),
        ('{"device_id":"d","account_uuid":"","session_id":"s"}', None),
        ("user_0f_account_1a-2b_session_3c", None),
        ("user_0f_account__session_3c", None),
    ],
)
def test_only_a_name_names_a_user(user_id: str, user: str | None) -> None:
    assert ANTHROPIC_MESSAGES.read_envelope(MINIMAL | {"metadata": {"user_id": user_id}}, 77).user == user


# ---- bounds --------------------------------------------------------------------------------------------------------


def test_pictures_count_by_their_size_rule() -> None:
    data = "A" * 100_000
    inline = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    assert bound(inline) == IMAGE_TOKENS - len(data)
    assert bound({"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}) == IMAGE_TOKENS
    assert bound({"type": "image", "source": {"type": "file", "file_id": "file_1"}}) == IMAGE_TOKENS
    assert bound({"type": "tool_result", "tool_use_id": "t", "content": [inline]}) == IMAGE_TOKENS - len(data)


def test_files_count_by_what_they_are() -> None:
    pdf = base64.b64encode(b"%PDF-1.7" + b"x" * 40_000).decode()
    told = {"type": "base64", "media_type": "application/pdf", "data": pdf}
    assert -len(pdf) < bound({"type": "document", "source": told}) < 0
    assert bound({"type": "document", "source": {"type": "url", "url": "https://example.org"}}) == REMOTE_FILE_TOKENS
    assert bound({"type": "container_upload", "file_id": "f"}) == REMOTE_FILE_TOKENS
    assert bound({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}) == 0
    picture = {"type": "image", "source": {"type": "file", "file_id": "f"}}
    assert bound({"type": "document", "source": {"type": "content", "content": [picture]}}) == IMAGE_TOKENS


# ---- what goes on --------------------------------------------------------------------------------------------------


def sent(doc: dict[str, Any]) -> dict[str, Any]:
    ANTHROPIC_MESSAGES.read_envelope(doc, 100)
    edited: dict[str, Any] = orjson.loads(ANTHROPIC_MESSAGES.same_request(doc, "claude", stream_usage=True))
    return edited


def test_only_the_model_and_gateway_keys_change() -> None:
    doc = MINIMAL | {
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "metadata": {"user_id": "ann"},
        "betas": ["b"],
        "context_management": {"edits": []},
        "thinking": {"type": "adaptive"},
        "stream": True,
        "unheard_of": {"a": None},
    }
    edited = sent(doc | {"session_label": "x", "guardrails": None, "api_key": "k"})
    assert edited == doc | {"model": "claude"}
    assert list(edited) == list(doc)


def test_what_is_no_request_of_this_wire_is_mended() -> None:
    function = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    own = {"name": "g", "input_schema": {"type": "object"}}
    edited = sent(MINIMAL | {"tools": [function, own]})
    assert edited["tools"] == [{"name": "f", "description": "d", "input_schema": {"type": "object"}}, own]


def test_thinking_of_other_models_is_never_sent() -> None:
    mark = write_mark(Mark("google", "sig"))
    own = {"type": "thinking", "thinking": "hm", "signature": "Eq=="}
    marked = {"type": "thinking", "thinking": "hm", "signature": mark}
    carrier = {"type": "redacted_thinking", "data": mark}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}
    messages = [
        HELLO,
        {"role": "assistant", "content": [marked]},
        {"role": "assistant", "content": [marked, carrier, call]},
        result,
    ]
    doc = MINIMAL | {"messages": messages, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    edited = sent(doc)
    assert edited["messages"] == [HELLO, {"role": "assistant", "content": [call]}, result]
    assert "thinking" not in edited  # a budget demands that the turn of the call begins with thinking
    assert doc["messages"] == messages
    kept = [HELLO, {"role": "assistant", "content": [own, carrier, call]}, result]
    edited = sent(doc | {"messages": kept})
    assert edited["messages"][1]["content"] == [own, call]
    assert "thinking" in edited


def test_a_request_nested_too_deeply_is_refused() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(OtariError, match="nested"):
        ANTHROPIC_MESSAGES.same_request(MINIMAL | {"x": deep}, "m")


@given(st.dictionaries(texts, json_values, max_size=4))
def test_every_key_that_is_not_private_goes_on(extra: dict[str, Any]) -> None:
    doc = {key: value for key, value in extra.items() if key != "tools"} | MINIMAL
    edited = orjson.loads(ANTHROPIC_MESSAGES.same_request(doc, "claude"))
    assert edited == {key: value for key, value in doc.items() if not is_private(key, value)} | {"model": "claude"}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model": json_values,
            "max_tokens": json_values | st.just(5),
            "system": json_values,
            "messages": json_values
            | st.lists(
                st.fixed_dictionaries(
                    {"role": st.sampled_from(["user", "assistant", "system"]) | json_values},
                    optional={
                        "content": st.lists(
                            st.fixed_dictionaries(
                                {"type": st.sampled_from(["text", "image", "document", "tool_use", "tool_result"])},
                                optional={
                                    "text": json_values,
                                    "source": json_values
                                    | st.fixed_dictionaries(
                                        {"type": st.sampled_from(["base64", "url", "content", "text"])},
                                        optional={"data": json_values, "url": json_values, "content": json_values},
                                    ),
                                    "id": json_values,
                                    "name": json_values,
                                    "input": json_values,
                                    "tool_use_id": json_values,
                                    "content": json_values,
                                    "cache_control": json_values,
                                },
                            ),
                            max_size=3,
                        )
                        | json_values
                    },
                ),
                max_size=3,
            ),
            "tools": json_values | st.lists(st.dictionaries(st.sampled_from(["type", "name"]), json_values)),
            "tool_choice": json_values,
            "metadata": json_values,
            "thinking": json_values,
            "output_config": json_values,
            "stop_sequences": json_values,
        },
    )
)
def test_garbage_is_refused_or_understood(doc: dict[str, Any]) -> None:
    told = outcome(lambda: ANTHROPIC_MESSAGES.read_envelope({"model": "m", "max_tokens": 5} | doc, 100))
    if isinstance(told, OtariError):
        assert told.kind is Kind.INVALID
        return
    checked = {"model": "m", "max_tokens": 5} | doc
    request = outcome(lambda: ANTHROPIC_MESSAGES.read_request(checked))
    if isinstance(request, OtariError):
        assert request.kind is Kind.INVALID
        return
    written = outcome(lambda: ANTHROPIC_MESSAGES.write_request(request))
    assert isinstance(written, dict) or written.kind is Kind.INVALID
