"""Errors: our own in OpenAI's shape, everybody's read."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.errors import Kind, OtariError
from tests.dialects.told import VECTORS
from tests.domain.strategies import json_values

VENDORS: list[dict[str, Any]] = orjson.loads((VECTORS / "21_errors.json").read_bytes())
ERROR = OtariError(Kind.INVALID, "n must be an integer.", param="n", code="bad_n", detail="not for the client")


def test_the_body_of_an_error() -> None:
    assert OPENAI_CHAT.write_error(ERROR) == {
        "detail": "n must be an integer.",
        "error": {
            "message": "n must be an integer.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "bad_n",
        },
    }


def test_the_frame_of_an_error() -> None:
    frame = OPENAI_CHAT.stream_error(ERROR)
    assert frame.startswith(b'data: {"error":{')
    assert frame.endswith(b"}}\n\n")
    assert b"not for the client" not in frame
    assert OPENAI_CHAT.see(frame, wants_usage=False).failed == "n must be an integer."


def _expected(body: dict[str, Any]) -> str:
    error = body.get("error", body)
    if isinstance(error, str):
        return error
    return "body.model: Field required" if "detail" in error else str(error["message"])


@pytest.mark.parametrize("vendor", VENDORS, ids=[f"{entry['vendor']}-{entry['status']}" for entry in VENDORS])
def test_every_vendors_message_is_found(vendor: dict[str, Any]) -> None:
    assert OPENAI_CHAT.read_error(orjson.dumps(vendor["body"])) == _expected(vendor["body"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'[{"error":{"code":400,"message":"bad key"}}]', "bad key"),
        (b'{"object":"error","message":"too long","code":400}', "too long"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'{"detail":{"type":"error","error":{"message":"inner"}}}', "inner"),
        (b'{"detail":[{"msg":"a","loc":["x",0]},{"msg":"b"}]}', "x.0: a; b"),
        (b'{"error":{"message":""},"message":"outer"}', "outer"),
        (b'{"error":{}}', ""),
        (b"<html>Bad gateway</html>", ""),
        (b"upstream connect error", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
        (b"null", ""),
        (b'{"message":5}', ""),
        (b'{"error":' * 900 + b"1" + b"}" * 900, ""),
        (b"[" * 900 + b"]" * 900, ""),
    ],
)
def test_other_spellings(body: bytes, message: str) -> None:
    assert OPENAI_CHAT.read_error(body) == message


@given(json_values | st.dictionaries(st.sampled_from(["error", "message", "detail", "loc", "msg"]), json_values))
@settings(deadline=None)
def test_reading_never_raises(body: Any) -> None:
    assert isinstance(OPENAI_CHAT.read_error(orjson.dumps(body)), str)
