"""Tools and the choice among them, and the limit on cache marks.

A tool that holds more than a canonical one keeps itself in `Tool.native`; the `extras` of its request name what that
is, so that dialects which drop it can say so: `tools.<key>`, with the names of the tools.
"""

from collections.abc import Iterator
from typing import Any

from otari.dialects.anthropic_messages.blocks import NAME
from otari.dialects.anthropic_messages.client_tools import client_tool
from otari.dialects.anthropic_messages.shape import enforceable
from otari.dialects.anthropic_messages.thinking import decides_itself
from otari.dialects.anthropic_messages.turns import called_tools
from otari.dialects.losses import Drop
from otari.dialects.tool_arguments import foreign_kind
from otari.domain.chat import ChatRequest, Doc, Opaque, Tool, ToolChoice

TOOL_KEYS = "tools."
MAX_MARKS = 4
_KNOWN = frozenset(["name", "description", "input_schema", "strict", "cache_control"])
_EMPTY: Doc = {"type": "object", "properties": {}}


# ---- reading -------------------------------------------------------------------------------------------------------


def read_tools(doc: Doc) -> tuple[tuple[Tool | Opaque, ...], Doc]:
    """The tools of a request, and `extras` that name what they hold beyond canonical tools."""
    tools: list[Tool | Opaque] = []
    extras: Doc = {}
    for entry in doc.get("tools") or ():
        tool = _read_tool(own_shape(entry))
        tools.append(tool)
        if isinstance(tool, Tool) and tool.native is not None:
            for key, value in tool.native.doc.items():
                if key not in _KNOWN and key != "type" and value is not None:
                    extras.setdefault(TOOL_KEYS + key, []).append(tool.name)
    return tuple(tools), extras


def own_shape(entry: Doc) -> Doc:
    """A function in the shape of Chat Completions, which some clients send here too, as a tool of this wire."""
    function = entry.get("function")
    if entry.get("type") != "function" or not isinstance(function, dict):
        return entry
    tool: Doc = {"name": function.get("name"), "description": function.get("description")}
    tool = {key: value for key, value in tool.items() if value is not None}
    return tool | {"input_schema": function.get("parameters") or _EMPTY}


def _read_tool(entry: Doc) -> Tool | Opaque:
    name, kind = entry.get("name"), entry.get("type")
    client = client_tool(kind)
    if not isinstance(name, str) or (kind not in (None, "custom") and client is None):
        return Opaque(NAME, entry)
    more = any(value is not None for key, value in entry.items() if key not in _KNOWN)
    told, schema = client or (entry.get("description"), entry.get("input_schema"))
    strict, mark = entry.get("strict"), entry.get("cache_control")
    return Tool(
        name,
        told if isinstance(told, str) else None,
        schema if isinstance(schema, dict) else None,
        strict if isinstance(strict, bool) else None,
        mark if isinstance(mark, dict) else None,
        Opaque(NAME, entry) if more else None,
    )


def read_choice(told: Any) -> ToolChoice | None:
    """The choice among tools; None when there is none, or none that has a canonical form."""
    if not isinstance(told, dict):
        return None
    alone = told.get("disable_parallel_tool_use")
    parallel = not alone if isinstance(alone, bool) else None
    match told:
        case {"type": "auto" | "none" as mode}:
            return ToolChoice(mode, parallel=parallel)
        case {"type": "any"}:
            return ToolChoice("required", parallel=parallel)
        case {"type": "tool", "name": str(name)}:
            return ToolChoice("named", name, parallel)
    return None


# ---- writing -------------------------------------------------------------------------------------------------------


def write_tools(request: ChatRequest, own: bool, drop: Drop) -> Doc:
    """`tools` and `tool_choice`, as far as there are any.

    Anthropic refuses a history with tool calls in a request without tools: then those that were called are named, and
    none of them may be called.
    """
    tools = [entry for tool in request.tools if (entry := _write_tool(tool, request, own, drop)) is not None]
    choice = request.tool_choice
    if tools:
        return {"tools": tools} | ({} if choice is None else {"tool_choice": _write_choice(choice)})
    if choice is not None and choice.mode in ("required", "named"):
        drop("tool_choice without tools")
    called = called_tools(request.turns)
    if not called:
        return {}
    drop("tools added for earlier calls")
    return {"tools": [{"name": name, "input_schema": _EMPTY} for name in called], "tool_choice": {"type": "none"}}


def _write_tool(tool: Tool | Opaque, request: ChatRequest, own: bool, drop: Drop) -> Doc | None:
    if isinstance(tool, Opaque):
        if tool.dialect == NAME:
            return dict(tool.doc)
        drop(f"tool {tool.doc.get('type')}")
        return None
    if tool.native is not None and tool.native.dialect == NAME:
        return dict(tool.native.doc)
    if (kind := foreign_kind(tool)) is not None:
        drop(f"tool {kind} as function")
    entry: Doc = {"name": tool.name}
    if tool.description:
        entry["description"] = tool.description
    entry["input_schema"] = _schema(tool.parameters)
    if own and tool.strict is not None:
        entry["strict"] = tool.strict
    elif tool.strict:
        _write_strict(entry, request.model, drop)
    if tool.cache is not None:
        entry["cache_control"] = tool.cache
    return entry


def _write_strict(entry: Doc, model: str, drop: Drop) -> None:
    """Arguments that fit the schema without fail: a promise that only newer models give, for a part of JSON Schema."""
    if not decides_itself(model):
        drop("strict tools")
        return
    entry["input_schema"] = enforceable(entry["input_schema"], drop)
    entry["strict"] = True


def _schema(parameters: Doc | None) -> Doc:
    """The schema of a tool, whole; its type must be said."""
    if not parameters:
        return dict(_EMPTY)
    return parameters if "type" in parameters else {"type": "object", **parameters}


def _write_choice(choice: ToolChoice) -> Doc:
    kind = {"required": "any", "named": "tool"}.get(choice.mode, choice.mode)
    told: Doc = {"type": kind}
    if choice.mode == "named":
        told["name"] = choice.name
    if choice.parallel is not None and choice.mode != "none":
        told["disable_parallel_tool_use"] = not choice.parallel
    return told


# ---- cache marks ---------------------------------------------------------------------------------------------------


def limit_marks(doc: Doc, drop: Drop) -> None:
    """Take the first cache marks out of a written request until it has as many as Anthropic allows.

    A mark covers everything before it, so the last ones are worth most.
    """
    marked = [block for block in _blocks(doc) if block.get("cache_control") is not None]
    surplus = len(marked) + (doc.get("cache_control") is not None) - MAX_MARKS
    for block in marked[: max(0, surplus)]:
        drop("cache_control beyond four")
        del block["cache_control"]


def _blocks(doc: Doc) -> Iterator[Doc]:
    """Everything in a written request that may be marked, in the order in which it is cached."""
    yield from doc.get("tools") or ()
    contents = [doc.get("system"), *(message["content"] for message in doc["messages"])]
    for content in contents:
        for block in content if isinstance(content, list) else ():
            inner = block.get("content")
            yield from (part for part in inner if isinstance(part, dict)) if isinstance(inner, list) else ()
            yield block
