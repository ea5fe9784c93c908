"""Chat Completions streams → canonical events, as tolerant as the servers that claim to speak it are different."""

from typing import Any

import orjson

from otari.dialects import sse
from otari.dialects.losses import collector
from otari.dialects.openai_chat.assistant import other_keys
from otari.dialects.openai_chat.calls import call_signature
from otari.dialects.openai_chat.content import thinking_text
from otari.dialects.openai_chat.growing import Call, FreeCall
from otari.dialects.openai_chat.reply import (
    name_reason,
    new_call_id,
    new_reply_id,
    read_created,
    read_finish,
    read_tier,
)
from otari.dialects.openai_chat.thinking import reasoning_text
from otari.dialects.openai_chat.unread import name_in_answer, name_in_choice
from otari.dialects.openai_citations import LOST, moved, read_annotations
from otari.dialects.openai_errors import error_in_list, failure_in
from otari.dialects.openai_usage import usage_in
from otari.dialects.tool_arguments import raw_arguments
from otari.domain.chat import (
    Citation,
    Doc,
    Event,
    Failed,
    Finished,
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
    unfold_part,
)

_OWN_KEYS = {"text": "content", "thinking": "reasoning_content", "refusal": "refusal"}  # of a delta, by kind of part
_NO_REASONING = frozenset(["content", "role", "tool_calls"])
_STREAMED: dict[str, Part] = {"text": Text(""), "thinking": Thinking(""), "refusal": Refusal("")}


class ChatReader:
    """One stream. Only its first choice is read: a canonical answer is one answer.

    Text, thinking and refusal become parts one after the other; tool calls stay open until the end, because their
    pieces may come interleaved.
    """

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self._drop = collector(self.dropped)
        self._id = ""
        self._model = ""
        self._created: int | None = None
        self._started = False
        self._alive = False  # a choice has been seen
        self._ended = False
        self._next = 0
        self._open: tuple[str, int] | None = None
        self._calls: list[Call] = []
        self._by_index: dict[int, Call] = {}
        self._free: dict[int, FreeCall] = {}
        self._usage = Usage()
        self._reason: str | None = None
        self._tier: str | None = None
        self._chars = 0  # of all texts so far
        self._begins = 0  # how many of them come before the open text
        self._cited: list[Citation] = []  # before the text that they belong to

    def read(self, frame: bytes) -> list[Event]:
        """The events that one frame tells."""
        if self._ended:
            return []
        raw = sse.data(frame)
        try:
            doc = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return self._read_words(raw.strip())
        if not isinstance(doc, dict):
            doc = error_in_list(doc)
        more = self._more(doc)
        return self._read_chunk(doc) if more is None else [more]

    def _read_words(self, raw: bytes) -> list[Event]:
        """Data that is no JSON: the end marker, nothing at all, or a sign that the stream is broken."""
        if raw == b"[DONE]":
            return self._finish(told_done=True)
        broken = raw.startswith(b"{") and self._reason is None
        return self._fail("The provider sent a stream event that is not JSON.", None) if broken else []

    def _more(self, doc: Doc) -> PartDelta | None:
        """More of the open part and nothing else, as in nearly every chunk; None for all other chunks."""
        choices = doc.get("choices")
        if self._open is None or type(choices) is not list or len(choices) != 1 or doc.get("usage"):
            return None
        choice = choices[0]
        delta = choice.get("delta") if type(choice) is dict else None
        if type(delta) is not dict or choice.get("finish_reason") is not None or choice.get("index"):
            return None
        if choice.get("logprobs"):
            return None
        if "error" in doc or "x_groq" in doc or "usage" in choice:
            return None
        kind, number = self._open
        own = _OWN_KEYS[kind]
        for key, value in delta.items():
            if value and key != own and key != "role":
                return None
        text = delta.get(own)
        if type(text) is not str or not text:
            return None
        if kind == "text":
            self._chars += len(text)
        return PartDelta(number, text)

    def end(self) -> list[Event]:
        """What must still be told when no more frames come."""
        return [] if self._ended else self._finish(told_done=False)

    def _read_chunk(self, doc: Doc) -> list[Event]:
        self._note_head(doc)
        name_in_answer(doc, self._drop)
        self._tier = read_tier(doc) or self._tier
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
            else:
                self._drop("choices")
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
        name_in_choice(choice, self._drop)
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
            events.append(Started(self._id, self._model, self._created, self._tier))

    def _read_delta(self, delta: Doc, events: list[Event]) -> None:
        content = delta.get("content")
        if not delta.keys() <= _NO_REASONING:
            self._grow("thinking", reasoning_text(delta), events)
            self._name_others(delta)
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
        if "annotations" in delta:
            self._read_annotations(delta["annotations"], events)
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
            case {"type": str(kind)}:
                self._drop(f"part {kind}")

    def _name_others(self, delta: Doc) -> None:
        for key in other_keys(delta):
            self._drop(f"part {key}")

    def _read_annotations(self, told: Any, events: list[Event]) -> None:
        """Where the text is taken from; told at the end of it, mostly, but some servers tell it first."""
        citations, others = read_annotations(told, self._drop)
        if others:
            self._drop(LOST)
        for citation in citations:
            if self._chars == 0:
                self._cited.append(citation)
            elif self._open is None or self._open[0] != "text" or (citation.start or 0) < self._begins:
                self._drop(LOST)
            else:
                events.append(PartCited(self._open[1], moved(citation, self._begins)))

    def _read_carrier(self, extra: Doc, events: list[Event]) -> None:
        """What of a thought must go back, in the block that `ChatWriter` tells at its end."""
        for family, box in extra.items():
            blocks = box.get("thinking_blocks") if isinstance(box, dict) else None
            if not isinstance(blocks, list):
                continue
            match blocks:
                case [{"data": str(redacted)}]:
                    self._tell_thought(Thinking("", None, family, redacted), events)
                case [{"thinking": str(text), "signature": str(signature)}]:
                    if not text or self._open is None or self._open[0] != "thinking":
                        self._tell_thought(Thinking("", signature, family), events)
                    else:
                        events.append(PartSigned(self._open[1], signature))
            self._close(events)

    def _tell_thought(self, part: Thinking, events: list[Event]) -> None:
        self._close(events)
        events += unfold_part(self._next, part)
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
            if kind == "text":
                self._begins = self._chars
                events += (PartCited(self._open[1], citation) for citation in self._cited)
                self._cited = []
        if kind == "text":
            self._chars += len(text)
        events.append(PartDelta(self._open[1], text))

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(PartEnded(self._open[1]))
            self._open = None

    # ---- tool calls ----

    def _read_call(self, delta: Doc, events: list[Event]) -> None:
        custom = delta.get("custom")
        if isinstance(custom, dict):  # its text is no JSON until all of it is there: it is told at the end
            index = delta.get("index")
            number = index if type(index) is int else len(self._free)
            self._free.setdefault(number, FreeCall()).add(delta.get("id"), custom)
            return
        function = delta.get("function")
        if not isinstance(function, dict):
            function = {}
            if isinstance(delta.get("type"), str) and delta["type"] != "function":
                self._drop(f"part {delta['type']}")
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

    def _call(self, index: Any, call_id: str | None, name: str, text: str) -> Call:
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
        call = Call()
        self._calls.append(call)
        if indexed:
            self._by_index[index] = call
        return call

    def _tell(self, call: Call, events: list[Event]) -> None:
        self._close(events)
        call.part = self._next
        self._next += 1
        call.id = call.id or new_call_id()
        events.append(PartStarted(call.part, ToolCall(call.id, call.name, "", call.signature)))
        if call.pieces:
            events.append(PartDelta(call.part, call.arguments()))

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
        free = [call.whole() for call in self._free.values()]
        arguments = [call.arguments() for call in self._calls] + [call.arguments for call in free]
        called = bool(self._calls) and all(call.whole() for call in self._calls) and not free
        if not self._alive or not (self._reason or called or told_done):
            return self._fail("The provider's stream ended before the answer was complete.", None)
        events: list[Event] = []
        self._close(events)
        for call in self._calls:
            if call.part is None:  # it never got a name: told all the same, not lost
                self._tell(call, events)
        events += (PartEnded(call.part) for call in self._calls if call.part is not None)
        for whole in free:
            events += unfold_part(self._next, whole)
            self._next += 1
        events += self._tokens()
        name_reason(self._reason, self._drop)
        if self._cited:
            self._drop(LOST)
        events.append(Finished(read_finish(self._reason, arguments), service_tier=self._tier))
        self._ended = True
        return events
