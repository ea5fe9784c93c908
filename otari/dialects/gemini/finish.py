"""Why a model stopped: `finishReason` and `promptFeedback` ↔ canonical finishes."""

from collections.abc import Iterable
from typing import Any

from otari.dialects.tool_arguments import complete
from otari.domain.chat import Doc, Finish

# A word that is not here means a plain end. MAX_TOKENS also stands for a full context.
_READ = {"STOP": Finish.END, "MAX_TOKENS": Finish.LENGTH, "CONTINUATION": Finish.LENGTH} | dict.fromkeys(
    [
        *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "JAILBREAK", "MODEL_ARMOR"),
        *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "ESCALATION"),
    ],
    Finish.FILTER,
)
BROKEN = frozenset(
    [
        *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
        *("MALFORMED_RESPONSE", "PUP_LIMITED_DISABLED"),
    ]
)
_WRITE = {
    Finish.END: "STOP",
    Finish.STOP_SEQUENCE: "STOP",
    Finish.TOOLS: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.FILTER: "SAFETY",
}


def read_finish(reason: str | None, arguments: Iterable[str]) -> Finish:
    """Why the model stopped, given the reason on the wire and the argument texts of all its tool calls.

    The wire has no word for "tools": whole calls mean it. Length and filter count more than calls.
    """
    finish = _READ.get(reason or "", Finish.END)
    told = list(arguments)
    return Finish.TOOLS if finish is Finish.END and told and all(map(complete, told)) else finish


def write_ending(finish: Finish, refusal: str) -> Doc:
    """The reason and what belongs to it. The words of a refusal make any ending one."""
    if refusal:
        return {"finishReason": _WRITE[Finish.FILTER], "finishMessage": refusal}
    return {"finishReason": _WRITE[finish]}


def reason_of(candidate: Doc) -> str | None:
    """The finish reason of a candidate; None when it goes on."""
    reason = candidate.get("finishReason")
    return reason if isinstance(reason, str) and reason not in ("", "FINISH_REASON_UNSPECIFIED") else None


def failure_of(candidate: Doc) -> tuple[str, str] | None:
    """Message and code when the model broke off in this candidate; None when it did not."""
    reason = reason_of(candidate)
    if reason not in BROKEN:
        return None
    return _words(candidate.get("finishMessage")) or f"The model broke off: {reason}.", str(reason)


def refusal_of(candidate: Doc) -> str:
    """The words of a refusal; "" when there are none."""
    refused = _READ.get(reason_of(candidate) or "") is Finish.FILTER
    return _words(candidate.get("finishMessage")) if refused else ""


def block_of(doc: Doc) -> str | None:
    """The words for a prompt that was refused, "" when there are none; None when it was not."""
    feedback = doc.get("promptFeedback")
    if not isinstance(feedback, dict) or not isinstance(feedback.get("blockReason"), str):
        return None
    return _words(feedback.get("blockReasonMessage"))


def candidate_of(doc: Doc) -> Doc | None:
    """The candidate of a frame or a whole answer: a canonical answer is one answer, so only the first counts."""
    candidates = doc.get("candidates")
    for candidate in candidates if isinstance(candidates, list) else ():
        if isinstance(candidate, dict) and candidate.get("index") in (0, None):
            return candidate
    return None


def parts_of(candidate: Doc) -> list[Doc]:
    """The parts of a candidate that are objects."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _words(told: Any) -> str:
    return told if isinstance(told, str) else ""
