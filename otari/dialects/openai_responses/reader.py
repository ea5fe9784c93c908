"""Responses streams → canonical events, also from servers that leave out, repeat or rename what the wire demands.

Items are known by their `output_index`, because their ids may change from event to event. What the events in between
did not tell is taken from the event that ends an item, and what that did not tell from the end of the stream.
"""

from typing import Any

import orjson

from otari.dialects import sse
from otari.dialects.losses import collector
from otari.dialects.openai_chat.reply import read_created, read_tier
from otari.dialects.openai_responses.errors import failure_in
from otari.dialects.openai_responses.growing import Growing, growing
from otari.dialects.openai_responses.items import kind_of, read_item
from otari.dialects.openai_responses.reply import read_finish
from otari.dialects.openai_responses.response import response_id
from otari.dialects.openai_responses.unread import name_in_response, name_logprobs
from otari.dialects.openai_responses.usage import read_usage
from otari.domain.chat import (
    Doc,
    Event,
    Failed,
    Finished,
    Refusal,
    Started,
    ToolCall,
    Usage,
    UsageSeen,
    unfold_part,
)

ENDINGS = ("response.completed", "response.incomplete", "response.done")
# Events that tell more of an item: the key of the text in them, the key that numbers its pieces, whether they tell the
# whole text, and the kind of the piece.
_PIECES: dict[str, tuple[str, str, bool, str]] = {
    "response.output_text.delta": ("delta", "content_index", False, "text"),
    "response.output_text.done": ("text", "content_index", True, "text"),
    "response.refusal.delta": ("delta", "content_index", False, "refusal"),
    "response.refusal.done": ("refusal", "content_index", True, "refusal"),
    "response.reasoning_summary_text.delta": ("delta", "summary_index", False, "summary"),
    "response.reasoning_summary_text.done": ("text", "summary_index", True, "summary"),
    "response.reasoning_text.delta": ("delta", "content_index", False, "content"),
    "response.reasoning_text.done": ("text", "content_index", True, "content"),
    "response.function_call_arguments.delta": ("delta", "", False, "arguments"),
    "response.function_call_arguments.done": ("arguments", "", True, "arguments"),
    "response.custom_tool_call_input.delta": ("delta", "", False, "input"),
    "response.custom_tool_call_input.done": ("input", "", True, "input"),
}
_OF = {"text": "message", "refusal": "message", "summary": "reasoning", "content": "reasoning"}
_SOUND = ("response.audio.delta", "response.audio.transcript.delta", "response.output_audio.delta")
_BROKEN = "The provider sent a stream event that is not JSON."
_CUT_OFF = "The provider's stream ended before the answer was complete."
_CONTRADICTION = "The provider's stream contradicts itself about the arguments of a tool call."


class ResponsesReader:
    """One stream."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self._drop = collector(self.dropped)
        self._started = False
        self._ended = False
        self._next = 0
        self._last = 0  # the highest sequence number: an event that is repeated is not told again
        self._items: dict[int, Growing | None] = {}  # None: told whole, or ended
        self._calls: list[str] = []  # the arguments of all calls that are whole
        self._refused = False

    def read(self, frame: bytes) -> list[Event]:
        """The events that one frame tells."""
        raw = sse.data(frame).strip()
        if not raw or self._ended or raw == b"[DONE]":
            return []
        try:
            doc = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return self._fail(_BROKEN, None) if raw.startswith(b"{") else []
        return self._read(doc, frame) if isinstance(doc, dict) else []

    def end(self) -> list[Event]:
        """What must still be told when no more frames come: without its last event no answer is complete."""
        return [] if self._ended else self._fail(_CUT_OFF, None)

    def _read(self, doc: Doc, frame: bytes) -> list[Event]:
        kind = doc.get("type")
        if not isinstance(kind, str):
            kind = sse.event(frame) or None
        sequence = doc.get("sequence_number")
        if type(sequence) is int and sequence > 0:
            if sequence == self._last:
                return []
            self._last = sequence
        piece = _PIECES.get(kind or "")
        if piece is not None:
            return self._read_piece(doc, *piece)
        failure = failure_in(kind, doc)
        if failure is not None:
            return self._fail(*failure, doc.get("response"))
        events: list[Event] = []
        response = doc.get("response")
        if isinstance(response, dict):
            self._start(events, response)
            if kind in ENDINGS:
                return self._finish(response, events)
        elif kind == "response.output_item.added":
            self._add_item(doc, events)
        elif kind == "response.output_text.annotation.added":
            self._cite(doc, events)
        elif kind == "response.output_item.done":
            self._end_item(self._place(doc, begins=False), doc.get("item"), events)
        elif kind in ENDINGS:
            return self._finish({}, events)
        elif kind in _SOUND:
            self._drop("part audio")
        return events

    def _cite(self, doc: Doc, events: list[Event]) -> None:
        item, at = self._items.get(self._place(doc, begins=False)), doc.get("content_index", 0)
        if item is not None and type(at) is int:
            item.cite(events, at, doc.get("annotation"))

    def _start(self, events: list[Event], response: Doc | None = None) -> None:
        if self._started:
            return
        self._started = True
        told = response or {}
        reply_id, model = told.get("id"), told.get("model")
        reply_id = response_id(reply_id if isinstance(reply_id, str) else "")
        model = model if isinstance(model, str) else ""
        events.append(Started(reply_id, model, read_created(told.get("created_at"))))

    # ---- items ----

    def _place(self, doc: Doc, *, begins: bool) -> int:
        """The number of the item that an event is about; without one, the last that is under way, or the next."""
        index = doc.get("output_index")
        if type(index) is int:
            return index
        under_way = [at for at, item in self._items.items() if item is not None]
        return under_way[-1] if under_way and not begins else max(self._items, default=-1) + 1

    def _add_item(self, doc: Doc, events: list[Event]) -> None:
        """An item begins, if it is one that grows. Others wait for their end, when they are told whole."""
        index, item = self._place(doc, begins=True), doc.get("item")
        if index in self._items or not isinstance(item, dict):
            return
        grows = growing(item, self._drop)
        if grows is not None:
            self._start(events)
            self._items[index] = grows
            self._next = grows.begin(events, self._next)

    def _read_piece(self, doc: Doc, key: str, number: str, whole: bool, kind: str) -> list[Event]:
        """More of an item, or all of one of its texts. Texts of an item that never began make it begin; a call waits
        for its end, which tells its name.
        """
        events: list[Event] = []
        place = self._place(doc, begins=False)
        if place not in self._items and kind in _OF:
            self._add_item({"output_index": place, "item": {"type": _OF[kind]}}, events)
        item = self._items.get(place)
        text = doc.get(key)
        if item is None or not isinstance(text, str):
            return events
        at = doc.get(number, 0) if number else 0
        piece = (kind, at if type(at) is int else 0)
        if whole:
            self._next, right = item.complete(events, self._next, piece, text)
            return events if right else self._fail(_CONTRADICTION, None)
        self._next = item.grow(events, self._next, piece, text)
        return events

    def _end_item(self, index: int, item: Any, events: list[Event]) -> bool:
        """The end of an item, told by the whole of it. False when it contradicts what was told before."""
        if not isinstance(item, dict) or (index in self._items and self._items[index] is None):
            return True
        self._start(events)
        grown = self._items.get(index)
        self._items[index] = None
        name_logprobs(item, self._drop)
        if grown is None or kind_of(item) != grown.kind:
            if grown is not None:
                grown.end(events)
            for part in read_item(item):
                events += unfold_part(self._next, part)
                self._next += 1
                if isinstance(part, ToolCall):
                    self._calls.append(part.arguments)
                self._refused = self._refused or isinstance(part, Refusal)
            return True
        self._next, right = grown.settle(events, self._next, item)
        grown.name_rest(item)
        if not right:
            events += self._fail(_CONTRADICTION, None)
            return False
        self._close(grown, events)
        return True

    def _close(self, grown: Growing, events: list[Event]) -> None:
        arguments = grown.end(events)
        if arguments is not None:
            self._calls.append(arguments)
        self._refused = self._refused or grown.refused

    # ---- endings ----

    def _fail(self, message: str, code: str | None, response: Any = None) -> list[Event]:
        self._ended = True
        usage = read_usage(response.get("usage")) if isinstance(response, dict) else None
        return [*_tokens(usage), Failed(message, code)]

    def _finish(self, response: Doc, events: list[Event]) -> list[Event]:
        """The good end. Items that were never ended, or never told, are taken from the whole answer."""
        self._start(events)
        told = response.get("output")
        output = told if isinstance(told, list) else []
        more = len(output) > len(self._items)  # some servers leave items out of the last event, and numbers shift
        for index, item in enumerate(output):
            known = self._items.get(index)
            missed = index not in self._items and more
            same = known is not None and isinstance(item, dict) and kind_of(item) == known.kind
            if (missed or same) and not self._end_item(index, item, events):
                return events
        for grown in self._items.values():
            if grown is not None:
                self._close(grown, events)
        self._ended = True
        name_in_response(response, self._drop)
        events += _tokens(read_usage(response.get("usage")))
        finish = read_finish(response, self._calls, refused=self._refused)
        events.append(Finished(finish, service_tier=read_tier(response)))
        return events


def _tokens(usage: Usage | None) -> list[Event]:
    return [UsageSeen(usage)] if usage is not None else []
