"""Requests as large as a coding client's: long instructions, a dozen tools, turns with code. No two of them alike."""

import json
import random
from typing import Any

_WORDS = (
    "the",
    *("file", "path", "should", "be", "absolute", "because", "commands", "run", "in", "a", "shell", "that", "keeps"),
    *(
        "its",
        "folder",
        "between",
        "calls",
        "use",
        "this",
        "tool",
        "when",
        "more",
        "than",
        "one",
        "part",
        "is",
        "needed",
    ),
    *("never", "guess", "names", "list", "what", "there", "first", "and", "say", "briefly", "which", "change", "made"),
)
_CODE = (
    "    def read_part(self, name: str, *, offset: int = 0) -> bytes:\n",
    "        with self._lock, self._open(name) as part:\n            part.seek(offset)\n",
    "const widths = rows.map((row) => Math.max(...row.cells.map((cell) => cell.length)));\n",
    '  {"name": "parser", "version": "3.11.2", "sha256": "9f2c6d0e1b", "size": 184320},\n',
)
_TOOLS = 12
_TURNS = 8


def coding_request(model: str, size_bytes: int, seed: int) -> bytes:
    """The body of a Messages request of about this size; another seed gives other texts all through."""
    chance = random.Random(seed)

    def prose(chars: int) -> str:
        words = [f"{chance.choice(_WORDS)}{chance.choice(('', '', '', '', ',', '.', '.'))}" for _ in range(chars // 5)]
        return " ".join(words)[:chars]

    def code(chars: int) -> str:
        lines = [chance.choice(_CODE) for _ in range(chars // 60 + 1)]
        return "".join(lines)[:chars]

    def tool(number: int) -> dict[str, Any]:
        fields = {f"{chance.choice(_WORDS)}_{n}": {"type": "string", "description": prose(60)} for n in range(5)}
        schema = {"type": "object", "properties": fields, "required": list(fields)[:2]}
        return {"name": f"tool_{number}", "description": prose(size_bytes // 3 // _TOOLS - 700), "input_schema": schema}

    messages: list[dict[str, Any]] = [{"role": "user", "content": prose(300)}]
    for number in range(_TURNS):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "tool_0", "input": {"path": prose(20)}}
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": code(size_bytes // 3 // _TURNS)}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    system = [{"type": "text", "text": prose(size_bytes // 3)}]
    tools = [tool(number) for number in range(_TOOLS)]
    return json.dumps({"model": model, "system": system, "messages": messages, "tools": tools}).encode()
