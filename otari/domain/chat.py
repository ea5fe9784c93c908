"""The canonical conversation: what a chat request, an answer and a stream mean, whatever wire they came on.

Every dialect reads its wire into these types and writes its wire from them. All values are immutable. Tool-call
arguments stay the raw JSON text that the model wrote, because a truncated or odd argument string must survive.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal, NamedTuple

Doc = dict[str, Any]  # one JSON object as it stood on a wire
Role = Literal["system", "developer", "user", "assistant"]


# ---- parts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Citation:
    """A web page that a piece of a text is taken from. `start` and `end` bound the piece in characters of the text;
    None = all of it."""

    url: str
    title: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text. `cache` is the cache mark as the wire gave it (for example `{"type": "ephemeral"}`). `citations` are
    those of an answer; in the history of a request nobody asks for them."""

    text: str
    cache: Doc | None = None
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: base64 `data` with its media type, or a `url`, or a `file_id`; exactly one of the three is set."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    cache: Doc | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file to read (PDF, text, …): base64 `data`, a `url`, plain `text`, or a `file_id`."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    text: str | None = None
    file_id: str | None = None
    name: str | None = None
    cache: Doc | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound given to the model: base64 `data` in `format` ("wav", "mp3")."""

    format: str
    data: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning of a model. `signature` (or `redacted` data) goes back byte for byte to the `family` that made it."""

    text: str
    signature: str | None = None
    family: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. `arguments` is raw JSON text; "" means that none were written."""

    id: str
    name: str
    arguments: str
    signature: str | None = None
    cache: Doc | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered to the call `call_id`. Stands in a user turn."""

    call_id: str
    parts: "tuple[Part, ...]"
    failed: bool = False
    cache: Doc | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declined, in its own words."""

    text: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part that only its own dialect understands; carried whole, dropped by name when another dialect is written."""

    dialect: str
    doc: Doc


Part = Text | Image | Document | Audio | Thinking | ToolCall | ToolResult | Refusal | Opaque


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. Tool results stand in a user turn, in the order they were given."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


# ---- request -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. `parameters` is a JSON Schema.

    `native` is set when the client offered something else than a plain function (a tool that takes plain text, a member
    of a group, a local shell): the tool as its dialect knows it. Other dialects use the function.
    """

    name: str
    description: str | None = None
    parameters: Doc | None = None
    strict: bool | None = None
    cache: Doc | None = None
    native: Opaque | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`auto`, `none`, `required`, or `named` with the one tool's name. `parallel` is None when not said."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None
    parallel: bool | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. None = not said by the client."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """The form the answer must have: any JSON object, or one that fits a JSON Schema."""

    kind: Literal["json_object", "json_schema"]
    name: str | None = None
    schema: Doc | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A whole chat request.

    `reasoning` holds `effort` ("none" … "max") or `budget_tokens`, or both. `extras` holds top-level keys that have no
    canonical home; they mean something only to the `dialect` that they were read from ("" = none).
    """

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool | Opaque, ...] = ()
    tool_choice: ToolChoice | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_output_tokens: int | None = None
    choices: int = 1
    reasoning: Doc | None = None
    shape: Shape | None = None
    stream: bool = False
    user: str | None = None
    metadata: Doc | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    dialect: str = ""


# ---- usage ---------------------------------------------------------------------------------------------------------


class Usage(NamedTuple):
    """Tokens of one answer; None means "not told".

    `input` is everything that was read, cached parts included; `output` is everything that was written, reasoning
    included. `cache_read` and `cache_write` are parts of `input`, `cache_write_1h` is a part of `cache_write`,
    `reasoning` is a part of `output`. Dialects that count apart are brought to this form when they are read.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None

    def merged(self, later: "Usage") -> "Usage":
        """This usage with every number that `later` tells laid over it (some wires tell input first, output last)."""
        return Usage(*[mine if told is None else told for mine, told in zip(self, later, strict=True)])


# ---- answer and events ---------------------------------------------------------------------------------------------


class Finish(Enum):
    """Why the model stopped."""

    END = "end"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOLS = "tools"
    FILTER = "filter"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. `created` is in seconds since the epoch; None when the wire has no such field. `service_tier` is
    how urgently the provider worked, in OpenAI's words ("default", "flex", "priority", …); None when it does not say.
    """

    id: str
    model: str
    parts: tuple[Part, ...]
    finish: Finish
    usage: Usage = field(default_factory=Usage)
    created: int | None = None
    stop_sequence: str | None = None
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The answer has begun. `service_tier` is told here, at the end, or at both, as the wire has it."""

    id: str
    model: str
    created: int | None = None
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class PartStarted:
    """Part number `index` begins; `part` holds what is known already (a call's id and name), its text empty."""

    index: int
    part: Part


@dataclass(slots=True, unsafe_hash=True)
class PartDelta:
    """More text, thinking or argument text of an open part.

    Nearly every event is one, and a frozen one takes three times as long to make: it is not to be changed either.
    """

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class PartSigned:
    """The signature of an open thinking part."""

    index: int
    signature: str


@dataclass(frozen=True, slots=True)
class PartCited:
    """Where a piece of an open text is taken from. The piece need not have come yet."""

    index: int
    citation: Citation


@dataclass(frozen=True, slots=True)
class PartEnded:
    """Part number `index` is whole."""

    index: int


@dataclass(frozen=True, slots=True)
class UsageSeen:
    """Token numbers, possibly partial: merge them, never replace."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finished:
    """The one good ending."""

    finish: Finish
    stop_sequence: str | None = None
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The one bad ending: the provider broke off. `message` is its own text, not yet redacted."""

    message: str
    code: str | None = None


Event = Started | PartStarted | PartDelta | PartSigned | PartCited | PartEnded | UsageSeen | Finished | Failed


def grown(part: Part, text: str) -> Part:
    """`part` with `text` added to the one field of it that streams. Parts that do not stream come back unchanged."""
    if isinstance(part, Text | Thinking | Refusal):
        return replace(part, text=part.text + text)
    if isinstance(part, ToolCall):
        return replace(part, arguments=part.arguments + text)
    return part


def fold(events: Iterable[Event]) -> Reply | Failed:
    """The answer that a stream of events tells, or the failure that ended it.

    Raises ValueError when the events break their grammar: Started (PartStarted Delta* PartEnded)* UsageSeen* and then
    exactly one Finished or Failed. Parts may overlap; they come out in the order of their index.
    """
    started: Started | None = None
    parts: dict[int, Part] = {}
    texts: dict[int, list[str]] = {}
    usage = Usage()
    ending: Finished | Failed | None = None
    for event in events:
        if ending is not None:
            raise ValueError(f"{event!r} after the end")
        match event:
            case Started():
                started = started or event
            case PartStarted(index, part):
                if index in parts:
                    raise ValueError(f"part {index} started twice")
                parts[index], texts[index] = part, []
            case PartDelta(index) | PartSigned(index) | PartCited(index) | PartEnded(index) if index not in parts:
                raise ValueError(f"part {index} has not started")
            case PartDelta(index, text):
                texts[index].append(text)
            case PartSigned(index, signature):
                part = parts[index]
                if not isinstance(part, Thinking | ToolCall):
                    raise ValueError(f"part {index} can not be signed")
                parts[index] = replace(part, signature=signature)
            case PartCited(index, citation):
                part = parts[index]
                if not isinstance(part, Text):
                    raise ValueError(f"part {index} is no text")
                parts[index] = replace(part, citations=(*part.citations, citation))
            case PartEnded():
                pass
            case UsageSeen(seen):
                usage = usage.merged(seen)
            case Finished() | Failed():
                ending = event
    if ending is None:
        raise ValueError("the events have no end")
    if isinstance(ending, Failed):
        return ending
    if started is None:
        raise ValueError("the events have no start")
    whole = tuple(grown(parts[i], "".join(texts[i])) for i in sorted(parts))
    return Reply(
        started.id,
        started.model,
        whole,
        ending.finish,
        usage,
        started.created,
        ending.stop_sequence,
        ending.service_tier or started.service_tier,
    )


def unfold(reply: Reply) -> Iterator[Event]:
    """A whole answer as the events of a stream; `fold(unfold(reply)) == reply`."""
    yield Started(reply.id, reply.model, reply.created, reply.service_tier)
    for index, part in enumerate(reply.parts):
        yield from unfold_part(index, part)
    if reply.usage != Usage():
        yield UsageSeen(reply.usage)
    yield Finished(reply.finish, reply.stop_sequence, reply.service_tier)


def unfold_part(index: int, part: Part) -> Iterator[Event]:
    """One whole part as PartStarted, at most one delta, its signature or its citations, PartEnded."""
    match part:
        case Text(text, citations=citations):
            yield PartStarted(index, replace(part, text="", citations=()))
            if text:
                yield PartDelta(index, text)
            for citation in citations:
                yield PartCited(index, citation)
        case Refusal(text):
            yield PartStarted(index, replace(part, text=""))
            if text:
                yield PartDelta(index, text)
        case Thinking(text, signature):
            yield PartStarted(index, replace(part, text="", signature=None))
            if text:
                yield PartDelta(index, text)
            if signature is not None:
                yield PartSigned(index, signature)
        case ToolCall():
            yield PartStarted(index, replace(part, arguments=""))
            if part.arguments:
                yield PartDelta(index, part.arguments)
        case _:
            yield PartStarted(index, part)
    yield PartEnded(index)
