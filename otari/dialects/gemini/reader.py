"""Streams of generateContent → canonical events. A whole answer is a stream of one frame."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from otari.dialects.gemini.errors import failure_in
from otari.dialects.gemini.finish import (
    block_of,
    candidate_of,
    failure_of,
    parts_of,
    read_finish,
    reason_of,
    refusal_of,
)
from otari.dialects.gemini.partial import Arguments
from otari.dialects.gemini.parts import FAMILY, made_ids, read_call, read_part, signature_of
from otari.dialects.gemini.unread import name_in_answer, name_in_candidate, name_in_usage
from otari.dialects.gemini.usage import laid_over, read_usage
from otari.dialects.gemini.watch import docs_in, payload
from otari.dialects.losses import collector
from otari.dialects.tool_arguments import complete
from otari.domain.chat import (
    Doc,
    Event,
    Failed,
    Finish,
    Finished,
    Part,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Refusal,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
    unfold_part,
)
from otari.domain.errors import OtariError

_CUT_OFF = "The provider's stream ended before the answer was complete."
_NO_JSON = "The provider sent a stream event that is not JSON."
_TEXT = Text("")
_BAD_ARGUMENTS = "The provider sent arguments of a tool call that make no sense."


@dataclass(slots=True)
class _Growing:
    """A call whose arguments come value by value."""

    part: int
    arguments: Arguments


class GeminiReader:
    """One stream. Each frame holds whole parts of one candidate: texts that follow each other are one text, unless they
    are signed, since a signature belongs to its part alone.

    The answer ends with the stream: reasons and counts are told in several frames, and the last ones are right.
    """

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self._drop = collector(self.dropped)
        self._id = ""
        self._model = ""
        self._created: int | None = None
        self._started = False
        self._ended = False
        self._alive = False  # a candidate has been seen
        self._blocked: str | None = None  # the words for a prompt that was refused
        self._next = 0
        self._open: tuple[type[Part], int] | None = None
        self._growing: _Growing | None = None
        self._called: dict[str, ToolCall] = {}
        self._arguments: list[str] = []  # of the calls that have ended
        self._usage: Doc = {}
        self._reason: str | None = None
        self._refusal = ""
        self._new_id: Callable[[], str] = str

    def read(self, frame: bytes) -> list[Event]:
        """The events that one frame tells."""
        raw = payload(frame).strip()
        if not raw or self._ended:
            return []
        try:
            told = orjson.loads(raw)
        except orjson.JSONDecodeError:
            broken = raw.startswith((b"{", b"[{")) and self._reason is None
            return self._fail(_NO_JSON, None) if broken else []
        return [event for doc in docs_in(told) for event in self.read_doc(doc)]

    def read_doc(self, doc: Doc) -> list[Event]:
        """The same for what a frame holds."""
        if self._ended:
            return []
        self._usage = laid_over(self._usage, doc.get("usageMetadata"))
        failure = failure_in(doc)
        if failure is not None:
            return self._fail(*failure)
        self._note_head(doc)
        events: list[Event] = []
        name_in_answer(doc, self._drop)
        candidate, blocked = candidate_of(doc), block_of(doc)
        if blocked is not None:
            self._blocked = blocked
            self._start(events)
        if candidate is not None:
            name_in_candidate(candidate, candidate.get("finishReason"), self._drop)
            self._alive = True
            self._start(events)
            self._read_candidate(candidate, events)
        return events

    def end(self, *, whole: bool = False) -> list[Event]:
        """What must still be told when no more frames come. `whole` says that none could be missing."""
        return [] if self._ended else self._finish(whole)

    # ---- the answer ----

    def _note_head(self, doc: Doc) -> None:
        """The first id and model that say something count; they stand in every frame."""
        if self._started:
            return
        reply_id, model = doc.get("responseId"), doc.get("modelVersion")
        if isinstance(reply_id, str):
            self._id = self._id or reply_id
        if isinstance(model, str):
            self._model = self._model or model
        self._created = self._created or _seconds(doc.get("createTime"))

    def _start(self, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            self._id = self._id or secrets.token_hex(12)
            self._new_id = made_ids(self._id)
            events.append(Started(self._id, self._model, self._created))

    def _read_candidate(self, candidate: Doc, events: list[Event]) -> None:
        try:
            for part in parts_of(candidate):
                self._read_part(part, events)
        except (ValueError, OtariError):
            events += self._fail(_BAD_ARGUMENTS, None)
            return
        failure = failure_of(candidate)
        if failure is not None:
            events += self._fail(*failure)
            return
        self._reason = reason_of(candidate) or self._reason
        self._refusal = refusal_of(candidate) or self._refusal

    # ---- parts ----

    def _read_part(self, doc: Doc, events: list[Event]) -> None:
        text = doc.get("text")
        if len(doc) == 1 and type(text) is str:  # most parts are nothing but text
            if text:
                self._grow(_TEXT, text, events)
            return
        told = doc.get("functionCall")
        if isinstance(told, dict) and self._read_piece(told, signature_of(doc), events):
            return
        if self._signs_thinking(doc, events):
            return
        parts = read_part(doc, self._new_id)
        if len(parts) > 1:  # something belongs to this very part
            self._close(events)
        for part in parts:
            self._tell(part, events)
        if len(parts) > 1:
            self._close(events)

    def _signs_thinking(self, doc: Doc, events: list[Event]) -> bool:
        """An empty thought that signs the thinking before it."""
        signature = signature_of(doc)
        if signature is None or doc.get("thought") is not True or doc.get("text") != "":
            return False
        if self._open is None or self._open[0] is not Thinking:
            return False
        events.append(PartSigned(self._open[1], signature))
        self._close(events)
        return True

    def _tell(self, part: Part, events: list[Event]) -> None:
        match part:
            case Text(text):
                self._grow(part, text, events)
            case Thinking(text, None, redacted=None):
                self._grow(part, text, events)
            case Thinking(text, str(signature)) if text:
                events.append(PartSigned(self._grow(part, text, events), signature))
                self._close(events)
            case ToolCall():
                self._tell_call(part, events)
            case _:
                self._tell_whole(part, events)

    def _grow(self, part: Text | Thinking, text: str, events: list[Event]) -> int:
        if self._open is None or self._open[0] is not type(part):
            self._close(events)
            empty = _TEXT if isinstance(part, Text) else Thinking("", None, FAMILY)
            self._open = (type(part), self._number())
            events.append(PartStarted(self._open[1], empty))
        events.append(PartDelta(self._open[1], text))
        return self._open[1]

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(PartEnded(self._open[1]))
            self._open = None

    def _tell_whole(self, part: Part, events: list[Event]) -> None:
        self._close(events)
        events += unfold_part(self._number(), part)

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    # ---- calls ----

    def _tell_call(self, call: ToolCall, events: list[Event]) -> None:
        """A whole call. The same one again under one id has been told twice; another one under it gets its own."""
        self._end_growing(events, whole=True)
        if self._called.get(call.id) == call:
            return
        call = self._listed(call)
        self._arguments.append(call.arguments)
        self._tell_whole(call, events)

    def _listed(self, call: ToolCall) -> ToolCall:
        if call.id in self._called:
            call = replace(call, id=self._new_id())
        self._called[call.id] = call
        return call

    def _read_piece(self, told: Doc, signature: str | None, events: list[Event]) -> bool:
        """A call, or a piece of one, whose arguments come value by value; False when it is a whole call.

        Only the first piece has a name; one that does not go on is the last.
        """
        goes_on, values = told.get("willContinue") is True, told.get("partialArgs")
        if told.get("name"):
            if not goes_on and not values:
                return False
            self._begin_growing(told, signature, events)
        elif self._growing is None:
            return told.get("args") is None
        elif signature is not None:
            events.append(PartSigned(self._growing.part, signature))
        if self._growing is not None:
            self._growing.arguments.lay(told.get("args"))
            for value in values if isinstance(values, list) else ():
                self._growing.arguments.put(value)
        if not goes_on:
            self._end_growing(events, whole=True)
        return True

    def _begin_growing(self, told: Doc, signature: str | None, events: list[Event]) -> None:
        self._end_growing(events, whole=True)
        head = {key: value for key, value in told.items() if key != "args"}
        call = read_call(head, signature, self._new_id)
        if call is not None:
            self._close(events)
            self._growing = _Growing(self._number(), Arguments())
            events.append(PartStarted(self._growing.part, self._listed(call)))

    def _end_growing(self, events: list[Event], *, whole: bool) -> None:
        if self._growing is None:
            return
        growing, self._growing = self._growing, None
        text = growing.arguments.text(whole=whole)
        self._arguments.append(text)
        events += (PartDelta(growing.part, text), PartEnded(growing.part))

    # ---- endings ----

    def _fail(self, message: str, code: str | None) -> list[Event]:
        self._ended = True
        return [*self._tokens(), Failed(message, code)]

    def _tokens(self) -> list[Event]:
        name_in_usage(self._usage, self._drop)
        usage = read_usage(self._usage)
        return [] if usage is None else [UsageSeen(usage)]

    def _finish(self, whole: bool) -> list[Event]:
        """The end, if the stream has said enough to call it good.

        Without a finish reason, calls with whole arguments will do; a connection that merely closed will not.
        """
        blocked = self._blocked is not None and not self._alive
        called = bool(self._arguments) and all(map(complete, self._arguments)) and self._growing is None
        if not blocked and not (self._alive and (self._reason or called or whole)):
            return self._fail(_CUT_OFF, None)
        events: list[Event] = []
        self._close(events)
        try:
            self._end_growing(events, whole=self._reason == "STOP")
        except ValueError:
            return self._fail(_BAD_ARGUMENTS, None)
        words = self._blocked if blocked else self._refusal
        if words:
            self._tell_whole(Refusal(words), events)
        events += self._tokens()
        events.append(Finished(Finish.FILTER if blocked else read_finish(self._reason, self._arguments)))
        self._ended = True
        return events


def _seconds(told: Any) -> int | None:
    """A time in the form of RFC 3339 as seconds since the epoch; None when it is none."""
    try:
        return int(datetime.fromisoformat(told).timestamp()) if isinstance(told, str) else None
    except (ValueError, OverflowError):
        return None
