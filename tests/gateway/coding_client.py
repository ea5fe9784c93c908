"""Requests of the size and shape that a coding client sends: long instructions, a dozen tools, turns with code."""

import random
from typing import Any

_TEXT = (
    "the file path should be absolute because commands run in a shell that keeps its folder between calls use this tool"
    " when you need to read more than one part of a document never guess names instead list what is there first and say"
    " briefly which change you made output longer than the limit is cut at the end so ask again with an offset"
)
_WORDS = _TEXT.split()
_CODE = (
    "    def read_part(self, name: str, *, offset: int = 0) -> bytes:\n",
    '        """The bytes of a part; raises KeyError for an unknown one."""\n',
    "        with self._lock, self._open(name) as part:\n",
    "            part.seek(offset)\n            return part.read(self.limit or 65_536)\n\n",
    "export const widths = rows.map((row) => Math.max(...row.cells.map((cell) => cell.length)));\n",
    '  - {"name": "parser", "version": "3.11.2", "sha256": "9f2c6d0e1b", "size": 184320}\n',
)
_JSON_TYPES = ("string", "boolean", "integer")


class Writer:
    """Writes texts that are the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def prose(self, chars: int) -> str:
        """Sentences and bullets, as in instructions."""
        text = ""
        while len(text) < chars:
            words = (self._random.choice(_WORDS) for _ in range(self._random.randint(5, 16)))
            text += " ".join(words).capitalize() + self._random.choice((". ", ".\n", ".\n\n- ", ": `x.py`\n"))
        return text[:chars]

    def code(self, chars: int) -> str:
        """Lines of code and data."""
        text = ""
        while len(text) < chars:
            text += self._random.choice(_CODE)
        return text[:chars]

    def tool(self, description: int) -> dict[str, Any]:
        """A tool with a description of so many characters."""
        names = self._random.sample(sorted({word for word in _WORDS if len(word) > 3}), 7)
        properties: dict[str, Any] = {
            name: {"type": self._random.choice(_JSON_TYPES), "description": self.prose(self._random.randint(20, 90))}
            for name in names[1:]
        }
        properties[names[1]] = {"type": "string", "enum": ["low", "medium", "high"], "description": "How much"}
        return {
            "name": names[0].capitalize(),
            "description": self.prose(description),
            "input_schema": {"type": "object", "properties": properties, "required": names[1:3]},
        }


def request(chars: int, *, model: str = "openai:gpt-5", seed: int = 0, turns: int = 6) -> dict[str, Any]:
    """A Messages request of about so many characters: a third each instructions, tools, and turns with tool calls."""
    writer = Writer(seed)
    share = chars // 3
    system = ["Short and the same for all.", writer.prose(share // 4), writer.prose(3 * share // 4)]
    tools = [writer.tool(share // 12 - 700) for _ in range(12)] if share > 12_000 else [writer.tool(100)]
    messages: list[dict[str, Any]] = [{"role": "user", "content": writer.prose(200)}]
    for number in range(turns):
        call = {"type": "tool_use", "id": f"toolu_{number:020}", "name": tools[0]["name"], "input": {"path": "a.py"}}
        said = {"type": "text", "text": writer.prose(80)}
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": writer.code(share // turns)}
        messages += [{"role": "assistant", "content": [said, call]}, {"role": "user", "content": [result]}]
    return {
        "model": model,
        "system": [{"type": "text", "text": text} for text in system],
        "messages": messages,
        "tools": tools,
    }
