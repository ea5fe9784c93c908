"""`systemInstruction` and `contents` of a request ↔ canonical turns."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from otari.dialects.gemini.content import wire_ids, write_model, write_system, write_user
from otari.dialects.gemini.models import is_third
from otari.dialects.gemini.parts import made_ids, read_part
from otari.dialects.gemini.results import read_result
from otari.dialects.losses import Drop
from otari.dialects.system_prompt import GOES_ON, apart
from otari.dialects.tool_turns import mend
from otari.domain.chat import Doc, Part, ToolCall, Turn
from otari.domain.errors import invalid

# ---- reading -------------------------------------------------------------------------------------------------------


def read_turns(doc: Doc) -> tuple[Turn, ...]:
    """The turns of a checked request; `systemInstruction` is its first.

    Results mostly name no call: one belongs to the first call of its name, in the turn before, that has no result yet.
    """
    turns = list(_read_system(doc.get("systemInstruction")))
    waiting: list[ToolCall] = []
    for index, content in enumerate(doc.get("contents") or ()):
        new_id = made_ids(f"contents[{index}]")
        if content.get("role") == "model":
            parts = [part for told in _parts(content) for part in read_part(told, new_id)]
            turns.append(Turn("assistant", tuple(parts)))
            waiting = [part for part in parts if isinstance(part, ToolCall)]
        else:
            parts = [part for told in _parts(content) for part in _read_said(told, waiting, new_id)]
            turns.append(Turn("user", tuple(parts)))
    return tuple(turns)


def _read_system(told: Any) -> Iterator[Turn]:
    parts = [part for doc in _parts(told) for part in read_part(doc, str)]
    if parts:
        yield Turn("system", tuple(parts))


def _parts(content: Any) -> list[Doc]:
    """The parts of a content that has been checked."""
    return (content.get("parts") or []) if isinstance(content, dict) else []


def _read_said(told: Doc, waiting: list[ToolCall], new_id: Callable[[], str]) -> list[Part]:
    """A part that a user or a tool sent; `waiting` loses the call that it answers."""
    answer = told.get("functionResponse")
    if not isinstance(answer, dict):
        return read_part(told, new_id)
    call_id, name = answer.get("id"), answer.get("name")
    known = next((call for call in waiting if call_id and call.id == call_id), None)
    if known is None and not call_id:
        known = next((call for call in waiting if call.name == name), None)
    if known is not None:
        waiting.remove(known)
        call_id = known.id
    return [read_result(answer, call_id if isinstance(call_id, str) and call_id else new_id())]


# ---- writing -------------------------------------------------------------------------------------------------------


def write_turns(turns: tuple[Turn, ...], model: str, own: bool, drop: Drop) -> tuple[list[Doc], list[Doc]]:
    """The parts of the system prompt, and the contents, in which user and model take turns.

    System turns at the beginning are the system prompt. Later ones keep their place inside a user's content, because
    the wire has no other, and because moved to the front they would spoil the cached prefix at every turn. Every
    content with calls is followed by one that begins with exactly as many results: `mended` sees to that.

    Raises OtariError(INVALID) when nothing is left to be sent.
    """
    whole = mend(turns, drop)
    if any(turn.name is not None for turn in whole):
        drop("name of a message")
    leading, rest = apart(whole)
    system = write_system((part for turn in leading for part in turn.parts), drop)
    contents = _joined(_write_contents(rest, model, own, drop))
    if not contents and system:  # a request needs a content
        drop("system role")
        return [], [{"role": "user", "parts": system}]
    if not contents:
        raise invalid("The conversation is empty: no message holds anything that can be sent.", "messages")
    if contents[0]["role"] == "model":
        drop("assistant turn at the beginning")
        contents.insert(0, {"role": "user", "parts": [{"text": GOES_ON}]})
    return system, contents


def _write_contents(turns: Iterable[Turn], model: str, own: bool, drop: Drop) -> Iterator[tuple[str, list[Doc]]]:
    calls: list[tuple[ToolCall, str | None]] = []
    third = is_third(model)
    for turn in turns:
        match turn.role:
            case "assistant":
                role, parts = "model", write_model(turn.parts, own, signed=third, drop=drop)
                calls = wire_ids(turn.parts, own)
            case "user":
                role, parts = "user", write_user(turn.parts, calls, own, inside=third, drop=drop)
                calls = []
            case _:
                drop("system role in mid-conversation")
                role, parts = "user", list(map(_reminder, write_system(turn.parts, drop)))
        if parts:
            yield role, parts
        else:
            drop("empty message")


def _reminder(part: Doc) -> Doc:
    if "text" not in part:
        return part
    return part | {"text": f"<system-reminder>\n{part['text']}\n</system-reminder>"}


def _joined(contents: Iterable[tuple[str, list[Doc]]]) -> list[Doc]:
    """Neighbours of one role in one content: roles must alternate."""
    joined: list[Doc] = []
    for role, parts in contents:
        if joined and joined[-1]["role"] == role:
            joined[-1]["parts"] += parts
        else:
            joined.append({"role": role, "parts": parts})
    return joined
