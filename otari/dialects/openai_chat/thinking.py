"""What a model thought: the places where servers put it, and the one in which it is written.

`reasoning_content` holds the text. What must come back byte for byte to its maker travels in
`extra_content.<family>.thinking_blocks` of a message, in the blocks of Anthropic's wire.
"""

from collections.abc import Iterable, Iterator

from otari.dialects.openai_chat.content import thinking_text
from otari.domain.chat import Doc, Part, Thinking

UNKNOWN_FAMILY = "unknown"


def reasoning_text(message: Doc) -> str:
    """Reasoning in a message or delta: the first of the spellings that says something (providers send mirrors)."""
    for key in ("reasoning_content", "reasoning", "thinking"):
        value = message.get(key)
        if isinstance(value, dict):
            value = value.get("content") or value.get("text")
        text = thinking_text(value)
        if text:
            return text
    details = message.get("reasoning_details")
    if not isinstance(details, list):
        return ""
    texts = (detail.get("text") or detail.get("summary") for detail in details if isinstance(detail, dict))
    return "".join(text for text in texts if isinstance(text, str))


def read_thinking(message: Doc) -> list[Part]:
    """The thinking of a message: the signed blocks that it carries, else its reasoning."""
    extra = message.get("extra_content")
    blocks = list(_read_blocks(extra)) if isinstance(extra, dict) else []
    if blocks:
        return blocks
    text = reasoning_text(message)
    return [Thinking(text)] if text else []


def _read_blocks(extra: Doc) -> Iterator[Part]:
    for family, box in extra.items():
        blocks = box.get("thinking_blocks") if isinstance(box, dict) else None
        maker = None if family == UNKNOWN_FAMILY else family
        for block in blocks if isinstance(blocks, list) else ():
            if isinstance(block, dict):
                yield _read_block(block, maker)


def _read_block(block: Doc, family: str | None) -> Thinking:
    text, signature, redacted = block.get("thinking"), block.get("signature"), block.get("data")
    return Thinking(
        text if isinstance(text, str) else "",
        signature if isinstance(signature, str) else None,
        family,
        redacted if isinstance(redacted, str) else None,
    )


def write_thinking(thinking: Iterable[Thinking]) -> Doc:
    """The keys of a message that tell thinking: its text, and the blocks of each family that has signed any."""
    thinking = tuple(thinking)
    keys: Doc = {}
    if text := "".join(part.text for part in thinking):
        keys["reasoning_content"] = text
    if any(is_signed(part) for part in thinking):
        families: Doc = {}
        for part in thinking:
            _blocks_of(part, families).append(_write_block(part))
        keys["extra_content"] = families
    return keys


def _blocks_of(part: Thinking, families: Doc) -> list[Doc]:
    """Where the block of a thought belongs."""
    box: Doc = families.setdefault(part.family or UNKNOWN_FAMILY, {"thinking_blocks": []})
    blocks: list[Doc] = box["thinking_blocks"]
    return blocks


class SignedBlocks:
    """The same for a stream: each block is told whole, when its thought has ended, and has an `index` in its list, by
    which clients gather lists from deltas. Nothing is told before one of the thoughts is signed.
    """

    def __init__(self) -> None:
        self._waiting: list[Thinking] = []
        self._counts: dict[str | None, int] = {}
        self._told = False

    def add(self, part: Thinking) -> Doc:
        """The `extra_content` that a thought brings; {} when it brings none."""
        self._waiting.append(part)
        self._told = self._told or is_signed(part)
        families: Doc = {}
        while self._told and self._waiting:
            thought = self._waiting.pop(0)
            index = self._counts[thought.family] = self._counts.get(thought.family, -1) + 1
            _blocks_of(thought, families).append({"index": index, **_write_block(thought)})
        return families


def is_signed(part: Thinking) -> bool:
    """Whether it means something only to the family that made it."""
    return part.signature is not None or part.redacted is not None


def _write_block(part: Thinking) -> Doc:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    block: Doc = {"type": "thinking", "thinking": part.text}
    if part.signature is not None:
        block["signature"] = part.signature
    return block
