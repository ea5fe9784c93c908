"""What a provider's refusal means to the client, to the failover and to the operator."""

import pytest

from otari.domain.errors import Kind, OtariError
from otari.upstreams.status import BILLING, CREDENTIALS, MESSAGE_LIMIT, refused

KEY = "sk-live-0123456789abcdef"


def told(status: int, message: str = "words of the provider", text: str = "") -> OtariError:
    return refused(status, message, provider="acme", text=text)


@pytest.mark.parametrize(
    ("status", "kind", "elsewhere"),
    [
        (400, Kind.INVALID, False),
        (404, Kind.NOT_FOUND, True),
        (405, Kind.INVALID, True),
        (409, Kind.INVALID, True),
        (410, Kind.INVALID, True),
        (413, Kind.TOO_LARGE, False),
        (418, Kind.INVALID, False),
        (422, Kind.UNPROCESSABLE, False),
    ],
)
def test_mistakes_of_the_caller_keep_the_providers_words(status: int, kind: Kind, elsewhere: bool) -> None:
    error = told(status, "Use max_completion_tokens\ninstead")
    assert error.kind is kind
    assert error.message == "Provider 'acme' says: Use max_completion_tokens instead"
    assert (error.upstream_status, error.retryable) == (status, elsewhere)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (400, "The provider rejected the request as invalid (check the model name and parameters)"),
        (404, "The requested model was not found on the provider"),
        (418, "The provider rejected the request as invalid (check the model name and parameters)"),
        (429, "The provider rate-limited this request"),
    ],
)
def test_a_provider_without_words_gets_a_sentence(status: int, sentence: str) -> None:
    assert told(status, "").message == sentence


@pytest.mark.parametrize("status", [401, 403])
def test_rejected_credentials_are_the_gateways_fault(status: int) -> None:
    error = told(status, f"Incorrect API key provided: {KEY}", text=f'{{"message": "{KEY}"}}')
    assert (error.kind, error.message, error.retryable) == (Kind.UPSTREAM, CREDENTIALS, True)
    assert error.upstream_status == status
    assert error.detail == f'acme answered {status}: {{"message": "***"}}'


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (402, '{"error": {"code": 402, "message": "Insufficient credits"}}'),
        (400, '{"error": {"message": "Your credit balance is too low to access the API."}}'),
        (422, '{"error": {"message": "Please check your plan and billing details."}}'),
        (429, '{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'),
        (429, '{"error": {"message": "Spend limit reached"}}'),
        (429, '{"error": {"message": "Billing is not enabled"}}'),
    ],
)
def test_an_empty_account_is_told_as_such(status: int, text: str) -> None:
    error = told(status, "whatever", text=text)
    assert (error.kind, error.message, error.retryable) == (Kind.UPSTREAM, BILLING, True)
    assert error.code == "upstream_billing"


def test_a_bad_request_may_speak_of_billing() -> None:
    assert told(400, "Invalid schema for function 'billing_lookup'").kind is Kind.INVALID


def test_a_rate_limit_that_names_the_billing_plan_is_a_rate_limit() -> None:
    text = '{"error": {"status": "RESOURCE_EXHAUSTED", "message": "check your plan and billing details"}}'
    assert told(429, "check your plan and billing details", text=text).kind is Kind.RATE_LIMITED


def test_a_rate_limit_keeps_the_time_to_wait() -> None:
    error = refused(429, "slow down", provider="acme", retry_after=7.5)
    assert (error.kind, error.retry_after, error.retryable) == (Kind.RATE_LIMITED, 7.5, True)
    assert error.message == "Provider 'acme' says: slow down"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Kind.UPSTREAM),
        (307, Kind.UPSTREAM),
        (408, Kind.UPSTREAM_TIMEOUT),
        (500, Kind.UPSTREAM),
        (502, Kind.UPSTREAM),
        (503, Kind.UNAVAILABLE),
        (504, Kind.UPSTREAM_TIMEOUT),
        (529, Kind.UNAVAILABLE),
    ],
)
def test_failures_of_the_provider_may_be_tried_elsewhere_and_hide_its_words(status: int, kind: Kind) -> None:
    error = told(status, "stack trace", text="stack trace of 10.0.0.7")
    assert (error.kind, error.retryable, error.upstream_status) == (kind, True, status)
    assert "stack" not in error.message
    assert "acme" in error.message
    assert error.detail is not None
    assert "stack trace of 10.0.0.7" in error.detail


def test_a_redirect_points_the_operator_to_the_address() -> None:
    detail = told(307, "", text="Location: https://elsewhere").detail
    assert detail == "acme answered 307: Location: https://elsewhere; check its base_url"


def test_the_client_sees_neither_keys_nor_addresses_nor_accounts() -> None:
    words = f"{KEY} at https://10.0.0.7/v1?x=1 for org-AbCdEfGhIjKlMnOp, arn:aws:iam::123456789012:user/x"
    message = told(400, words).message
    assert message == "Provider 'acme' says: *** at [url] for [account], [account]"


def test_long_words_are_cut_after_they_were_cleaned() -> None:
    error = told(400, "a" * (MESSAGE_LIMIT - 40) + f" {KEY} " + "b" * 5000, text="t" * 5000)
    assert len(error.message) == MESSAGE_LIMIT
    assert "sk-live" not in error.message
    assert error.detail is not None
    assert len(error.detail) < 1100
