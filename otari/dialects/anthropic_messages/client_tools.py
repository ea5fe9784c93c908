"""Tools that Anthropic's models know by their type and that clients run, told to other models as functions.

Names, commands and parameters are those of Anthropic's public documentation of these tools.
"""

import re
from typing import Any

from otari.domain.chat import Doc

_DATED = re.compile(r"(bash|text_editor|memory)_20\d{6}")
_TEXT: Doc = {"type": "string"}
_EDITING: Doc = {
    "path": {"type": "string", "description": "Absolute path of the file or folder"},
    "file_text": _TEXT,
    "old_str": _TEXT,
    "new_str": _TEXT,
    "insert_line": {"type": "integer", "description": "Line after which to insert"},
    "insert_text": _TEXT,
    "view_range": {"type": "array", "items": {"type": "integer"}, "description": "First and last line to show"},
}
_TOOLS: dict[str, tuple[str, Doc, tuple[str, ...]]] = {
    "bash": (
        "Runs a command in a bash shell that lives on between calls.",
        {"command": _TEXT, "restart": {"type": "boolean", "description": "Start the shell anew"}},
        (),
    ),
    "text_editor": ("Shows, creates and edits files.", _EDITING, ("view", "create", "str_replace", "insert")),
    "memory": (
        "Keeps notes in files below /memories.",
        _EDITING | {"old_path": _TEXT, "new_path": _TEXT},
        ("view", "create", "str_replace", "insert", "delete", "rename"),
    ),
}


def client_tool(kind: Any) -> tuple[str, Doc] | None:
    """Description and parameters of the tool whose type is `kind`; None when it is no such tool."""
    dated = _DATED.fullmatch(kind) if isinstance(kind, str) else None
    if dated is None:
        return None
    description, properties, commands = _TOOLS[dated[1]]
    if not commands:
        return description, {"type": "object", "properties": properties}
    command = {"type": "string", "enum": list(commands)}
    return description, {"type": "object", "properties": {"command": command} | properties, "required": ["command"]}
