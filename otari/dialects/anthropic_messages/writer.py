"""Canonical events → Messages stream."""

import orjson

from otari.dialects.anthropic_messages.blocks import BLOCK_KEYS, NAME
from otari.dialects.anthropic_messages.content import signature_block, thinking_blocks, wire_signature
from otari.dialects.anthropic_messages.errors import stream_error
from otari.dialects.anthropic_messages.marks import write_id
from otari.dialects.anthropic_messages.outgoing import Piece, begun, may_end
from otari.dialects.anthropic_messages.reply import write_ending
from otari.dialects.anthropic_messages.unread import write_tier
from otari.dialects.anthropic_messages.usage import write_usage
from otari.dialects.losses import CITATIONS, collector
from otari.domain.chat import (
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

_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTAS = {
    Text: b'{"type":"text_delta","text":',
    Thinking: b'{"type":"thinking_delta","thinking":',
    ToolCall: b'{"type":"input_json_delta","partial_json":',
}
_BYTES_PER_TOKEN = 4


class MessagesWriter:
    """One stream. Blocks come strictly one after the other: what belongs to a later part waits until the one before it
    has ended, which a call also has when its arguments are whole and something else begins.

    A block of text is closed late, when the next one opens, because citations may follow. `dropped` names what could
    not be carried.
    """

    def __init__(self, *, input_tokens: int | None = 0) -> None:
        self.dropped: list[str] = []
        self._drop = collector(self.dropped)
        self._input_tokens = input_tokens
        self._started = False
        self._tiered = False  # the service tier has been told
        self._ended = False
        self._pieces: dict[int, Piece] = {}  # in the order in which they began; the first is being written
        self._early: dict[int, Part] = {}  # ended before they said so
        self._open = -1  # the number of the open block
        self._next = 0
        self._refusal: list[str] = []
        self._usage = Usage()
        self._text_bytes = 0

    def write(self, event: Event) -> bytes:
        """The frames of one event; b"" when it has none, and for everything after the end."""
        if type(event) is PartDelta:
            return self._grow(event.index, event.text)
        if self._ended:
            return b""
        match event:
            case Started():
                return self._start(event)
            case PartStarted(index, part):
                self._pieces[index] = begun(part)
                return self._start(Started("", "")) + self._advance()
            case PartSigned(index, signature):
                if index in self._pieces:
                    self._pieces[index].signature = signature
                elif isinstance(self._early.get(index), ToolCall):
                    return self._carry(self._early[index], signature)
            case PartCited():
                self._drop(CITATIONS)
            case PartEnded(index):
                if index in self._pieces:
                    self._pieces[index].ended = True
                    return self._advance()
                self._early.pop(index, None)
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

    # ---- the message ----

    def _start(self, event: Started) -> bytes:
        if self._started:
            return b""
        self._started = True
        # Clients add up these three; what of the input was cached is only known at the end.
        message: Doc = {
            "id": event.id,
            "type": "message",
            "role": "assistant",
            "model": event.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": self._input_tokens or 0,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 0,
            },
        }
        write_tier(event.service_tier, message["usage"], self._drop)
        self._tiered = event.service_tier is not None
        return _frame("message_start", {"message": message}) + _PING

    def _finish(self, event: Finished) -> bytes:
        frames = self._start(Started("", ""))
        for piece in self._pieces.values():
            piece.ended = True
        frames += self._advance() + self._close()
        self._ended = True
        usage = write_usage(self._usage)
        if "output_tokens" not in usage:  # demanded by the wire: estimated, rather than a zero that nobody counted
            usage["output_tokens"] = -(-self._text_bytes // _BYTES_PER_TOKEN)
        if not self._tiered:
            write_tier(event.service_tier, usage, self._drop)
        delta = write_ending(event.finish, event.stop_sequence, "".join(self._refusal))
        return frames + _frame("message_delta", {"delta": delta, "usage": usage}) + _STOP

    # ---- parts ----

    def _grow(self, index: int, text: str) -> bytes:
        if self._ended or not text:
            return b""
        piece = self._pieces.get(index)
        if piece is None:
            return self._grow_early(index, text)
        if not piece.before or len(self._pieces) > 1 or piece.waiting:
            piece.waiting.append(text)
            return self._advance()
        if type(piece.part) is ToolCall:
            piece.arguments.append(text)
        return self._delta(piece, text)

    def _delta(self, piece: Piece, text: str) -> bytes:
        told = orjson.dumps(text)
        self._text_bytes += len(told) - 2
        return piece.before + told + piece.after

    def _grow_early(self, index: int, text: str) -> bytes:
        """More of a part whose block is closed: a text goes on in a new block, arguments were whole."""
        part = self._early.get(index)
        if isinstance(part, Text):
            del self._early[index]
            self._pieces[index] = Piece(part, [text])
            return self._advance()
        if part is not None and text.strip():
            self._drop("arguments after their end")
        return b""

    def _advance(self) -> bytes:
        """Write what can be written: the first part as far as it is there, and the next ones when it has ended."""
        frames: list[bytes] = []
        while self._pieces:
            index, piece = next(iter(self._pieces.items()))
            frames.append(self._pour(piece))
            if not piece.ended and (len(self._pieces) == 1 or not may_end(piece)):
                break
            frames.append(self._end(piece))
            del self._pieces[index]
            if not piece.ended:
                self._early[index] = piece.part
        return b"".join(frames)

    def _pour(self, piece: Piece) -> bytes:
        part = piece.part
        text = "".join(piece.waiting)
        piece.waiting.clear()
        if isinstance(part, Refusal):
            self._refusal.append(text)
            return b""
        if type(part) not in _DELTAS:
            return b""  # told whole, at its end
        frames = b""
        if not piece.before and (text or isinstance(part, ToolCall)):
            frames = self._begin(piece)
        if not text:
            return frames
        if isinstance(part, ToolCall):
            piece.arguments.append(text)
        return frames + self._delta(piece, text)

    def _begin(self, piece: Piece) -> bytes:
        """Open the block of a part that streams."""
        frames = b""
        match piece.part:
            case ToolCall() as call:
                if piece.signature is not None:
                    frames = self._carry(call, piece.signature)
                    piece.signature = None
                block: Doc = {"type": "tool_use", "id": write_id(call.id), "name": call.name, "input": {}}
            case Thinking():
                block = {"type": "thinking", "thinking": "", "signature": ""}
            case _:
                block = {"type": "text", "text": ""}
        frames += self._open_block(block)
        head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % self._open
        piece.before = head + _DELTAS[type(piece.part)]
        piece.after = b"}}\n\n"
        return frames

    def _end(self, piece: Piece) -> bytes:
        match piece.part:
            case Text() | Refusal():
                return b""
            case ToolCall() as call:
                late = b"" if piece.signature is None else self._carry(call, piece.signature)
                return self._close() + late
            case Thinking(redacted=None) as part:
                if not piece.before and piece.signature is None:
                    return b""
                frames = b"" if piece.before else self._begin(piece)
                signature = wire_signature(part.family, piece.signature)
                return frames + self._in_block({"type": "signature_delta", "signature": signature}) + self._close()
            case Thinking() as part:
                return self._whole_block(thinking_blocks(part)[0])
            case Opaque(dialect, doc) if dialect == NAME:
                return self._cite(doc[BLOCK_KEYS]) if BLOCK_KEYS in doc else self._whole_block(doc)
            case Opaque(_, doc):
                self._drop(f"part {doc.get('type')}")
            case part:
                self._drop(f"{type(part).__name__.lower()} in an answer")
        return b""

    def _carry(self, call: Part, signature: str) -> bytes:
        assert isinstance(call, ToolCall)
        return self._whole_block(signature_block(call.id, signature)[0])

    def _cite(self, keys: Doc) -> bytes:
        """Keys of the block before; of those only citations can still be told."""
        citations = keys.get("citations")
        if self._open < 0 or not isinstance(citations, list):
            self._drop(f"part {' '.join(keys)}")
            return b""
        return b"".join(self._in_block({"type": "citations_delta", "citation": citation}) for citation in citations)

    # ---- blocks ----

    def _open_block(self, block: Doc) -> bytes:
        closed = self._close()
        self._open = self._next
        self._next += 1
        return closed + _frame("content_block_start", {"index": self._open, "content_block": block})

    def _close(self) -> bytes:
        if self._open < 0:
            return b""
        frame = _frame("content_block_stop", {"index": self._open})
        self._open = -1
        return frame

    def _in_block(self, delta: Doc) -> bytes:
        return _frame("content_block_delta", {"index": self._open, "delta": delta})

    def _whole_block(self, block: Doc) -> bytes:
        """A block without deltas; the input of a provider's own tool comes as one."""
        given = block.get("input")
        if not given or block.get("type") not in ("server_tool_use", "mcp_tool_use"):
            return self._open_block(block) + self._close()
        told = {"type": "input_json_delta", "partial_json": orjson.dumps(given).decode()}
        return self._open_block(block | {"input": {}}) + self._in_block(told) + self._close()


def _frame(kind: str, told: Doc) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **told}))
