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
    """The thinking of a message: its reasoning, and in it the signed blocks that the message carries."""
    extra, text = message.get("extra_content"), reasoning_text(message)
    parts: list[Part] = []
    told = 0  # characters of the text that stand in `parts`
    for block in _read_blocks(extra) if isinstance(extra, dict) else ():
        at = text.find(block.text, told)
        if at >= 0:
            parts += _plain(text[told:at])
            told = at + len(block.text)
        parts.append(block)
    return parts + _plain(text[told:])


def _plain(text: str) -> list[Part]:
    return [Thinking(text)] if text else []


def _read_blocks(extra: Doc) -> Iterator[Thinking]:
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
    families: Doc = {}
    for part in thinking:
        if is_signed(part):
            box = families.setdefault(part.family or UNKNOWN_FAMILY, {"thinking_blocks": []})
            box["thinking_blocks"].append(_write_block(part))
    return keys | ({"extra_content": families} if families else {})


class SignedBlocks:
    """The same for a stream: the block of a thought is told whole at its end, with an `index`, by which clients gather
    lists from deltas.
    """

    def __init__(self) -> None:
        self._counts: dict[str | None, int] = {}

    def add(self, part: Thinking) -> Doc:
        """The `extra_content` that a thought brings; {} when nobody signed it."""
        if not is_signed(part):
            return {}
        index = self._counts[part.family] = self._counts.get(part.family, -1) + 1
        return {part.family or UNKNOWN_FAMILY: {"thinking_blocks": [{"index": index, **_write_block(part)}]}}


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
