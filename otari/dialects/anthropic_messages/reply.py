"""Whole answers of Messages ↔ canonical replies, and the reasons for which a model stops."""

import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from otari.dialects.anthropic_messages.blocks import read_content
from otari.dialects.anthropic_messages.content import write_answer
from otari.dialects.anthropic_messages.errors import failure_in
from otari.dialects.anthropic_messages.unread import name_in_message, name_in_usage, read_tier, write_tier
from otari.dialects.anthropic_messages.usage import read_usage, write_usage
from otari.dialects.losses import collector
from otari.dialects.tool_arguments import complete
from otari.domain.chat import Doc, Finish, Refusal, Reply, ToolCall, Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.tokens import approximate

# `pause_turn` has no canonical form: the provider stopped in the middle of its own tools and wants to be asked again,
# which only a client of this dialect does. A word that is not here means a plain end.
_READ_FINISH = {
    "end_turn": Finish.END,
    "pause_turn": Finish.END,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "compaction": Finish.LENGTH,
    "tool_use": Finish.TOOLS,
    "refusal": Finish.FILTER,
}
_WRITE_FINISH = {
    Finish.END: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOLS: "tool_use",
    Finish.FILTER: "refusal",
}


def read_finish(reason: Any, arguments: Iterable[str]) -> Finish:
    """Why the model stopped, given the reason on the wire and the argument texts of all its tool calls.

    A client that is told of a plain end after tool calls stops working, so whole calls count more; length and refusal
    count more than calls. A reason of tools without any call would leave a client waiting.
    """
    finish = _READ_FINISH.get(reason, Finish.END) if isinstance(reason, str) else Finish.END
    told = list(arguments)
    if finish is Finish.TOOLS and not told:
        return Finish.END
    if finish in (Finish.END, Finish.STOP_SEQUENCE) and told and all(map(complete, told)):
        return Finish.TOOLS
    return finish


def write_ending(finish: Finish, stop_sequence: str | None, refusal: str) -> Doc:
    """`stop_reason` and what belongs to it. The words of a refusal make any ending one."""
    reason = "refusal" if refusal else _WRITE_FINISH[finish]
    ending: Doc = {"stop_reason": reason, "stop_sequence": stop_sequence if reason == "stop_sequence" else None}
    if refusal:
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": refusal}
    return ending


def read_refusal(ending: Doc) -> str:
    """The words of a refusal; "" when there are none."""
    match ending.get("stop_details"):
        case {"explanation": str(words)}:
            return words
    return ""


def new_reply_id() -> str:
    """An id for an answer that came without one."""
    return f"msg_{secrets.token_hex(12)}"


def new_call_id() -> str:
    """An id for a tool call that came without one."""
    return f"toolu_{secrets.token_hex(12)}"


def read_reply(doc: Doc, dropped: list[str] | None = None) -> Reply:
    """The answer in a response body. `dropped` gets the names of what nobody reads.

    Raises OtariError(UPSTREAM) when the body holds an error or no answer at all.
    """
    failure = failure_in(doc, str(doc.get("type")))
    if failure is None and doc.get("stop_reason") == "error":
        failure = "stop_reason is error", None
    if failure is not None:
        raise OtariError(Kind.UPSTREAM, "The provider failed.", detail=failure[0], retryable=True)
    content = doc.get("content")
    if not isinstance(content, list | str):
        raise OtariError(Kind.UPSTREAM, "The provider sent an answer without content.", retryable=True)
    parts = read_content(list(map(_with_id, content)) if isinstance(content, list) else content)
    drop = collector(dropped)
    name_in_message(doc, drop)
    name_in_usage(doc.get("usage"), drop)
    if words := read_refusal(doc):
        parts.append(Refusal(words))
    calls = [part.arguments for part in parts if isinstance(part, ToolCall)]
    reply_id, model, stop_sequence = doc.get("id"), doc.get("model"), doc.get("stop_sequence")
    finish = read_finish(doc.get("stop_reason"), calls)
    return Reply(
        id=reply_id if isinstance(reply_id, str) and reply_id else new_reply_id(),
        model=model if isinstance(model, str) else "",
        parts=tuple(parts),
        finish=finish,
        usage=read_usage(doc.get("usage")) or Usage(),
        stop_sequence=stop_sequence if isinstance(stop_sequence, str) else None,
        service_tier=read_tier(doc.get("usage")),
    )


def _with_id(block: Any) -> Any:
    if isinstance(block, dict) and block.get("type") == "tool_use":
        block = {"name": ""} | block
        if not isinstance(block.get("id"), str) or not block["id"]:
            block["id"] = new_call_id()
    return block


def write_reply(reply: Reply, dropped: list[str] | None = None) -> Doc:
    """The response body. The wire demands both token counts: an output that nobody counted is estimated from its
    length, an input is 0 when `reply.usage` does not tell it."""
    drop = collector(dropped)
    refusal = "".join(part.text for part in reply.parts if isinstance(part, Refusal))
    doc: Doc = {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": write_answer(reply.parts, drop),
        **write_ending(reply.finish, reply.stop_sequence, refusal),
    }
    usage = write_usage(reply.usage)
    usage.setdefault("input_tokens", 0)
    if "output_tokens" not in usage:
        usage["output_tokens"] = approximate(text_in(doc))
    write_tier(reply.service_tier, usage, drop)
    return doc | {"usage": usage}


def text_in(doc: Doc) -> str:
    """All text that an answer holds: texts, thinking, refusals, the names and arguments of tool calls."""
    content = doc.get("content")
    if isinstance(content, str):
        return content
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return "\n".join([*(text for block in blocks for text in _texts(block)), read_refusal(doc)]).strip("\n")


def _texts(block: Doc) -> Iterator[str]:
    for key in ("text", "thinking", "name"):
        value = block.get(key)
        if isinstance(value, str):
            yield value
    if block.get("input"):
        yield orjson.dumps(block["input"]).decode()
