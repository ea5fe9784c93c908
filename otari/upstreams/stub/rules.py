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

    @property
    def spaced(self) -> bool:
        """Whether there is white space in it."""
        return any(map(str.isspace, self.text))


@dataclass(frozen=True, slots=True)
class Bound:
    """One test of a number: `==` for a bare number in the script."""

    comparison: Comparison
    number: int


@dataclass(frozen=True, slots=True)
class Place:
    """One test of a place in the request's body: `path` as written, its `steps`, and the pattern or value there."""

    path: str
    steps: tuple[str | int, ...]
    wanted: Pattern | bool | int | float | None


@dataclass(frozen=True, slots=True)
class When:
    """Conditions that must all hold; None or empty means "not asked".

    `surface`, `model`, `session` and `key` hold alternatives (any of), `texts` maps user, system, last, tool_result and
    thought to patterns that must all fit, and so do `headers` by lower-case name; `tools`, `has` and `body` must all be
    there. `digest` is what the digest of the request begins with.
    """

    surface: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    texts: Mapping[str, tuple[Pattern, ...]] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    turn: Bound | None = None
    step: Bound | None = None
    stream: bool | None = None
    has: tuple[str, ...] = ()
    headers: Mapping[str, tuple[Pattern, ...]] = field(default_factory=dict)
    body: tuple[Place, ...] = ()
    session: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    digest: str = ""


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
    """Answer text that is JSON: `value`, or with `auto` an instance of the schema that the request asks for."""

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
class BatchPlan:
    """How a batch goes: it is done when it is looked at for the `polls`-th time, and the lines in `fail` fail."""

    polls: int = 1
    fail: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a script wants of a single-shot answer, or of a batch; None is as usual.

    `dims` is the length of vectors; `scores` are the relevance of documents by their text; `flags` what is found in
    every input; `fill` the colour of pictures, as "#336699"; `text` what a recording says.
    """

    dims: int | None = None
    scores: Mapping[str, float] | None = None
    flags: tuple[str, ...] | None = None
    fill: str | None = None
    text: str | None = None
    batch: BatchPlan | None = None


@dataclass(frozen=True, slots=True)
class Exact:
    """The very bytes of a recorded answer, each piece with the seconds that had passed when it came.

    `request` is the body that was answered.
    """

    dialect: str
    stream: bool
    pieces: tuple[tuple[float, bytes], ...]
    request: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer: a refusal, or blocks in order, or for single-shot calls and batches a wish.

    `exact` is how a recorded answer came; it is given again to whoever asks in the same dialect.
    """

    blocks: tuple[Block, ...] = ()
    wish: Wish | None = None
    refusal: ErrorReply | None = None
    expect: When | None = None
    tokens: Tokens = Tokens()
    finish: Finish | None = None
    model: str | None = None
    id: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pace: Pace | None = None
    exact: Exact | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """When a request fits `when`, it gets an answer.

    With `stepped`, `answers[n]` is for the request with n assistant messages after the last user message. With
    `sequence`, they are given one after the other, counted by session, and the word says what comes after the last: it
    again, all of them again, or nothing. Otherwise the one answer is for all. `aside`: the answers count nowhere.
    """

    id: str
    when: When
    answers: tuple[Answer, ...]
    stepped: bool = False
    sequence: Literal["", "last", "loop", "miss"] = ""
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with requests that fit `when`: the first `times` of them, each `every`th, or a `share`.

    With none of the three it is all of them. `at` says where: between gateway and provider, or on the way to the
    client. First comes `delay_s` of silence, then the `refusal` instead of the answer, or the `cut`, when so much of it
    (0.0 to 1.0) has been sent as `after` says.
    """

    id: str
    when: When
    at: Literal["upstream", "client"] = "upstream"
    times: int | None = None
    every: int | None = None
    share: float | None = None
    delay_s: float = 0.0
    refusal: ErrorReply | None = None
    cut: Cut | None = None
    after: float = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests and tokens per minute, counted for each key, each session, or for `all` together."""

    rpm: int | None = None
    tpm: int | None = None
    scope: Literal["key", "session", "all"] = "key"


@dataclass(frozen=True, slots=True)
class Expectation:
    """How many requests there must be that a rule answered, and that fit: from `least` to `most` (None: any number).

    `rule` "" is any rule, none included. Requests that are answered aside count only where their rule is named.
    """

    rule: str
    model: tuple[str, ...]
    user: tuple[Pattern, ...]
    tools: tuple[str, ...]
    headers: Mapping[str, tuple[Pattern, ...]]
    session: tuple[str, ...]
    least: int
    most: int | None
