"""Chat Completions streams → canonical events, as tolerant as the servers that claim to speak it are different."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from otari.dialects import sse
from otari.dialects.openai_chat_message import (
    NAME,
    call_signature,
    complete,
    raw_arguments,
    reasoning_text,
    thinking_text,
)
from otari.dialects.openai_chat_reply import new_call_id, new_reply_id, read_created, read_finish
from otari.dialects.openai_errors import failure_in
from otari.dialects.openai_usage import usage_in
from otari.domain.chat import (
    Doc,
    Event,
    Failed,
    Finished,
    Opaque,
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
    Usage,
    UsageSeen,
)

_STREAMED: dict[str, Part] = {"text": Text(""), "thinking": Thinking(""), "refusal": Refusal("")}


@dataclass(slots=True)
class _Call:
    """One tool call as it grows. `part` is its number once its name is known and it has been told."""

    id: str | None = None
    name: str = ""
    signature: str | None = None
    part: int | None = None
    pieces: list[str] = field(default_factory=list)

    def arguments(self) -> str:
        return "".join(self.pieces)

    def whole(self) -> bool:
        """Whether arguments have come and are complete JSON: more of them can only belong to another call."""
        text = self.arguments()
        return bool(text.strip()) and complete(text)


class ChatReader:
    """One stream. Only its first choice is read: a canonical answer is one answer.

    Text, thinking and refusal become parts one after the other; tool calls stay open until the end, because their
    pieces may come interleaved.
    """

    def __init__(self) -> None:
        self._id = ""
        self._model = ""
        self._created: int | None = None
        self._started = False
        self._alive = False  # a choice has been seen
        self._ended = False
        self._next = 0
        self._open: tuple[str, int] | None = None
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._custom: dict[int, Doc] = {}
        self._usage = Usage()
        self._reason: str | None = None

    def read(self, frame: bytes) -> list[Event]:
        """The events that one frame tells."""
        raw = sse.data(frame).strip()
        if not raw or self._ended:
            return []
        if raw == b"[DONE]":
            return self._finish(told_done=True)
        try:
            doc = orjson.loads(raw)
        except orjson.JSONDecodeError:
            broken = raw.startswith(b"{") and self._reason is None
            return self._fail("The provider sent a stream event that is not JSON.", None) if broken else []
        return self._read_chunk(doc) if isinstance(doc, dict) else []

    def end(self) -> list[Event]:
        """What must still be told when no more frames come."""
        return [] if self._ended else self._finish(told_done=False)

    def _read_chunk(self, doc: Doc) -> list[Event]:
        self._note_head(doc)
        usage = usage_in(doc)
        if usage is not None:
            self._usage = self._usage.merged(usage)
        failure = failure_in(doc)
        if failure is not None:
            return self._fail(*failure)
        events: list[Event] = []
        choices = doc.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                self._read_choice(choice, events)
        return events

    def _note_head(self, doc: Doc) -> None:
        """Azure's first chunk has an empty id and model: the first that say something count."""
        if self._started:
            return
        reply_id, model = doc.get("id"), doc.get("model")
        if isinstance(reply_id, str) and reply_id and not self._id:
            self._id = reply_id
            self._created = read_created(doc.get("created"))
        if isinstance(model, str) and model and not self._model:
            self._model = model

    def _read_choice(self, choice: Doc, events: list[Event]) -> None:
        self._alive = True
        self._start(events)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = choice.get("message")
        if isinstance(delta, dict):
            self._read_delta(delta, events)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._reason = reason

    def _start(self, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            self._id = self._id or new_reply_id()
            events.append(Started(self._id, self._model, self._created))

    def _read_delta(self, delta: Doc, events: list[Event]) -> None:
        content = delta.get("content")
        if len(delta) > 1 or content is None:  # most deltas are nothing but content
            self._grow("thinking", reasoning_text(delta), events)
        if isinstance(content, str):
            self._grow("text", content, events)
        elif isinstance(content, list):
            for part in content:
                self._read_part(part, events)
        refusal = delta.get("refusal")
        if isinstance(refusal, str):
            self._grow("refusal", refusal, events)
        if isinstance(delta.get("extra_content"), dict):
            self._read_carrier(delta["extra_content"], events)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._read_call(call, events)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict):
            self._read_call({"index": 0, "function": legacy}, events)

    def _read_part(self, part: Any, events: list[Event]) -> None:
        """Mistral's content: a list with parts of text and of thinking."""
        match part:
            case {"type": "text", "text": str(text)}:
                self._grow("text", text, events)
            case {"type": "thinking", "thinking": thinking}:
                self._grow("thinking", thinking_text(thinking), events)

    def _read_carrier(self, extra: Doc, events: list[Event]) -> None:
        """Signatures as this gateway's own writer sends them; see `ChatWriter`."""
        for family, box in extra.items():
            match box:
                case {"signature": str(signature)} if self._open and self._open[0] == "thinking":
                    events.append(PartSigned(self._open[1], signature))
                case {"redacted": str(redacted)}:
                    self._close(events)
                    part = Thinking("", None, family, redacted)
                    events += (PartStarted(self._next, part), PartEnded(self._next))
                    self._next += 1

    def _grow(self, kind: str, text: str, events: list[Event]) -> None:
        """More text of one kind. An empty text opens nothing."""
        if not text:
            return
        if self._open is None or self._open[0] != kind:
            self._close(events)
            self._open = (kind, self._next)
            self._next += 1
            events.append(PartStarted(self._open[1], _STREAMED[kind]))
        events.append(PartDelta(self._open[1], text))

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(PartEnded(self._open[1]))
            self._open = None

    # ---- tool calls ----

    def _read_call(self, delta: Doc, events: list[Event]) -> None:
        custom = delta.get("custom")
        if isinstance(custom, dict):
            self._read_custom(delta, custom)
            return
        function = delta.get("function")
        if not isinstance(function, dict):
            function = {}
        name = function.get("name") if isinstance(function.get("name"), str) else ""
        text = raw_arguments(function.get("arguments"))
        call_id = delta.get("id") if isinstance(delta.get("id"), str) else ""
        call = self._call(delta.get("index"), call_id or None, name or "", text)
        call.id = call.id or call_id or None
        call.name = call.name or name or ""
        signature = call_signature(delta)
        call.signature = signature or call.signature
        if text:
            call.pieces.append(text)
        if call.part is None:
            if call.name:
                self._tell(call, events)
            return
        if text:
            events.append(PartDelta(call.part, text))
        if signature is not None:
            events.append(PartSigned(call.part, signature))

    def _call(self, index: Any, call_id: str | None, name: str, text: str) -> _Call:
        """The call that a delta belongs to: the one of its index, or a new one.

        A new id on a used index is a new call (Ollama: every index is 0), and so is a named delta with arguments when
        those of the call are whole already. Without an index (SGLang) the id decides, then the name.
        """
        indexed = type(index) is int
        if indexed:
            known = self._by_index.get(index)
        else:
            same_id = (call for call in self._calls if call_id and call.id == call_id)
            known = next(same_id, None if call_id or not self._calls else self._calls[-1])
        if known is not None:
            other = bool(call_id and known.id and call_id != known.id)
            again = not call_id and bool(name and known.name) and (name != known.name or bool(text and known.whole()))
            if not other and not again:
                return known
        call = _Call()
        self._calls.append(call)
        if indexed:
            self._by_index[index] = call
        return call

    def _tell(self, call: _Call, events: list[Event]) -> None:
        self._close(events)
        call.part = self._next
        self._next += 1
        call.id = call.id or new_call_id()
        events.append(PartStarted(call.part, ToolCall(call.id, call.name, "", call.signature)))
        if call.pieces:
            events.append(PartDelta(call.part, call.arguments()))

    def _read_custom(self, delta: Doc, custom: Doc) -> None:
        """A call of a freeform tool: only this dialect knows it, so it is told whole at the end."""
        index = delta.get("index")
        doc = self._custom.setdefault(
            index if type(index) is int else len(self._custom),
            {"id": "", "type": "custom", "custom": {"name": "", "input": ""}},
        )
        if isinstance(delta.get("id"), str):
            doc["id"] = doc["id"] or delta["id"]
        for key in ("name", "input"):
            if isinstance(custom.get(key), str):
                doc["custom"][key] += custom[key]

    # ---- endings ----

    def _fail(self, message: str, code: str | None) -> list[Event]:
        self._ended = True
        return [*self._tokens(), Failed(message, code)]

    def _tokens(self) -> list[Event]:
        return [UsageSeen(self._usage)] if self._usage != Usage() else []

    def _finish(self, *, told_done: bool) -> list[Event]:
        """The end, if the stream has said enough to call it good.

        Without a finish reason, an end marker or tool calls with whole arguments will do (some servers leave the reason
        out); a connection that merely closed will not, and neither will a stream that never showed a choice.
        """
        arguments = [call.arguments() for call in self._calls] + ["" for _ in self._custom]
        called = bool(self._calls) and all(call.whole() for call in self._calls) and not self._custom
        if not self._alive or not (self._reason or called or told_done):
            return self._fail("The provider's stream ended before the answer was complete.", None)
        events: list[Event] = []
        self._close(events)
        for call in self._calls:
            if call.part is None:  # it never got a name: told all the same, not lost
                self._tell(call, events)
        events += (PartEnded(call.part) for call in self._calls if call.part is not None)
        for doc in self._custom.values():
            events += (PartStarted(self._next, Opaque(NAME, doc)), PartEnded(self._next))
            self._next += 1
        events += self._tokens()
        events.append(Finished(read_finish(self._reason, arguments)))
        self._ended = True
        return events
