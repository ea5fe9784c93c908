"""Looking at a stream: what a frame holds, and what one that passes by unchanged means."""

from typing import Any

import orjson

from otari.dialects import sse
from otari.dialects.dialect import Seen
from otari.dialects.gemini.errors import failure_in
from otari.dialects.gemini.finish import block_of, candidate_of, failure_of, parts_of, reason_of
from otari.dialects.gemini.usage import read_usage
from otari.domain.chat import Doc

# Inside a text the quotes of a key are escaped. Google tells usage in nearly every frame.
_NOTABLE = (b'"usageMetadata"', b'"finishReason"', b'"error"', b'"blockReason"')
_SAYS_NOTHING = ("text", "thought")


def payload(frame: bytes) -> bytes:
    """The data of a frame, as `sse.data` gives it; quick for the form that Google's frames have."""
    if frame.startswith(b"data: ") and frame.endswith(b"\r\n\r\n"):
        end = len(frame) - 4
        if frame.find(b"\r") == end and frame.find(b"\n") == end + 1:
            return frame[6:end]
    return sse.data(frame)


def docs_in(told: Any) -> list[Doc]:
    """The objects of a frame's data: one, or those of a list (that is how some errors come)."""
    return [doc for doc in (told if isinstance(told, list) else [told]) if isinstance(doc, dict)]


def notable(block: bytes) -> int:
    """Where in a block of frames usage, a finish reason or an error may first be told; -1 = nowhere. Searches only."""
    found = [at for needle in _NOTABLE if (at := block.find(needle)) >= 0]
    return min(found, default=-1)


def see(frame: bytes) -> Seen:
    """What one frame means to the one who watches; see `Dialect.see`. Never raises.

    No frame is the last of the wire: the end of the stream is, once a frame has told why the model stopped.
    """
    try:
        docs = docs_in(orjson.loads(payload(frame).strip() or b"null"))
    except orjson.JSONDecodeError:
        return Seen()
    seen = Seen()
    for doc in docs:
        one = _see(doc)
        usage = one.usage if seen.usage is None or one.usage is None else seen.usage.merged(one.usage)
        seen = Seen(
            content=seen.content or one.content,
            usage=usage or seen.usage,
            finishes=seen.finishes or one.finishes,
            failed=seen.failed or one.failed,
        )
    return seen


def _see(doc: Doc) -> Seen:
    candidate = candidate_of(doc)
    failure = failure_in(doc) or (failure_of(candidate) if candidate is not None else None)
    usage = read_usage(doc.get("usageMetadata"))
    if failure is not None:
        return Seen(usage=usage, failed=failure[0])
    if candidate is None:
        return Seen(usage=usage, finishes=block_of(doc) is not None)
    content = any(part.get("text") or part.keys() - _SAYS_NOTHING for part in parts_of(candidate))
    return Seen(content=content, usage=usage, finishes=reason_of(candidate) is not None)
