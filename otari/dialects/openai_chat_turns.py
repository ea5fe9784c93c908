"""The `messages` of a Chat Completions request ↔ canonical turns."""

import itertools
from collections.abc import Iterable, Iterator

from otari.dialects.openai_chat_message import (
    read_assistant,
    read_content,
    write_assistant,
    write_content,
)
from otari.dialects.tool_turns import mended
from otari.domain.chat import Doc, Document, Image, Part, Role, Text, Thinking, ToolCall, ToolResult, Turn
from otari.domain.errors import invalid

_ROLES: dict[str, Role] = {"system": "system", "developer": "developer", "user": "user"}


def read_turns(messages: list[Doc]) -> tuple[Turn, ...]:
    """The turns of checked messages; tool messages in a row become one user turn of results.

    Raises OtariError(INVALID) for a tool message that does not say which call it answers.
    """
    turns: list[Turn] = []
    results: list[Part] = []
    legacy = ""  # the id of the last call: results of the old `function` kind name none
    for index, message in enumerate(messages):
        role = message["role"]
        if role in ("tool", "function"):
            results.append(_read_result(message, index, legacy))
            continue
        if results:
            turns.append(Turn("user", tuple(results)))
            results = []
        name = message.get("name")
        name = name if isinstance(name, str) else None
        if role == "assistant":
            parts = _read_assistant(message, index)
            legacy = next((part.id for part in reversed(parts) if isinstance(part, ToolCall)), legacy)
            turns.append(Turn("assistant", parts, name))
        else:
            turns.append(Turn(_ROLES[role], tuple(read_content(message.get("content"))), name))
    if results:
        turns.append(Turn("user", tuple(results)))
    return tuple(turns)


def _read_assistant(message: Doc, index: int) -> tuple[Part, ...]:
    """A call without an id gets one that only depends on its place, so that a repeated request stays the same."""
    ids = (f"call_{index}_{number}" for number in itertools.count())
    return tuple(read_assistant(message, lambda: next(ids)))


def _read_result(message: Doc, index: int, legacy: str) -> ToolResult:
    call_id = legacy if message["role"] == "function" else message.get("tool_call_id")
    if not isinstance(call_id, str) or (not call_id and message["role"] == "tool"):
        name = f"messages[{index}].tool_call_id"
        raise invalid(f"{name} is required: the id of the tool call that this message answers.", name)
    return ToolResult(call_id, tuple(read_content(message.get("content"))))


def write_turns(turns: Iterable[Turn], *, own: bool) -> list[Doc]:
    """The messages of a conversation. `own` says that it was read from this dialect.

    Tool results come right after their calls; pictures and files in them, for which a tool message has no place, follow
    in a user message. `developer` becomes `system` unless the client of this dialect wrote it, because few servers know
    it.
    """
    messages: list[Doc] = []
    names: dict[str, str] = {}
    for turn in mended(turns):
        match turn.role:
            case "assistant":
                names |= {part.id: part.name for part in turn.parts if isinstance(part, ToolCall)}
                told = _write_assistant(turn, own)
            case "user":
                told = list(_write_user(turn, names))
            case role:
                told = _write_system(turn, role if own else "system")
        messages += told
    return messages


def _named(message: Doc, turn: Turn) -> Doc:
    if turn.name is not None:
        message["name"] = turn.name
    return message


def _write_system(turn: Turn, role: str) -> list[Doc]:
    text = "\n\n".join(part.text for part in turn.parts if isinstance(part, Text))
    return [_named({"role": role, "content": text}, turn)] if text else []


def _write_assistant(turn: Turn, own: bool) -> list[Doc]:
    """Signed thinking belongs to the family that signed it and never goes to another.

    Plain reasoning goes back where it was read from; from elsewhere only beside tool calls, where DeepSeek and Moonshot
    require it.
    """
    calls = any(isinstance(part, ToolCall) for part in turn.parts)
    parts = [part for part in turn.parts if not isinstance(part, Thinking) or _replayed(part, own or calls)]
    return [_named(write_assistant(parts), turn)] if parts or not turn.parts else []


def _replayed(part: Thinking, wanted: bool) -> bool:
    return wanted and part.signature is None and part.redacted is None


def _write_user(turn: Turn, names: dict[str, str]) -> Iterator[Doc]:
    handed_over: list[Part] = []
    rest: list[Part] = []
    for part in turn.parts:
        if not isinstance(part, ToolResult):
            rest.append(part)
            continue
        media = [inner for inner in part.parts if isinstance(inner, Image | Document)]
        if media:
            tool = names.get(part.call_id, "")
            kind = "Image" if isinstance(media[0], Image) else "File"
            handed_over += [Text(f"{kind} returned by tool {tool} ({part.call_id}):"), *media]
        yield {"role": "tool", "tool_call_id": part.call_id, "content": _result_text(part, bool(media))}
    if handed_over or rest or not turn.parts:
        yield _named({"role": "user", "content": write_content(handed_over + rest)}, turn)


def _result_text(result: ToolResult, has_media: bool) -> str:
    """A tool message has no mark for failure: the word says it."""
    text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    if not text and has_media:
        text = "The result follows in the next message."
    if result.failed and not text.startswith("Error"):
        text = f"Error: {text}"
    return text
