"""Batches at Anthropic: one body, states by counts, and results that are only looked for where they must be."""

import asyncio

import orjson
import pytest
from anthropic import AsyncAnthropic
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse
from anthropic.types.messages.batch_create_params import BatchCreateParams
from pydantic import TypeAdapter

from otari.upstreams.batches.api import Doc
from tests.upstreams.batches.scene import KEY, Scene, play
from tests.vendors.anthropic import AnthropicVendor

PARAMS = TypeAdapter(BatchCreateParams)
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def test_the_vendor_is_one_to_anthropics_own_library() -> None:
    async def talk() -> None:
        async with AnthropicVendor() as vendor:
            origin = vendor.base_url.removesuffix("/v1")
            async with AsyncAnthropic(api_key=KEY, base_url=origin) as client:
                params = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
                made = await client.messages.batches.create(requests=[{"custom_id": "1", "params": params}])  # type: ignore[typeddict-item]
                lines = [vendor.good("1", MESSAGE), vendor.bad("2", 400, "no"), vendor.expired("3")]
                assert (await client.messages.batches.cancel(made.id)).processing_status == "canceling"
                vendor.end(made.id, "ended", [*lines, vendor.cancelled("4")])
                got = await client.messages.batches.retrieve(made.id)
                counts = got.request_counts
                assert (counts.succeeded, counts.errored, counts.expired, counts.canceled) == (1, 1, 1, 1)
                kinds = [line.result.type async for line in await client.messages.batches.results(made.id)]
                assert kinds == ["succeeded", "errored", "expired", "canceled"]
                for line in (*lines, vendor.cancelled("4")):
                    MessageBatchIndividualResponse.model_validate_json(line)

    asyncio.run(talk())


def test_what_is_sent() -> None:
    async def scene(at: Scene) -> None:
        await at.create(3)
        (create,) = at.vendor.seen
        asked = orjson.loads(create.body)
        PARAMS.validate_python(asked)
        assert [each["custom_id"] for each in asked["requests"]] == ["1", "2", "3"]
        assert (create.method, create.path) == ("POST", "/v1/messages/batches")
        assert create.headers["anthropic-version"] == "2023-06-01"
        assert create.headers["content-type"] == "application/json"
        MessageBatch.model_validate(next(iter(at.vendor.jobs.values())))

    play("anthropic", scene)


def test_an_empty_batch_is_json_too() -> None:
    async def scene(at: Scene) -> None:
        await at.create(0)
        assert orjson.loads(at.vendor.seen[0].body) == {"requests": []}

    play("anthropic", scene)


@pytest.mark.parametrize(
    ("word", "counts", "state", "numbers"),
    [
        ("in_progress", {"processing": 4}, "in_progress", (4, 0, 0)),
        ("canceling", {"processing": 4}, "cancelling", (4, 0, 0)),
        ("ended", {"succeeded": 4}, "completed", (4, 4, 0)),
        ("ended", {"succeeded": 1, "errored": 3}, "completed", (4, 1, 3)),
        ("ended", {"errored": 4}, "completed", (4, 0, 4)),
        ("ended", {"succeeded": 3, "expired": 1}, "completed", (4, 3, 1)),
        ("ended", {"expired": 4}, "expired", (4, 0, 4)),
        ("ended", {"canceled": 4}, "cancelled", (4, 0, 4)),
        ("ended", {"succeeded": 2, "canceled": 2}, "cancelled", (4, 2, 2)),
        ("ended", {}, "completed", (0, 0, 0)),
        ("ended", {"succeeded": -1, "errored": "2", "expired": None}, "completed", (2, 0, 2)),
    ],
)
def test_states(word: str, counts: Doc, state: str, numbers: tuple[int, int, int]) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(4)
        at.vendor.jobs[created.remote_id].update(processing_status=word, request_counts=counts)
        look = await at.looked(created.remote_id)
        assert (look.state, (look.total, look.completed, look.failed)) == (state, numbers)

    play("anthropic", scene)


def test_the_key_never_goes_to_an_address_that_came_in_an_answer() -> None:
    async def scene(at: Scene) -> None:
        async with AnthropicVendor() as elsewhere:
            assert isinstance(at.vendor, AnthropicVendor)
            at.vendor.results_host = f"http://127.0.0.1:{elsewhere.port}"
            (answer,) = await at.ended([at.vendor.good("1", MESSAGE)], many=1)
            assert orjson.loads(answer.body or b"") == MESSAGE
            assert elsewhere.seen == []

    play("anthropic", scene)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("invalid_request_error", 400, "invalid_request_error"),
        ("not_found_error", 404, "not_found_error"),
        ("request_too_large", 413, "request_too_large"),
        ("permission_error", 502, "upstream_credentials"),
        ("billing_error", 502, "upstream_billing"),
        ("rate_limit_error", 429, "rate_limit_exceeded"),
        ("api_error", 502, "upstream_error"),
        ("timeout_error", 504, "upstream_timeout"),
        ("overloaded_error", 503, "upstream_overloaded"),
        ("something_new", 502, "upstream_error"),
    ],
)
def test_errors_of_lines(kind: str, status: int, code: str) -> None:
    async def scene(at: Scene) -> None:
        error = {"type": "error", "error": {"type": kind, "message": "why"}}
        line = orjson.dumps({"custom_id": "1", "result": {"type": "errored", "error": error}})
        (answer,) = await at.ended([line], many=1)
        assert (answer.status, answer.code) == (status, code)

    play("anthropic", scene)


@pytest.mark.parametrize("result", [{}, {"type": "succeeded"}, {"type": "errored", "error": "x"}, {"type": "new"}])
def test_a_result_that_says_nothing_is_told_as_missing(result: Doc) -> None:
    async def scene(at: Scene) -> None:
        (answer,) = await at.ended([orjson.dumps({"custom_id": "1", "result": result})], many=1)
        assert (answer.status, answer.code) == (502, "batch_line_missing")

    play("anthropic", scene)
