"""`instructions` and `input` of a request ↔ canonical turns."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from otari.dialects.losses import Drop
from otari.dialects.openai_responses.calls import RESULTS, call_kind, read_result, write_call, write_found, write_result
from otari.dialects.openai_responses.carrier import FAMILY, read_carrier
from otari.dialects.openai_responses.content import ITEM_KEYS, NAME, plain, read_content, write_input
from otari.dialects.openai_responses.items import (
    Items,
    is_item,
    keys_of,
    kind_of,
    message_item,
    output_part,
    read_item,
    read_reasoning_back,
    reasoning_item,
)
from otari.dialects.openai_responses.tools import Natives
from otari.dialects.tool_turns import mend
from otari.domain.chat import Doc, Opaque, Part, Refusal, Role, Text, Thinking, ToolCall, ToolResult, Turn
from otari.domain.errors import invalid

FOREIGN_THINKING = "thinking of another model"
_ROLES: dict[str, Role] = {"system": "system", "developer": "developer", "user": "user"}


# ---- reading -------------------------------------------------------------------------------------------------------


def read_turns(doc: Doc) -> tuple[Turn, ...]:
    """The turns of a checked request; `instructions` are its first.

    Items that a model wrote and that follow each other are one turn, results that follow each other too. Raises
    OtariError(INVALID) for a result that names no call.
    """
    reading = _Reading()
    instructions = doc.get("instructions")
    if isinstance(instructions, str) and instructions:
        reading.turns.append(Turn("system", (Text(instructions),)))
    told = doc.get("input")
    items: list[Doc] = told if isinstance(told, list) else [{"role": "user", "content": told or ""}]
    for index, item in enumerate(items):
        reading.read(item, index)
    return reading.ended()


class _Reading:
    """Items in, turns out; a turn that may still grow is held open."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._role: Role = "user"
        self._open: list[Part] = []
        self._signatures: dict[str, str] = {}

    def read(self, item: Doc, index: int) -> None:
        kind = kind_of(item)
        if kind == "message" and item.get("role") != "assistant":
            self._end_turn()
            parts = (*keys_of(item, kind), *read_content(item.get("content")))
            self.turns.append(Turn(_ROLES[item["role"]], parts))
        elif kind in RESULTS:
            result = read_result(item)
            if result is None:
                raise invalid(f"input[{index}].call_id is required: the call that this item answers.", "input")
            self._grow("user", [result])
        elif kind == "reasoning":
            self._read_reasoning(item)
        elif kind != "additional_tools":
            self._grow("user" if kind.endswith(("_output", "_response")) else "assistant", read_item(item))

    def ended(self) -> tuple[Turn, ...]:
        self._end_turn()
        if not self._signatures:
            return tuple(self.turns)
        return tuple(replace(turn, parts=tuple(map(self._signed, turn.parts))) for turn in self.turns)

    def _grow(self, role: Role, parts: list[Part]) -> None:
        if self._role != role:
            self._end_turn()
        self._role = role
        self._open += parts

    def _end_turn(self) -> None:
        if self._open:
            self.turns.append(Turn(self._role, tuple(self._open)))
            self._open = []

    def _read_reasoning(self, item: Doc) -> None:
        """Reasoning that this gateway has written before is what it was: see `carrier`."""
        encrypted = item.get("encrypted_content")
        carried = read_carrier(encrypted) if isinstance(encrypted, str) else None
        if carried is None:
            self._grow("assistant", read_reasoning_back(item))
        elif carried.call_id is not None:
            if carried.signature is not None:
                self._signatures[carried.call_id] = carried.signature
        else:
            text = next((part.text for part in read_item(item) if isinstance(part, Thinking)), "")
            if text or carried.signature is not None or carried.redacted is not None:
                thinking = Thinking(text, carried.signature, carried.family, carried.redacted)
                self._grow("assistant", [thinking])

    def _signed(self, part: Part) -> Part:
        if isinstance(part, ToolCall) and part.id in self._signatures:
            return replace(part, signature=self._signatures[part.id])
        return part


# ---- writing -------------------------------------------------------------------------------------------------------


class TurnWriter:
    """Writes the turns of one request.

    `natives` are its tools that are no plain functions, `found` the tools that searches brought, by call. `own` says
    that it was read from this dialect, `stored` that its provider knows more of the conversation than it tells, so that
    a result may answer a call that is not there.
    """

    def __init__(self, natives: Natives, found: dict[str, list[Doc]], drop: Drop, *, own: bool, stored: bool) -> None:
        self._natives = natives
        self._found = found
        self._drop = drop
        self._own = own
        self._stored = stored
        self._called: dict[str, str] = {}  # id of a call → the kind of its item

    def write(self, turns: tuple[Turn, ...]) -> tuple[str | None, list[Doc]]:
        """`instructions`, when the first turn is a plain system prompt, and the items of all other turns."""
        whole = turns if self._stored else mend(turns, self._drop)
        instructions = _instructions(whole)
        rest = whole if instructions is None else whole[1:]
        return instructions, [item for turn in rest for item in self._write_turn(turn)]

    def _write_turn(self, turn: Turn) -> list[Doc]:
        if turn.name is not None:
            self._drop("name of a message")
        if turn.role == "assistant":
            return self._write_assistant(turn.parts)
        return list(self._write_said(turn))

    def _write_said(self, turn: Turn) -> Iterator[Doc]:
        """Results and whole items each in their place, everything between them as messages."""
        message: list[Part] = []
        keys: Doc = {}
        alone = False  # the turn has told something beside its message
        for part in turn.parts:
            item = self._own_item(part)
            if isinstance(part, Opaque) and part.dialect == NAME and ITEM_KEYS in part.doc:
                keys = part.doc[ITEM_KEYS]
            elif item is None:
                message.append(part)
            else:
                yield from self._write_message(turn.role, message, keys)
                message, keys, alone = [], {}, True
                yield item
        if message or not alone:
            yield from self._write_message(turn.role, message, keys, needed=turn.role == "user")

    def _own_item(self, part: Part) -> Doc | None:
        """The item that a part of a user's turn is by itself."""
        if isinstance(part, ToolResult):
            kind = self._called.get(part.call_id, "function_call")
            if kind == "tool_search_call":
                return write_found(part.call_id, self._found.get(part.call_id, []))
            return write_result(part, kind, self._own, self._drop)
        return part.doc if isinstance(part, Opaque) and is_item(part) else None

    def _write_message(self, role: str, parts: Iterable[Part], keys: Doc, *, needed: bool = False) -> Iterator[Doc]:
        content = write_input(parts, self._own, self._drop)
        if content or needed:
            yield {"type": "message", "role": role, "content": plain(content), **keys}

    def _write_assistant(self, parts: tuple[Part, ...]) -> list[Doc]:
        items = Items()
        for part in parts:
            if getattr(part, "cache", None) is not None:
                self._drop("cache_control")
            match part:
                case Text(citations=citations) if citations:
                    items.add(message_item(output_part(part)))
                case Text(text):
                    items.add({"type": "message", "role": "assistant", "content": text})
                case Refusal():
                    items.add(message_item(output_part(part)))
                case Thinking():
                    self._write_thinking(part, items)
                case ToolCall():
                    self._called[part.id] = call_kind(part.name, self._natives)
                    if part.signature is not None:
                        self._drop(FOREIGN_THINKING)
                    items.add(write_call(part, self._natives))
                case Opaque():
                    items.add_opaque(part, self._drop)
                case other:
                    self._drop(f"part {type(other).__name__.lower()}")
        return items.docs

    def _write_thinking(self, part: Thinking, items: Items) -> None:
        """Signed thinking goes back to the family that signed it, and plain thinking to where it was read from."""
        if part.signature is not None and part.family == FAMILY:
            items.add(reasoning_item(part.text, part.signature))
        elif part.signature is None and part.redacted is None and self._own:
            items.add(reasoning_item(part.text, None))
        else:
            self._drop(FOREIGN_THINKING)


def _instructions(turns: tuple[Turn, ...]) -> str | None:
    """The text of a first system turn that is nothing but one plain text; not of the only turn: `input` needs one."""
    match turns:
        case (Turn("system", (Text(text, None),), None), _, *_):
            return text
    return None


def encrypted(parts: Iterable[Part]) -> bool:
    """Whether there is thinking among the parts that only an upstream of this dialect can read."""
    return any(isinstance(part, Thinking) and part.signature is not None and part.family == FAMILY for part in parts)
