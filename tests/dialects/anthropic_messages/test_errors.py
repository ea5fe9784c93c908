"""Errors as Anthropic's clients know them, and errors of providers."""

from typing import Any

import anthropic
import orjson
import pytest

from otari.dialects import sse
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.domain.errors import Kind, OtariError
from tests.dialects.anthropic_messages.sdk import refused
from tests.dialects.told import VECTORS

SHARED = orjson.loads((VECTORS / "21_errors.json").read_bytes())
EXPECTED = {
    Kind.INVALID: ("invalid_request_error", anthropic.BadRequestError),
    Kind.UNAUTHENTICATED: ("authentication_error", anthropic.AuthenticationError),
    Kind.UNPRICED: ("invalid_request_error", anthropic.APIStatusError),
    Kind.BUDGET: ("permission_error", anthropic.PermissionDeniedError),
    Kind.NOT_FOUND: ("not_found_error", anthropic.NotFoundError),
    Kind.TOO_LARGE: ("request_too_large", anthropic.APIStatusError),
    Kind.RATE_LIMITED: ("rate_limit_error", anthropic.RateLimitError),
    Kind.INTERNAL: ("api_error", anthropic.InternalServerError),
    Kind.UPSTREAM: ("api_error", anthropic.InternalServerError),
    Kind.UNAVAILABLE: ("overloaded_error", anthropic.InternalServerError),
    Kind.UPSTREAM_TIMEOUT: ("timeout_error", anthropic.InternalServerError),
}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_type_and_both_spellings(kind: Kind) -> None:
    error = OtariError(kind, "It broke.", code="c")
    doc = ANTHROPIC_MESSAGES.write_error(error)
    assert doc["detail"] == doc["error"]["message"] == "It broke."
    assert doc["type"] == "error"
    told = doc["error"]["type"]
    assert told == EXPECTED.get(kind, (told,))[0]
    assert (error.status < 500) == (told not in ("api_error", "overloaded_error", "timeout_error") or kind is TIMEOUT)


TIMEOUT = Kind.REQUEST_TIMEOUT  # the one time-out that is the client's


@pytest.mark.parametrize("kind", EXPECTED)
def test_anthropic_s_client_raises_what_it_should(kind: Kind) -> None:
    error = OtariError(kind, "It broke.")
    raised = refused(orjson.dumps(ANTHROPIC_MESSAGES.write_error(error)), error.status)
    assert isinstance(raised, EXPECTED[kind][1])
    assert "It broke." in str(raised)


def test_the_frame_of_an_error() -> None:
    frame = ANTHROPIC_MESSAGES.stream_error(OtariError(Kind.UPSTREAM, "Busy", code="overloaded_error"))
    assert sse.event(frame) == "error"
    doc = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}
    assert orjson.loads(sse.data(frame)) == doc
    seen = ANTHROPIC_MESSAGES.see(frame)
    assert seen.failed == "Busy"
    assert ANTHROPIC_MESSAGES.notable(frame) >= 0


@pytest.mark.parametrize("told", SHARED, ids=lambda told: f"{told['vendor']}-{told['status']}")
def test_the_message_in_every_vendor_s_error(told: dict[str, Any]) -> None:
    assert ANTHROPIC_MESSAGES.read_error(orjson.dumps(told["body"])) != ""


@pytest.mark.parametrize(
    "body",
    [
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        {"error": {"message": "no"}},
        {"type": "message"},
        {"type": "message", "content": [], "stop_reason": "error"},
        {},
    ],
)
def test_a_body_that_is_no_answer_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(OtariError) as caught:
        ANTHROPIC_MESSAGES.read_reply(body)
    assert (caught.value.kind, caught.value.retryable) == (Kind.UPSTREAM, True)
