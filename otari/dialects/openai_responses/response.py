"""The `response` object: in a whole answer, and in the first and last events of a stream.

OpenAI repeats what was asked for in it, and typed clients demand part of that; `echo_of` takes it from the client's own
request. An answer that was translated is never stored.
"""

import re
import secrets
from typing import Any

import orjson

from otari.domain.chat import Doc, Finish

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "local_shell_call": "lsh",
    "tool_search_call": "tsc",
}
_MAX_ID_CHARS = 64
_OPTIONAL = ("max_tool_calls", "prompt_cache_key", "safety_identifier", "service_tier", "top_logprobs")
_TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
_TOOL_DEFAULTS: dict[str, Doc] = {
    "function": {"parameters": None, "strict": None},
    "namespace": {"description": ""},
}
_DONE: Doc = {"status": "completed", "incomplete_details": None}
_STATUS: dict[Finish, Doc] = {
    Finish.LENGTH: {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    Finish.FILTER: {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
}


def response_id(told: str) -> str:
    """The id of an answer on this wire: its own, or one made of the id that another wire told."""
    if told.startswith("resp_"):
        return told
    return f"resp_{told or secrets.token_hex(12)}"


def item_id(kind: str, response: str, number: int) -> str:
    """The id of item `number` of an answer, in the form that OpenAI demands when an item is sent back."""
    stem = _UNFIT.sub("_", response.removeprefix("resp_"))
    prefix, end = _PREFIXES.get(kind, "item"), f"_{number}"
    return f"{prefix}_{stem[: _MAX_ID_CHARS - len(prefix) - len(end) - 1]}{end}"


def status_of(finish: Finish) -> Doc:
    """`status` and `incomplete_details`."""
    return _STATUS.get(finish, _DONE)


def echo_of(request_doc: Doc | None) -> Doc:
    """What an answer repeats of the request, with the vendor's defaults for what was not said.

    Nothing is repeated of a request that is nested too deeply to be written.
    """
    asked = request_doc or {}
    text, reasoning = _object(asked, "text"), _object(asked, "reasoning")
    echo: Doc = {
        "background": False,
        "instructions": _kind(asked, str, "instructions"),
        "max_output_tokens": _kind(asked, int, "max_output_tokens"),
        "metadata": {k: v for k, v in _object(asked, "metadata").items() if isinstance(v, str)},
        "parallel_tool_calls": asked.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "store": False,
        "temperature": _number(asked, "temperature"),
        "text": {"format": {"type": "text"}} | {k: v for k, v in text.items() if v is not None},
        "tool_choice": _choice(asked.get("tool_choice")),
        "tools": _tools(asked.get("tools")),
        "top_p": _number(asked, "top_p"),
        "truncation": "auto" if asked.get("truncation") == "auto" else "disabled",
        "user": None,
    }
    for key in _OPTIONAL:
        value = asked.get(key)
        if value is not None and (key != "service_tier" or value in _TIERS):
            echo[key] = value
    try:
        orjson.dumps(echo)
    except orjson.JSONEncodeError:
        return echo_of(None)
    return echo


def response_doc(head: Doc, echo: Doc, **told: Any) -> Doc:
    """A response object: `head` is its id, time and model, `told` what this moment of it adds."""
    fixed = {"object": "response", "status": "in_progress", "error": None, "incomplete_details": None}
    return {**head, **fixed, **echo, "output": [], "usage": None, **told}


def head_of(told_id: str, model: str, created: int) -> Doc:
    """What is the same in every response object of one answer."""
    return {"id": response_id(told_id), "created_at": created, "model": model}


def _tools(told: Any) -> list[Doc]:
    tools = [tool for tool in told if isinstance(tool, dict)] if isinstance(told, list) else []
    return [_tool(tool) for tool in tools]


def _tool(tool: Doc) -> Doc:
    """A tool with the keys that typed clients demand; functions in the shape of Chat Completions become flat."""
    function = tool.get("function")
    if tool.get("type") == "function" and isinstance(function, dict):
        tool = {"type": "function", **function}
    if tool.get("type") == "namespace" and isinstance(tool.get("tools"), list):
        tool = tool | {"tools": _tools(tool["tools"])}
    return _TOOL_DEFAULTS.get(str(tool.get("type")), {}) | {k: v for k, v in tool.items() if v is not None}


def _choice(told: Any) -> Any:
    if not isinstance(told, dict):
        return told if told in ("none", "auto", "required") else "auto"
    function = told.get("function")
    if isinstance(function, dict):
        return {"type": "function", "name": function.get("name")}
    return told


def _object(doc: Doc, key: str) -> Doc:
    value = doc.get(key)
    return value if isinstance(value, dict) else {}


def _kind(doc: Doc, kind: type, key: str) -> Any:
    value = doc.get(key)
    return value if type(value) is kind else None


def _number(doc: Doc, key: str) -> Any:
    value = doc.get(key)
    return value if type(value) in (int, float) else 1.0
