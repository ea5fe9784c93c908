"""Whole answers of Responses ↔ canonical replies."""

from typing import Any

from otari.dialects.losses import collector
from otari.dialects.openai_chat.reply import read_created, read_tier
from otari.dialects.openai_responses.errors import failure_of
from otari.dialects.openai_responses.items import read_item, said, write_items
from otari.dialects.openai_responses.response import echo_of, head_of, item_id, response_doc, response_id, status_of
from otari.dialects.openai_responses.tools import natives_of, read_tools
from otari.dialects.openai_responses.unread import name_in_response, name_logprobs
from otari.dialects.openai_responses.usage import read_usage, write_usage
from otari.dialects.openai_usage import name_lifetimes
from otari.dialects.tool_arguments import complete
from otari.domain.chat import Doc, Finish, Part, Refusal, Reply, ToolCall, Usage
from otari.domain.errors import Kind, OtariError

_ENDED = ("completed", "incomplete", None)


def read_finish(response: Doc, arguments: list[str], *, refused: bool) -> Finish:
    """Why the model stopped, given the response and the argument texts of all its calls.

    The wire has no word for "tools": a completed answer with whole calls means it.
    """
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if response.get("status") == "incomplete" or reason:
        return Finish.FILTER if reason == "content_filter" else Finish.LENGTH
    if arguments and all(map(complete, arguments)):
        return Finish.TOOLS
    return Finish.FILTER if refused else Finish.END


def read_reply(doc: Doc, dropped: list[str] | None = None) -> Reply:
    """The answer in a response body. `dropped` gets the names of what nobody reads.

    Raises OtariError(UPSTREAM) when the body holds an error, no answer at all, or one that is not finished.
    """
    status = doc.get("status")
    if doc.get("error") or status in ("failed", "cancelled"):
        raise OtariError(Kind.UPSTREAM, "The provider failed.", detail=failure_of(doc)[0], retryable=True)
    output = doc.get("output")
    if not isinstance(output, list):
        raise OtariError(Kind.UPSTREAM, "The provider sent an answer without output.", retryable=True)
    if status not in _ENDED:
        raise OtariError(Kind.UPSTREAM, "The provider sent an answer that is not finished.", retryable=True)
    drop = collector(dropped)
    parts = [part for item in output if isinstance(item, dict) for part in read_item(item, drop)]
    name_in_response(doc, drop)
    for item in output:
        name_logprobs(item, drop)
    reply_id, model = doc.get("id"), doc.get("model")
    return Reply(
        id=response_id(reply_id if isinstance(reply_id, str) else ""),
        model=model if isinstance(model, str) else "",
        parts=tuple(parts),
        finish=finish_of(doc, parts),
        usage=read_usage(doc.get("usage")) or Usage(),
        created=read_created(doc.get("created_at")),
        service_tier=read_tier(doc),
    )


def finish_of(response: Doc, parts: list[Part]) -> Finish:
    """Why the model stopped, given all parts of its answer."""
    calls = [part.arguments for part in parts if isinstance(part, ToolCall)]
    return read_finish(response, calls, refused=any(isinstance(part, Refusal) for part in parts))


def write_reply(reply: Reply, now_s: float, request_doc: Doc | None, dropped: list[str] | None) -> Doc:
    """The response body; `now_s` stands in for a time of creation that nobody told (the wire requires one).

    `request_doc` is the client's own request: calls take the form of the tools it offered, and the answer repeats what
    it asked for.
    """
    drop = collector(dropped)
    if reply.stop_sequence is not None:
        drop("stop_sequence")
    head = head_of(reply.id, reply.model, int(now_s) if reply.created is None else reply.created)
    natives = natives_of(read_tools(request_doc or {}))
    output = write_items(reply.parts, natives, drop)
    for number, item in enumerate(output):
        finish_item(item, head["id"], number)
    echo = echo_of(request_doc)
    name_lifetimes(reply.usage, drop)
    if reply.service_tier is not None:
        echo["service_tier"] = reply.service_tier
    return response_doc(head, echo, **status_of(reply.finish), output=output, usage=write_usage(reply.usage))


def finish_item(item: Doc, response: str, number: int) -> None:
    """Give a written item what every item of an answer has; items that came whole from a provider have theirs."""
    item.setdefault("id", item_id(item["type"], response, number))
    if item["type"] == "message":
        item.setdefault("status", "completed")


def text_in(doc: Doc) -> str:
    """All text that the model wrote in a whole answer, thinking and tool calls included."""
    output: Any = doc.get("output")
    return "".join(map(said, output)) if isinstance(output, list) else ""
