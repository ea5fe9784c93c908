"""The arguments of tool calls as text, and tools that take plain text told as functions with one string, `input`.

Models of other vendors, and other wires, know functions only. So a tool that takes plain text (OpenAI's "custom" tools)
is offered to them as a function, and what they write as its argument becomes the plain text again.
"""

from typing import Any

import orjson

from otari.domain.chat import Doc, Tool
from otari.domain.errors import invalid


def raw_arguments(arguments: Any) -> str:
    """Arguments as JSON text; some servers send them as the object itself.

    Raises OtariError(INVALID) for an object that is nested too deeply to be written as text.
    """
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    try:
        return orjson.dumps(arguments).decode()
    except orjson.JSONEncodeError:
        raise invalid("The arguments of a tool call are nested too deeply.", "messages") from None


def complete(arguments: str) -> bool:
    """Whether the text of arguments is whole JSON ("" is: the call has no arguments)."""
    if not arguments.strip():
        return True
    try:
        orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return False
    return True


def free_arguments(text: str) -> str:
    """Plain text as the arguments of a function with one string."""
    return orjson.dumps({"input": text}).decode()


def free_text(arguments: str) -> str:
    """The plain text in the arguments that a model wrote; arguments of another form are taken as they are."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        texts = [value["input"]] if "input" in value else list(value.values())
        if len(texts) == 1 and isinstance(texts[0], str):
            return texts[0]
    return arguments


def free_parameters(syntax: Any, grammar: Any) -> Doc:
    """The schema of a tool that takes plain text: one string. A grammar is told in words; no other wire enforces it."""
    told = "The text that the tool takes, exactly as it shall be."
    if isinstance(grammar, str):
        told += f" It must follow this grammar ({syntax}):\n{grammar}"
    return {
        "type": "object",
        "properties": {"input": {"type": "string", "description": told}},
        "required": ["input"],
        "additionalProperties": False,
    }


def foreign_kind(tool: Tool) -> str | None:
    """What a tool was in its own dialect, when that was no function: what another dialect loses that offers one."""
    if tool.native is None:
        return None
    inner = tool.native.doc.get("tool")  # the tool itself, where `native` tells its place too
    doc = inner if isinstance(inner, dict) else tool.native.doc
    kind = doc.get("type", "function")
    anthropics = kind == "custom" and "input_schema" in doc  # its word for a function
    return None if kind == "function" or anthropics else str(kind)
