"""The `messages` of a Chat Completions request ↔ canonical turns."""

import itertools
from collections.abc import Iterable, Iterator

from otari.dialects.openai_chat.assistant import read_assistant, write_assistant
from otari.dialects.openai_chat.calls import write_id
from otari.dialects.openai_chat.content import marked, plain, read_content, word, write_parts
from otari.dialects.openai_chat.order import joined, placed, spaced, split
from otari.dialects.openai_chat.terms import Terms
from otari.dialects.tool_turns import mend
from otari.domain.chat import (
    Audio,
    Doc,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from otari.domain.errors import invalid

FOLLOWS = "The result follows in the next message."
_ROLES: dict[str, Role] = {"system": "system", "developer": "developer", "user": "user"}
_MEDIA = (Image, Document, Audio)


# ---- reading -------------------------------------------------------------------------------------------------------


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


# ---- writing -------------------------------------------------------------------------------------------------------


def write_turns(turns: tuple[Turn, ...], terms: Terms) -> list[Doc]:
    """The messages of a conversation.

    Tool results come right after their calls; pictures and files in them, for which a tool message has no place, follow
    in a user message. Raises OtariError(INVALID) for media that can not be sent, and when nothing is left to be sent.
    """
    whole = placed(mend(turns, terms.drop), terms)
    if terms.quirks.split_calls:
        whole = tuple(split(whole, terms))
    messages = list(_write(whole, terms))
    if turns and not messages:
        raise invalid("The conversation is empty: no message holds anything that can be sent.", "messages")
    if terms.quirks.later_system != "keep":
        messages = joined(messages)
    return messages if terms.quirks.user_after_tools else list(spaced(messages, terms))


def _write(turns: Iterable[Turn], terms: Terms) -> Iterator[Doc]:
    names: dict[str, str] = {}
    for turn in turns:
        if turn.role == "assistant":
            names |= {part.id: part.name for part in turn.parts if isinstance(part, ToolCall)}
            told = write_assistant(turn.parts, terms)
            messages = [] if told is None else [told]
        elif turn.role == "user":
            messages = _write_user(turn, names, terms)
        else:
            messages = _write_system(turn, terms)
        if not messages:
            terms.drop("empty message")
        for message in messages:
            if turn.name is not None and message["role"] != "tool":
                message["name"] = turn.name
            yield message


def _write_system(turn: Turn, terms: Terms) -> list[Doc]:
    role = turn.role if terms.quirks.developer_role else "system"
    kept: list[Part] = []
    for part in turn.parts:
        if terms.own or isinstance(part, Text | Opaque):
            kept.append(part)
        else:
            terms.drop(f"{word(part)} in a system turn")
    content = plain(write_parts(kept, "a system turn", terms), terms)
    return [{"role": role, "content": content}] if content else []


def _write_user(turn: Turn, names: dict[str, str], terms: Terms) -> list[Doc]:
    """Results in tool messages, then everything else that the user says."""
    messages: list[Doc] = []
    said: list[Part] = []
    for result in turn.parts:
        if isinstance(result, ToolResult):
            media: list[Part] = [part for part in result.parts if isinstance(part, _MEDIA) and not terms.own]
            messages.append(_write_result(result, bool(media), terms))
            if media:
                said += _handed_over(result, media, names.get(result.call_id, ""), terms)
    said += (part for part in turn.parts if not isinstance(part, ToolResult))
    content = plain(write_parts(said, "a user turn", terms), terms)
    if content or not turn.parts or (terms.own and not messages):
        messages.append({"role": "user", "content": content})
    return messages


def _handed_over(result: ToolResult, media: list[Part], tool: str, terms: Terms) -> list[Part]:
    for part in media:
        terms.drop(f"{word(part)} in a tool result")
    kind = "Image" if isinstance(media[0], Image) else "File"
    return [Text(f"{kind} returned by tool {tool} ({result.call_id}):"), *media]


def _write_result(result: ToolResult, has_media: bool, terms: Terms) -> Doc:
    """A tool message has no mark for failure: the word says it."""
    call_id = write_id(result.call_id, terms)
    if terms.own:
        said = plain(write_parts(result.parts, "a tool result", terms), terms)
        return {"role": "tool", "tool_call_id": call_id, "content": said}
    text = "\n".join(_result_texts(result, terms))
    if not text and has_media:
        text = FOLLOWS
    if result.failed and not text.startswith("Error"):
        text = f"Error: {text}"
    content = plain([marked({"type": "text", "text": text}, result.cache, terms)], terms)
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def _result_texts(result: ToolResult, terms: Terms) -> Iterator[str]:
    for part in result.parts:
        if isinstance(part, Text | Refusal):
            if getattr(part, "cache", None) is not None:
                terms.drop("cache_control")
            yield part.text
        elif isinstance(part, Opaque):
            terms.drop(word(part))
        elif not isinstance(part, _MEDIA):
            terms.drop(f"{word(part)} in a tool result")
