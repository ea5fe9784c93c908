"""Server-sent events of single-shot calls: one JSON document each, with a `type`; the last one tells usage."""

from typing import Any

import orjson

from otari.dialects import sse
from otari.dialects.openai_errors import failure_in
from otari.domain.chat import Doc, Usage
from otari.operations.operation import Seen, count_in, write_doc

_DONE = b"[DONE]"


def document(frame: bytes) -> Doc:
    """What an event tells; {} for a comment, an end mark and what is no JSON object."""
    payload = sse.data(frame)
    if not payload.startswith(b"{"):
        return {}
    try:
        doc = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return doc if isinstance(doc, dict) else {}


def plain(frame: bytes, doc: Doc) -> Seen:
    """What can be said of an event of any operation: it is the end mark, an error, or just passes."""
    if not doc:
        return Seen(frame, terminal=sse.data(frame).strip() == _DONE)
    failure = failure_in(doc)
    if failure is None and doc.get("type") == "error":
        failure = failure_in({"error": doc})
    return Seen(frame) if failure is None else Seen(frame, failed=failure[0])


def frame(doc: Doc) -> bytes:
    """An event that tells `doc`."""
    return b"data: " + write_doc(doc) + b"\n\n"


def usage_in(told: Any) -> Usage | None:
    """The tokens in a `usage` object, in OpenAI's newer or older words; None when it tells none."""
    read = count_in(told, "input_tokens", "prompt_tokens")
    written = count_in(told, "output_tokens", "completion_tokens")
    return None if read is None and written is None else Usage(input=read, output=written)
