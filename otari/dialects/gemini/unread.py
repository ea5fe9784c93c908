"""What an answer of generateContent says and nobody reads, by name."""

from typing import Any

from otari.dialects.losses import Drop, name_unread
from otari.domain.chat import Doc

# Sets, because every frame of a stream is asked.
_ANSWER = frozenset(
    ["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "createTime", "error"]
)
_FEEDBACK = ("blockReason", "blockReasonMessage", "safetyRatings")
# The mean log probability comes with every answer, whether anybody asks for it or not.
_CANDIDATE = frozenset(
    ["content", "finishReason", "finishMessage", "index", "safetyRatings", "tokenCount", "avgLogprobs"]
)
_CONTENT = frozenset(["parts", "role"])
_USAGE = (
    *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount"),
    *("toolUsePromptTokenCount", "totalTokenCount"),
)
_BY_KIND = ("promptTokensDetails", "candidatesTokensDetails", "cacheTokensDetails", "toolUsePromptTokensDetails")
# Reasons that mean no more than the canonical ones.
_PLAIN_REASONS = frozenset(["STOP", "MAX_TOKENS", "SAFETY", "FINISH_REASON_UNSPECIFIED", ""])
_HARMLESS = ("NEGLIGIBLE", "HARM_PROBABILITY_UNSPECIFIED", None)


def name_in_answer(doc: Doc, drop: Drop) -> None:
    """Name what stands around the candidates, but for the counts."""
    if not doc.keys() <= _ANSWER:
        name_unread(doc, _ANSWER, drop)
    candidates = doc.get("candidates")
    if isinstance(candidates, list) and len(candidates) > 1:
        drop("candidates")
    feedback = doc.get("promptFeedback")
    if isinstance(feedback, dict):
        name_unread(feedback, _FEEDBACK, drop, "promptFeedback.")
        _name_ratings(feedback, drop)


def name_in_usage(usage: Doc, drop: Drop) -> None:
    """Name the counts that have no canonical form."""
    name_unread(usage, (*_USAGE, *_BY_KIND), drop, "usage.")
    for key in _BY_KIND:
        if _holds_media(usage.get(key)):
            drop(f"usage.{key}")


def name_in_candidate(candidate: Doc, reason: Any, drop: Drop) -> None:
    """Name what stands around the parts of a candidate; `reason` is why it ends, if it does."""
    if not candidate.keys() <= _CANDIDATE:
        name_unread(candidate, _CANDIDATE, drop)
    content = candidate.get("content")
    if isinstance(content, dict) and not content.keys() <= _CONTENT:
        name_unread(content, _CONTENT, drop)
    if "safetyRatings" in candidate:
        _name_ratings(candidate, drop)
    if isinstance(reason, str) and reason not in _PLAIN_REASONS:
        drop(f"finishReason {reason}")


def _name_ratings(doc: Doc, drop: Drop) -> None:
    """Ratings by which nothing is harmful say nothing."""
    ratings = doc.get("safetyRatings")
    for rating in ratings if isinstance(ratings, list) else ():
        if isinstance(rating, dict) and (rating.get("probability") not in _HARMLESS or rating.get("blocked")):
            drop("safetyRatings")


def _holds_media(details: Any) -> bool:
    """Whether tokens are counted by kinds, and others than text are among them."""
    entries = details if isinstance(details, list) else []
    return any(isinstance(entry, dict) and entry.get("modality") != "TEXT" for entry in entries)
