"""Names of tools that a wire does not allow: other ones for the way to the provider, the client's own on the way back.

OpenAI's wires take up to 64 letters, digits, `_` and `-`, Google's no digit and no `-` in front; servers for MCP make
longer ones, and with dots. What a name becomes depends on nothing but the names of the request, so that repeated
requests are the same and prompts stay cached.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from otari.domain.chat import ChatRequest, Event, Part, PartStarted, Reply, Tool, ToolCall

MAX_CHARS = 64
_DIGITS = 8
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_FIT = re.compile(rf"[a-zA-Z_][a-zA-Z0-9_-]{{0,{MAX_CHARS - 1}}}")


def wire_names(request: ChatRequest) -> dict[str, str]:
    """What the tools of a request are called on the wire, by the client's names; only those that must change.

    A name that must is cut to 55 characters, with `_` and 8 digits of its hash behind them. No two are the same.
    """
    names = dict.fromkeys(_told(request))
    taken = {name for name in names if _FIT.fullmatch(name)}
    wire: dict[str, str] = {}
    for name in names:
        if name not in taken:
            wire[name] = next(fit for fit in _candidates(name) if fit not in taken)
            taken.add(wire[name])
    return wire


def _told(request: ChatRequest) -> Iterator[str]:
    yield from (tool.name for tool in request.tools if isinstance(tool, Tool))
    if request.tool_choice is not None and request.tool_choice.name is not None:
        yield request.tool_choice.name
    yield from (part.name for turn in request.turns for part in turn.parts if isinstance(part, ToolCall))


def _candidates(name: str) -> Iterator[str]:
    """Fit names for one that is not; after the first come those for the case that a client uses it for another tool."""
    clean = _UNFIT.sub("_", name)
    start = (clean if clean[:1].isalpha() else f"_{clean}")[: MAX_CHARS - _DIGITS - 1]
    salt = ""
    while True:
        yield f"{start}_{hashlib.sha256((name + salt).encode()).hexdigest()[:_DIGITS]}"
        salt += "\0"


def renamed(request: ChatRequest, names: Mapping[str, str]) -> ChatRequest:
    """The request with its tools under the names of the wire; `names` are those that differ."""
    if not names:
        return request

    def part(told: Part) -> Part:
        return replace(told, name=names.get(told.name, told.name)) if isinstance(told, ToolCall) else told

    choice = request.tool_choice
    if choice is not None and choice.name is not None:
        choice = replace(choice, name=names.get(choice.name, choice.name))
    return replace(
        request,
        turns=tuple(replace(turn, parts=tuple(map(part, turn.parts))) for turn in request.turns),
        tools=tuple(
            replace(tool, name=names.get(tool.name, tool.name)) if isinstance(tool, Tool) else tool
            for tool in request.tools
        ),
        tool_choice=choice,
    )


def originals(wire: Mapping[str, str]) -> dict[str, str]:
    """The client's names by those on the wire."""
    return {told: name for name, told in wire.items()}


def restored_reply(reply: Reply, names: Mapping[str, str]) -> Reply:
    """An answer with its calls under the client's names; `names` as `originals` gives them."""
    return replace(reply, parts=tuple(_restored(part, names) for part in reply.parts))


def restored_event(event: Event, names: Mapping[str, str]) -> Event:
    """An event of a stream with its call, if it begins one, under the client's name."""
    return PartStarted(event.index, _restored(event.part, names)) if isinstance(event, PartStarted) else event


def _restored(part: Part, names: Mapping[str, str]) -> Part:
    return replace(part, name=names[part.name]) if isinstance(part, ToolCall) and part.name in names else part
