"""Whole answers of Chat Completions ↔ canonical replies."""

import secrets
from collections.abc import Iterator
from typing import Any

from otari.dialects.losses import Drop, collector
from otari.dialects.openai_chat.assistant import read_assistant, write_answer
from otari.dialects.openai_chat.calls import call_text
from otari.dialects.openai_chat.unread import name_in_answer, name_in_choice
from otari.dialects.openai_errors import failure_in
from otari.dialects.openai_usage import name_lifetimes, usage_in, write_usage
from otari.dialects.tool_arguments import complete
from otari.domain.chat import Doc, Finish, Refusal, Reply, Text, Thinking, ToolCall, Usage
from otari.domain.errors import Kind, OtariError

# Besides OpenAI's own words: Together and Hugging Face (eos), Mistral (model_length), Z.ai (sensitive), and the words
# of Anthropic that some servers let through. A word that is not here means a plain end.
_READ_FINISH = {
    "stop": Finish.END,
    "eos": Finish.END,
    "eos_token": Finish.END,
    "end_turn": Finish.END,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_calls": Finish.TOOLS,
    "function_call": Finish.TOOLS,
    "tool_use": Finish.TOOLS,
    "content_filter": Finish.FILTER,
    "sensitive": Finish.FILTER,
}
_SAYS_MORE = frozenset(["model_context_window_exceeded"])  # than that an answer is too long
_WRITE_FINISH = {
    Finish.END: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOLS: "tool_calls",
    Finish.FILTER: "content_filter",
}


def read_finish(reason: Any, arguments: list[str]) -> Finish:
    """Why the model stopped, given the reason on the wire and the argument texts of all its tool calls.

    Many servers say "stop" (or nothing) after tool calls: a client that is told so stops working, so whole calls count
    more. Length and filter count more than calls. A reason of tools without any call would leave a client waiting.
    """
    finish = _READ_FINISH.get(reason, Finish.END) if isinstance(reason, str) else Finish.END
    if finish is Finish.TOOLS and not arguments:
        return Finish.END
    if finish in (Finish.END, Finish.STOP_SEQUENCE) and arguments and all(map(complete, arguments)):
        return Finish.TOOLS
    return finish


def write_finish(finish: Finish) -> str:
    """The `finish_reason` of a choice."""
    return _WRITE_FINISH[finish]


def new_reply_id() -> str:
    """An id for an answer that came without one."""
    return f"chatcmpl-{secrets.token_hex(12)}"


def new_call_id() -> str:
    """An id for a tool call that came without one."""
    return f"call_{secrets.token_hex(12)}"


def read_created(created: Any) -> int | None:
    """Seconds since the epoch; some servers send a fraction, a text or nothing."""
    if isinstance(created, int | float) and not isinstance(created, bool) and 0 < created < 2**53:
        return int(created)
    return None


def read_tier(doc: Doc) -> str | None:
    """The service tier that an answer or a chunk tells."""
    tier = doc.get("service_tier")
    return tier if isinstance(tier, str) and tier else None


def name_reason(reason: Any, drop: Drop) -> None:
    """Name a finish reason that says more than the canonical one."""
    if isinstance(reason, str) and reason and (reason not in _READ_FINISH or reason in _SAYS_MORE):
        drop(f"finish_reason {reason}")


def read_reply(doc: Doc, dropped: list[str] | None = None) -> Reply:
    """The answer in a response body: its first choice. `dropped` gets the names of what nobody reads.

    Raises OtariError(UPSTREAM) when the body holds an error or no answer at all.
    """
    drop = collector(dropped)
    failure = failure_in(doc)
    if failure is not None:
        raise OtariError(Kind.UPSTREAM, "The provider failed.", detail=failure[0], retryable=True)
    choice = _first_choice(doc)
    if choice is None:
        message = "The provider sent an answer without choices."
        raise OtariError(Kind.UPSTREAM, message, retryable=True)
    message_doc = choice.get("message")
    parts = read_assistant(message_doc if isinstance(message_doc, dict) else {}, new_call_id, drop)
    name_in_answer(doc, drop)
    name_in_choice(choice, drop)
    name_reason(choice.get("finish_reason"), drop)
    if len(doc["choices"]) > 1:
        drop("choices")
    calls = [part.arguments for part in parts if isinstance(part, ToolCall)]
    reply_id, model = doc.get("id"), doc.get("model")
    return Reply(
        id=reply_id if isinstance(reply_id, str) and reply_id else new_reply_id(),
        model=model if isinstance(model, str) else "",
        parts=tuple(parts),
        finish=read_finish(choice.get("finish_reason"), calls),
        usage=usage_in(doc) or Usage(),
        created=read_created(doc.get("created")),
        service_tier=read_tier(doc),
    )


def write_reply(reply: Reply, now_s: float, freeform: frozenset[str], drop: Drop) -> Doc:
    """The response body; `now_s` stands in for a time of creation that nobody told (the wire requires one).

    `freeform` are the client's tools that take plain text: their calls take that form.
    """
    if reply.stop_sequence is not None:
        drop("stop_sequence")
    choice = {
        "index": 0,
        "message": write_answer(reply.parts, freeform, drop),
        "logprobs": None,
        "finish_reason": write_finish(reply.finish),
    }
    doc: Doc = {
        "id": reply.id,
        "object": "chat.completion",
        "created": int(now_s) if reply.created is None else reply.created,
        "model": reply.model,
        "choices": [choice],
    }
    if reply.service_tier is not None:
        doc["service_tier"] = reply.service_tier
    usage = write_usage(reply.usage)
    if usage is not None:
        doc["usage"] = usage
        name_lifetimes(reply.usage, drop)
    return doc


def text_in(doc: Doc) -> str:
    """All text that the model wrote in a whole answer or a chunk: every choice, thinking and tool calls included."""
    choices = doc.get("choices")
    written: list[str] = []
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            message = choice.get("message") or choice.get("delta")
            if isinstance(message, dict):
                written += _texts(message)
    return "".join(written)


def _texts(message: Doc) -> Iterator[str]:
    calls, legacy = message.get("tool_calls"), message.get("function_call")
    for part in read_assistant({**message, "tool_calls": None, "function_call": None}, str):
        match part:
            case Text(text) | Thinking(text) | Refusal(text):
                yield text
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            yield call_text(call)
    yield call_text({"function": legacy})


def _first_choice(doc: Doc) -> Doc | None:
    choices = doc.get("choices")
    found = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    return next((choice for choice in found if choice.get("index") in (0, None)), found[0] if found else None)
