"""Looking at a Messages stream: what a frame is, and what one that passes by unchanged means."""

import orjson

from otari.dialects import sse
from otari.dialects.anthropic_messages.errors import failure_in
from otari.dialects.anthropic_messages.usage import read_usage
from otari.dialects.dialect import Seen
from otari.domain.chat import Doc

_NOTHING, _CONTENT = Seen(), Seen(content=True)

# message_start, message_delta and message_stop; errors by the name of their event or their key. Inside a text the
# quotes of a key are escaped, so that quoted words are only found where they mean something.
_NOTABLE = (b"message_st", b"message_delta", b'"error"', b"event: error", b"event:error")


def payload(frame: bytes) -> bytes:
    """The data of a frame, as `sse.data` gives it; quick for the two lines that nearly every frame has."""
    at = frame.find(b"\n") + 1
    if frame.startswith(b"data: ", at) and frame.startswith(b"event: ") and b"\r" not in frame:
        end = frame.find(b"\n", at)
        if end == len(frame) - 2:
            return frame[at + 6 : end]
    return sse.data(frame)


def kind_of(doc: Doc, frame: bytes) -> str:
    """What a frame is: its `type`, or else the name of its event."""
    kind = doc.get("type")
    return kind if isinstance(kind, str) and kind else sse.event(frame)


def notable(block: bytes) -> int:
    """Where in a block of frames the start, the end, usage or an error may first be told; -1 = nowhere."""
    return sse.first_of(_NOTABLE, block)


def see(frame: bytes) -> Seen:
    """What one frame means to the one who watches; see `Dialect.see`. Never raises."""
    raw = payload(frame).strip()
    if not raw:
        return _NOTHING
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _NOTHING
    return _see(doc, kind_of(doc, frame)) if isinstance(doc, dict) else _NOTHING


def _see(doc: Doc, kind: str) -> Seen:
    failure = failure_in(doc, kind)
    if failure is not None:
        return Seen(failed=failure[0])
    match kind:
        case "content_block_delta":
            return _CONTENT
        case "content_block_start":
            block = doc.get("content_block")
            empty = isinstance(block, dict) and block.get("type") == "text" and not block.get("text")
            return _NOTHING if empty else _CONTENT
        case "message_start":
            message = doc.get("message")
            return Seen(usage=read_usage(message.get("usage"), begins=True) if isinstance(message, dict) else None)
        case "message_delta":
            delta = doc.get("delta")
            finishes = isinstance(delta, dict) and isinstance(delta.get("stop_reason"), str)
            return Seen(usage=read_usage(doc.get("usage")), finishes=finishes)
        case "message_stop":
            return Seen(terminal=True)
    return _NOTHING
