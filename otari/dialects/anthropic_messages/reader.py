"""Messages streams → canonical events, as tolerant as the servers that claim to speak it are different."""

from typing import Any

import orjson

from otari.dialects.anthropic_messages.blocks import (
    BLOCK_KEYS,
    BLOCKS,
    NAME,
    arguments_text,
    carried_signature,
    keys_beyond,
    read_redacted,
)
from otari.dialects.anthropic_messages.errors import failure_in
from otari.dialects.anthropic_messages.incoming import Block, whole
from otari.dialects.anthropic_messages.marks import FAMILY, read_id, read_mark
from otari.dialects.anthropic_messages.reply import new_call_id, new_reply_id, read_finish, read_refusal
from otari.dialects.anthropic_messages.unread import name_in_message, name_in_usage, read_tier
from otari.dialects.anthropic_messages.usage import laid_over, read_usage
from otari.dialects.anthropic_messages.watch import kind_of, payload
from otari.dialects.losses import collector, name_unread
from otari.dialects.tool_arguments import complete
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
    UsageSeen,
)

_CUT_OFF = "The provider's stream ended before the answer was complete."
_DELTAS = ("text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta")
_STREAMED: dict[str, Part] = {"text": Text(""), "thinking": Thinking("", None, FAMILY)}


class MessagesReader:
    """One stream. Blocks are told apart by their index: some servers leave several open at once.

    Texts and thinking are told with their first piece, so that an empty block is no part.
    """

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self._drop = collector(self.dropped)
        self._started = False
        self._id = ""  # as the start of the message told it
        self._ended = False
        self._next = 0
        self._open: dict[int | None, Block] = {}
        self._arguments: list[str] = []  # of the calls that have ended
        self._signatures: dict[str, str] = {}
        self._usage: Doc = {}
        self._ending: Doc = {}

    def read(self, frame: bytes) -> list[Event]:
        """The events that one frame tells."""
        raw = payload(frame).strip()
        if not raw or self._ended:
            return []
        try:
            doc = orjson.loads(raw)
        except orjson.JSONDecodeError:
            broken = raw.startswith(b"{") and not self._ending
            return self._fail("The provider sent a stream event that is not JSON.", None) if broken else []
        if not isinstance(doc, dict):
            return []
        more = self._more(doc)
        if more is not None:
            return [more]
        events: list[Event] = []
        self._read(kind_of(doc, frame), doc, events)
        return events

    def end(self) -> list[Event]:
        """What must still be told when no more frames come."""
        return [] if self._ended else self._finish(told=False)

    def _more(self, doc: Doc) -> PartDelta | None:
        """More of a text or of thinking that has been told, as in nearly every frame; None for all other frames."""
        delta, index = doc.get("delta"), doc.get("index")
        if type(index) is not int or type(delta) is not dict or index not in self._open:
            return None
        block = self._open[index]
        text = delta.get(block.kind)
        if block.part is None or type(text) is not str or not text or delta.get("type") != block.delta:
            return None
        return PartDelta(block.part, text)

    def _read(self, kind: str, doc: Doc, events: list[Event]) -> None:
        match kind:
            case "content_block_delta":
                delta = doc.get("delta")
                if isinstance(delta, dict):
                    self._start("", "", events)
                    self._read_delta(_index(doc), delta, events)
            case "content_block_start":
                block = doc.get("content_block")
                if isinstance(block, dict):
                    self._start("", "", events)
                    self._begin(_index(doc), block, events)
            case "content_block_stop":
                self._close(_index(doc), events)
            case "message_start":
                self._read_start(doc.get("message"), events)
            case "message_stop":
                events += self._finish(told=True)
            case _:
                failure = failure_in(doc, kind)
                if failure is not None:
                    events += self._fail(*failure)
                elif kind == "message_delta":
                    self._read_ending(doc)

    # ---- the message ----

    def _read_start(self, message: Any, events: list[Event]) -> None:
        """The start of the message. The same start again is ignored; another message is a restart, and what has been
        told can not be taken back."""
        told = message if isinstance(message, dict) else {}
        reply_id, model = told.get("id"), told.get("model")
        reply_id = reply_id if isinstance(reply_id, str) else ""
        if self._id:
            if reply_id and reply_id != self._id:
                events += self._fail("The provider began another answer in the middle of this one.", None)
            return
        self._id = reply_id
        name_in_message(told, self._drop)
        self._usage = laid_over(self._usage, told.get("usage"))
        self._start(reply_id, model if isinstance(model, str) else "", events)
        seen = read_usage(self._usage, begins=True)
        self._usage.pop("output_tokens", None)  # a placeholder
        if seen is not None:
            events.append(UsageSeen(seen))
        content = told.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):  # a whole answer in the start
            if isinstance(block, dict):
                self._begin(index, block, events)
                self._close(index, events)

    def _start(self, reply_id: str, model: str, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Started(reply_id or new_reply_id(), model, None, read_tier(self._usage)))

    def _read_ending(self, doc: Doc) -> None:
        self._usage = laid_over(self._usage, doc.get("usage"))
        name_unread(doc, ("type", "delta", "usage"), self._drop)
        delta = doc.get("delta")
        if isinstance(delta, dict):
            name_in_message(delta, self._drop)
            self._ending |= {key: value for key, value in delta.items() if value is not None}

    # ---- blocks ----

    def _begin(self, index: int | None, doc: Doc, events: list[Event]) -> None:
        if index in self._open:
            if self._open[index].doc == doc:
                return  # told twice
            self._close(index, events)
        kind = doc.get("type")
        block = self._open[index] = Block(kind if isinstance(kind, str) else "", doc, f"{kind}_delta")
        match doc:
            case {"type": "text" | "thinking"}:
                for key in ("thinking", "text", "signature"):
                    if isinstance(doc.get(key), str):
                        self._grow(block, key, doc[key], events)
            case {"type": "tool_use"}:
                self._begin_call(block, events)
            case {"type": "redacted_thinking", "data": str(data)}:
                carried = carried_signature(doc)
                if carried is not None:
                    self._signatures[carried[0]] = carried[1]
                else:
                    self._tell(block, read_redacted(data), events)

    def _tell(self, block: Block, part: Part, events: list[Event]) -> int:
        if block.part is None:
            block.part = self._next
            self._next += 1
            events.append(PartStarted(block.part, part))
        return block.part

    def _begin_call(self, block: Block, events: list[Event]) -> None:
        told, name = block.doc.get("id"), block.doc.get("name")
        call_id = read_id(told) if isinstance(told, str) and told else new_call_id()
        name = name if isinstance(name, str) else ""
        self._tell(block, ToolCall(call_id, name, "", self._signatures.get(call_id)), events)

    def _read_delta(self, index: int | None, delta: Doc, events: list[Event]) -> None:
        block = self._open.get(index)
        match delta:
            case {"type": "text_delta", "text": str(text)}:
                self._grow(block or self._missed(index, "text"), "text", text, events)
            case {"type": "thinking_delta", "thinking": str(text)}:
                self._grow(block or self._missed(index, "thinking"), "thinking", text, events)
            case {"type": "signature_delta", "signature": str(signature)} if block is not None:
                self._grow(block, "signature", signature, events)
            case {"type": "input_json_delta", "partial_json": str(text)} if text:
                if block is None:
                    events += self._fail("The provider sent arguments of a tool call that it never began.", None)
                    return
                block.pieces.append(text)
                if block.kind == "tool_use" and block.part is not None:
                    events.append(PartDelta(block.part, text))
            case {"type": "citations_delta", "citation": citation} if block is not None:
                block.citations.append(citation)
            case {"type": str(kind)} if block is not None and block.kind in BLOCKS and kind not in _DELTAS:
                self._drop(f"part {kind}")
            case _ if block is not None and block.part is None:
                texts = {key: text for key, text in delta.items() if key != "type" and isinstance(text, str)}
                block.doc = block.doc | {key: (block.doc.get(key) or "") + text for key, text in texts.items()}

    def _missed(self, index: int | None, kind: str) -> Block:
        """A block whose start did not come."""
        block = self._open[index] = Block(kind, {"type": kind}, f"{kind}_delta")
        return block

    def _grow(self, block: Block, key: str, text: str, events: list[Event]) -> None:
        """More of a text, of thinking or of its signature. An empty one opens nothing."""
        if not text or block.kind not in _STREAMED:
            return
        part = self._tell(block, _STREAMED[block.kind], events)
        if key != "signature":
            events.append(PartDelta(part, text))
        elif block.kind == "thinking":
            mark = read_mark(text)
            if mark is None or mark.signature is not None:
                events.append(PartSigned(part, text if mark is None else str(mark.signature)))

    def _close(self, index: int | None, events: list[Event]) -> None:
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.kind == "tool_use":
            self._end_call(block, events)
        elif block.kind not in ("text", "thinking", "redacted_thinking"):
            self._tell(block, Opaque(NAME, whole(block)), events)
        if block.part is not None:
            events.append(PartEnded(block.part))
            keys = keys_beyond(block.doc) | ({"citations": block.citations} if block.citations else {})
            if keys:
                self._tell_keys(keys, events)

    def _end_call(self, block: Block, events: list[Event]) -> None:
        """Arguments that came whole in the start of the block count when no others did."""
        given = block.doc.get("input")
        if not block.pieces and given and block.part is not None:
            block.pieces.append(arguments_text(given))
            events.append(PartDelta(block.part, block.pieces[0]))
        self._arguments.append("".join(block.pieces))

    def _tell_keys(self, keys: Doc, events: list[Event]) -> None:
        part = Opaque(NAME, {"type": " ".join(keys), BLOCK_KEYS: keys})
        events += (PartStarted(self._next, part), PartEnded(self._next))
        self._next += 1

    # ---- endings ----

    def _fail(self, message: str, code: str | None) -> list[Event]:
        self._ended = True
        return [*self._tokens(), Failed(message, code)]

    def _tokens(self) -> list[Event]:
        usage = read_usage(self._usage)
        return [] if usage is None else [UsageSeen(usage)]

    def _finish(self, *, told: bool) -> list[Event]:
        """The end, if the stream has said enough to call it good; `told` says that the last frame has come.

        Without both a stop reason and the last frame, tool calls with whole arguments will do: some servers leave the
        rest out. A connection that merely closed will not.
        """
        reason = self._ending.get("stop_reason")
        calls = [*self._arguments, *("".join(b.pieces) for b in self._open.values() if b.kind == "tool_use")]
        called = bool(calls) and all(text.strip() and complete(text) for text in calls)
        if not self._started or not (told or isinstance(reason, str) or called):
            return self._fail(_CUT_OFF, None)
        events: list[Event] = []
        for index in list(self._open):
            self._close(index, events)
        if words := read_refusal(self._ending):
            part = self._next
            events += (PartStarted(part, Refusal("")), PartDelta(part, words), PartEnded(part))
        events += self._tokens()
        name_in_usage(self._usage, self._drop)
        stop_sequence = self._ending.get("stop_sequence")
        finish = read_finish(reason, self._arguments)
        stopped_by = stop_sequence if isinstance(stop_sequence, str) else None
        events.append(Finished(finish, stopped_by, read_tier(self._usage)))
        self._ended = True
        return events


def _index(doc: Doc) -> int | None:
    index = doc.get("index")
    return index if type(index) is int else None
