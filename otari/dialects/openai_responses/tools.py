"""The tools of a request ↔ canonical tools.

Codex offers tools that no other wire knows: groups of tools (`namespace`), tools that take plain text (`custom`, with a
grammar), the local shell and the search for tools, some of them not under `tools` but in items of the input. All that
the client runs itself become functions that any model can call; `Tool.native` keeps what they were, so that calls come
back to the client as calls of what it offered. Tools that the provider runs stay `Opaque`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from otari.dialects.losses import Drop
from otari.dialects.openai_responses.content import NAME
from otari.dialects.tool_arguments import foreign_kind, free_parameters
from otari.domain.chat import ChatRequest, Doc, Opaque, Tool, ToolChoice

MAX_NAME_CHARS = 64
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_FUNCTION_KEYS = ("type", "name", "description", "parameters", "strict")
_LOCAL_SHELL = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"},
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "user": {"type": "string"},
    },
    "required": ["command"],
}
_EMPTY = {"type": "object", "properties": {}}

Natives = Mapping[str, Doc]  # canonical name → what the tool was, of all tools that were no plain functions


class _Place(NamedTuple):
    """Where a tool stood: its group, and whether it came in an item of the input or as a result of a search."""

    namespace: Doc | None = None
    additional: bool = False
    search: str | None = None


def flat_name(namespace: Any, name: str) -> str:
    """One name of at most 64 ordinary characters for a tool of a group; other tools keep theirs.

    It depends on nothing but the two names, because answers are read without their request.
    """
    if not isinstance(namespace, str) or not namespace:
        return name
    joined = namespace + ("" if namespace.endswith("__") else "__") + name
    clean = _UNFIT.sub("_", joined)
    if clean == joined and len(joined) <= MAX_NAME_CHARS:
        return joined
    digest = hashlib.sha256(f"{namespace}\0{name}".encode()).hexdigest()[:8]
    return f"{clean[: MAX_NAME_CHARS - 9]}_{digest}"


def natives_of(tools: Iterable[Tool | Opaque]) -> Natives:
    """What those tools were that are no plain functions on this wire, by canonical name."""
    return {
        tool.name: tool.native.doc
        for tool in tools
        if isinstance(tool, Tool) and tool.native is not None and tool.native.dialect == NAME
    }


# ---- reading -------------------------------------------------------------------------------------------------------


def read_tools(doc: Doc) -> tuple[Tool | Opaque, ...]:
    """All tools of a request: those under `tools`, then those that items of the input bring, each name once."""
    tools = list(_read_all(doc.get("tools"), _Place()))
    names = {tool.name for tool in tools if isinstance(tool, Tool)}
    items = doc.get("input")
    for item in items if isinstance(items, list) else ():
        if item.get("type") == "additional_tools":
            place = _Place(additional=True)
        elif item.get("type") == "tool_search_output" and isinstance(item.get("call_id"), str):
            place = _Place(search=item["call_id"])
        else:
            continue
        for tool in _read_all(item.get("tools"), place):
            if not isinstance(tool, Tool) or tool.name not in names:
                tools.append(tool)
                names |= {tool.name} if isinstance(tool, Tool) else set()
    return tuple(tools)


def _read_all(entries: Any, place: _Place) -> Iterator[Tool | Opaque]:
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield from _read_entry(entry, place)


def _read_entry(entry: Doc, place: _Place) -> Iterator[Tool | Opaque]:
    match entry:
        case {"type": "namespace", "name": str(name), "tools": list(inner)} if place.namespace is None:
            told = entry.get("description")
            members = _read_all(inner, place._replace(namespace={"name": name, "description": told}))
            yield from _introduced(members, told if isinstance(told, str) else "")
        case {"type": "function", "function": {"name": str()} as function}:  # the shape of Chat Completions
            yield _read_function({"type": "function", **function}, place)
        case {"type": "function", "name": str()}:
            yield _read_function(entry, place)
        case {"type": "custom", "name": str(name)}:
            yield Tool(_flat(place, name), _text(entry), _free_text(entry.get("format")), native=_native(entry, place))
        case {"type": "local_shell"}:
            told = "Runs a command on the user's machine and returns its output."
            yield Tool("local_shell", told, _LOCAL_SHELL, native=_native(entry, place))
        case {"type": "tool_search", "execution": "client"}:
            schema = entry.get("parameters")
            schema = schema if isinstance(schema, dict) else None
            yield Tool("tool_search", _text(entry), schema, native=_native(entry, place))
        case _:
            yield Opaque(NAME, entry)


def _introduced(members: Iterator[Tool | Opaque], about: str) -> Iterator[Tool | Opaque]:
    """The tools of a group; the first of them says what the group is about, because nothing else can."""
    for tool in members:
        if about and isinstance(tool, Tool):
            yield replace(tool, description=f"{about}\n\n{tool.description}" if tool.description else about)
            about = ""
        else:
            yield tool


def _read_function(entry: Doc, place: _Place) -> Tool:
    schema, strict = entry.get("parameters"), entry.get("strict")
    more = any(value is not None for key, value in entry.items() if key not in _FUNCTION_KEYS)
    return Tool(
        _flat(place, entry["name"]),
        _text(entry),
        schema if isinstance(schema, dict) else None,
        strict if isinstance(strict, bool) else None,
        native=_native(entry, place) if more or place != _Place() else None,
    )


def _flat(place: _Place, name: str) -> str:
    return flat_name(place.namespace["name"], name) if place.namespace is not None else name


def _native(entry: Doc, place: _Place) -> Opaque:
    told = {key: value for key, value in place._asdict().items() if value}
    return Opaque(NAME, {"tool": entry, **told})


def _text(entry: Doc) -> str | None:
    told = entry.get("description")
    return told if isinstance(told, str) else None


def _free_text(form: Any) -> Doc:
    """The schema of a tool that takes plain text, in the form that it says."""
    told = form if isinstance(form, dict) and form.get("type") == "grammar" else {}
    return free_parameters(told.get("syntax"), told.get("definition"))


def read_choice(doc: Doc) -> ToolChoice | None:
    """None also for a choice that has no canonical form (`allowed_tools`): it stays in `extras` as it is."""
    parallel = doc.get("parallel_tool_calls")
    parallel = parallel if isinstance(parallel, bool) else None
    match doc.get("tool_choice"):
        case "auto" | "none" | "required" as mode:
            return ToolChoice(mode, parallel=parallel)
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice("named", name, parallel)
        case {"type": "function" | "custom", "name": str(name), **rest}:
            return ToolChoice("named", flat_name(rest.get("namespace"), name), parallel)
        case {"type": "local_shell"}:
            return ToolChoice("named", "local_shell", parallel)
        case None if parallel is not None:
            return ToolChoice(parallel=parallel)
    return None


# ---- writing -------------------------------------------------------------------------------------------------------


class WrittenTools(NamedTuple):
    """Tools as the wire wants them: under `tools`, in an item of the input, and as results of searches by call id."""

    tools: list[Doc]
    additional: list[Doc]
    found: dict[str, list[Doc]]


def write_tools(request: ChatRequest, drop: Drop) -> WrittenTools:
    """All tools of a request, each where it stood. Names what this wire does not know."""
    written = WrittenTools([], [], {})
    groups: dict[tuple[int, str], list[Doc]] = {}
    own = request.dialect == NAME
    for tool in request.tools:
        if getattr(tool, "cache", None) is not None:
            drop("cache_control")
        if isinstance(tool, Tool):
            native = tool.native.doc if tool.native is not None and tool.native.dialect == NAME else {}
            if not native and (kind := foreign_kind(tool)) is not None:
                drop(f"tool {kind} as function")
            _put(native.get("tool") or _write_function(tool, own), native, written, groups)
        elif tool.dialect == NAME:
            written.tools.append(tool.doc)
        else:
            drop(f"tool {tool.doc.get('type')}")
    return written


def _put(entry: Doc, native: Doc, written: WrittenTools, groups: dict[tuple[int, str], list[Doc]]) -> None:
    """Put a tool where it stood; `groups` are the members of all groups so far, by place and name."""
    home = written.tools
    if native.get("additional"):
        home = written.additional
    elif native.get("search"):
        home = written.found.setdefault(native["search"], [])
    group = native.get("namespace")
    if group is None:
        home.append(entry)
        return
    place = (id(home), group["name"])
    if place not in groups:
        groups[place] = []
        told = {key: value for key, value in group.items() if value is not None}
        home.append({"type": "namespace", **told, "tools": groups[place]})
    groups[place].append(entry)


def _write_function(tool: Tool, own: bool) -> Doc:
    """The wire takes a function without `strict` for a strict one; the other dialects take it for one that is not."""
    entry: Doc = {"type": "function", "name": tool.name}
    if tool.description is not None:
        entry["description"] = tool.description
    entry["parameters"] = tool.parameters if tool.parameters or own else _EMPTY
    if tool.strict is not None or not own:
        entry["strict"] = tool.strict or False
    return entry


def write_choice(choice: ToolChoice, natives: Natives) -> str | Doc:
    """`tool_choice` on the wire."""
    if choice.mode != "named":
        return choice.mode
    native = natives.get(choice.name or "", {})
    tool = native.get("tool", {})
    kind = tool.get("type", "function")
    if kind not in ("function", "custom"):
        return {"type": kind}
    told = {"type": kind, "name": tool.get("name", choice.name)}
    group = native.get("namespace")
    return told if group is None else {**told, "namespace": group["name"]}
