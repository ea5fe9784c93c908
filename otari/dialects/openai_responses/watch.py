"""Looking at a Responses stream that passes by unchanged: usage, endings, errors; nothing is re-encoded."""

import orjson

from otari.dialects import sse
from otari.dialects.dialect import Seen
from otari.dialects.openai_responses.errors import failure_in
from otari.dialects.openai_responses.reader import ENDINGS
from otari.dialects.openai_responses.usage import usage_in
from otari.domain.chat import Doc

_NOTHING, _CONTENT = Seen(), Seen(content=True)
# Inside a text every quote is escaped, so that only frames which mean it hold the last four.
_NOTABLE = (
    b"response.completed",
    b"response.incomplete",
    b"response.failed",
    b"response.cancelled",
    b"response.done",
    b'"type":"error"',
    b'"type": "error"',
    b'"error":{',
    b'"error": {',
)


def notable(block: bytes) -> int:
    """Where in a block of frames an ending, usage or an error may first be told; -1 = nowhere."""
    return sse.first_of(_NOTABLE, block)


def see(frame: bytes) -> Seen:
    """What one frame means to the one who watches; see `Dialect.see`. Never raises.

    The event that ends the answer is the last of the wire, so it finishes and is terminal at once.
    """
    raw = sse.data(frame).strip()
    if not raw:
        return _NOTHING
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _NOTHING
    return _see(doc, frame) if isinstance(doc, dict) else _NOTHING


def _see(doc: Doc, frame: bytes) -> Seen:
    kind = doc.get("type")
    if not isinstance(kind, str):
        kind = sse.event(frame) or None
    failure = failure_in(kind, doc)
    if failure is not None:
        return Seen(usage=usage_in(doc), failed=failure[0])
    if kind in ENDINGS:
        return Seen(usage=usage_in(doc), finishes=True, terminal=True)
    return _CONTENT if _has_content(kind or "", doc) else _NOTHING


def _has_content(kind: str, doc: Doc) -> bool:
    if kind.endswith(".delta"):
        return bool(doc.get("delta"))
    return kind == "response.output_item.done"
