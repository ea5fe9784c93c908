"""Tool calls of a stream as they grow."""

from dataclasses import dataclass, field
from typing import Any

from otari.dialects.openai_chat.reply import new_call_id
from otari.dialects.tool_arguments import complete, free_arguments
from otari.domain.chat import Doc, ToolCall


@dataclass(slots=True)
class Call:
    """One tool call as it grows. `part` is its number once its name is known and it has been told."""

    id: str | None = None
    name: str = ""
    signature: str | None = None
    part: int | None = None
    pieces: list[str] = field(default_factory=list)

    def arguments(self) -> str:
        """What has come of the arguments."""
        return "".join(self.pieces)

    def whole(self) -> bool:
        """Whether arguments have come and are complete JSON: more of them can only belong to another call."""
        text = self.arguments()
        return bool(text.strip()) and complete(text)


@dataclass(slots=True)
class FreeCall:
    """A call of a tool that takes plain text, as it grows."""

    id: str = ""
    name: str = ""
    text: str = ""

    def add(self, call_id: Any, custom: Doc) -> None:
        """One more piece of it."""
        name, text = custom.get("name"), custom.get("input")
        self.id = self.id or (call_id if isinstance(call_id, str) else "")
        self.name = self.name or (name if isinstance(name, str) else "")
        self.text += text if isinstance(text, str) else ""

    def whole(self) -> ToolCall:
        """The call as one of a function with one string."""
        return ToolCall(self.id or new_call_id(), self.name, free_arguments(self.text))
