"""What a stub script says, as values: rules, conditions, answers and the blocks that answers are made of.

These types are what `script.read_script` gives and what `matching` and `reply` work on. They know no file
format.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from otari.domain.chat import Finish

FaultKind = Literal["reset", "eof", "hang", "garbage", "error"]
Comparison = Literal["==", ">=", "<=", ">", "<"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One test of a text: `operator` is "contains", "equals" or "regex" (then `regex` is set)."""

    operator: Literal["contains", "equals", "regex"]
    text: str
    regex: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """One test of a number: `==` for a bare number in the script."""

    comparison: Comparison
    number: int


@dataclass(frozen=True, slots=True)
class When:
    """Conditions that must all hold; None or empty means "not asked".

    `surface` and `model` hold alternatives (any of), `texts` maps user, system, last, tool_result and thought to
    patterns that must all fit, `tools` and `has` must all be present.
    """

    surface: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    texts: Mapping[str, tuple[Pattern, ...]] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    turn: Bound | None = None
    step: Bound | None = None
    stream: bool | None = None
    has: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Say:
    """Answer text. Neighbours are one text."""

    text: str


@dataclass(frozen=True, slots=True)
class Think:
    """Reasoning text. Neighbours are one text."""

    text: str


@dataclass(frozen=True, slots=True)
class CallTool:
    """A tool call. `arguments` is a JSON value, or text that is sent as it is (for broken arguments).

    `cut_at` is the share of the argument text that is sent, 0.0 to 1.0; None sends all of it.
    """

    name: str
    arguments: Any
    id: str | None = None
    cut_at: float | None = None


@dataclass(frozen=True, slots=True)
class SayJson:
    """Answer text that is JSON: `value`, or with `auto` an instance of the schema that the request asks for.."""

    value: Any = None
    auto: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer breaks here. `status` belongs to the kind "error": the failure that the stream tells."""

    kind: FaultKind
    status: int | None = None


Block = Say | Think | CallTool | SayJson | Pause | Cut


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The answer is an HTTP error. `retry_after` is in seconds."""

    status: int
    retry_after: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token numbers that an answer tells; None is counted."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an answer comes: seconds to the first frame, tokens per second (0 = at once).

    `jitter` is the share by which a gap between tokens may differ from the mean, 0.0 to 1.0; it is seeded.
    """

    ttft_s: float = 0.0
    tps: float = 0.0
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer: a refusal, or blocks in order."""

    blocks: tuple[Block, ...] = ()
    refusal: ErrorReply | None = None
    expect: When | None = None
    tokens: Tokens = Tokens()
    finish: Finish | None = None
    model: str | None = None
    id: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """When a request fits `when`, it gets an answer.

    With `stepped`, `answers[n]` is for the request with n assistant messages after the last user message;
    otherwise the one answer is for all.
    """

    id: str
    when: When
    answers: tuple[Answer, ...]
    stepped: bool = False
