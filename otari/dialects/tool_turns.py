"""Tool calls and their results put in the order that strict wires demand.

Anthropic, Gemini, Bedrock and the chat templates of many local servers refuse a conversation in which a call has no
result, a result has no call, or anything stands between the two. Clients produce all of that: a user interrupts, a
history is trimmed, results come back out of order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from otari.dialects.losses import Drop
from otari.domain.chat import Part, Text, ToolCall, ToolResult, Turn

INTERRUPTED = "Tool execution was interrupted; no result."


def mend(turns: tuple[Turn, ...], drop: Drop) -> tuple[Turn, ...]:
    """The same conversation in that order; that it had another one is told to `drop`."""
    whole = mended(turns)
    if whole != turns:
        drop("tool turns mended")
    return whole


def mended(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The same conversation with each turn of calls followed directly by one user turn that begins with its results.

    Results come in the order of the calls; of two results for one call the later counts. A call without a result gets
    one that says so and has failed. A result without a call becomes text, so that nothing is lost. Results before
    other parts of the same user turn; turns without calls and results stay as they are.
    """
    out: list[Turn] = []
    span: list[Turn] = []
    calls: list[ToolCall] = []
    for turn in turns:
        if turn.role == "assistant":
            out += _answered(calls, span)
            span, calls = [], [part for part in turn.parts if isinstance(part, ToolCall)]
            out.append(turn)
        else:
            span.append(turn)
    out += _answered(calls, span)
    return tuple(out)


def _answered(calls: list[ToolCall], span: list[Turn]) -> Iterator[Turn]:
    """The turns up to the next assistant turn, with the results of `calls` first."""
    wanted = {call.id for call in calls}
    found: dict[str, ToolResult] = {}
    host: int | None = None  # the turn that the results came in keeps them, moved to the front
    for index, turn in enumerate(span):
        for part in turn.parts:
            if isinstance(part, ToolResult) and part.call_id in wanted:
                found[part.call_id] = part
                host = index if host is None else host
    results: tuple[Part, ...] = tuple(found.get(call.id) or _missing(call) for call in calls)
    if results:
        rest = tuple(_without_results(span[host], wanted)) if host is not None else ()
        yield Turn("user", results + rest, span[host].name if host is not None else None)
    for index, turn in enumerate(span):
        parts = tuple(_without_results(turn, wanted))
        if index != host and (parts or not turn.parts):
            yield replace(turn, parts=parts)


def _missing(call: ToolCall) -> ToolResult:
    return ToolResult(call.id, (Text(INTERRUPTED),), failed=True)


def _without_results(turn: Turn, wanted: set[str]) -> Iterator[Part]:
    """The other parts of a turn; results that answer no call as text."""
    for part in turn.parts:
        if not isinstance(part, ToolResult):
            yield part
        elif part.call_id not in wanted:
            told = f"[tool result {part.call_id}]"
            texts = [inner.text for inner in part.parts if isinstance(inner, Text)]
            yield Text(" ".join([told, *texts]))
            yield from (inner for inner in part.parts if not isinstance(inner, Text))
