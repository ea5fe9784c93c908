"""The first look at a request: what is refused and how it is said, what is counted, what goes on."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects.gemini import GEMINI
from otari.domain.errors import Kind, OtariError
from otari.domain.money import IMAGE_TOKENS, REMOTE_FILE_TOKENS, audio_tokens, document_tokens
from tests.dialects.told import outcome
from tests.domain.strategies import json_values

MINIMAL: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


def said(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": list(parts)}]}


def bound(*parts: Any) -> int:
    """The bound for one content of these parts, above the bytes of its body."""
    doc = said(*parts)
    size = len(orjson.dumps(doc))
    return GEMINI.read_envelope(doc, size).prompt_tokens - size


def test_a_minimal_request() -> None:
    envelope = GEMINI.read_envelope(MINIMAL, 77)
    assert (envelope.model, envelope.stream, envelope.user) == ("", False, None)
    assert (envelope.prompt_tokens, envelope.output_tokens, envelope.choices) == (77, None, 1)
    assert envelope.wants_usage


def test_what_is_told_of_the_answer() -> None:
    config = {"maxOutputTokens": 9, "candidateCount": 2}
    envelope = GEMINI.read_envelope(MINIMAL | {"model": "models/g", "stream": True, "generationConfig": config}, 77)
    assert (envelope.model, envelope.stream, envelope.output_tokens, envelope.choices) == ("g", True, 9, 2)


def test_null_is_the_same_as_absent() -> None:
    keys = ("systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent", "model")
    doc = MINIMAL | dict.fromkeys(keys)
    assert GEMINI.read_envelope(doc, 77) == GEMINI.read_envelope(MINIMAL, 77)
    assert GEMINI.read_request(doc) == GEMINI.read_request(MINIMAL)
    assert GEMINI.read_envelope(said() | {"generationConfig": {"temperature": None}}, 7).prompt_tokens == 7
    assert GEMINI.read_envelope({"contents": [{"parts": None, "role": None}]}, 7).prompt_tokens == 7


@pytest.mark.parametrize(
    ("changed", "param", "words"),
    [
        ({"contents": None}, "contents", "at least one"),
        ({"contents": []}, "contents", "at least one"),
        ({"contents": "hi"}, "contents", "list"),
        ({"contents": ["hi"]}, "contents[0]", "object"),
        ({"contents": [{"parts": "hi"}]}, "contents[0].parts", "list"),
        ({"contents": [{"parts": ["hi"]}]}, "contents[0].parts[0]", "object"),
        ({"contents": [{"parts": [{"text": 3}]}]}, "contents[0].parts[0].text", "string"),
        ({"contents": [{"role": "assistant"}]}, "contents[0].role", "user or model"),
        ({"systemInstruction": "Be kind."}, "systemInstruction", "object"),
        ({"systemInstruction": {"parts": [1]}}, "systemInstruction.parts[0]", "object"),
        ({"tools": {}}, "tools", "list"),
        ({"toolConfig": []}, "toolConfig", "object"),
        ({"generationConfig": []}, "generationConfig", "object"),
        ({"generationConfig": {"temperature": "1"}}, "generationConfig.temperature", "number"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens", "from 1 to"),
        ({"generationConfig": {"candidateCount": 9}}, "generationConfig.candidateCount", "from 1 to 8"),
        ({"generationConfig": {"stopSequences": "x"}}, "generationConfig.stopSequences", "list of strings"),
        ({"generationConfig": {"thinkingConfig": 1}}, "generationConfig.thinkingConfig", "object"),
        ({"model": 3}, "model", "string"),
        ({"stream": "yes"}, "stream", "true or false"),
        ({"mcp_servers": []}, "mcp_servers", "not available"),
    ],
)
def test_what_is_refused(changed: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(OtariError) as caught:
        GEMINI.read_envelope(MINIMAL | changed, 100)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.param == param
    assert words in caught.value.message


def test_media_count_by_their_size_rules() -> None:
    data = "A" * 4000
    inline = {"inlineData": {"mimeType": "image/png", "data": data}}
    assert bound(inline) == IMAGE_TOKENS - 4000
    assert bound({"inlineData": {"data": "iVBORw0KGgo="}}) == IMAGE_TOKENS - 12
    assert bound({"inlineData": {"mimeType": "audio/wav", "data": data}}) == audio_tokens(3001) - 4000
    assert bound({"inlineData": {"mimeType": "application/pdf", "data": data}}) == document_tokens(3001) - 4000
    assert bound({"inlineData": {"mimeType": "text/csv", "data": data * 9}}) == 27001 - 36000
    assert bound({"inlineData": {"mimeType": "video/mp4", "data": data}}) == IMAGE_TOKENS + 60 - 4000
    assert bound({"fileData": {"mimeType": "image/png", "fileUri": "gs://a"}}) == IMAGE_TOKENS
    assert bound({"fileData": {"fileUri": "gs://a"}}) == REMOTE_FILE_TOKENS
    assert bound({"functionResponse": {"name": "f", "parts": [inline, 3]}}, inline) == 2 * (IMAGE_TOKENS - 4000)
    assert bound({"functionResponse": {"name": "f", "parts": 3}}) == 0


def test_a_cached_content_is_read_too_and_means_nothing_elsewhere() -> None:
    doc = MINIMAL | {"cachedContent": "cachedContents/x"}
    assert GEMINI.read_envelope(doc, 77).prompt_tokens == 77 + REMOTE_FILE_TOKENS
    assert GEMINI.needs_state(doc) == "cachedContent"
    assert GEMINI.needs_state(MINIMAL) is None


wild = st.recursive(
    json_values,
    lambda inner: st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            [
                *("text", "thought", "thoughtSignature", "functionCall", "functionResponse", "inlineData", "fileData"),
                *("name", "args", "id", "response", "parts", "data", "mimeType", "fileUri", "later"),
            ],
            inner,
        ),
    ),
    max_leaves=8,
)
configs = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        [
            *("temperature", "topK", "seed", "stopSequences", "maxOutputTokens", "candidateCount", "thinkingConfig"),
            *("responseMimeType", "responseJsonSchema", "responseSchema"),
        ],
        json_values,
    ),
)


@given(
    st.fixed_dictionaries(
        {
            "contents": st.lists(
                st.fixed_dictionaries(
                    {"parts": st.lists(wild, max_size=3)}, optional={"role": st.sampled_from(["user", "model", "x"])}
                ),
                max_size=3,
            )
        },
        optional={
            "systemInstruction": wild,
            "tools": st.lists(json_values, max_size=2),
            "toolConfig": json_values,
            "generationConfig": configs | json_values,
        },
    )
)
def test_what_passes_the_check_can_be_read_and_written(doc: dict[str, Any]) -> None:
    """Refused with the name of a field, or read and written without a stumble."""
    envelope = outcome(lambda: GEMINI.read_envelope(doc, 100))
    if isinstance(envelope, OtariError):
        assert envelope.param is not None
        return
    read = outcome(lambda: GEMINI.read_request(doc))
    if not isinstance(read, OtariError):
        outcome(lambda: GEMINI.same_request(GEMINI.write_request(read), "m"))
