"""Tool calls and their results: items of this wire ↔ canonical calls and results.

A call of a tool that takes plain text is canonically a call of a function with one string, `input`. Written, a call
takes the form of what its client offered (`Natives`): a function, plain text, the local shell, the search for tools.
"""

from typing import Any

import orjson

from otari.dialects.losses import Drop
from otari.dialects.openai_responses.content import ITEM_KEYS, NAME, own_keys, plain, read_content, write_input
from otari.dialects.openai_responses.tools import Natives, flat_name
from otari.dialects.tool_arguments import complete, free_arguments, free_text, raw_arguments
from otari.domain.chat import Doc, Opaque, Part, Text, ToolCall, ToolResult

CALLS = ("function_call", "custom_tool_call", "local_shell_call", "tool_search_call")
RESULTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output", "tool_search_output")
FREE_TEXT = "custom_tool_call"
_RESULT_KEYS = ("id", "call_id", "output", "status", "name", "namespace")
_SHELL_KEYS = {"timeout_ms": int, "user": str, "working_directory": str}
_WHOLE_ONLY = ("local_shell_call", "tool_search_call")


# ---- reading -------------------------------------------------------------------------------------------------------


def read_call(item: Doc) -> ToolCall | None:
    """The call that an item of one of the kinds `CALLS` makes; None when it lacks a name or is run by the provider."""
    told, name = item.get("call_id"), item.get("name")
    if not isinstance(told, str) or not told:
        told = item.get("id")
    if not isinstance(told, str):
        return None
    match item:
        case {"type": "function_call", "name": str(name)} if name:
            return ToolCall(told, flat_name(item.get("namespace"), name), raw_arguments(item.get("arguments")))
        case {"type": "custom_tool_call", "name": str(name)} if name:
            text = item.get("input")
            arguments = free_arguments(text if isinstance(text, str) else "")
            return ToolCall(told, flat_name(item.get("namespace"), name), arguments)
        case {"type": "local_shell_call", "action": {**action}}:
            action.pop("type", None)
            return ToolCall(told, "local_shell", raw_arguments({k: v for k, v in action.items() if v is not None}))
        case {"type": "tool_search_call"} if item.get("execution") == "client":
            return ToolCall(told, "tool_search", raw_arguments(item.get("arguments")))
    return None


def read_result(item: Doc) -> ToolResult | None:
    """The result that an item of one of the kinds `RESULTS` tells; None when it names no call."""
    call_id = item.get("call_id") or item.get("id")
    if not isinstance(call_id, str) or not call_id:
        return None
    if item.get("type") == "tool_search_output":
        return ToolResult(call_id, (Text(_found(item.get("tools"))),))
    output = item.get("output")
    if output is not None and not isinstance(output, str | list):
        output = raw_arguments(output)
    rest = own_keys(item, _RESULT_KEYS)
    keys: list[Part] = [Opaque(NAME, {"type": " ".join(rest), ITEM_KEYS: rest})] if rest else []
    return ToolResult(call_id, (*keys, *read_content(output)))


def _found(tools: Any) -> str:
    """A search in words; the tools themselves join those of the request."""
    names: list[str] = []
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            inner = tool.get("tools")
            inside = (
                [entry.get("name") for entry in inner if isinstance(entry, dict)] if isinstance(inner, list) else []
            )
            names += [flat_name(tool["name"], name) for name in inside if isinstance(name, str)] or [tool["name"]]
    return "Tools that can be called from now on: " + ", ".join(names) if names else "No tools were found."


# ---- writing -------------------------------------------------------------------------------------------------------


def call_kind(name: str, natives: Natives) -> str:
    """The type of item that a call of the tool becomes."""
    kind = natives.get(name, {}).get("tool", {}).get("type")
    return {"custom": FREE_TEXT, "local_shell": "local_shell_call", "tool_search": "tool_search_call"}.get(
        kind, "function_call"
    )


def told_whole(name: str, natives: Natives) -> bool:
    """Whether a call of the tool has a form that can only be told once its arguments are known."""
    return call_kind(name, natives) in _WHOLE_ONLY


def write_call(call: ToolCall, natives: Natives) -> Doc:
    """The item of a call, without `id` and `status`."""
    native = natives.get(call.name, {})
    kind = call_kind(call.name, natives)
    item: Doc = {"type": kind, "call_id": call.id}
    if kind == "local_shell_call":
        return item | {"action": _shell_action(call.arguments)}
    if kind == "tool_search_call":
        return item | {"execution": "client", "arguments": _object(call.arguments)}
    item["name"] = native.get("tool", {}).get("name", call.name)
    if native.get("namespace") is not None:
        item["namespace"] = native["namespace"]["name"]
    if kind == FREE_TEXT:
        return item | {"input": free_text(call.arguments)}
    return item | {"arguments": call.arguments or "{}"}


def status_of(call: ToolCall) -> str:
    """Whether the arguments of a call came whole."""
    return "completed" if complete(call.arguments) else "incomplete"


def _loaded(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return None


def _object(arguments: str) -> Doc:
    value = _loaded(arguments)
    return value if isinstance(value, dict) else {}


def _shell_action(arguments: str) -> Doc:
    told = _object(arguments)
    command, env = told.get("command"), told.get("env")
    if isinstance(command, str):
        command = ["bash", "-lc", command]
    command = [str(word) for word in command] if isinstance(command, list) else [arguments]
    env = {str(key): str(value) for key, value in env.items()} if isinstance(env, dict) else {}
    rest = {key: told[key] for key, kind in _SHELL_KEYS.items() if type(told.get(key)) is kind}
    return {"type": "exec", "command": command, "env": env, **rest}


def write_found(call_id: str, tools: list[Doc]) -> Doc:
    """The item of the result of a search for tools."""
    told = {"execution": "client", "status": "completed", "tools": tools}
    return {"type": "tool_search_output", "call_id": call_id, **told}


def write_result(result: ToolResult, kind: str, own: bool, drop: Drop) -> Doc:
    """The item of a result; `kind` is the type of the item that made the call.

    The wire has no mark for failure: the word says it.
    """
    if result.cache is not None:
        drop("cache_control")
    content = write_input(result.parts, own, drop)
    if result.failed:
        _say_failed(content)
    output = "custom_tool_call_output" if kind == FREE_TEXT else "function_call_output"
    item: Doc = {"type": output, "call_id": result.call_id, "output": plain(content)}
    for part in result.parts:
        if isinstance(part, Opaque) and part.dialect == NAME:
            item |= part.doc.get(ITEM_KEYS, {})
    return item


def _say_failed(content: list[Doc]) -> None:
    first = content[0] if content else {}
    if first.get("type") != "input_text":
        content.insert(0, {"type": "input_text", "text": "Error"})
    elif not first["text"].startswith("Error"):
        first["text"] = f"Error: {first['text']}"
