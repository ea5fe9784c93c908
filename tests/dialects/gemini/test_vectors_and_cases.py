"""The golden files: streams and answers as they are understood, requests as they are written."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from otari.dialects import sse
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.gemini import GEMINI
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import Finish, Reply, Usage
from tests.dialects.gemini.golden import STREAMS, VECTORS, cases, stream_of, vector
from tests.dialects.told import keeps_the_grammar, read_all, told, told_by

EXPECTED: dict[str, dict[str, Any]] = orjson.loads((VECTORS / "expected.json").read_bytes())


def test_there_are_vectors() -> None:
    assert len(STREAMS) == 2


@pytest.mark.parametrize("name", STREAMS)
def test_every_vector_is_understood(name: str) -> None:
    events = read_all(GEMINI.reader(), (VECTORS / name).read_bytes())
    assert keeps_the_grammar(events)
    found, expected = told(events), EXPECTED[name]
    for key in set(expected) & {"text", "thinking", "finish", "usage"}:
        assert found[key] == expected[key], key
    calls = [{key: value for key, value in call.items() if key != "id"} for call in found["tools"]]
    assert calls == [
        {("signature" if key == "thought_signature" else key): value for key, value in call.items()}
        for call in expected["tools"]
    ]
    ids = [call["id"] for call in found["tools"]]
    assert len(set(ids)) == len(ids)


def test_the_vector_of_a_refused_prompt() -> None:
    body = vector("16_gem_prompt_blocked.json")
    reply = GEMINI.read_reply(body)
    assert reply == Reply("respVec16b", "gemini-2.5-flash", (), Finish.FILTER, Usage(input=7))
    assert told(read_all(GEMINI.reader(), stream_of([body]))) == told_by(reply)


def test_the_vector_from_chat_completions() -> None:
    both = vector("26_request_cc_to_msg_and_gemini.json")
    request = replace(OPENAI_CHAT.read_request(both["chat_request"]), model="gemini-3-pro-preview")
    dropped: list[str] = []
    assert GEMINI.write_request(request, dropped=dropped) == both["expected_gemini_request"]
    assert dropped == ["tool turns mended", "image detail", "thought signature missing", "parallel_tool_calls"]


@pytest.mark.parametrize("name", STREAMS)
def test_any_cut_of_the_bytes_gives_the_same_events(name: str) -> None:
    stream = (VECTORS / name).read_bytes()
    assert_same_events_for_any_cut(stream)
    assert_same_events_for_any_cut(stream.replace(b"\r\n", b"\n"))
    assert_same_events_for_any_cut(stream.replace(b"Oslo", "Tromsø 🌍".encode()))


def assert_same_events_for_any_cut(stream: bytes) -> None:
    whole = read_all(GEMINI.reader(), stream)
    for size in (1, 7, 64):
        reader, framer = GEMINI.reader(), sse.Framer()
        blocks = [framer.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
        frames = [frame for block in [*blocks, framer.rest()] for frame in sse.split(block)]
        assert [*(event for frame in frames for event in reader.read(frame)), *reader.end()] == whole


@pytest.mark.parametrize(("name", "case"), cases("stream"))
def test_streams(name: str, case: dict[str, Any]) -> None:
    events = read_all(GEMINI.reader(), stream_of(case["frames"]))
    found = told(events)
    if "id" in found and "id" not in case["expected"]:
        assert len(found.pop("id")) == 24
    assert found == case["expected"], case["about"]
    assert keeps_the_grammar(events)


@pytest.mark.parametrize(("name", "case"), cases("reply"))
def test_answers_read(name: str, case: dict[str, Any]) -> None:
    assert told_by(GEMINI.read_reply(case["body"])) == case["expected"], case["about"]


@pytest.mark.parametrize(("name", "case"), cases("from_chat"))
def test_requests_of_chat_completions_written(name: str, case: dict[str, Any]) -> None:
    OPENAI_CHAT.read_envelope(case["chat"], 100)
    dropped: list[str] = []
    request = replace(OPENAI_CHAT.read_request(case["chat"]), model=case["model"])
    assert GEMINI.write_request(request, dropped=dropped) == case["expected"], case["about"]
    assert dropped == case["dropped"]
    GEMINI.read_envelope(case["expected"], 100)


@pytest.mark.parametrize(("name", "case"), cases("from_messages"))
def test_requests_of_messages_written(name: str, case: dict[str, Any]) -> None:
    ANTHROPIC_MESSAGES.read_envelope(case["messages"], 100)
    dropped: list[str] = []
    request = replace(ANTHROPIC_MESSAGES.read_request(case["messages"]), model=case["model"])
    assert GEMINI.write_request(request, dropped=dropped) == case["expected"], case["about"]
    assert dropped == case["dropped"]


@pytest.mark.parametrize(("name", "case"), cases("kept"))
def test_requests_of_this_dialect_come_out_as_they_were(name: str, case: dict[str, Any]) -> None:
    GEMINI.read_envelope(case["request"], 100)
    dropped: list[str] = []
    request = replace(GEMINI.read_request(case["request"]), model=case["model"])
    expected = case.get("expected", case["request"])
    assert GEMINI.write_request(request, dropped=dropped) == expected, case["about"]
    assert dropped == case["dropped"]
    assert replace(GEMINI.read_request(expected), model=case["model"]) == request or "expected" in case
