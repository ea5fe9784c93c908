"""What an answer of Messages says and nobody reads, by name."""

from typing import Any

from otari.dialects.losses import Drop, name_unread
from otari.domain.chat import Doc

_MESSAGE = frozenset(
    [
        *("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage", "error"),
        "request_id",
    ]
)
_USAGE = (
    *("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"),
    *("output_tokens_details", "service_tier"),
)
# Reasons that mean no more than the canonical ones. The others ask a client for something that no other wire knows.
_PLAIN_REASONS = frozenset(["end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal"])
_TIERS = {"standard": "default", "priority": "priority"}  # Anthropic's words for OpenAI's


def name_in_message(message: Doc, drop: Drop) -> None:
    """Name what stands around the blocks of a message, in a whole one or in the events that begin and end it."""
    name_unread(message, _MESSAGE, drop)
    name_unread(message.get("stop_details"), ("type", "explanation"), drop, "stop_details.")
    reason = message.get("stop_reason")
    if isinstance(reason, str) and reason not in _PLAIN_REASONS:
        drop(f"stop_reason {reason}")


def name_in_usage(usage: Any, drop: Drop) -> None:
    """Name the counts that have no canonical form."""
    name_unread(usage, _USAGE, drop, "usage.")
    if isinstance(usage, dict):
        name_unread(usage.get("output_tokens_details"), ("thinking_tokens",), drop, "usage.")
        if usage.get("service_tier") and read_tier(usage) is None:
            drop("usage.service_tier")


def read_tier(usage: Any) -> str | None:
    """The service tier that a usage object tells, in the canonical words."""
    told = usage.get("service_tier") if isinstance(usage, dict) else None
    return _TIERS.get(told) if isinstance(told, str) else None


def write_tier(tier: str | None, usage: Doc, drop: Drop) -> None:
    """Put a service tier into a usage object; name one that this wire has no word for."""
    words = {canonical: word for word, canonical in _TIERS.items()}
    if tier in words:
        usage["service_tier"] = words[tier]
    elif tier is not None:
        drop("service_tier")
