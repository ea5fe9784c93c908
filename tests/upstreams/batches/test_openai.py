"""Batches at OpenAI and Mistral: files, jobs, states, and the lines of results."""

import asyncio

import orjson
import pytest
from openai import AsyncOpenAI
from openai.types import Batch
from openai.types.batch_create_params import BatchCreateParams
from pydantic import TypeAdapter

from otari.upstreams.batches.api import Doc
from tests.upstreams.batches.scene import KEY, OURS, Scene, body, lines_of, play
from tests.vendors.openai import OpenAIVendor

PARAMS = TypeAdapter(BatchCreateParams)


def test_the_vendor_is_one_to_openais_own_library() -> None:
    async def talk() -> None:
        async with OpenAIVendor() as vendor, AsyncOpenAI(api_key=KEY, base_url=vendor.base_url) as client:
            line = b'{"custom_id":"1","method":"POST","url":"/v1/embeddings","body":{"input":"x"}}\n'
            file = await client.files.create(file=("b.jsonl", line), purpose="batch")
            made = await client.batches.create(
                input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", metadata={"a": "b"}
            )
            assert (await client.batches.cancel(made.id)).status == "cancelling"
            vendor.end(made.id, "completed", [vendor.good("1", {"ok": True})])
            got = await client.batches.retrieve(made.id)
            assert (got.status, got.request_counts and got.request_counts.completed) == ("completed", 1)
            assert orjson.loads((await client.files.content(got.output_file_id or "")).content)["custom_id"] == "1"
            assert [each.id async for each in client.batches.list()] == [made.id]

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("dialect", "endpoint"),
    [
        ("openai-chat", "/v1/chat/completions"),
        ("openai-responses", "/v1/responses"),
        ("embeddings", "/v1/embeddings"),
        ("moderations", "/v1/moderations"),
    ],
)
def test_what_is_sent_to_openai(dialect: str, endpoint: str) -> None:
    async def scene(at: Scene) -> None:
        await at.upstream.create(at.attempt, OURS, dialect, lines_of([{"model": "m", "input": "ü\n"}]))
        upload, create = at.vendor.seen
        asked = orjson.loads(create.body)
        PARAMS.validate_python(asked, strict=True)
        (file,) = at.vendor.files
        assert asked == {
            "input_file_id": file,
            "endpoint": endpoint,
            "completion_window": "24h",
            "metadata": {"otari_batch_id": OURS},
        }
        assert orjson.loads(at.vendor.files[file]) == {
            "custom_id": "1",
            "method": "POST",
            "url": endpoint,
            "body": {"model": "m", "input": "ü\n"},
        }
        assert f'filename="{OURS}.jsonl"'.encode() in upload.body
        Batch.model_validate(next(iter(at.vendor.jobs.values())))

    play("openai", scene)


@pytest.mark.parametrize(
    "state", ["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
)
def test_states_of_openai_are_our_own(state: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(3)
        at.vendor.end(created.remote_id, state, [at.vendor.good("1", {}), at.vendor.good("2", {})], [b"{}"])
        look = await at.looked(created.remote_id)
        assert (look.state, look.total, look.completed, look.failed) == (state, 3, 2, 1)

    play("openai", scene)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("QUEUED", "validating"),
        ("RUNNING", "in_progress"),
        ("SUCCESS", "completed"),
        ("FAILED", "failed"),
        ("TIMEOUT_EXCEEDED", "expired"),
        ("CANCELLATION_REQUESTED", "cancelling"),
        ("CANCELLED", "cancelled"),
    ],
)
def test_states_of_mistral(word: str, state: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(3)
        at.vendor.end(created.remote_id, word, [at.vendor.good("1", {})], [b"{}", b"{}"])
        look = await at.looked(created.remote_id)
        assert (look.state, look.total, look.completed, look.failed) == (state, 3, 1, 2)

    play("mistral", scene)


def test_what_is_sent_to_mistral() -> None:
    async def scene(at: Scene) -> None:
        await at.create(2)
        _, create = at.vendor.seen
        assert orjson.loads(create.body) == {
            "input_files": list(at.vendor.files),
            "endpoint": "/v1/chat/completions",
            "model": "m-1",
            "metadata": {"otari_batch_id": OURS},
            "timeout_hours": 24,
        }

    play("mistral", scene)


@pytest.mark.parametrize(
    ("line", "status", "code", "words"),
    [
        ({"response": {"status_code": 500, "body": {}}}, 502, "upstream_error", "status 500"),
        ({"response": {"status_code": 99, "body": {}}}, 502, "upstream_error", "status 500"),
        ({"response": {"status_code": "200", "body": None}}, 502, "upstream_error", "status 500"),
        ({"response": {"status_code": 200, "body": "text"}}, 502, "upstream_error", "status 500"),
        ({"response": {"status_code": 503, "body": {}}}, 503, "upstream_overloaded", "status 503"),
        ({"response": {"status_code": 422, "body": {"message": "odd"}}}, 422, "unprocessable_request", "says: odd"),
        ({"response": {"status_code": 400, "body": {"error": {"message": "no"}}}}, 400, "invalid", "says: no"),
        ({"response": {"status_code": 402, "body": {}}}, 502, "upstream_billing", "out of credit"),
        ({"error": {"code": "batch_cancelled", "message": "x"}}, 409, "batch_cancelled", "cancelled before"),
        ({"error": {"code": "batch_expired", "message": "x"}}, 504, "batch_expired", "time of the batch"),
        ({"error": {"code": "strange", "message": "x"}}, 502, "upstream_error", "status 500"),
        ({"error": "in words"}, 502, "upstream_error", "status 500"),
        ({}, 502, "upstream_error", "status 500"),
    ],
)
def test_lines_that_went_wrong(line: Doc, status: int, code: str, words: str) -> None:
    async def scene(at: Scene) -> None:
        (answer,) = await at.ended([orjson.dumps({"custom_id": "1", **line})], many=1)
        assert (answer.status, answer.body) == (status, None)
        assert (answer.code or "").startswith(code)
        assert words in (answer.message or "")

    play("openai", scene)


def test_a_body_without_a_status_is_an_answer() -> None:
    async def scene(at: Scene) -> None:
        (answer,) = await at.ended([b'{"custom_id":"1","response":{"body":{"a":1}},"error":null}'], many=1)
        assert (answer.status, answer.body) == (200, b'{"a":1}')

    play("mistral", scene)


def test_a_large_batch_is_not_kept_in_memory() -> None:
    """What is sent is far larger than what may lie in between: it comes from the disk in pieces."""

    async def scene(at: Scene) -> None:
        text = "x" * 100_000
        await at.create([body("openai-chat", text)] * 100)
        (data,) = at.vendor.files.values()
        assert len(data) > 10_000_000
        assert data.count(b"\n") == 100
        assert orjson.loads(data.splitlines()[99])["body"]["messages"][0]["content"] == text

    play("openai", scene)
