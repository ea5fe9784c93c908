"""Rows as the documents that people and programs are shown: the HTTP API answers them, the command line prints them.

Amounts are `Decimal`, so that they can be written exactly. Light on purpose: nothing here loads more than the row's own
module did.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from otari.domain.money import PICO_PER_NANO, usd

_PICO_PER_MILLION = 1_000_000  # pico-USD per token and micro-USD per million tokens are the same number
_PICO_PER_USD = 10**12
# What newer client libraries demand of every answer, though there is nothing of the kind here.
_NO_WORKSPACE = "00000000-0000-0000-0000-000000000000"
_NOT_COUNTED_HERE = {"current_requests": 0, "current_tokens": 0, "reserved_requests": 0, "reserved_tokens": 0}
_NOT_LIMITED_HERE: dict[str, None] = {"token_limit": None, "request_limit": None, "organization_id": None}
_NOT_TOLD_HERE: dict[str, None] = {"source_label": None, "billing_meters": None, "pricing_breakdown": None}


def key_record(key: Any) -> dict[str, Any]:
    """A `store.keys.Key`; never its digest."""
    return {
        "id": key.key_id,
        "key_name": key.key_name,
        "user_id": key.user_id,
        "created_at": iso(key.created_at_ms),
        "updated_at": iso(key.updated_at_ms),
        "last_used_at": moment_text(key.last_used_at_ms),
        "expires_at": moment_text(key.expires_at_ms),
        "is_active": key.is_active,
        "metadata": orjson.loads(key.metadata),
        "key_prefix": key.prefix,
        "key_suffix": key.suffix,
        "allowed_models": models(key.allowed_models),
        "reject_user_mismatch": key.rejects_user_mismatch,
        "translation": key.translation,
        "exclude_from_budget": key.exclude_from_budget,
        "budget_id": key.budget_id,
        "spend": usd(key.spend_nano),
        "reserved": usd(key.reserved_nano),
        "budget_started_at": moment_text(key.budget_started_at_ms),
        "next_budget_reset_at": moment_text(key.next_reset_at_ms),
        "capture_agent_telemetry": None,
        "workspace_id": _NO_WORKSPACE,
    }


def user_record(user: Any) -> dict[str, Any]:
    """A `store.accounts.User`."""
    return {
        "user_id": user.user_id,
        "alias": user.alias,
        "spend": usd(user.spend_nano),
        "reserved": usd(user.reserved_nano),
        "budget_id": user.budget_id,
        "budget_started_at": moment_text(user.budget_started_at_ms),
        "next_budget_reset_at": moment_text(user.next_reset_at_ms),
        "blocked": user.blocked,
        "created_at": iso(user.created_at_ms),
        "updated_at": iso(user.updated_at_ms),
        "metadata": orjson.loads(user.metadata),
        "allowed_models": models(user.allowed_models),
        **_NOT_COUNTED_HERE,
    }


def budget_record(budget: Any, totals: Any) -> dict[str, Any]:
    """A `store.budgets.Budget` and what all accounts under it have spent."""
    return {
        "budget_id": budget.budget_id,
        "name": budget.name,
        "max_budget": None if budget.max_nano is None else usd(budget.max_nano),
        "budget_duration_sec": budget.duration_s,
        "reset_alignment": budget.reset_alignment,
        "created_at": iso(budget.created_at_ms),
        "updated_at": iso(budget.updated_at_ms),
        "user_count": totals.user_count,
        "total_spend": usd(totals.spend_nano),
        "total_reserved": usd(totals.reserved_nano),
        **_NOT_LIMITED_HERE,
    }


def reset_record(reset: Any) -> dict[str, Any]:
    """A `store.budgets.Reset`."""
    return {
        "id": reset.seq,
        "user_id": reset.user_id,
        "key_id": reset.key_id,
        "budget_id": reset.budget_id,
        "previous_spend": usd(reset.previous_spend_nano),
        "reset_at": iso(reset.reset_at_ms),
        "next_reset_at": moment_text(reset.next_reset_at_ms),
    }


def price_record(row: Any) -> dict[str, Any]:
    """A `store.prices.PriceRow`; rates per million tokens, or each, in USD."""
    price = row.price
    return {
        "model_key": row.model_key,
        "effective_at": iso(row.effective_at_ms),
        "input_price_per_million": per_million(price.input),
        "output_price_per_million": per_million(price.output),
        "cache_read_price_per_million": per_million(price.cache_read),
        "cache_write_price_per_million": per_million(price.cache_write),
        "cache_write_1h_price_per_million": per_million(price.cache_write_1h),
        "reasoning_price_per_million": per_million(price.reasoning),
        "price_per_request": each(price.request_pico),
        "price_per_image": each(price.image_pico),
        "price_per_second": each(price.second_pico),
        "price_per_character": each(price.character_pico),
        "unit": price.unit,
        "pricing_tiers": [tier_record(tier) for tier in price.tiers],
        "origin": row.source,
        "created_at": iso(row.created_at_ms),
        "updated_at": iso(row.updated_at_ms),
    }


def tier_record(tier: Any) -> dict[str, Any]:
    """A `domain.price.Tier`."""
    rates = {f"{name}_price_per_million": per_million(rate) for name, rate in tier._asdict().items() if name in _TIERED}
    return {
        "min_input_tokens": tier.min_input_tokens,
        **{name: rate for name, rate in rates.items() if rate is not None},
    }


_TIERED = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")


def usage_record(row: Any) -> dict[str, Any]:
    """A `store.usage.UsageRow` as lists show it."""
    counted = row.input_tokens is not None or row.output_tokens is not None
    return {
        "id": row.id,
        "user_id": row.user_id,
        "api_key_id": row.key_id,
        "api_key_name": row.key_name,
        "timestamp": iso(row.created_at_ms),
        "model": row.model,
        "provider": row.provider,
        "endpoint": row.endpoint,
        "prompt_tokens": row.input_tokens,
        "completion_tokens": row.output_tokens,
        "total_tokens": (row.input_tokens or 0) + (row.output_tokens or 0) if counted else None,
        "cache_read_tokens": row.cache_read_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "cost": None if row.cost_nano is None else usd(row.cost_nano),
        "status": row.status,
        "status_code": row.http_status,
        "latency_ms": row.total_ms,
        "error_message": row.error,
        "usage_source": row.usage_source,
        "price_source": row.price_source,
        "cache_write_1h_tokens": row.cache_write_1h_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "counts_toward_budget": row.counts_toward_budget,
        "source": "gateway",
        "bulk_editable": False,
        **_NOT_TOLD_HERE,
    }


def bill_record(row: Any) -> dict[str, Any]:
    """A `store.usage.UsageRow` with everything that explains its cost; amounts in the integers that were added."""
    lines = row.lines
    pico = sum(line.amount_pico for line in lines)
    return {
        **usage_record(row),
        "request_id": row.request_id,
        "selector": row.selector,
        "stream": row.stream,
        "state": row.state,
        "attempt_position": row.attempt_position,
        "cache_write_1h_tokens": row.cache_write_1h_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "quantity": row.quantity,
        "lines": [line_record(line) for line in lines],
        "sum_pico_usd": pico if lines else None,
        "rounded_nano_usd": (pico + PICO_PER_NANO // 2) // PICO_PER_NANO if lines else None,
        "cost_nano_usd": row.cost_nano,
        "hold": usd(row.hold_nano),
        "hold_prompt": usd(row.hold_prompt_nano),
        "hold_estimated": row.hold_estimated,
        "over_hold": row.over_hold,
        "counts_toward_budget": row.counts_toward_budget,
        "usage_source": row.usage_source,
        "price_source": row.price_source,
        "tier_from_input_tokens": None if row.price is None else row.price.tier,
        "flags": [flag for flag in row.flags.split(",") if flag],
        "dropped": row.dropped.splitlines(),
        "settled_at": moment_text(row.settled_at_ms),
        "first_byte_ms": row.first_byte_ms,
    }


def line_record(line: Any) -> dict[str, Any]:
    """A `domain.money.Line`."""
    return {
        "meter": line.meter,
        "count": line.count,
        "rate_pico": line.rate_pico,
        "amount_pico": line.amount_pico,
    }


def total_record(total: Any) -> dict[str, Any]:
    """A `store.usage.UsageTotal`."""
    return {
        "name": total.name,
        "label": total.label,
        "requests": total.requests,
        "prompt_tokens": total.input_tokens,
        "completion_tokens": total.output_tokens,
        "cost": usd(total.cost_nano),
    }


def iso(at_ms: int) -> str:
    """Epoch milliseconds as ISO 8601 with the offset of UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def moment_text(at_ms: int | None) -> str | None:
    """A time that may be missing."""
    return None if at_ms is None else iso(at_ms)


def models(allowed: tuple[str, ...] | None) -> list[str] | None:
    """A list of allowed models; None = any."""
    return None if allowed is None else list(allowed)


def per_million(pico: int | None) -> Decimal | None:
    """Pico-USD per token as USD per million tokens."""
    return None if pico is None else Decimal(pico) / _PICO_PER_MILLION


def each(pico: int) -> Decimal | None:
    """Pico-USD per request, image, second or character as USD; None where nothing is charged by it."""
    return Decimal(pico) / _PICO_PER_USD if pico else None


def renamed(names: Mapping[str, str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts` under other names: those of the store instead of the API's."""
    return {names.get(name, name): value for name, value in facts.items()}
