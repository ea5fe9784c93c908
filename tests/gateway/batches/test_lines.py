"""Lines of batches for a provider and back: the same as of a request that is asked for alone."""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from otari.dialects import DIALECTS
from otari.domain.batches import BatchUpstream
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.domain.redaction import Redactor
from otari.domain.tokens import Approximate
from otari.gateway.batches.lines import LineFor, LineRead, Lines
from otari.gateway.converse import Conversations
from otari.upstreams.batches import batch_upstreams
from otari.upstreams.live import LiveUpstream
from tests.gateway.fakes import ALICE, FakeControl, attempt

CHAT, MESSAGES, RESPONSES, EMBEDDINGS = (*("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"),)
UPSTREAMS = batch_upstreams(LiveUpstream({}, Redactor(), "1"))
LINES = Lines(Conversations(FakeControl(), {}, Approximate(), lambda text: text))
OPENAI = replace(
    attempt("acme", "gpt-own", ("openai-responses", "openai-chat")),
    operations={"embeddings": "openai", "moderations": "openai", "batches": "openai"},
)
CLAUDE = attempt("acme", "claude-own", ("anthropic-messages",))
# A name that is longer than OpenAI's and Anthropic's servers take.
LONG_NAME = "look_up_" + "a_very_long_name_" * 6
TOOL = {"type": "function", "function": {"name": LONG_NAME, "parameters": {"type": "object", "properties": {}}}}
USAGE = {"input_tokens": 7, "output_tokens": 3}


def upstream(flavour: str) -> BatchUpstream:
    return UPSTREAMS[flavour]


def chat(**more: Any) -> Doc:
    return {"model": "alias", "messages": [{"role": "user", "content": "hi"}], **more}


def write(endpoint: str, request: Doc, to: Attempt, dialect: str, *, strict: bool = False) -> LineFor:
    principal = ALICE._replace(strict=strict)
    return asyncio.run(LINES.write(endpoint, request, to, dialect, principal, "batch_1.1"))


def read(endpoint: str, request: Doc, to: Attempt, dialect: str, answer: Doc) -> LineRead:
    return LINES.read(endpoint, request, to, dialect, orjson.dumps(answer), "batch_1.1")


def message(*content: Doc, usage: Doc | None = None) -> Doc:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-own",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE if usage is None else usage,
    }


def completion(text: str, **more: Any) -> Doc:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-own", "choices": [choice], **more}


@pytest.mark.parametrize(
    ("endpoint", "to", "flavour", "dialect"),
    [
        (CHAT, OPENAI, "openai", "openai-chat"),
        (RESPONSES, OPENAI, "openai", "openai-responses"),
        (MESSAGES, OPENAI, "openai", "openai-responses"),  # what it speaks best
        (EMBEDDINGS, OPENAI, "openai", "embeddings"),
        ("/v1/moderations", OPENAI, "openai", "moderations"),
        ("/v1/rerank", OPENAI, "openai", None),
        (EMBEDDINGS, OPENAI, "anthropic", None),
        (EMBEDDINGS, replace(OPENAI, operations={"embeddings": "nobodys"}), "openai", None),
        (EMBEDDINGS, replace(OPENAI, operations={}), "openai", None),
        (CHAT, CLAUDE, "anthropic", "anthropic-messages"),
        (MESSAGES, CLAUDE, "anthropic", "anthropic-messages"),
        (CHAT, CLAUDE, "openai", None),
        (CHAT, OPENAI, "mistral", "openai-chat"),
        (CHAT, replace(OPENAI, speaks=("openai-chat", "gemini")), "gemini", "gemini"),
        (CHAT, replace(OPENAI, speaks=()), "openai", None),
    ],
)
def test_what_the_lines_are_written_in(endpoint: str, to: Attempt, flavour: str, dialect: str | None) -> None:
    assert LINES.dialect(endpoint, to, upstream(flavour)) == dialect


def test_a_line_in_the_clients_own_dialect_only_gets_the_providers_name_of_the_model() -> None:
    request = chat(temperature=0.5, user="bob", odd={"kept": True}, max_tokens=9, n=2)
    line = write(CHAT, request, OPENAI, "openai-chat")
    assert orjson.loads(line.body) == {**{k: v for k, v in request.items() if k != "user"}, "model": "gpt-own"}
    ask = line.ask
    assert (ask.request_id, ask.endpoint, ask.selector, ask.user) == ("batch_1.1", "/v1/batches", "alias", "bob")
    assert (ask.output_tokens, ask.choices, ask.stream) == (9, 2, False)
    assert ask.prompt_tokens >= 2
    assert line.dropped == ()


def test_a_line_in_another_dialect_is_translated_and_what_is_lost_is_named() -> None:
    request = chat(max_tokens=9, seed=7)
    line = write(CHAT, request, CLAUDE, "anthropic-messages")
    body = orjson.loads(line.body)
    assert (body["model"], body["max_tokens"], body["messages"][0]["role"]) == ("claude-own", 9, "user")
    assert "seed" in line.dropped
    with pytest.raises(OtariError, match="seed") as raised:
        write(CHAT, request, CLAUDE, "anthropic-messages", strict=True)
    assert raised.value.code == "translation_loss"


@pytest.mark.parametrize("endpoint", [CHAT, EMBEDDINGS])
def test_nothing_is_streamed_in_a_batch(endpoint: str) -> None:
    dialect = "openai-chat" if endpoint == CHAT else "embeddings"
    with pytest.raises(OtariError) as raised:
        write(endpoint, {**chat(), "input": "x", "stream": True}, OPENAI, dialect)
    assert (raised.value.kind, raised.value.param) == (Kind.INVALID, "stream")
    assert b'"stream":true' not in write(CHAT, chat(stream=False), OPENAI, "openai-chat").body


@pytest.mark.parametrize("request_doc", [{}, {"model": "m"}, chat(messages="x"), chat(temperature="warm")])
def test_a_body_that_is_no_request_is_refused(request_doc: Doc) -> None:
    with pytest.raises(OtariError) as raised:
        write(CHAT, request_doc, OPENAI, "openai-chat")
    assert raised.value.kind is Kind.INVALID


def test_an_answer_in_the_clients_own_dialect_is_passed_on() -> None:
    answer = completion("hey", usage={"prompt_tokens": 7, "completion_tokens": 3}, odd=[1, 2.50])
    line = LINES.read(CHAT, chat(), OPENAI, "openai-chat", orjson.dumps(answer), "n")
    assert line.body == orjson.dumps(answer)
    assert (line.usage.input, line.usage.output, line.source, line.flags) == (7, 3, "provider", ())


def test_an_answer_in_another_dialect_is_translated_with_the_names_that_the_client_gave_its_tools() -> None:
    request = chat(tools=[TOOL], max_tokens=9)
    told = orjson.loads(write(CHAT, request, CLAUDE, "anthropic-messages").body)["tools"][0]["name"]
    assert told != LONG_NAME
    call = {"type": "tool_use", "id": "toolu_1", "name": told, "input": {"a": 1}}
    line = read(CHAT, request, CLAUDE, "anthropic-messages", message(call))
    (heard,) = orjson.loads(line.body)["choices"][0]["message"]["tool_calls"]
    assert heard["function"] == {"name": LONG_NAME, "arguments": '{"a":1}'}
    assert (line.usage.input, line.usage.output) == (7, 3)


def test_what_an_answer_does_not_tell_of_its_usage_is_counted() -> None:
    line = read(CHAT, chat(), OPENAI, "openai-chat", completion("one two three"))
    assert line.source == "estimated"
    assert line.flags == ("estimated",)
    assert line.usage.input
    assert line.usage.output
    half = read(CHAT, chat(), OPENAI, "openai-chat", completion("x", usage={"prompt_tokens": 7}))
    assert (half.source, half.usage.input) == ("partial", 7)
    odd = read(
        CHAT, chat(), OPENAI, "openai-chat", completion("x", usage={"prompt_tokens": -7, "completion_tokens": 1})
    )
    assert odd.flags == ("usage_invalid", "estimated")


@pytest.mark.parametrize("answer", [{"error": {"message": "overloaded"}}, {"error": "no"}])
def test_an_answer_that_is_an_error_is_a_problem_and_costs_nothing(answer: Doc) -> None:
    line = read(CHAT, chat(), OPENAI, "openai-chat", answer)
    assert line.problem is not None
    assert (line.problem.kind, line.body, line.source, line.usage.input) == (Kind.UPSTREAM, b"", "none", None)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("answer", [{}, {"content": 7, "choices": [1], "output": {"a": 1}, "candidates": [None]}])
def test_an_answer_without_sense_breaks_nothing(dialect: str, answer: Doc) -> None:
    for endpoint, client in ((CHAT, "openai-chat"), (MESSAGES, "anthropic-messages")):
        request = chat(max_tokens=5)
        line = read(endpoint, request, replace(CLAUDE, speaks=(dialect,)), dialect, answer)
        assert line.problem is not None or line.body, client


def test_single_shot_calls_go_the_same_way() -> None:
    request = {"model": "alias", "input": ["a", "b"]}
    line = write(EMBEDDINGS, request, OPENAI, "embeddings")
    assert orjson.loads(line.body) == {"model": "gpt-own", "input": ["a", "b"]}
    assert (line.ask.endpoint, line.ask.selector, line.ask.output_tokens) == ("/v1/batches", "alias", 0)
    data = [{"object": "embedding", "index": index, "embedding": [0.5]} for index in range(2)]
    answer = {"object": "list", "data": data, "model": "gpt-own"}
    told = read(EMBEDDINGS, request, OPENAI, "embeddings", {**answer, "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    assert (told.usage.input, told.source, told.problem) == (2, "provider", None)
    assert orjson.loads(told.body)["data"] == data
    assert read(EMBEDDINGS, request, OPENAI, "embeddings", answer).flags == ("estimated",)
    assert read(EMBEDDINGS, request, OPENAI, "embeddings", {"error": "x"}).problem is not None
