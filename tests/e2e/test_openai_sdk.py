"""The openai package, unchanged, against the built gateway: answers, streams, tools, errors as its users see them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from openai import AsyncOpenAI, Omit, OpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionToolParam
from pydantic import BaseModel

from tests.e2e.gateway import MASTER_KEY, Gateway, stub

MODEL = "stub:scripted"
HELLO = "Hello there, Ærøskøbing. 👋"
LIMITED = "Too many requests for this model"
BAD = "This image can not be read"

SCRIPT: dict[str, Any] = {
    "rules": [
        {"id": "hello", "when": {"user": "hello"}, "reply": {"say": HELLO, "usage": {"input": 21, "output": 7}}},
        {
            "id": "weather",
            "when": {"user": "weather", "tools": ["get_weather"]},
            "steps": [
                {"call": [{"get_weather": {"city": "Oslo"}}, {"get_weather": {"city": "São Paulo"}}]},
                {"expect": {"tool_result": "4 degrees"}, "say": "Oslo is colder."},
            ],
        },
        {"id": "person", "when": {"user": "a person", "has": "schema"}, "reply": {"json": {"name": "Ada", "age": 36}}},
        {"id": "reset", "when": {"user": "reset"}, "reply": {"blocks": [{"say": "Only a part"}, {"cut": "reset"}]}},
        {"id": "eof", "when": {"user": "no end"}, "reply": {"blocks": [{"say": "Only a part"}, {"cut": "eof"}]}},
        {"id": "told", "when": {"user": "overload"}, "reply": {"blocks": [{"say": "A"}, {"cut": "error:529"}]}},
        {
            "id": "limit",
            "when": {"user": "limit"},
            "reply": {"error": {"status": 429, "retry_after": 7, "message": LIMITED}},
        },
        {"id": "bad", "when": {"user": "bad request"}, "reply": {"error": {"status": 400, "message": BAD}}},
        {"id": "down", "when": {"user": "down"}, "reply": {"error": 500}},
    ]
}

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("openai")
    providers = stub(SCRIPT, folder)
    providers["stub"]["models"] = ["scripted"]
    with Gateway(pyz, folder / "gateway", {"providers": providers}) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


def ask(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


# ---- answers ----


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_an_answer_is_whole(gateway: Gateway, prefix: str) -> None:
    with OpenAI(base_url=gateway.url + prefix, api_key=gateway.key, max_retries=0) as client:
        answer = client.chat.completions.create(model=MODEL, messages=ask("hello"))
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", HELLO, "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (21, 7, 28)
    assert answer.object == "chat.completion"


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_a_stream_has_the_same_text_and_one_end(gateway: Gateway, prefix: str) -> None:
    with OpenAI(base_url=gateway.url + prefix, api_key=gateway.key, max_retries=0) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=ask("hello"), stream=True))
    assert text_of(chunks) == HELLO
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]


def test_a_stream_tells_usage_only_when_asked(client: OpenAI) -> None:
    silent = list(client.chat.completions.create(model=MODEL, messages=ask("hello"), stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in silent)
    told = list(
        client.chat.completions.create(
            model=MODEL, messages=ask("hello"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert told[-1].choices == []
    assert told[-1].usage is not None
    assert (told[-1].usage.prompt_tokens, told[-1].usage.completion_tokens) == (21, 7)
    assert [chunk.usage for chunk in told[:-1]] == [None] * (len(told) - 1)


def test_the_ledger_has_the_usage_that_a_stream_did_not_tell(gateway: Gateway, client: OpenAI) -> None:
    before = len(gateway.wait_quiet().usage())
    list(client.chat.completions.create(model=MODEL, messages=ask("hello"), stream=True))
    (row,) = gateway.wait_quiet().usage()[before:]
    assert (row["state"], row["input_tokens"], row["output_tokens"]) == ("settled", 21, 7)


def test_parallel_tool_calls_go_there_and_back(client: OpenAI) -> None:
    messages = ask("How is the weather?")
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = message.tool_calls or []
    assert [call.function for call in calls if call.type == "function"] != []
    cities = [orjson.loads(call.function.arguments)["city"] for call in calls if call.type == "function"]
    assert cities == ["Oslo", "São Paulo"]
    assert len({call.id for call in calls}) == 2
    results = [{"role": "tool", "tool_call_id": call.id, "content": "4 degrees"} for call in calls]
    messages = [*messages, message.model_dump(exclude_none=True), *results]
    last = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert last.choices[0].message.content == "Oslo is colder."


def test_streamed_tool_calls_add_up(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=ask("the weather"), tools=[WEATHER]) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    calls = final.choices[0].message.tool_calls or []
    assert [orjson.loads(call.function.arguments) for call in calls] == [{"city": "Oslo"}, {"city": "São Paulo"}]
    assert final.choices[0].finish_reason == "tool_calls"


def test_an_answer_is_parsed_into_a_model(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model=MODEL, messages=ask("a person"), response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)


def test_raw_responses_carry_the_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ask("hello"))
    assert raw.status_code == 200
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["otari-request-id"].startswith("req_")
    assert raw.parse().choices[0].message.content == HELLO


def test_raw_streams_are_server_sent_events(client: OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=ask("hello"), stream=True) as raw:
        assert raw.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in raw.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert lines.count("data: [DONE]") == 1


def test_the_async_client_asks_many_at_once(gateway: Gateway) -> None:
    async def one(client: AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(model=MODEL, messages=ask("hello"), stream=True)
        return text_of([chunk async for chunk in stream])

    async def many() -> list[str]:
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
            return await asyncio.gather(*(one(client) for _ in range(20)))

    assert asyncio.run(many()) == [HELLO] * 20


def test_models_are_listed_and_found_by_id(client: OpenAI) -> None:
    listed = list(client.models.list())
    assert MODEL in [model.id for model in listed]
    found = client.models.retrieve(MODEL)
    assert (found.id, found.object, found.owned_by) == (MODEL, "model", "stub")


# ---- credentials ----


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("Authorization", "Bearer {}"),
        ("x-api-key", "{}"),
        ("Otari-Key", "Bearer {}"),
        ("Otari-Key", "{}"),
        ("AnyLLM-Key", "Bearer {}"),
        ("X-AnyLLM-Key", "Bearer {}"),
    ],
)
def test_every_credential_header_is_understood(gateway: Gateway, client: OpenAI, header: str, form: str) -> None:
    def listed(token: str) -> list[str]:
        headers: dict[str, Any] = {"Authorization": Omit(), header: form.format(token)}
        return [model.id for model in client.models.list(extra_headers=headers)]

    assert MODEL in listed(gateway.key)
    with pytest.raises(openai.AuthenticationError, match="Invalid API key"):
        listed("gw-" + "x" * 64)


def test_no_credential_is_an_authentication_error(client: OpenAI) -> None:
    headers: dict[str, Any] = {"Authorization": Omit()}
    with pytest.raises(openai.AuthenticationError, match="Missing Otari-Key, Authorization, or x-api-key header"):
        client.models.list(extra_headers=headers)


# ---- errors ----


def assert_told(error: openai.APIStatusError, status: int, words: str) -> None:
    """The SDK found the status and the message, and the answer names the request."""
    assert error.status_code == status
    assert words in error.message
    assert error.response.headers["otari-request-id"].startswith("req_")


def test_the_sdk_knows_the_request_id(client: OpenAI) -> None:
    """It looks for `x-request-id`, in good answers and in bad ones."""
    answer = client.chat.completions.create(model=MODEL, messages=ask("hello"))
    assert answer._request_id is not None
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("stub:nobody")
    assert caught.value.request_id == caught.value.response.headers["otari-request-id"]


def test_a_wrong_key_is_an_authentication_error(gateway: Gateway) -> None:
    with (
        OpenAI(base_url=f"{gateway.url}/v1", api_key="gw-wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model=MODEL, messages=ask("hello"))
    assert_told(caught.value, 401, "Invalid API key")


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_breaks_the_schema_is_a_bad_request(client: OpenAI, stream: bool) -> None:
    body: dict[str, Any] = {"model": MODEL, "messages": ask("hello"), "max_tokens": -3, "stream": stream}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**body)
    assert_told(caught.value, 400, "max_tokens")
    assert caught.value.param == "max_tokens"


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_provider_refuses_is_a_bad_request_in_its_words(client: OpenAI, stream: bool) -> None:
    body: dict[str, Any] = {"model": MODEL, "messages": ask("a bad request"), "stream": stream}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**body)
    assert_told(caught.value, 400, BAD)


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("stub:nobody")
    assert_told(caught.value, 404, "stub:nobody")


def test_an_unknown_path_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.post("/nowhere", body={}, cast_to=object)
    assert_told(caught.value, 404, "Not Found")


def test_speaking_for_another_user_is_denied(client: OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.chat.completions.create(model=MODEL, messages=ask("hello"), user="somebody-else")
    assert_told(caught.value, 403, "user")


@pytest.mark.parametrize("stream", [False, True])
def test_a_rate_limit_keeps_its_retry_after(client: OpenAI, stream: bool) -> None:
    body: dict[str, Any] = {"model": MODEL, "messages": ask("the limit"), "stream": stream}
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**body)
    assert_told(caught.value, 429, LIMITED)
    assert caught.value.response.headers["retry-after"] == "7"


def test_a_failing_provider_is_a_server_error(client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=MODEL, messages=ask("down"))
    assert_told(caught.value, 502, "stub")


@pytest.mark.parametrize("text", ["reset", "no end", "overload"])
def test_a_stream_that_breaks_raises_and_is_no_short_success(client: OpenAI, text: str) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=ask(text), stream=True)
    seen: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError):
        seen.extend(stream)
    assert [chunk.choices[0].finish_reason for chunk in seen if chunk.choices[0].finish_reason] == []


@pytest.mark.parametrize("text", ["reset", "no end"])
def test_an_answer_that_breaks_off_is_an_error_too(client: OpenAI, text: str) -> None:
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=ask(text))


def test_nothing_is_left_open_and_no_key_was_written(gateway: Gateway) -> None:
    gateway.wait_quiet().assert_balanced()
    log = gateway.err.read_bytes()
    assert gateway.key.encode() not in log
    assert MASTER_KEY.encode() not in gateway.written()
    assert b"Traceback" not in log
