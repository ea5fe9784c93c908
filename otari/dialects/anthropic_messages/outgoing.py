"""One part of an answer on its way out as a content block of a stream."""

from dataclasses import dataclass, field

from otari.dialects.tool_arguments import complete
from otari.domain.chat import Part, Refusal, Text, Thinking, ToolCall


@dataclass(slots=True)
class Piece:
    """A part on its way out. `before` and `after` stand around each delta once its block is open."""

    part: Part
    waiting: list[str] = field(default_factory=list)  # not yet written
    arguments: list[str] = field(default_factory=list)  # of a call: written
    signature: str | None = None
    ended: bool = False
    checked: int = 0  # how many pieces of arguments there were when they were last found not to be whole
    before: bytes = b""
    after: bytes = b""


def begun(part: Part) -> Piece:
    """A part that has just begun, with what is known of it already."""
    match part:
        case Text(text) | Refusal(text) | Thinking(text, None):
            return Piece(part, [text] if text else [])
        case Thinking(text, signature):
            return Piece(part, [text] if text else [], signature=signature)
        case ToolCall():
            return Piece(part, [part.arguments] if part.arguments else [], signature=part.signature)
    return Piece(part)


def may_end(piece: Piece) -> bool:
    """Whether a part that has not said that it ended may be ended because another one has begun."""
    if isinstance(piece.part, Text | Refusal):
        return True
    if not isinstance(piece.part, ToolCall) or len(piece.arguments) == piece.checked:
        return False
    piece.checked = len(piece.arguments)
    last = piece.arguments[-1].rstrip()
    return last.endswith(("}", "]", '"')) and complete("".join(piece.arguments))
