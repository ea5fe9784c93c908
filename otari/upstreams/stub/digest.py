"""What a request asks, as one short word: the same for the same conversation, whatever wire it came on.

System texts, messages, tools, the form of the answer and sampling count. What the wires tell differently, or what is
different in every run, does not: models, limits, metadata, thinking, ids of calls, and what `normal.FORMS` names.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from otari.domain.chat import (
    ChatRequest,
    Doc,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from otari.upstreams.stub.normal import FORMS, normalized

DIGITS = 16


def digest_of(request: ChatRequest, forms: Iterable[str] = FORMS) -> str:
    """The digest of a request, 16 hexadecimal digits."""
    asked = asked_of(request, tuple(forms))
    return hashlib.blake2b(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS), digest_size=DIGITS // 2).hexdigest()


def asked_of(request: ChatRequest, forms: tuple[str, ...] = tuple(FORMS)) -> Doc:
    """What counts of a request, as plain values: what two requests with different digests are compared by."""
    system = "\n".join(_words(turn.parts) for turn in request.turns if turn.role in ("system", "developer"))
    sampling = request.sampling
    drawn = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "stop": list(sampling.stop) or None,
    }
    asked: Doc = _normal(
        {
            "system": system,
            "messages": list(_messages(request.turns)),
            "tools": dict(map(_tool, request.tools)),
            "schema": request.shape.schema if request.shape else None,
            "sampling": {name: value for name, value in drawn.items() if value is not None},
            **_rest(request),
        },
        forms,
    )
    return asked


def _rest(request: ChatRequest) -> Doc:
    """What a request without a conversation asks: all but its model."""
    if request.turns:
        return {}
    return {name: value for name, value in request.extras.items() if name not in ("model", "stream")}


def tools_of(request: ChatRequest) -> Doc:
    """The tools alone, as in `asked_of`."""
    return dict(map(_tool, request.tools))


def _messages(turns: Iterable[Turn]) -> Iterator[Doc]:
    """The messages; what one side says in several neighbouring ones is one, since not every wire keeps them apart."""
    calls: dict[str, int] = {}
    role, parts = "", list[Any]()
    for turn in turns:
        if turn.role in ("system", "developer"):
            continue
        if turn.role != role and parts:
            yield {"role": role, "content": parts}
            parts = []
        role = turn.role
        for part in turn.parts:
            _add(parts, _part(part, calls))
    if parts:
        yield {"role": role, "content": parts}


def _add(parts: list[Any], part: Any) -> None:
    """Append a part; texts that follow each other are one."""
    if part is None:
        return
    if isinstance(part, str) and parts and isinstance(parts[-1], str):
        parts[-1] += "\n" + part
    else:
        parts.append(part)


def _part(part: Part, calls: dict[str, int]) -> Any:
    """A part as plain values. Calls are named by their number in the conversation."""
    match part:
        case Text(text) | Refusal(text):
            return text or None
        case ToolCall():
            number = calls.setdefault(part.id, len(calls))
            return {"call": number, "name": part.name, "arguments": _arguments(part.arguments)}
        case ToolResult():
            number = calls.setdefault(part.call_id, len(calls))
            content = [told for inner in part.parts if (told := _part(inner, calls)) is not None]
            return {"result": number, "content": content}
        case Thinking():
            return None
        case Image():
            return {"image": part.data or part.url or part.file_id}
        case Document():
            return {"file": part.data or part.url or part.text or part.file_id}
        case Opaque():
            return {part.dialect: part.doc}
    return {"audio": part.data}


def _arguments(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _tool(tool: Tool | Opaque) -> tuple[str, Any]:
    if isinstance(tool, Tool):
        return tool.name, {"description": tool.description or "", "parameters": tool.parameters or {}}
    return str(tool.doc.get("name") or tool.doc.get("type") or ""), tool.doc


def _words(parts: Iterable[Part]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def _normal(value: Any, forms: tuple[str, ...]) -> Any:
    match value:
        case str():
            return normalized(value, forms)
        case float() if value.is_integer():
            return int(value)  # some wires write 1 where others write 1.0
        case list():
            return [_normal(item, forms) for item in value]
        case dict():
            return {key: _normal(item, forms) for key, item in value.items()}
    return value
