"""Items of a Responses stream while they grow: each gives the canonical events of its own parts.

A number that is passed in and given back is the next free number of a part.
"""

from dataclasses import replace
from typing import Any

import orjson

from otari.dialects.losses import Drop, name_unread
from otari.dialects.openai_citations import LOST, read_annotations
from otari.dialects.openai_responses.calls import read_call
from otari.dialects.openai_responses.carrier import FAMILY
from otari.dialects.openai_responses.content import ITEM_KEYS
from otari.dialects.openai_responses.items import keys_of, kind_of
from otari.dialects.tool_arguments import complete, raw_arguments
from otari.domain.chat import (
    Doc,
    Event,
    Part,
    PartCited,
    PartDelta,
    PartEnded,
    PartSigned,
    PartStarted,
    Refusal,
    Text,
    Thinking,
    unfold_part,
)

Piece = tuple[str, int]  # the kind of a text within an item, and its number


class Growing:
    """An item under way. `refused` says that the model declined in it."""

    kind = ""

    def __init__(self, item: Doc, drop: Drop) -> None:
        self._item = item
        self._drop = drop
        self._texts: dict[Piece, list[str]] = {}
        self._told_keys: set[str] = set()  # of those that say more than the item means
        self.refused = False

    def begin(self, events: list[Event], number: int) -> int:
        """The item begins. Its keys, if it has any, stand before its parts."""
        return number

    def grow(self, events: list[Event], number: int, piece: Piece, text: str) -> int:
        """More of one text of the item."""
        raise NotImplementedError

    def complete(self, events: list[Event], number: int, piece: Piece, text: str) -> tuple[int, bool]:
        """The whole of one text: what of it was not told yet is told now. False when it contradicts what was told."""
        told = "".join(self._texts.get(piece, ()))
        if text.startswith(told):
            return self.grow(events, number, piece, text[len(told) :]), True
        return number, self._bears(told)

    def _bears(self, told: str) -> bool:
        """Whether a text that was told can stand though the whole is another one (white space that was put right)."""
        return True

    def settle(self, events: list[Event], number: int, item: Doc) -> tuple[int, bool]:
        """Everything that the finished item tells and that was not told yet."""
        right = True
        for piece, text in self._pieces(item):
            number, fits = self.complete(events, number, piece, text)
            right = right and fits
        return number, right

    def _pieces(self, item: Doc) -> list[tuple[Piece, str]]:
        raise NotImplementedError

    def cite(self, events: list[Event], at: int, annotation: Any) -> None:
        """Where a piece of the text in content part `at` is taken from."""

    def name_rest(self, item: Doc) -> None:
        """Name what the finished item says and no event has told."""
        for keys in keys_of(item, self.kind):
            for key in keys.doc[ITEM_KEYS]:
                if key not in self._told_keys:
                    self._drop(f"part {key}")

    def _tell_keys(self, events: list[Event], number: int) -> int:
        """What the item says beyond its meaning stands before its parts."""
        for keys in keys_of(self._item, self.kind):
            self._told_keys.update(keys.doc[ITEM_KEYS])
            events += unfold_part(number, keys)
            number += 1
        return number

    def end(self, events: list[Event]) -> str | None:
        """The item has ended; the arguments if it was a call."""
        raise NotImplementedError


class _Message(Growing):
    """A message of the assistant: each of its content parts is a part."""

    kind = "message"

    def __init__(self, item: Doc, drop: Drop) -> None:
        super().__init__(item, drop)
        self._parts: dict[Piece, int] = {}
        self._cited: dict[int, list[Any]] = {}  # the annotations that were told, by content part

    def grow(self, events: list[Event], number: int, piece: Piece, text: str) -> int:
        if not text:
            return number
        part = self._parts.get(piece)
        if part is None:
            if not self._parts:
                number = self._tell_keys(events, number)
            part = self._parts[piece] = number
            number += 1
            self.refused = self.refused or piece[0] == "refusal"
            events.append(PartStarted(part, Refusal("") if piece[0] == "refusal" else Text("")))
            self._texts[piece] = []
        self._texts[piece].append(text)
        events.append(PartDelta(part, text))
        return number

    def _pieces(self, item: Doc) -> list[tuple[Piece, str]]:
        pieces: list[tuple[Piece, str]] = []
        for at, part in enumerate(_objects(item.get("content"))):
            match part:
                case {"type": "output_text", "text": str(text)}:
                    pieces.append((("text", at), text))
                case {"type": "refusal", "refusal": str(text)}:
                    pieces.append((("refusal", at), text))
        return pieces

    def cite(self, events: list[Event], at: int, annotation: Any) -> None:
        part = self._parts.get(("text", at))
        if part is not None:
            self._cited.setdefault(at, []).append(annotation)
            citations, others = read_annotations([annotation], self._drop)
            events += (PartCited(part, citation) for citation in citations)
            if others:
                self._drop(LOST)

    def settle(self, events: list[Event], number: int, item: Doc) -> tuple[int, bool]:
        """Annotations that no event told stand in the finished item only."""
        number, right = super().settle(events, number, item)
        for at, part in enumerate(_objects(item.get("content"))):
            annotations = part.get("annotations")
            told = list(self._cited.get(at, ()))
            for annotation in annotations if isinstance(annotations, list) else ():
                if annotation in told:
                    told.remove(annotation)  # the same one may stand there twice
                else:
                    self.cite(events, at, annotation)
        return number, right

    def name_rest(self, item: Doc) -> None:
        super().name_rest(item)
        for part in _objects(item.get("content")):
            kind = part.get("type")
            if kind in ("output_text", "refusal"):
                name_unread(part, ("type", "text", "refusal", "annotations", "logprobs"), self._drop, "part ")
            elif isinstance(kind, str):
                self._drop(f"part {kind}")

    def end(self, events: list[Event]) -> str | None:
        events += (PartEnded(part) for part in self._parts.values())
        return None


class _Reasoning(Growing):
    """Reasoning: all its texts are one part, which the encrypted content of the finished item signs."""

    kind = "reasoning"

    def __init__(self, item: Doc, drop: Drop) -> None:
        super().__init__(item, drop)
        self._part: int | None = None

    def grow(self, events: list[Event], number: int, piece: Piece, text: str) -> int:
        if not text:
            return number
        number = self._open(events, number)
        if piece not in self._texts:
            if self._texts:
                events.append(PartDelta(self._part or 0, "\n\n"))
            self._texts[piece] = []
        self._texts[piece].append(text)
        events.append(PartDelta(self._part or 0, text))
        return number

    def _open(self, events: list[Event], number: int) -> int:
        if self._part is not None:
            return number
        self._part = number
        events.append(PartStarted(number, Thinking("", family=FAMILY)))
        return number + 1

    def settle(self, events: list[Event], number: int, item: Doc) -> tuple[int, bool]:
        number, right = super().settle(events, number, item)
        encrypted = item.get("encrypted_content")
        if isinstance(encrypted, str) and encrypted:
            number = self._open(events, number)
            events.append(PartSigned(self._part or 0, encrypted))
        return number, right

    def _pieces(self, item: Doc) -> list[tuple[Piece, str]]:
        return [
            ((key, at), part["text"])
            for key in ("summary", "content")
            for at, part in enumerate(_objects(item.get(key)))
            if isinstance(part.get("text"), str)
        ]

    def end(self, events: list[Event]) -> str | None:
        if self._part is not None:
            events.append(PartEnded(self._part))
        return None


class _FunctionCall(Growing):
    """A call of a function. Its arguments may stand in the first event already: then the last one tells them again."""

    kind = "function_call"
    _text: Piece = ("arguments", 0)

    def __init__(self, item: Doc, drop: Drop, call: Part) -> None:
        super().__init__(item, drop)
        self._call = call
        self._part = 0
        self._texts[self._text] = []

    def begin(self, events: list[Event], number: int) -> int:
        self._part = number = self._tell_keys(events, number)
        events.append(PartStarted(number, self._call))
        return number + 1

    def grow(self, events: list[Event], number: int, piece: Piece, text: str) -> int:
        if text and piece == self._text:
            self._texts[piece].append(text)
            events.append(PartDelta(self._part, text))
        return number

    def _bears(self, told: str) -> bool:
        return complete(told)

    def _pieces(self, item: Doc) -> list[tuple[Piece, str]]:
        told = item.get("arguments")
        return [(self._text, raw_arguments(told))] if told is not None else []

    def end(self, events: list[Event]) -> str | None:
        events.append(PartEnded(self._part))
        return "".join(self._texts[self._text])


class _FreeCall(_FunctionCall):
    """A call of a tool that takes plain text: its text grows inside the JSON of the one argument."""

    kind = "custom_tool_call"
    _text: Piece = ("input", 0)

    def begin(self, events: list[Event], number: int) -> int:
        number = super().begin(events, number)
        events.append(PartDelta(self._part, '{"input":"'))
        return number

    def grow(self, events: list[Event], number: int, piece: Piece, text: str) -> int:
        if text and piece == self._text:
            self._texts[piece].append(text)
            events.append(PartDelta(self._part, orjson.dumps(text)[1:-1].decode()))
        return number

    def _bears(self, told: str) -> bool:
        return False

    def _pieces(self, item: Doc) -> list[tuple[Piece, str]]:
        text = item.get("input")
        return [(self._text, text)] if isinstance(text, str) else []

    def end(self, events: list[Event]) -> str | None:
        events += (PartDelta(self._part, '"}'), PartEnded(self._part))
        return "{}"


def growing(item: Doc, drop: Drop) -> Growing | None:
    """The item that begins, when it is one whose pieces are told one by one; None when it is told whole at its end.

    A call that does not say yet what it calls is told at its end too.
    """
    kind = kind_of(item)
    if kind == "message":
        return _Message(item, drop)
    if kind == "reasoning":
        return _Reasoning(item, drop)
    if kind not in ("function_call", "custom_tool_call"):
        return None
    call = read_call({key: value for key, value in item.items() if key not in ("arguments", "input")})
    if call is None:
        return None
    begun = replace(call, arguments="")
    return _FunctionCall(item, drop, begun) if kind == "function_call" else _FreeCall(item, drop, begun)


def _objects(told: Any) -> list[Doc]:
    return [entry if isinstance(entry, dict) else {} for entry in told] if isinstance(told, list) else []
