"""The first look at a request: what is refused and how it is said, what is counted, what goes on."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.envelope import is_private
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.errors import Kind, OtariError
from otari.domain.money import IMAGE_TOKENS, REMOTE_FILE_TOKENS
from tests.dialects.told import outcome
from tests.domain.strategies import json_values, texts

HELLO = {"role": "user", "content": "Hello"}
MINIMAL: dict[str, Any] = {"model": "openai:gpt-4.1", "messages": [HELLO]}


def refusal(doc: dict[str, Any]) -> OtariError:
    with pytest.raises(OtariError) as caught:
        OPENAI_CHAT.read_envelope(doc, 100)
    assert caught.value.kind is Kind.INVALID
    return caught.value


def test_a_minimal_request() -> None:
    envelope = OPENAI_CHAT.read_envelope(MINIMAL, 77)
    assert (envelope.model, envelope.stream, envelope.user) == ("openai:gpt-4.1", False, None)
    assert (envelope.prompt_tokens, envelope.output_tokens, envelope.choices) == (77, None, 1)
    assert not envelope.wants_usage


def test_a_full_request() -> None:
    doc = MINIMAL | {
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": "ann",
        "n": 3,
        "max_tokens": 10,
        "max_completion_tokens": 20,
        "temperature": 1,
        "top_p": 0.5,
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    envelope = OPENAI_CHAT.read_envelope(doc, 77)
    assert (envelope.stream, envelope.user, envelope.choices) == (True, "ann", 3)
    assert (envelope.output_tokens, envelope.wants_usage) == (20, True)


def test_null_is_the_same_as_absent() -> None:
    keys = (
        "stream stream_options user n max_tokens max_completion_tokens temperature top_p tools mcp_servers guardrails"
    )
    doc = MINIMAL | dict.fromkeys(keys.split()) | {"messages": [{"role": "assistant", "content": None}]}
    assert OPENAI_CHAT.read_envelope(doc, 77) == OPENAI_CHAT.read_envelope(MINIMAL, 77)
    assert not OPENAI_CHAT.read_envelope(MINIMAL | {"stream_options": {"include_usage": None}}, 1).wants_usage


@pytest.mark.parametrize("model", [None, "", "   "])
def test_a_missing_model(model: str | None) -> None:
    error = refusal(MINIMAL | {"model": model})
    assert (error.message, error.param) == ("Invalid request: model is required", "model")


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"model": 5}, "model", "string"),
        ({"model": "m" * 513}, "model", "512"),
        ({"messages": None}, "messages", "at least one message"),
        ({"messages": []}, "messages", "at least one message"),
        ({"messages": "hi"}, "messages", "list of objects"),
        ({"messages": {"role": "user"}}, "messages", "list of objects"),
        ({"messages": [HELLO, "hi"]}, "messages[1]", "messages[1] must be an object"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "messages[0]: 'role' is required"),
        ({"messages": [{"role": None}]}, "messages[0].role", "messages[0]: 'role' is required"),
        ({"messages": [HELLO, {"role": "robot"}]}, "messages[1].role", "one of system, developer, user"),
        ({"messages": [{"role": ["user"]}]}, "messages[0].role", "one of"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "a string, a list"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content", "a string, a list"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content", "a string, a list"),
        ({"stream": "true"}, "stream", "true or false"),
        ({"stream": 1}, "stream", "true or false"),
        ({"stream_options": []}, "stream_options", "object"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "true or false"),
        ({"max_tokens": 0}, "max_tokens", "from 1 to 1000000000"),
        ({"max_tokens": -1}, "max_tokens", "from 1"),
        ({"max_tokens": True}, "max_tokens", "integer"),
        ({"max_tokens": 10.0}, "max_tokens", "integer"),
        ({"max_completion_tokens": 10**9 + 1}, "max_completion_tokens", "1000000000"),
        ({"max_completion_tokens": "5"}, "max_completion_tokens", "integer"),
        ({"n": 0}, "n", "from 1 to 128"),
        ({"n": 129}, "n", "from 1 to 128"),
        ({"n": True}, "n", "integer"),
        ({"user": 5}, "user", "string"),
        ({"tools": {}}, "tools", "list of objects"),
        ({"tools": ["x"]}, "tools[0]", "object"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"temperature": True}, "temperature", "number"),
        ({"top_p": []}, "top_p", "number"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], param: str, words: str) -> None:
    error = refusal(MINIMAL | change)
    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize("key", ["mcp_servers", "mcp_server_ids", "guardrails"])
@pytest.mark.parametrize("value", [[], [{"url": "https://example.org"}], "x", False])
def test_features_that_do_not_exist_are_refused_and_never_ignored(key: str, value: object) -> None:
    error = refusal(MINIMAL | {key: value})
    assert error.param == key
    assert key in error.message


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "otari_code_execution",
            "otari_code_execution tool requested but no sandbox is configured on this gateway. Set OTARI_SANDBOX_URL "
            "on the gateway, or remove otari_code_execution from `tools`.",
        ),
        (
            "otari_web_search",
            "otari_web_search tool requested but no search backend is configured on this gateway. Set "
            "OTARI_WEB_SEARCH_URL on the gateway, or remove otari_web_search from `tools`.",
        ),
    ],
)
def test_gateway_tools_without_a_backend_are_refused(kind: str, text: str) -> None:
    assert refusal(MINIMAL | {"tools": [{"type": "function"}, {"type": kind}]}).message == text


def test_tools_of_other_kinds_are_the_providers_business() -> None:
    OPENAI_CHAT.read_envelope(MINIMAL | {"tools": [{"type": "code_interpreter"}, {"type": ["odd"]}, {}]}, 1)


@given(st.dictionaries(st.sampled_from([*MINIMAL, "stream", "n", "tools", "max_tokens", "user"]), json_values))
@settings(deadline=None)
def test_any_document_is_accepted_or_refused_with_words(change: dict[str, Any]) -> None:
    doc = MINIMAL | change
    envelope = outcome(lambda: OPENAI_CHAT.read_envelope(doc, 100))
    if isinstance(envelope, OtariError):
        assert envelope.kind is Kind.INVALID
        assert envelope.message
        return
    assert envelope.prompt_tokens > 0
    request = outcome(lambda: OPENAI_CHAT.read_request(doc))
    if isinstance(request, OtariError):
        assert request.kind is Kind.INVALID
    else:
        assert request.model == envelope.model


# ---- bounds --------------------------------------------------------------------------------------------------------


def bound(*parts: dict[str, Any]) -> tuple[int, int]:
    """The bound for a request with these parts, and the bytes of its body."""
    doc = MINIMAL | {"messages": [HELLO, {"role": "user", "content": list(parts)}]}
    size = len(orjson.dumps(doc))
    return OPENAI_CHAT.read_envelope(doc, size).prompt_tokens, size


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_text_in_parts_counts_by_its_bytes() -> None:
    tokens, size = bound({"type": "text", "text": "a" * 5000})
    assert tokens == size


def test_a_picture_counts_by_its_size_rule_and_not_by_its_base64() -> None:
    data = "data:image/png;base64," + b64(b"\x89PNG" * 100_000)
    for body in ({"url": data, "detail": "low"}, data):
        tokens, size = bound({"type": "image_url", "image_url": body})
        assert tokens == size - len(data) + IMAGE_TOKENS
    tokens, size = bound({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}})
    assert tokens == size + IMAGE_TOKENS


def test_a_pdf_counts_a_quarter_of_its_bytes_and_never_less_than_two_pages() -> None:
    for length, at_least in ((100, 4_000), (400_000, 102_000)):
        pdf = b64(b"%PDF-1.7" + b"x" * length)
        for data in (pdf, f"data:application/pdf;base64,{pdf}"):
            tokens, size = bound({"type": "file", "file": {"file_data": data}})
            assert at_least <= tokens - (size - len(data)) <= at_least + 100


def test_every_byte_of_another_file_may_be_a_token() -> None:
    data = "data:text/plain;base64," + b64(b"x " * 50_000)
    tokens, size = bound({"type": "file", "file": {"file_data": data}})
    assert tokens >= size - len(data) + 100_000


def test_sound_counts_by_its_bytes() -> None:
    data = b64(b"\0" * 320_000)
    tokens, size = bound({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
    assert 900 <= tokens - (size - len(data)) <= 902


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
        {"type": "document_url", "document_url": "https://example.org/a.pdf"},
    ],
)
def test_a_file_that_is_elsewhere_counts_as_a_large_one(part: dict[str, Any]) -> None:
    tokens, size = bound(part)
    assert tokens == size + REMOTE_FILE_TOKENS


@given(st.dictionaries(st.sampled_from(["type", "image_url", "file", "input_audio", "text"]), json_values))
@settings(deadline=None)
def test_odd_parts_never_make_the_bound_smaller_than_the_text(part: dict[str, Any]) -> None:
    tokens, size = bound(part)
    assert tokens >= size - len(orjson.dumps(part))
    assert tokens > 0


# ---- the edited body -----------------------------------------------------------------------------------------------


def sent(doc: dict[str, Any], *, stream_usage: bool = True) -> dict[str, Any]:
    before = orjson.dumps(doc)
    body: dict[str, Any] = orjson.loads(OPENAI_CHAT.same_request(doc, "gpt-4.1", stream_usage=stream_usage))
    assert orjson.dumps(doc) == before
    return body


def test_only_the_model_changes_and_the_order_of_keys_stays() -> None:
    doc = {"messages": [HELLO | {"x": None}], "zeta": [1.5, None], "model": "openai:gpt-4.1", "top_k": 5, "n": None}
    body = sent(doc)
    assert body == doc | {"model": "gpt-4.1"}
    assert list(body) == list(doc)


def test_keys_for_the_gateway_and_keys_that_would_steer_it_are_dropped() -> None:
    private = (
        "user mcp_servers mcp_server_ids guardrails tools_header max_tool_iterations session_label api_key api_base "
        "base_url api_version organization client credentials aws_region_name aws_secret_access_key provider"
    )
    assert sent(MINIMAL | dict.fromkeys(private.split(), "x")) == MINIMAL | {"model": "gpt-4.1"}


def test_a_provider_that_is_an_object_is_openrouters_and_stays() -> None:
    provider = {"provider": {"order": ["a"]}}
    assert sent(MINIMAL | provider) == MINIMAL | {"model": "gpt-4.1"} | provider


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_a_stream_asks_for_usage(options: dict[str, bool] | None, expected: dict[str, bool]) -> None:
    body = sent(MINIMAL | {"stream": True, "stream_options": options})
    assert body["stream_options"] == expected
    assert sent(MINIMAL | {"stream": True})["stream_options"] == {"include_usage": True}


def test_usage_is_not_asked_for_where_it_is_not_wanted() -> None:
    assert "stream_options" not in sent(MINIMAL | {"stream": True}, stream_usage=False)
    assert "stream_options" not in sent(MINIMAL | {"stream": False})
    kept = MINIMAL | {"stream": True, "stream_options": {"include_usage": False}}
    assert sent(kept, stream_usage=False)["stream_options"] == {"include_usage": False}


def test_a_request_that_is_nested_too_deeply_is_the_callers_mistake() -> None:
    deep = orjson.loads(b"[" * 300 + b"]" * 300)
    with pytest.raises(OtariError) as caught:
        OPENAI_CHAT.same_request(MINIMAL | {"x": deep}, "m")
    assert caught.value.kind is Kind.INVALID
    assert "nested too deeply" in caught.value.message


def _unknown(key: str) -> bool:
    return key not in ("model", "messages") and not is_private(key, "x")


@given(st.dictionaries(texts.filter(_unknown), json_values, max_size=5))
@settings(deadline=None)
def test_unknown_keys_survive(more: dict[str, Any]) -> None:
    body = sent(more | MINIMAL, stream_usage=False)
    assert body == {**more, **MINIMAL, "model": "gpt-4.1"}
