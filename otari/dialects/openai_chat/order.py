"""The order of messages that strict servers want.

Most chat templates of open models take one system message, at the beginning, and roles that alternate after it. Single
vendors want calls one by one, or the assistant between results and the user.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from otari.dialects.openai_chat.terms import Terms
from otari.domain.chat import Doc, Part, Text, ToolCall, Turn

BETWEEN = "OK"  # what the assistant says where a user must not follow tool results directly
_PLAIN_KEYS = {"role", "content", "name"}


# ---- turns ---------------------------------------------------------------------------------------------------------


def placed(turns: tuple[Turn, ...], terms: Terms) -> tuple[Turn, ...]:
    """The conversation with its system turns where the server takes them (`Quirks.later_system`).

    All at the beginning become one. Later ones join it ("merge"), or are told by the user in their place ("demote"),
    which leaves the beginning as it was, so that it stays cached.
    """
    if terms.quirks.later_system == "keep":
        return turns
    count = 0
    while count < len(turns) and _is_system(turns[count]):
        count += 1
    first = [part for turn in turns[:count] for part in turn.parts]
    rest = list(turns[count:])
    if any(map(_is_system, rest)):
        terms.drop("system role in mid-conversation")
        if terms.quirks.later_system == "merge":
            first += (part for turn in rest if _is_system(turn) for part in turn.parts)
            rest = [turn for turn in rest if not _is_system(turn)]
        else:
            rest = [_demoted(turn) if _is_system(turn) else turn for turn in rest]
    return (Turn("system", tuple(first)), *rest) if first else tuple(rest)


def _is_system(turn: Turn) -> bool:
    return turn.role in ("system", "developer")


def _demoted(turn: Turn) -> Turn:
    return Turn("user", tuple(map(_reminder, turn.parts)))


def _reminder(part: Part) -> Part:
    if not isinstance(part, Text):
        return part
    return Text(f"<system-reminder>\n{part.text}\n</system-reminder>", part.cache)


def split(turns: Iterable[Turn], terms: Terms) -> Iterator[Turn]:
    """Each call in a turn of its own, with its result behind it; `turns` are mended."""
    rest = iter(turns)
    for turn in rest:
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        if turn.role != "assistant" or len(calls) < 2:
            yield turn
            continue
        terms.drop("parallel calls split")
        said = [part for part in turn.parts if not isinstance(part, ToolCall)]
        answer = next(rest)  # a mended turn of calls is followed by their results, in their order
        for call, result in zip(calls, answer.parts, strict=False):
            yield replace(turn, parts=(*said, call))
            yield replace(answer, parts=(result,))
            said = []
        if len(answer.parts) > len(calls):
            yield replace(answer, parts=answer.parts[len(calls) :])


# ---- messages ------------------------------------------------------------------------------------------------------


def joined(messages: Iterable[Doc]) -> list[Doc]:
    """Neighbours of one role in one message."""
    out: list[Doc] = []
    for message in messages:
        last = out[-1] if out else {}
        same = last.get("role") == message["role"] and last.get("name") == message.get("name")
        if same and message["role"] != "tool" and last.keys() <= _PLAIN_KEYS:
            out[-1] = {**last, **message, "content": _both(last["content"], message["content"])}
        else:
            out.append(message)
    return out


def _both(first: str | list[Doc] | None, second: str | list[Doc] | None) -> str | list[Doc] | None:
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [*_as_list(first), *_as_list(second)]


def _as_list(content: str | list[Doc]) -> list[Doc]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def spaced(messages: Iterable[Doc], terms: Terms) -> Iterator[Doc]:
    """A word of the assistant wherever a user's message would follow a result directly."""
    last = ""
    for message in messages:
        if last == "tool" and message["role"] == "user":
            terms.drop("assistant turn between tool results and user")
            yield {"role": "assistant", "content": BETWEEN}
        last = message["role"]
        yield message
