"""Token counts and errors in Google's shapes."""

from typing import Any

import orjson
import pytest
from hypothesis import given

from otari.dialects import sse
from otari.dialects.gemini import GEMINI
from otari.dialects.gemini.errors import failure_in
from otari.dialects.gemini.usage import laid_over, read_usage, write_usage
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.money import believable
from tests.domain.strategies import json_values, usages


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"promptTokenCount": 5}, Usage(5)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8}, Usage(5, 3)),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 4}, Usage(5, 4, reasoning=4)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 4}, Usage(5, 7, reasoning=4)),
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 4, "totalTokenCount": 12},
            Usage(5, 7, reasoning=4),
        ),
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 0, "totalTokenCount": 8},
            Usage(5, 3, reasoning=0),
        ),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 6}, Usage(11, cache_read=4)),
        ({"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}], "trafficType": "ON_DEMAND"}, None),
        ({}, None),
        ({"promptTokenCount": None}, None),
        (None, None),
        ([], None),
    ],
)
def test_counts_read(told: Any, usage: Usage | None) -> None:
    assert read_usage(told) == usage


@pytest.mark.parametrize("odd", [-1, "7", 1e30, True, [1], {}])
def test_a_count_that_is_none_stays_unbelievable(odd: Any) -> None:
    for key in ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"):
        usage = read_usage({"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3} | {key: odd})
        assert usage is not None
        assert believable(usage) is None


def test_the_last_number_counts() -> None:
    earlier = laid_over({"promptTokenCount": 5, "candidatesTokenCount": 1}, {"candidatesTokenCount": 3, "x": None})
    assert earlier == {"promptTokenCount": 5, "candidatesTokenCount": 3}
    assert laid_over(earlier, None) == laid_over(earlier, [1]) == earlier


@given(usages())
def test_counts_come_back(usage: Usage) -> None:
    """All but those of a cache that was written to, for which the wire has no word."""
    told = write_usage(usage)
    if usage.input is None and usage.output is None:
        assert told is None
        return
    output = usage.output if usage.output is not None and usage.output >= (usage.reasoning or 0) else usage.reasoning
    assert read_usage(told) == usage._replace(output=output, cache_write=None, cache_write_1h=None)


@given(json_values)
def test_no_counts_make_it_stumble(told: Any) -> None:
    usage = read_usage(told)
    assert usage is None or isinstance(usage, Usage)


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        (Kind.INVALID, 400, "INVALID_ARGUMENT"),
        (Kind.UNAUTHENTICATED, 401, "UNAUTHENTICATED"),
        (Kind.FORBIDDEN, 403, "PERMISSION_DENIED"),
        (Kind.NOT_FOUND, 404, "NOT_FOUND"),
        (Kind.RATE_LIMITED, 429, "RESOURCE_EXHAUSTED"),
        (Kind.INTERNAL, 500, "INTERNAL"),
        (Kind.UPSTREAM, 502, "UNAVAILABLE"),
        (Kind.UPSTREAM_TIMEOUT, 504, "DEADLINE_EXCEEDED"),
    ],
)
def test_errors_written(kind: Kind, code: int, status: str) -> None:
    error = OtariError(kind, "No.")
    told = {"code": code, "message": "No.", "status": status}
    assert GEMINI.write_error(error) == {"error": told, "detail": "No."}
    frame = GEMINI.stream_error(error)
    assert frame.endswith(b"\r\n\r\n")
    assert orjson.loads(sse.data(frame)) == {"error": told}


def test_how_long_to_wait_is_told_in_google_s_way() -> None:
    details = GEMINI.write_error(OtariError(Kind.RATE_LIMITED, "No.", retry_after=34.4))["error"]["details"]
    assert details == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}]


def test_errors_read() -> None:
    error = {"error": {"code": 400, "message": "Bad.", "status": "INVALID_ARGUMENT"}}
    for body in (error, [error]):
        assert GEMINI.read_error(orjson.dumps(body)) == "Bad."
    assert GEMINI.read_error(b"<html>") == ""
    assert failure_in(error) == ("Bad.", "INVALID_ARGUMENT")
    assert failure_in({"error": "text"}) == ("text", None)
    assert failure_in({"error": {}}) is None
    assert failure_in([error]) is None


def test_signs_of_life_say_nothing() -> None:
    assert sse.data(GEMINI.keepalive) == b""
    assert GEMINI.sign_of_life() == GEMINI.keepalive
    assert GEMINI.reader().read(GEMINI.keepalive) == []
