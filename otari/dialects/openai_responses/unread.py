"""What an answer of Responses says and nobody reads, by name."""

from typing import Any

from otari.dialects.losses import Drop, name_unread
from otari.domain.chat import Doc

# What an answer repeats of the request (`response.echo_of`) says nothing new.
_RESPONSE = frozenset(
    [
        *("id", "object", "created_at", "completed_at", "model", "status", "error", "incomplete_details", "output"),
        *("output_text", "usage", "service_tier"),
        *("access_programs", "background", "conversation", "frequency_penalty", "image", "include"),
        *("input_transformations", "instructions", "max_output_tokens", "max_tool_calls", "metadata"),
        *("parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "store", "temperature"),
        *("text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
    ]
)
_USAGE = ("input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details")
_OF_INPUT = ("cached_tokens", "cache_write_tokens")
_OF_OUTPUT = ("reasoning_tokens",)
_REASONS = (None, "max_output_tokens", "content_filter")


def name_in_response(response: Doc, drop: Drop) -> None:
    """Name what stands around the items of a finished answer."""
    name_unread(response, _RESPONSE, drop)
    details = response.get("incomplete_details")
    if isinstance(details, dict) and details.get("reason") not in _REASONS:
        drop(f"incomplete_details {details['reason']}")
    usage = response.get("usage")
    if isinstance(usage, dict):
        name_unread(usage, _USAGE, drop, "usage.")
        name_unread(usage.get("input_tokens_details"), _OF_INPUT, drop, "usage.")
        name_unread(usage.get("output_tokens_details"), _OF_OUTPUT, drop, "usage.")


def name_logprobs(item: Any, drop: Drop) -> None:
    """Name the log probabilities of a message's texts: they are asked for by nobody but clients of this dialect."""
    content = item.get("content") if isinstance(item, dict) else None
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("logprobs"):
            drop("logprobs")
