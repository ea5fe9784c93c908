"""`system` and `messages` of a request ↔ canonical turns."""

from collections.abc import Iterable, Iterator

from otari.dialects.anthropic_messages.blocks import read_content
from otari.dialects.anthropic_messages.content import plain, write_assistant, write_system, write_user
from otari.dialects.anthropic_messages.marks import write_id
from otari.dialects.losses import Drop
from otari.dialects.system_prompt import GOES_ON, apart
from otari.dialects.tool_turns import mend
from otari.domain.chat import Doc, Opaque, Part, Role, ToolCall, ToolResult, Turn
from otari.domain.errors import invalid

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_NEEDS_AN_ID = {"tool_use": "id and name", "tool_result": "tool_use_id"}


def read_turns(doc: Doc) -> tuple[Turn, ...]:
    """The turns of a checked request; `system` is its first.

    Raises OtariError(INVALID) for a tool call or a result that does not say which one it is.
    """
    system = read_content(doc.get("system"))
    first = [Turn("system", tuple(system))] if system else []
    rest = (_read_message(message, index) for index, message in enumerate(doc["messages"]))
    return (*first, *rest)


def _read_message(message: Doc, index: int) -> Turn:
    parts = read_content(message.get("content"))
    for part in parts:
        kind = part.doc.get("type") if isinstance(part, Opaque) else None
        if isinstance(kind, str) and kind in _NEEDS_AN_ID:
            raise invalid(f"A {kind} block of messages[{index}] lacks its {_NEEDS_AN_ID[kind]}.", "messages")
    return Turn(_ROLES[message["role"]], tuple(parts))


def write_turns(turns: tuple[Turn, ...], own: bool, drop: Drop) -> tuple[list[Doc], list[Doc]]:
    """The system prompt, and the messages: results right after their calls, neighbours of one role in one message.

    System turns at the beginning are the system prompt. Later ones keep their place: as they are when the client of
    this dialect wrote them (`own`), else inside a user message, because few models know the role there, and because
    moved to the front they would spoil the cached prefix at every turn.

    Raises OtariError(INVALID) when nothing is left to be sent.
    """
    whole = mend(turns, drop)
    if any(turn.name is not None for turn in whole):
        drop("name of a message")
    leading, rest = apart(whole)
    system = write_system((part for turn in leading for part in turn.parts), drop)
    messages = _joined(_write_messages(rest, own, drop))
    if not messages and system:  # a request needs a message
        drop("system role")
        return [], [{"role": "user", "content": plain(system)}]
    if not messages:
        raise invalid("The conversation is empty: no message holds anything that can be sent.", "messages")
    if messages[0]["role"] == "assistant":
        drop("assistant turn at the beginning")
        messages.insert(0, {"role": "user", "content": GOES_ON})
    _trim_end(messages, drop)
    for message in messages:
        if isinstance(message["content"], list):
            message["content"] = plain(message["content"])
    return system, messages


def _write_messages(turns: Iterable[Turn], own: bool, drop: Drop) -> Iterator[tuple[str, list[Doc]]]:
    ids: list[str] = []
    used: set[str] = set()
    for turn in turns:
        match turn.role:
            case "assistant":
                ids = [_unique(part.id, used, drop) for part in turn.parts if isinstance(part, ToolCall)]
                content = write_assistant(turn.parts, ids, drop)
            case "user":
                answered = any(isinstance(part, ToolResult) for part in turn.parts)
                content = write_user(turn.parts, own, ids, drop)
                ids = [] if answered else ids
            case _:
                content = write_system(turn.parts, drop)
        if not content:
            drop("empty message")
        elif turn.role in ("assistant", "user"):
            yield turn.role, content
        elif own:
            yield "system", content
        else:
            drop("system role in mid-conversation")
            yield "user", [_reminder(block) for block in content]


def _unique(call_id: str, used: set[str], drop: Drop) -> str:
    """The id of a call on the wire; a second call of the same id gets another one."""
    wire = first = write_id(call_id)
    number = 2
    while wire in used:
        drop("tool ids doubled")
        wire = f"{first}_{number}"
        number += 1
    used.add(wire)
    return wire


def _reminder(block: Doc) -> Doc:
    if block.get("type") != "text":
        return block
    return block | {"text": f"<system-reminder>\n{block['text']}\n</system-reminder>"}


def _joined(messages: Iterable[tuple[str, list[Doc]]]) -> list[Doc]:
    """Neighbours of one role in one message: some servers of this dialect demand that roles alternate."""
    joined: list[Doc] = []
    for role, content in messages:
        if joined and joined[-1]["role"] == role != "system":
            joined[-1]["content"] += content
        else:
            joined.append({"role": role, "content": content})
    return joined


def _trim_end(messages: list[Doc], drop: Drop) -> None:
    """Anthropic refuses a last assistant turn, which its model continues, that ends in white space."""
    if messages[-1]["role"] != "assistant":
        return
    block: Doc = messages[-1]["content"][-1]
    text = block.get("text")
    if isinstance(text, str) and text != text.rstrip():
        drop("white space at the end")
        block["text"] = text.rstrip()


def called_tools(turns: Iterable[Turn]) -> list[str]:
    """The names of the tools that a conversation has called, in order, each once."""
    parts: Iterator[Part] = (part for turn in turns for part in turn.parts)
    return list(dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall)))
