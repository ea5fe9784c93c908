"""Requests of other dialects written as Chat Completions: what servers differ in, what is lost and what is refused."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from pydantic import TypeAdapter

from otari.dialects import DIALECTS
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import ChatRequest
from otari.domain.errors import Kind, OtariError
from otari.domain.provider import Quirks
from tests.dialects.anthropic_messages.golden import vector
from tests.dialects.openai_chat.golden import cases

MESSAGES: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionMessageParam])
TOOLS: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionToolUnionParam])


def quirks_of(told: dict[str, Any]) -> Quirks:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
    return Quirks(**values)


def asked(case: dict[str, Any]) -> ChatRequest:
    dialect = DIALECTS[case["dialect"]]
    dialect.read_envelope(case["request"], 100)
    return dialect.read_request(case["request"])


def test_the_vector_from_messages() -> None:
    """All of it but who asks, which is told to no provider."""
    both = vector("25_request_msg_to_cc.json")
    request = replace(ANTHROPIC_MESSAGES.read_request(both["messages_request"]), model="qwen")
    dropped: list[str] = []
    doc = OPENAI_CHAT.write_request(request, dropped=dropped)
    expected = both["expected_cc_demote_system"]
    assert expected.pop("user") == "u1"
    assert orjson.loads(OPENAI_CHAT.same_request(doc, "qwen")) == expected
    assert dropped == [
        "tool turns mended",
        "system role in mid-conversation",
        "cache_control",
        "thinking of another model",
        "image in a tool result",
        "thinking budget",
    ]


@pytest.mark.parametrize(("name", "case"), cases("into"))
def test_cases(name: str, case: dict[str, Any]) -> None:
    dropped: list[str] = []
    request, quirks = asked(case), quirks_of(case.get("quirks", {}))
    if "refused" in case:
        with pytest.raises(OtariError) as caught:
            OPENAI_CHAT.write_request(request, quirks=quirks)
        assert caught.value.kind is Kind.INVALID
        assert case["refused"] in caught.value.message
        return
    doc = OPENAI_CHAT.write_request(request, dropped=dropped, quirks=quirks)
    assert doc == case["expected"], case["about"]
    assert dropped == case["dropped"]
    assert orjson.dumps(OPENAI_CHAT.write_request(request, quirks=quirks)) == orjson.dumps(doc)
    _everything(MESSAGES.validate_python(doc["messages"]))
    _everything(TOOLS.validate_python(doc.get("tools", [])))
    OPENAI_CHAT.read_envelope(doc, 100)


def _everything(value: Any) -> None:
    """Go through what pydantic only checks when it is looked at."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for inner in value:
            _everything(inner)
