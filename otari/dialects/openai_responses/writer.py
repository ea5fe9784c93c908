"""Canonical events → Responses stream, with the whole life of every item that typed clients insist on."""

from collections.abc import Callable

import orjson

from otari.dialects.losses import collector
from otari.dialects.openai_responses.errors import failure_frames, frame
from otari.dialects.openai_responses.lives import Life, life_of
from otari.dialects.openai_responses.response import echo_of, head_of, item_id, response_doc, status_of
from otari.dialects.openai_responses.tools import natives_of, read_tools
from otari.dialects.openai_responses.usage import write_usage
from otari.dialects.openai_usage import name_lifetimes
from otari.domain.chat import (
    Doc,
    Event,
    Failed,
    Finished,
    Opaque,
    PartCited,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Started,
    ToolCall,
    Usage,
    UsageSeen,
)
from otari.domain.errors import Kind, OtariError


class ResponsesWriter:
    """One stream.

    Every part becomes an item of its own, numbered in the order in which they begin; parts may overlap. A delta costs
    one dump of a string, because the bytes around it are prepared when its item begins. `request_doc` is the client's
    own request: calls take the form of the tools it offered, and the answer repeats what it asked for.
    """

    def __init__(self, *, clock: Callable[[], float], request_doc: Doc | None = None) -> None:
        self.dropped: list[str] = []
        self._drop = collector(self.dropped)
        self._clock = clock
        self._request = request_doc
        self._natives = natives_of(read_tools(request_doc or {}))
        self._head: Doc = {}
        self._echo: Doc = {}
        self._sequence = 0
        self._lives: dict[int, Life] = {}
        self._output: list[Doc | None] = []  # items by number; None while one is under way
        self._keys: Doc = {}  # of the next item
        self._call_ids: set[str] = set()
        self._usage = Usage()
        self._ended = False

    def write(self, event: Event) -> bytes:
        """The frames of one event; b"" when it has none, and for everything after the end."""
        if self._ended:
            return b""
        if type(event) is PartDelta:
            life = self._lives.get(event.index)
            return b"" if life is None or not event.text else life.grow(event.text)
        match event:
            case Started():
                return self._start(event)
            case PartStarted():
                return self._start_part(event)
            case PartSigned(index, signature):
                return self._sign(index, signature)
            case PartCited(index, citation):
                life = self._lives.get(index)
                return b"" if life is None else life.cite(citation)
            case PartEnded(index):
                return self._end_part(index)
            case UsageSeen(usage):
                self._usage = self._usage.merged(usage)
            case Finished():
                return self._finish(event)
            case Failed(message, code):
                return self.fail(OtariError(Kind.UPSTREAM, message, code=code))
        return b""

    def fail(self, error: OtariError) -> bytes:
        """The frames that end the stream with an error, and with what is known of the answer so far."""
        started = self._start(Started("", ""))
        self._ended = True
        return started + failure_frames(error, self._response(), self._take(2))

    # ---- what items use ----

    def frame(self, name: str, told: Doc) -> bytes:
        """One event with the next number."""
        return frame(name.encode(), {"type": name, "sequence_number": self._take(), **told})

    def _take(self, count: int = 1) -> int:
        first = self._sequence
        self._sequence += count
        return first

    def delta(self, around: tuple[bytes, bytes], text: str) -> bytes:
        """One event that is nothing but more text: `around` is all of it but the text and its number."""
        return b"".join((around[0], orjson.dumps(text), around[1], b"%d}\n\n" % self._take()))

    def open(self, kind: str) -> tuple[str, int]:
        """The id and the number of a new item."""
        number = len(self._output)
        self._output.append(None)
        return item_id(kind, self._head["id"], number), number

    def close(self, number: int, item: Doc) -> None:
        """An item is whole."""
        self._output[number] = item

    # ---- the stream ----

    def _start(self, event: Started) -> bytes:
        if self._head:
            return b""
        created = int(self._clock()) if event.created is None else event.created
        self._head = head_of(event.id, event.model, created)
        self._echo = echo_of(self._request)
        self._tell_tier(event.service_tier)
        self._echo["tools"] = orjson.Fragment(orjson.dumps(self._echo["tools"]))  # three events hold them
        response = self._response()
        names = ("response.created", "response.in_progress")
        return b"".join(self.frame(name, {"response": response}) for name in names)

    def _tell_tier(self, tier: str | None) -> None:
        if tier is not None:
            self._echo["service_tier"] = tier

    def _response(self, **told: object) -> Doc:
        output = [item for item in self._output if item is not None]
        return response_doc(self._head, self._echo, output=output, **told)

    def _start_part(self, event: PartStarted) -> bytes:
        started = self._start(Started("", ""))
        part = event.part
        if isinstance(part, ToolCall):
            part = self._distinct(part)
        life = life_of(part, self, self._natives)
        if life is None:
            kind = part.doc.get("type") if isinstance(part, Opaque) else type(part).__name__.lower()
            self._drop(f"part {kind}")
            return started
        if life.keys is not None:
            self._keys = life.keys
            return started
        keys, self._keys = self._keys, {}
        self._lives[event.index] = life
        return started + life.begin(keys)

    def _distinct(self, call: ToolCall) -> ToolCall:
        """A second call of the same id gets another one: clients know their calls by nothing else."""
        call_id, number = call.id, 2
        while call_id in self._call_ids:
            call_id = f"{call.id}_{number}"
            number += 1
        self._call_ids.add(call_id)
        return ToolCall(call_id, call.name, call.arguments, call.signature)

    def _sign(self, index: int, signature: str) -> bytes:
        life = self._lives.get(index)
        return b"" if life is None else life.sign(signature)

    def _end_part(self, index: int) -> bytes:
        life = self._lives.pop(index, None)
        return b"" if life is None else life.end()

    def _finish(self, event: Finished) -> bytes:
        frames = self._start(Started("", ""))
        frames += b"".join(map(self._end_part, sorted(self._lives)))
        if event.stop_sequence is not None:
            self._drop("stop_sequence")
        self._tell_tier(event.service_tier)
        name_lifetimes(self._usage, self._drop)
        status = status_of(event.finish)
        response = self._response(**status, usage=write_usage(self._usage))
        frames += self.frame(f"response.{status['status']}", {"response": response})
        self._ended = True
        return frames
