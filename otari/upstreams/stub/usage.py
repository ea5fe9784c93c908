"""Token numbers of a scripted answer: given ones as they are, all others counted from the texts."""

from collections.abc import Iterable, Iterator

import orjson

from otari.domain.chat import (
    ChatRequest,
    Document,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from otari.domain.tokens import Counter
from otari.upstreams.stub.rules import Tokens


def usage_of(given: Tokens, request: ChatRequest, answer: Iterable[Part], counter: Counter) -> Usage:
    """The usage of an answer. Media (images, sound, files that are not text) are not counted."""
    parts = tuple(answer)
    reasoning = given.reasoning
    if reasoning is None:
        reasoning = _count((p.text for p in parts if isinstance(p, Thinking)), counter)
    read, written = given.input, given.output
    if read is None:
        read = max(_count(_prompt_texts(request), counter), given.cached or 0)
    if written is None:
        written = max(_count(_texts(parts), counter), reasoning)
    return Usage(
        input=read,
        output=written,
        cache_read=given.cached,
        reasoning=min(reasoning, written) or given.reasoning,
    )


def _count(texts: Iterable[str], counter: Counter) -> int:
    return sum(counter.count(text) for text in texts)


def _prompt_texts(request: ChatRequest) -> Iterator[str]:
    for turn in request.turns:
        yield from _texts(turn.parts)
    for tool in request.tools:
        if isinstance(tool, Tool):
            yield tool.name
            yield tool.description or ""
            yield _json(tool.parameters or {})
        else:
            yield _json(tool.doc)


def _texts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        match part:
            case Text() | Thinking() | Refusal():
                yield part.text
            case ToolCall():
                yield part.name
                yield part.arguments
            case ToolResult():
                yield from _texts(part.parts)
            case Document():
                yield part.text or ""


def _json(doc: object) -> str:
    try:
        return orjson.dumps(doc).decode()
    except orjson.JSONEncodeError:
        return ""  # nested too deeply for any wire; it does not go anywhere
