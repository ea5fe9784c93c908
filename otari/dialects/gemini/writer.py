"""Canonical events → streams of generateContent."""

from dataclasses import dataclass, field, replace

import orjson

from otari.dialects.gemini.content import unsigned_by_others, write_answer
from otari.dialects.gemini.errors import stream_error
from otari.dialects.gemini.finish import write_ending
from otari.dialects.gemini.reply import head_of
from otari.dialects.gemini.usage import write_usage
from otari.dialects.losses import CITATIONS, collector
from otari.domain.chat import (
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
)
from otari.domain.errors import Kind, OtariError

_BEFORE = b'data: {"candidates":[{"content":{"parts":['
_PIECES = {Text: (b'{"text":', b"}"), Thinking: (b'{"text":', b',"thought":true}')}


@dataclass(slots=True)
class _Piece:
    """A part on its way out, and its texts that have not been written."""

    part: Part
    texts: list[str] = field(default_factory=list)
    signature: str | None = None
    ended: bool = False


class GeminiWriter:
    """One stream, framed with CRLF as Google's are. Parts come strictly one after the other: what belongs to a later
    one waits until the one before it has ended. Calls are told whole.

    The last frame tells the finish reason and the usage; the end of the answer is the end of the stream. `dropped`
    names what could not be carried.
    """

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self._drop = collector(self.dropped)
        self._head: Doc = head_of("", "", None)
        self._after = b""
        self._started = False
        self._ended = False
        self._pieces: dict[int, _Piece] = {}  # in the order in which they began; the first is being written
        self._refusal: list[str] = []
        self._usage = Usage()

    def write(self, event: Event) -> bytes:
        """The frames of one event; b"" when it has none, and for everything after the end."""
        if self._ended:
            return b""
        match event:
            case Started():
                self._start(event)
            case PartStarted(index, part):
                self._start(Started("", ""))
                self._pieces[index] = _begun(part)
                return self._advance()
            case PartDelta(index, text) if index in self._pieces and text:
                self._pieces[index].texts.append(text)
                return self._advance()
            case PartCited():
                self._drop(CITATIONS)
            case PartSigned(index, signature) if index in self._pieces:
                self._pieces[index].signature = signature
            case PartEnded(index) if index in self._pieces:
                self._pieces[index].ended = True
                return self._advance()
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

    def _start(self, event: Started) -> None:
        if not self._started:
            self._started = True
            if event.service_tier is not None:
                self._drop("service_tier")
            self._head = head_of(event.id, event.model, event.created)
            self._after = b'],"role":"model"},"index":0}],' + orjson.dumps(self._head)[1:] + b"\r\n\r\n"

    def _advance(self) -> bytes:
        """Write what can be written: the first part as far as it is there, and the next ones when it has ended."""
        frames: list[bytes] = []
        while self._pieces:
            index, piece = next(iter(self._pieces.items()))
            if type(piece.part) in _PIECES:
                frames.append(self._pour(piece))
            if not piece.ended:
                break
            frames.append(self._end(piece))
            del self._pieces[index]
        return b"".join(frames)

    def _pour(self, piece: _Piece) -> bytes:
        before, after = _PIECES[type(piece.part)]
        frames = [_BEFORE + before + orjson.dumps(text) + after + self._after for text in piece.texts]
        piece.texts.clear()
        return b"".join(frames)

    def _end(self, piece: _Piece) -> bytes:
        """What of a part is told at its end: a signature, or all of a part that does not stream."""
        text = "".join(piece.texts)
        match piece.part:
            case Text():
                return b""
            case Refusal():
                self._refusal.append(text)
                return b""
            case Thinking() as part:
                signed = unsigned_by_others(replace(part, text="", signature=piece.signature), self._drop)
                if signed.redacted is None and signed.signature is not None:
                    return self._frame({"text": "", "thought": True, "thoughtSignature": signed.signature})
                docs = write_answer([signed], self._drop)
            case ToolCall() as part:
                docs = write_answer([replace(part, arguments=text, signature=piece.signature)], self._drop)
            case part:
                docs = write_answer([part], self._drop)
        return b"".join(map(self._frame, docs))

    def _frame(self, part: Doc) -> bytes:
        return _BEFORE + orjson.dumps(part) + self._after

    def _finish(self, event: Finished) -> bytes:
        self._start(Started("", ""))
        for piece in self._pieces.values():
            piece.ended = True
        frames = self._advance()
        self._ended = True
        if event.stop_sequence is not None:
            self._drop("stop_sequence")
        if event.service_tier is not None:
            self._drop("service_tier")
        candidate: Doc = {"content": {"parts": [{"text": ""}], "role": "model"}}
        candidate |= {**write_ending(event.finish, "".join(self._refusal)), "index": 0}
        last: Doc = {"candidates": [candidate]}
        usage = write_usage(self._usage)
        if usage is not None:
            last["usageMetadata"] = usage
        return frames + b"data: " + orjson.dumps(last | self._head) + b"\r\n\r\n"


def _begun(part: Part) -> _Piece:
    """A part that has just begun, with what is known of it already."""
    match part:
        case Text(text) | Refusal(text):
            return _Piece(part, [text] if text else [])
        case Thinking(text, signature):
            return _Piece(part, [text] if text else [], signature)
        case ToolCall():
            return _Piece(part, [part.arguments] if part.arguments else [], part.signature)
    return _Piece(part)
