"""What the wire means, case by case: streams, answers and requests as they were recorded or thought of."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from otari.dialects import sse
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import Failed, PartDelta, PartSigned, PartStarted, Reply, Thinking, fold
from tests.dialects.anthropic_messages.golden import VECTORS, cases, stream_of, vector
from tests.dialects.told import keeps_the_grammar, read_all, told, told_by

EXPECTED: dict[str, dict[str, Any]] = vector("expected.json")
STREAMS = sorted(EXPECTED)
NAMES = {"cache_write_5m": "cache_write", "cache_write_1h": "cache_write_1h"}


def summary(name: str) -> dict[str, Any]:
    """What a vector tells, in the words of `expected.json`."""
    events = read_all(ANTHROPIC_MESSAGES.reader(), (VECTORS / name).read_bytes())
    found = told(events)
    reply = fold(events)
    found.setdefault("text", "")
    if isinstance(reply, Failed):
        return found | {"error_type": reply.code}
    thoughts = [part for part in reply.parts if isinstance(part, Thinking)]
    found["stop_sequence"] = reply.stop_sequence
    found["redacted"] = [part.redacted for part in thoughts if part.redacted is not None]
    found["signature"] = "".join(part.signature or "" for part in thoughts)
    assert {part.family for part in thoughts} <= {"anthropic"}
    usage = reply.usage
    long_write = usage.cache_write_1h or 0
    found["usage"] |= {"cache_write_5m": (usage.cache_write or 0) - long_write, "cache_write_1h": long_write}
    return found


@pytest.mark.parametrize("name", STREAMS)
def test_every_vector_is_understood(name: str) -> None:
    expected = EXPECTED[name]
    found = summary(name)
    for key in set(expected) & {"text", "thinking", "tools", "finish", "stop_sequence", "error", "error_type"}:
        assert found[key] == expected[key], key
    for key in set(expected) & {"signature", "redacted"}:
        assert found[key] == expected[key], key
    for key, count in expected.get("usage", {}).items():
        assert found["usage"][key] == count, key
    if "as_cc" in expected:
        assert found["refusal"] == expected["as_cc"]["message.refusal"]


@pytest.mark.parametrize("name", STREAMS)
def test_any_cut_of_the_bytes_gives_the_same_events(name: str) -> None:
    stream = (VECTORS / name).read_bytes()
    whole = read_all(ANTHROPIC_MESSAGES.reader(), stream)
    assert keeps_the_grammar(whole)
    for size in (1, 7, 64):
        reader, framer = ANTHROPIC_MESSAGES.reader(), sse.Framer()
        blocks = [framer.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
        frames = [frame for block in [*blocks, framer.rest()] for frame in sse.split(block)]
        assert [*(event for frame in frames for event in reader.read(frame)), *reader.end()] == whole


def test_counts_in_the_shape_of_the_other_dialect() -> None:
    events = read_all(ANTHROPIC_MESSAGES.reader(), (VECTORS / "11_msg_thinking_text_two_tools.sse").read_bytes())
    reply = fold(events)
    assert isinstance(reply, Reply)
    usage = OPENAI_CHAT.write_reply(reply)["usage"]
    assert usage == EXPECTED["11_msg_thinking_text_two_tools.sse"]["as_cc_usage"]


@pytest.mark.parametrize(("name", "case"), cases("stream"))
def test_streams(name: str, case: dict[str, Any]) -> None:
    events = read_all(ANTHROPIC_MESSAGES.reader(), stream_of(case["frames"]))
    found = told(events)
    if "id" not in case["expected"] and "id" in found:
        assert found.pop("id").startswith("msg_")
    assert found == case["expected"], case["about"]
    assert keeps_the_grammar(events)


def test_signatures_are_told_even_when_the_thinking_is_not_shown() -> None:
    case = dict(cases("stream"))["stream.signature_alone"]
    events = read_all(ANTHROPIC_MESSAGES.reader(), stream_of(case["frames"]))
    assert PartSigned(0, "Eq==") in events
    assert not any(isinstance(event, PartDelta) and event.index == 0 for event in events)


def test_an_empty_block_is_no_part() -> None:
    case = dict(cases("stream"))["stream.empty_text"]
    events = read_all(ANTHROPIC_MESSAGES.reader(), stream_of(case["frames"]))
    assert [event.index for event in events if isinstance(event, PartStarted)] == [0]


@pytest.mark.parametrize(("name", "case"), cases("reply"))
def test_answers_read(name: str, case: dict[str, Any]) -> None:
    assert told_by(ANTHROPIC_MESSAGES.read_reply(case["body"])) == case["expected"], case["about"]


@pytest.mark.parametrize(("name", "case"), cases("answer"))
def test_answers_of_chat_completions_written(name: str, case: dict[str, Any]) -> None:
    dropped: list[str] = []
    reply = OPENAI_CHAT.read_reply(case["chat"])
    assert ANTHROPIC_MESSAGES.write_reply(reply, dropped=dropped) == case["expected"], case["about"]
    assert dropped == case["dropped"]


@pytest.mark.parametrize(("name", "case"), cases("from_chat"))
def test_requests_of_chat_completions_written(name: str, case: dict[str, Any]) -> None:
    OPENAI_CHAT.read_envelope(case["chat"], 100)
    dropped: list[str] = []
    request = replace(OPENAI_CHAT.read_request(case["chat"]), model=case["model"])
    assert ANTHROPIC_MESSAGES.write_request(request, dropped=dropped) == case["expected"], case["about"]
    assert dropped == case["dropped"]
    assert orjson.dumps(ANTHROPIC_MESSAGES.write_request(request)) == orjson.dumps(case["expected"])


@pytest.mark.parametrize(("name", "case"), cases("kept"))
def test_requests_of_this_dialect_come_out_as_they_were(name: str, case: dict[str, Any]) -> None:
    ANTHROPIC_MESSAGES.read_envelope(case["request"], 100)
    dropped: list[str] = []
    request = ANTHROPIC_MESSAGES.read_request(case["request"])
    expected = case.get("expected", case["request"])
    assert ANTHROPIC_MESSAGES.write_request(request, dropped=dropped) == expected, case["about"]
    assert dropped == case["dropped"]
    assert ANTHROPIC_MESSAGES.read_request(expected) == request or "expected" in case


def test_the_vector_from_chat_completions() -> None:
    both = vector("26_request_cc_to_msg_and_gemini.json")
    request = replace(OPENAI_CHAT.read_request(both["chat_request"]), model="claude-haiku-4-5")
    dropped: list[str] = []
    assert ANTHROPIC_MESSAGES.write_request(request, dropped=dropped) == both["expected_messages_request"]
    assert dropped == ["tool turns mended", "image detail", "temperature above 1"]


def test_the_vector_to_chat_completions() -> None:
    both = vector("25_request_msg_to_cc.json")
    ANTHROPIC_MESSAGES.read_envelope(both["messages_request"], 100)
    request = replace(ANTHROPIC_MESSAGES.read_request(both["messages_request"]), model="qwen")
    doc, expected = OPENAI_CHAT.write_request(request), both["expected_cc_demote_system"]
    for key in ("tools", "tool_choice", "parallel_tool_calls", "stop", "max_tokens", "reasoning_effort", "messages"):
        assert doc[key] == expected[key], key
