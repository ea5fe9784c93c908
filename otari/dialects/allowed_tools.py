"""The choice of some among the tools that are offered. OpenAI's wires know it; for others only those are offered."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from otari.dialects.losses import Drop
from otari.domain.chat import ChatRequest, Tool, ToolChoice


class Allowed(NamedTuple):
    """The names of the tools that may be called, and whether one of them must be."""

    names: tuple[str, ...]
    required: bool


def read_allowed(told: Any) -> Allowed | None:
    """What a `tool_choice` allows, in the shape of Chat Completions or of Responses; None for any other choice."""
    if not isinstance(told, dict) or told.get("type") != "allowed_tools":
        return None
    inner = told.get("allowed_tools")
    chosen = inner if isinstance(inner, dict) else told
    entries = chosen.get("tools")
    names = tuple(name for entry in entries if (name := _name(entry))) if isinstance(entries, list) else ()
    return Allowed(names, chosen.get("mode") == "required")


def _name(entry: Any) -> str | None:
    match entry:
        case {"function": {"name": str(name)}} | {"custom": {"name": str(name)}} | {"name": str(name)}:
            return name
    return None


def narrowed(request: ChatRequest, drop: Drop) -> ChatRequest:
    """The request with no other tools than those that it allows; `drop` hears of it."""
    allowed = read_allowed(request.extras.get("tool_choice"))
    if allowed is None:
        return request
    drop("allowed_tools")
    parallel = request.extras.get("parallel_tool_calls")
    return replace(
        request,
        tools=tuple(
            tool for tool in request.tools if isinstance(tool, Tool) and not set(_names(tool)).isdisjoint(allowed.names)
        ),
        tool_choice=ToolChoice(
            "required" if allowed.required else "auto", parallel=parallel if isinstance(parallel, bool) else None
        ),
        extras={k: v for k, v in request.extras.items() if k not in ("tool_choice", "parallel_tool_calls")},
    )


def _names(tool: Tool) -> Iterator[Any]:
    """What a tool is called, here and in its own dialect."""
    yield tool.name
    inner = tool.native.doc.get("tool") if tool.native is not None else None
    if isinstance(inner, dict):
        yield inner.get("name")
