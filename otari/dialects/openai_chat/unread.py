"""What an answer of Chat Completions says and nobody reads, by name."""

from typing import Any

from otari.dialects.losses import Drop, name_unread
from otari.domain.chat import Doc

# Beside what is read: the padding of OpenAI's streams, Groq's other place for usage, OpenRouter's mirror of the reason,
# and the name of a build of the provider's servers, which stands in every answer and says nothing elsewhere.
_ANSWER = (
    *("id", "object", "created", "model", "choices", "usage", "service_tier", "error", "obfuscation", "x_groq"),
    "system_fingerprint",
)
_CHOICE = ("index", "message", "delta", "finish_reason", "usage", "native_finish_reason")
_USAGE = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
    *("prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "cached_tokens", "cache_creation_input_tokens"),
)
_OF_PROMPT = ("cached_tokens", "cache_write_tokens", "cache_creation_input_tokens", "text_tokens")
_OF_COMPLETION = ("reasoning_tokens", "text_tokens")


def name_in_answer(doc: Doc, drop: Drop) -> None:
    """Name what stands around the choices of a whole answer or a chunk."""
    name_unread(doc, _ANSWER, drop)
    usage = doc.get("usage")
    if isinstance(usage, dict):
        name_unread(usage, _USAGE, drop, "usage.")
        name_unread(usage.get("prompt_tokens_details"), _OF_PROMPT, drop, "usage.")
        name_unread(usage.get("completion_tokens_details"), _OF_COMPLETION, drop, "usage.")


def name_in_choice(choice: Doc, drop: Drop) -> None:
    """Name what stands around the message of a choice."""
    name_unread(choice, _CHOICE, drop)


def thinks_more(details: Any) -> bool:
    """Whether OpenRouter's `reasoning_details` hold more than the text that is read of them."""
    entries = details if isinstance(details, list) else []
    return any(isinstance(entry, dict) and (entry.get("data") or entry.get("signature")) for entry in entries)
