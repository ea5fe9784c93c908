"""One content block of a stream that is being read."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from otari.dialects.tool_arguments import complete
from otari.domain.chat import Doc


@dataclass(slots=True)
class Block:
    """A content block that is open. `part` is its canonical number once it has been told."""

    kind: str
    doc: Doc
    delta: str  # the type of the deltas that only add to it
    part: int | None = None
    pieces: list[str] = field(default_factory=list)  # of the arguments
    citations: list[Any] = field(default_factory=list)


def whole(block: Block) -> Doc:
    """A block that only this dialect knows, with the input that came in pieces."""
    if not block.pieces:
        return block.doc
    text = "".join(block.pieces)
    return block.doc | {"input": orjson.loads(text) if complete(text) else text}
