"""What a provider's refusal means: one table from its HTTP status (and words) to an `OtariError`.

The caller's own mistakes keep the provider's words, since they tell how to mend the request. Whatever is
between the gateway and the provider (credentials, billing, failures) gets a fixed sentence; the words go to
the operator.
"""

import re

from otari.domain.errors import Kind, OtariError
from otari.domain.redaction import mask_shapes

MESSAGE_LIMIT = 400  # characters of a provider's message that a client may see
EXCERPT_LIMIT = 1000  # characters of a provider's body that an operator may see

CREDENTIALS = "The provider rejected the gateway's credentials"
BILLING = "The upstream provider account is out of credit or over its billing limit"

_MISTAKES = {
    400: (Kind.INVALID, "The provider rejected the request as invalid (check the model name and parameters)"),
    404: (Kind.NOT_FOUND, "The requested model was not found on the provider"),
    413: (Kind.TOO_LARGE, "The request is larger than the provider accepts"),
    422: (Kind.UNPROCESSABLE, "The provider could not process the request (check its parameters)"),
    429: (Kind.RATE_LIMITED, "The provider rate-limited this request"),
}

# Of the refusals that are the request's own fault, those that another provider need not repeat.
_ELSEWHERE = (404, 405, 409, 410, 429)
_OVERLOADED = (503, 529)  # 529 is Anthropic's: ask again later

# Words that mean an empty account, as providers use them in their error bodies. A bad request may quote the
# user, so the bare word "billing" counts only in a 429.
# These patterns are compiled by the first refusal: most runs see none before they have long begun.
_OUT_OF_CREDIT = (
    r"(?i)credit balance|insufficient[_ ](?:quota|credit|balance|funds)|out of credit|spend[_ ]limit"
    r"|payment required|billing[_ ](?:details|hard[_ ]limit|limit|account|issue|not[_ ]active)"
    r"|check your (?:plan|billing)"
)
_BILLING_WORD = r"(?i)\bbilling"
# Gemini speaks of "plan and billing details" in its ordinary rate limit answers, and marks them with this.
_RATE_LIMIT_MARK = "RESOURCE_EXHAUSTED"

_URL = r"(?i)\bhttps?://[^\s\"'<>)\]]+"
_ACCOUNT = r"(?<![A-Za-z0-9])(?:arn:aws[\w:/.*-]+|(?:org|proj)[-_][A-Za-z0-9]{12,})"


def refused(
    status: int,
    message: str,
    *,
    provider: str,
    retry_after: float | None = None,
    text: str = "",
) -> OtariError:
    """The error for a provider's answer that is not 2xx.

    `message` is what the provider's error body says ("" when nothing could be read), `text` the body itself;
    known secrets have been taken out of both (see `Redactor`), shapes are taken out here once more.
    `retry_after` is in seconds. `retryable` is set when another provider may well answer the same request.
    """
    message, text = mask_shapes(message), mask_shapes(text)
    words = text or message
    detail = f"{provider} answered {status}" + (f": {words[:EXCERPT_LIMIT]}" if words else "")
    if status in (401, 403):
        return _failure(Kind.UPSTREAM, CREDENTIALS, "upstream_credentials", status, detail)
    if status == 402 or _out_of_credit(status, f"{message}\n{text}"):
        return _failure(Kind.UPSTREAM, BILLING, "upstream_billing", status, detail)
    if status in (408, 504):
        sentence = f"LLM provider timeout ('{provider}' answered with status {status})"
        return _failure(Kind.UPSTREAM_TIMEOUT, sentence, "upstream_timeout", status, detail, retry_after)
    if 400 <= status < 500:
        kind, fixed = _MISTAKES.get(status, _MISTAKES[400])
        return OtariError(
            kind,
            _quoted(provider, message) or fixed,
            code="rate_limit_exceeded" if status == 429 else None,
            retry_after=retry_after if status == 429 else None,
            retryable=status in _ELSEWHERE,
            upstream_status=status,
            detail=detail,
        )
    if 300 <= status < 400:
        sentence = f"LLM provider error ('{provider}' answered with a redirect, which is never followed)"
        return _failure(Kind.UPSTREAM, sentence, "upstream_redirect", status, f"{detail}; check its base_url")
    sentence = f"LLM provider error ('{provider}' answered with status {status})"
    if status in _OVERLOADED:
        return _failure(Kind.UNAVAILABLE, sentence, "upstream_overloaded", status, detail, retry_after)
    return _failure(Kind.UPSTREAM, sentence, "upstream_error", status, detail, retry_after)


def _out_of_credit(status: int, words: str) -> bool:
    if status not in (400, 422, 429):
        return False
    if status == 429 and _RATE_LIMIT_MARK in words:
        return False
    return bool(re.search(_OUT_OF_CREDIT, words)) or (status == 429 and bool(re.search(_BILLING_WORD, words)))


def _quoted(provider: str, message: str) -> str:
    """The provider's own words for the client: one line without addresses and account ids, 400 characters."""
    words = " ".join(re.sub(_ACCOUNT, "[account]", re.sub(_URL, "[url]", message)).split())
    if not words:
        return ""
    told = f"Provider '{provider}' says: {words}"
    return told if len(told) <= MESSAGE_LIMIT else told[: MESSAGE_LIMIT - 1] + "…"


def _failure(
    kind: Kind, message: str, code: str, status: int, detail: str, retry_after: float | None = None
) -> OtariError:
    return OtariError(
        kind,
        message,
        code=code,
        retry_after=retry_after,
        retryable=True,
        upstream_status=status,
        detail=detail,
    )
