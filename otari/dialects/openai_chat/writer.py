"""Canonical events → Chat Completions stream."""

from collections.abc import Callable
from dataclasses import replace

import orjson

from otari.dialects.losses import collector
from otari.dialects.openai_chat.assistant import call_doc
from otari.dialects.openai_chat.calls import signed
from otari.dialects.openai_chat.content import MESSAGE_KEYS, NAME, word
from otari.dialects.openai_chat.reply import write_finish
from otari.dialects.openai_chat.thinking import SignedBlocks
from otari.dialects.openai_citations import write_inside
from otari.dialects.openai_errors import stream_error
from otari.dialects.openai_usage import name_lifetimes, write_usage
from otari.dialects.tool_arguments import free_text
from otari.domain.chat import (
    Citation,
    Doc,
    Event,
    Failed,
    Finished,
    Opaque,
    Part,
    PartCited,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Refusal,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)
from otari.domain.errors import Kind, OtariError

DONE = b"data: [DONE]\n\n"
_KEYS = {Text: b'"content":', Thinking: b'"reasoning_content":', Refusal: b'"refusal":'}


class ChatWriter:
    """One stream. Each part has the bytes around its text prepared, so that a delta costs one dump of a string.

    Tool calls are numbered from 0 without gaps, whatever the numbers of the parts are. Usage goes out only when the
    client asked for it and something is known; then all earlier chunks carry `"usage":null`, as OpenAI's do. `freeform`
    are the client's tools that take plain text: what they are called with is known when the JSON around it is whole.
    """

    def __init__(
        self, *, wants_usage: bool, clock: Callable[[], float], freeform: frozenset[str] = frozenset()
    ) -> None:
        self.dropped: list[str] = []
        self._drop = collector(self.dropped)
        self._wants_usage = wants_usage
        self._clock = clock
        self._freeform = freeform
        self._head = b""
        self._tiered = False
        self._tail = b""
        self._frames: dict[int, tuple[bytes, bytes]] = {}
        self._parts: dict[int, Part] = {}
        self._calls: dict[int, int] = {}
        self._bare_calls: set[int] = set()  # told, without arguments so far
        self._free_calls: dict[int, list[str]] = {}  # told, with the arguments so far
        self._thoughts: dict[int, list[str]] = {}  # the texts of those that have not ended
        self._chars: dict[int, int] = {}  # how long each text is
        self._cited: dict[int, list[Citation]] = {}  # of each text that has not ended
        self._annotations = 0  # how many were told
        self._blocks = SignedBlocks()
        self._usage = Usage()
        self._ended = False

    def write(self, event: Event) -> bytes:
        """The frames of one event; b"" when it has none, and for everything after the end."""
        if type(event) is PartDelta:
            frame = self._frames.get(event.index)
            if frame is None or not event.text or self._ended:
                return self._hold(event)
            self._bare_calls.discard(event.index)
            if event.index in self._thoughts:
                self._thoughts[event.index].append(event.text)
            elif event.index in self._chars:
                self._chars[event.index] += len(event.text)
            return frame[0] + orjson.dumps(event.text) + frame[1]
        if self._ended:
            return b""
        match event:
            case Started():
                return self._start(event)
            case PartStarted(index, part):
                return self._start_part(index, part)
            case PartSigned(index, signature):
                return self._sign(index, signature)
            case PartCited(index, citation):
                self._cited.setdefault(index, []).append(citation)
            case PartEnded(index):
                return self._end_thought(index) + self._end_call(index) + self._cite(index)
            case UsageSeen(usage):
                self._usage = self._usage.merged(usage)
            case Finished():
                return self._finish(event)
            case Failed(message, code):
                return self.fail(OtariError(Kind.UPSTREAM, message, code=code))
        return b""

    def fail(self, error: OtariError) -> bytes:
        """The frame that ends the stream with an error."""
        self._ended = True
        return stream_error(error)

    def _start(self, event: Started) -> bytes:
        if self._head:
            return b""
        created = int(self._clock()) if event.created is None else event.created
        fixed = {"id": event.id, "object": "chat.completion.chunk", "created": created, "model": event.model}
        self._head = b"data: " + orjson.dumps(fixed)[:-1]
        self._tell_tier(event.service_tier)
        self._tail = b',"usage":null}\n\n' if self._wants_usage else b"}\n\n"
        return self._chunk({"role": "assistant", "content": ""})

    def _tell_tier(self, tier: str | None) -> None:
        """From here on every chunk tells it."""
        if tier is not None and not self._tiered:
            self._tiered = True
            self._head += b',"service_tier":' + orjson.dumps(tier)

    def _chunk(self, delta: Doc, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._head + b',"choices":' + orjson.dumps([choice]) + self._tail

    def _around(self, key: bytes, close: bytes) -> tuple[bytes, bytes]:
        """The bytes before and after one JSON string that stands behind `key` in the delta."""
        before = self._head + b',"choices":[{"index":0,"delta":{' + key
        return before, close + b'},"finish_reason":null}]' + self._tail

    def _start_part(self, index: int, part: Part) -> bytes:
        self._parts[index] = part
        if isinstance(part, Thinking):
            self._thoughts[index] = []
        if isinstance(part, Text):
            self._chars[index] = 0
        match part:
            case Text(text) | Thinking(text) | Refusal(text):
                self._frames[index] = self._around(_KEYS[type(part)], b"")
                return self.write(PartDelta(index, text))
            case ToolCall():
                return self._start_call(index, part)
            case Opaque(dialect, {"tool_call": {**call}}) if dialect == NAME:
                return self._chunk({"tool_calls": [{"index": self._number(index), **call}]})
            case Opaque(dialect, doc) if dialect == NAME and MESSAGE_KEYS in doc:
                return self._chunk(doc[MESSAGE_KEYS])
            case Opaque(_, doc):
                self._drop(f"part {doc.get('type')}")
            case _:
                self._drop(f"{word(part)} in an answer")
        return b""

    def _number(self, index: int) -> int:
        return self._calls.setdefault(index, len(self._calls))

    def _start_call(self, index: int, call: ToolCall) -> bytes:
        number = self._number(index)
        doc = signed(call_doc(call, self._freeform, ""), call.signature)
        if call.name in self._freeform:
            self._free_calls[index] = [call.arguments]
            return self._chunk({"tool_calls": [{"index": number, **doc}]})
        key = b'"tool_calls":[{"index":%d,"function":{"arguments":' % number
        self._frames[index] = self._around(key, b"}}]")
        self._bare_calls.add(index)
        return self._chunk({"tool_calls": [{"index": number, **doc}]}) + self.write(PartDelta(index, call.arguments))

    def _hold(self, event: PartDelta) -> bytes:
        """Arguments that can not be told yet; nothing else is without a frame."""
        if event.index in self._free_calls:
            self._free_calls[event.index].append(event.text)
        return b""

    def _end_call(self, index: int) -> bytes:
        """A call without arguments says `{}`: clients parse what they have gathered."""
        if index in self._free_calls:
            text = free_text("".join(self._free_calls.pop(index)))
            return self._chunk({"tool_calls": [{"index": self._number(index), "custom": {"input": text}}]})
        return self.write(PartDelta(index, "{}")) if index in self._bare_calls else b""

    def _sign(self, index: int, signature: str) -> bytes:
        part = self._parts.get(index)
        if isinstance(part, Thinking):
            self._parts[index] = replace(part, signature=signature)
        if isinstance(part, ToolCall):
            extra = {"google": {"thought_signature": signature}}
            return self._chunk({"tool_calls": [{"index": self._number(index), "extra_content": extra}]})
        return b""

    def _end_thought(self, index: int) -> bytes:
        """What must come back of a thought goes out once it is whole."""
        part = self._parts.get(index)
        if index not in self._thoughts or not isinstance(part, Thinking):
            return b""
        extra = self._blocks.add(replace(part, text="".join(self._thoughts.pop(index))))
        return self._chunk({"extra_content": extra}) if extra else b""

    def _cite(self, index: int) -> bytes:
        """Where a text is taken from, by places in all of the content; `index` is how clients gather lists."""
        docs: list[Doc] = []
        for citation in self._cited.pop(index, ()):
            begins = sum(count for other, count in self._chars.items() if other < index)
            told = write_inside(citation, self._chars.get(index, 0), begins)
            docs.append({"index": self._annotations, **told})
            self._annotations += 1
        return self._chunk({"annotations": docs}) if docs else b""

    def _finish(self, event: Finished) -> bytes:
        started = self._start(Started("", "")) + b"".join(map(self._end_thought, sorted(self._thoughts)))
        if event.stop_sequence is not None:
            self._drop("stop_sequence")
        open_calls = b"".join(self._end_call(index) for index in sorted({*self._bare_calls, *self._free_calls}))
        self._ended = True
        frames = started + open_calls + b"".join(map(self._cite, sorted(self._cited)))
        self._tell_tier(event.service_tier)
        frames += self._chunk({}, write_finish(event.finish))
        usage = write_usage(self._usage) if self._wants_usage else None
        if usage is not None:
            name_lifetimes(self._usage, self._drop)
            frames += self._head + b',"choices":[],"usage":' + orjson.dumps(usage) + b"}\n\n"
        return frames + DONE
