"""Bodies of otari.ai's protocol: what is asked, what is answered, and what is reported of an attempt.

Credentials that come in an answer go into `Secret`s at once.
"""

import logging
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import orjson

from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, FailedAttempt, Outcome, Receipt
from otari.domain.secret import Secret

ATTEMPTS_MAX = 64  # of one request; what a longer list names beyond them is not tried
_WORDS_MAX_CHARACTERS = 400
_AMOUNT_MAX_CHARACTERS = 40
_ID = re.compile(r"[!-~]{1,255}")  # ids stand in headers
_CACHE_APART = "anthropic-messages"  # vendors at home in this dialect count cached tokens beside the prompt

log = logging.getLogger(__name__)


class Resolved(NamedTuple):
    """One attempt that the platform allows; `provider` is a provider type."""

    attempt_id: str
    provider: str
    model: str
    secret: Secret | None
    base_url: str | None


class Resolution(NamedTuple):
    """The platform's answer: what it calls the request, and the attempts in their order."""

    request_id: str
    attempts: tuple[Resolved, ...]


def unavailable(why: str) -> OtariError:
    """The platform can not be asked, or makes no sense; `why` is for the operator."""
    return OtariError(Kind.UPSTREAM, "Authorization service unavailable", code="platform_unavailable", detail=why)


# ---- what is asked ----


def write_selector(selector: str) -> bytes:
    """`provider:model`, or the older `provider/model`, as the platform wants it; a bare model has no provider."""
    for mark in (":", "/"):
        provider, found, model = selector.partition(mark)
        if found and provider and model:
            return orjson.dumps({"model": model, "provider": provider})
    return orjson.dumps({"model": selector})


# ---- answers ----


def read_resolution(raw: bytes) -> Resolution:
    """The attempts that the platform names, in their order. Raises OtariError(UPSTREAM) when it names none."""
    doc = _object(raw)
    told, request_id = doc.get("attempts"), doc.get("request_id")
    if told is None and doc.get("correlation_id") is not None:  # the older form: one attempt, without a list
        request_id = doc["correlation_id"]
        told = [{**doc, "attempt_id": request_id}]
    entries = [entry for entry in told if isinstance(entry, dict)] if isinstance(told, list) else []
    attempts: dict[str, Resolved] = {}
    for entry in sorted(entries, key=_position):
        found = _resolved(entry)
        if found is None or found.attempt_id in attempts:  # it could not be reported, or not apart from the other one
            log.warning("the platform named an attempt without an id of its own, a provider and a model; left out")
        elif len(attempts) < ATTEMPTS_MAX:
            attempts[found.attempt_id] = found
    if not attempts:
        raise OtariError(
            Kind.UPSTREAM,
            "Authorization service returned no resolvable provider",
            code="platform_no_provider",
            detail="the platform's answer names no usable attempt",
        )
    return Resolution(_id(request_id) or next(iter(attempts)), tuple(attempts.values()))


def _position(entry: Mapping[str, Any]) -> int:
    position = entry.get("position")
    return position if isinstance(position, int) else 0


def _resolved(entry: Mapping[str, Any]) -> Resolved | None:
    """One entry of the list; None when it can not be used."""
    attempt_id, provider, model = _id(entry.get("attempt_id")), entry.get("provider"), entry.get("model")
    key, base = entry.get("api_key"), entry.get("api_base")
    named = all(isinstance(value, str) and value for value in (provider, model))
    if attempt_id is None or not named or not isinstance(key, str | None) or not isinstance(base, str | None):
        return None
    return Resolved(attempt_id, str(provider), str(model), Secret(key) if key else None, base or None)


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def read_receipt(raw: bytes) -> Receipt | None:
    """The cost in an acknowledgement; None when it tells none."""
    try:
        doc = _object(raw)
    except OtariError:
        return None
    cost, source = _amount(doc.get("cost_usd")), doc.get("pricing_source")
    if cost is None:
        return None
    return Receipt(cost, source[:_WORDS_MAX_CHARACTERS] if isinstance(source, str) else None)


def _amount(told: object) -> str | None:
    """An amount of USD as decimal digits; None for what is none."""
    if isinstance(told, bool) or not isinstance(told, str | int | float) or len(str(told)) > _AMOUNT_MAX_CHARACTERS:
        return None
    try:
        amount = Decimal(str(told))
    except InvalidOperation:
        return None
    if not amount.is_finite() or amount < 0 or abs(amount.adjusted()) > _AMOUNT_MAX_CHARACTERS:
        return None
    return format(amount, "f")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError:
        doc = None
    if not isinstance(doc, dict):
        raise unavailable("the platform's answer is not a JSON object")
    return doc


def read_detail(raw: bytes) -> str:
    """The platform's own words for a refusal."""
    try:
        told = _object(raw).get("detail")
    except OtariError:
        return ""
    return " ".join(told.split())[:_WORDS_MAX_CHARACTERS] if isinstance(told, str) else ""


# ---- reports ----


def correlation_id(attempt: Attempt) -> str:
    """The platform's name of an attempt; it is told to the provider, too."""
    return attempt.labels[0][1]


def write_crash(attempt: Attempt, session_label: str | None) -> bytes:
    """The report of an attempt that the gateway did not live to see the end of."""
    return _report(attempt, session_label, "error", final=True, error_class="unknown")


def write_failure(failed: FailedAttempt, session_label: str | None, *, final: bool) -> bytes:
    """The report of an attempt that gave no answer; `final`: no other one follows."""
    return _report(failed.attempt, session_label, "error", final=final, error_class=error_class(failed))


def write_end(attempt: Attempt, session_label: str | None, outcome: Outcome) -> bytes:
    """An attempt that answered. A stream that broke off has no error class: the provider did work for it."""
    status = "success" if outcome.succeeded else "error"
    return _report(attempt, session_label, status, final=True, usage=_usage(outcome.usage, attempt))


def error_class(failed: FailedAttempt) -> str:
    """One word for how an attempt failed, as the platform groups them."""
    if failed.status is not None and failed.status >= 300:
        return f"http_{failed.status}" + ("_billing" if failed.code == "upstream_billing" else "")
    if failed.code == "upstream_timeout":
        return "timeout"
    if failed.code in ("upstream_unreachable", "upstream_disconnected"):
        return "conn_err"
    return "unknown"


def _usage(usage: Usage, attempt: Attempt) -> dict[str, int] | None:
    """Token counts as the platform wants them, which are those of the vendor; None when nothing is known."""
    if usage.input is None and usage.output is None:
        return None
    prompt, completion = usage.input or 0, usage.output or 0
    read, written = usage.cache_read or 0, usage.cache_write or 0
    if attempt.speaks[0] == _CACHE_APART:
        prompt = max(0, prompt - read - written)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
    }


def _report(
    attempt: Attempt,
    session_label: str | None,
    status: str,
    *,
    final: bool,
    usage: dict[str, int] | None = None,
    error_class: str | None = None,
) -> bytes:
    told = {
        "correlation_id": correlation_id(attempt),
        "status": status,
        "usage": usage,
        "error_class": error_class,
        "is_final_attempt": final,
        "session_label": session_label,
    }
    return orjson.dumps({key: value for key, value in told.items() if value is not None})
