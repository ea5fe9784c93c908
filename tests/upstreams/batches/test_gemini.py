"""Batches at the Gemini API: in the call or as a file, and states of two spellings."""

import orjson
import pytest

from otari.upstreams.batches.api import Doc
from tests.upstreams.batches.scene import OURS, Scene, body, play
from tests.vendors.gemini import GeminiVendor


def test_a_small_batch_stands_in_the_call() -> None:
    async def scene(at: Scene) -> None:
        await at.create(2)
        (create,) = at.vendor.seen
        assert (create.method, create.path) == ("POST", "/v1beta/models/m-1:batchGenerateContent")
        requests = [
            {"request": body("gemini", f"say {number}"), "metadata": {"key": str(number + 1)}} for number in range(2)
        ]
        assert orjson.loads(create.body) == {
            "batch": {"displayName": OURS, "inputConfig": {"requests": {"requests": requests}}}
        }

    play("gemini", scene)


@pytest.mark.parametrize("docs", [101, [body("gemini", "x" * 600_000)] * 2])
def test_a_larger_one_goes_as_a_file(docs: list[Doc] | int) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(docs)
        start, send, create = at.vendor.seen
        assert start.path == "/upload/v1beta/files"
        assert send.path.startswith("/upload/v1beta/files?upload_id=")
        assert orjson.loads(create.body)["batch"]["inputConfig"] == {"fileName": "files/in-1"}
        many = len(at.vendor.asked["job1"])
        lines = [at.vendor.good(str(number), {"n": number}) for number in range(many, 0, -1)]
        at.vendor.end("job1", at.vendor.done, lines)
        answers = await at.results(await at.looked(created.remote_id), many)
        assert [answer.body for answer in answers] == [b'{"n":%d}' % number for number in range(1, many + 1)]

    play("gemini", scene)


@pytest.mark.parametrize("where", ["http://127.0.0.1:9", "https://evil.example", "nonsense", ""])
def test_a_file_is_sent_nowhere_else(where: str) -> None:
    async def scene(at: Scene) -> None:
        assert isinstance(at.vendor, GeminiVendor)
        at.vendor.upload_host = where or "x"
        error = await at.failure(at.create(101))
        assert error.code == "upstream_format"
        assert len(at.vendor.seen) == 1

    play("gemini", scene)


def test_results_in_an_answer_are_in_the_order_of_the_requests() -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(2)
        at.vendor.end("job1", at.vendor.done, [at.vendor.good("1", {"n": 1}), at.vendor.good("2", {"n": 2})])
        inlined = at.vendor.jobs["job1"]["response"]["inlinedResponses"]["inlinedResponses"]
        for each in inlined:
            del each["metadata"]
        del at.vendor.jobs["job1"]["metadata"]["output"]
        answers = await at.results(await at.looked(created.remote_id), 2)
        assert [answer.body for answer in answers] == [b'{"n":1}', b'{"n":2}']

    play("gemini", scene)


@pytest.mark.parametrize("prefix", ["JOB_STATE_", "BATCH_STATE_"])
@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("UNSPECIFIED", "validating"),
        ("QUEUED", "validating"),
        ("PENDING", "validating"),
        ("RUNNING", "in_progress"),
        ("PAUSED", "in_progress"),
        ("UPDATING", "in_progress"),
        ("SUCCEEDED", "completed"),
        ("PARTIALLY_SUCCEEDED", "completed"),
        ("FAILED", "failed"),
        ("CANCELLING", "cancelling"),
        ("CANCELLED", "cancelled"),
        ("EXPIRED", "expired"),
    ],
)
def test_states(prefix: str, word: str, state: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(3)
        at.vendor.end("job1", prefix + word, [at.vendor.good("1", {})], [at.vendor.bad("2", 400, "x")])
        look = await at.looked(created.remote_id)
        assert (look.state, look.total, look.completed, look.failed) == (state, 3, 1, 1)

    play("gemini", scene)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ({"code": 3, "message": "bad"}, 400, "invalid_request_error"),
        ({"code": 400, "message": "bad"}, 400, "invalid_request_error"),
        ({"code": 5, "message": "?"}, 404, "not_found_error"),
        ({"code": 7, "message": "?"}, 502, "upstream_credentials"),
        ({"code": 8, "message": "RESOURCE_EXHAUSTED"}, 429, "rate_limit_exceeded"),
        ({"code": 14}, 503, "upstream_overloaded"),
        ({"code": 13}, 502, "upstream_error"),
        ({"code": "?"}, 502, "upstream_error"),
        ({"code": 1}, 409, "batch_cancelled"),
        ("words", 502, "batch_line_missing"),
    ],
)
def test_errors_of_lines(error: object, status: int, code: str) -> None:
    async def scene(at: Scene) -> None:
        (answer,) = await at.ended([orjson.dumps({"key": "1", "error": error})], many=1)
        assert (answer.status, answer.code) == (status, code)

    play("gemini", scene)
