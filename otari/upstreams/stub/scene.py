"""What a script can see of a request: the facts that conditions test and templates show.

Everything is taken from the request alone. So the same request gives the same scene, however often it
comes, and several clients can share one stub without a counter between them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from otari.domain.arrival import Arrival
from otari.domain.chat import (
    ChatRequest,
    Doc,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from otari.upstreams.stub.digest import digest_of

_REMINDER, _REMINDER_END = "<system-reminder>", "</system-reminder>"


@dataclass(frozen=True, slots=True)
class Scene:
    """The facts of one request.

    `texts` holds user (the last user message), system (all system and developer messages), last (the last
    message), tool_result (the results that came since the last assistant message) and thought (what that
    message gives back of its thinking). `turn` is the number of user messages before the last one; `step`
    the number of assistant messages after it. `called` names the tool whose result came last. `schema` is
    the JSON Schema that the answer must fit, if the request has one. `came` is its HTTP request, `body` what
    the provider was sent, `request` the same as it was understood.
    """

    surface: str
    model: str
    texts: Mapping[str, str]
    tools: tuple[str, ...]
    turn: int
    step: int
    stream: bool
    features: frozenset[str]
    called: str = ""
    schema: Doc | None = None
    came: Arrival = field(default_factory=Arrival)
    body: Doc = field(default_factory=dict)
    request: ChatRequest = field(default_factory=lambda: ChatRequest("", ()))
    _digests: dict[tuple[str, ...], str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def words(self) -> str:
        """The last user message for people: without the reminders that coding clients put around it."""
        *reminded, rest = self.texts["user"].split(_REMINDER_END)
        return ("".join(piece.partition(_REMINDER)[0] for piece in reminded) + rest).strip()

    def digest(self, forms: tuple[str, ...]) -> str:
        """The digest of the request (`digest.digest_of`), made when it is first asked for."""
        known = self._digests.get(forms)
        if known is None:
            known = self._digests[forms] = digest_of(self.request, forms)
        return known


def scene_of(
    request: ChatRequest,
    surface: str,
    came: Arrival | None = None,
    body: Doc | None = None,
    model: str | None = None,
    stream: bool | None = None,
) -> Scene:
    """The scene of a chat request that came in on `surface`, by the HTTP request `came` and with this `body`.

    `model` and `stream` count where they are told, whatever the request says.
    """
    turns = request.turns
    asked = _asked(turns)
    since = turns[asked[-1] + 1 :] if asked else turns
    answered = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    results = [p for turn in turns[answered + 1 :] for p in turn.parts if isinstance(p, ToolResult)]
    return Scene(
        surface=surface,
        model=request.model if model is None else model,
        texts={
            "user": text_of(turns[asked[-1]].parts) if asked else "",
            "system": "\n".join(text_of(t.parts) for t in turns if t.role in ("system", "developer")),
            "last": text_of(turns[-1].parts) if turns else "",
            "tool_result": "\n".join(text_of(result.parts) for result in results),
            "thought": _thought(turns[answered]) if answered >= 0 else "",
        },
        tools=tuple(_tool_name(tool) for tool in request.tools),
        turn=max(len(asked) - 1, 0),
        step=sum(turn.role == "assistant" for turn in since),
        stream=request.stream if stream is None else stream,
        features=frozenset(_features(request)),
        called=_name_of_call(turns, results[-1].call_id) if results else "",
        schema=request.shape.schema if request.shape else None,
        came=came or Arrival(),
        body=body or {},
        request=request,
    )


def text_of(parts: Iterable[Part]) -> str:
    """The readable text of a message, also the text inside tool results; one line between two parts."""
    return "\n".join(_texts(parts))


def _texts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        match part:
            case Text(text) | Refusal(text):
                yield text
            case ToolResult():
                yield from _texts(part.parts)
            case Document():
                if part.text:
                    yield part.text


def _thought(turn: Turn) -> str:
    return "\n".join(part.text for part in turn.parts if isinstance(part, Thinking))


def _asked(turns: Iterable[Turn]) -> list[int]:
    """Which turns are messages that a person wrote.

    One with tool results goes on with the loop, even if reminders stand beside; so does one right behind
    them, for not every wire has room for both in one message.
    """
    found: list[int] = []
    in_loop = False
    for index, turn in enumerate(turns):
        if turn.role == "assistant":
            in_loop = False
        elif turn.role == "user":
            in_loop = in_loop or any(isinstance(part, ToolResult) for part in turn.parts)
            if not in_loop:
                found.append(index)
    return found


def _tool_name(tool: Tool | Opaque) -> str:
    if isinstance(tool, Tool):
        return tool.name
    return str(tool.doc.get("name") or tool.doc.get("type") or "")


def _name_of_call(turns: Iterable[Turn], call_id: str) -> str:
    calls = (part for turn in turns for part in turn.parts if isinstance(part, ToolCall))
    return next((call.name for call in calls if call.id == call_id), "")


def _features(request: ChatRequest) -> Iterator[str]:
    parts = list(_all_parts(part for turn in request.turns for part in turn.parts))
    if any(isinstance(part, Image) for part in parts):
        yield "image"
    if any(isinstance(part, Document) for part in parts):
        yield "file"
    if request.shape is not None and request.shape.kind == "json_schema":
        yield "schema"
    if _thinks(request.reasoning):
        yield "thinking"


def _all_parts(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, ToolResult):
            yield from _all_parts(part.parts)


def _thinks(reasoning: Doc | None) -> bool:
    """Whether the request asks for reasoning; the wires have several ways to say no."""
    if not reasoning:
        return False
    return reasoning.get("type") != "disabled" and reasoning.get("effort") != "none"
