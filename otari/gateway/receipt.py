"""A cost that the control plane returned, put into the usage that the client sees.

This is the one exception to "same dialect, same bytes": into a whole answer, or into the frame at the end of a stream
that tells usage, two keys are inserted. No other byte changes.
"""

import re
from typing import Any

import orjson

from otari.dialects import sse
from otari.domain.chat import Doc
from otari.domain.ports import Receipt

_USAGE_OPENS = re.compile(rb'"usage"\s*:\s*\{\s*')


def in_answer(body: bytes, receipt: Receipt) -> bytes:
    """A whole answer with its cost; as it is when it tells no usage."""
    return _with_cost(body, receipt) or body


def apart(block: bytes) -> tuple[bytes, bytes]:
    """The last frames of a stream: those that can go out at once, and those that wait for the cost.

    These are the last one that tells usage, and what is behind it.
    """
    frames = sse.split(block)
    for index in reversed(range(len(frames))):
        if b'"usage"' in frames[index]:
            return b"".join(frames[:index]), b"".join(frames[index:])
    return b"", block


def in_frames(block: bytes, receipt: Receipt) -> bytes:
    """The last frames of a stream with the cost in the last one of them that tells usage."""
    frames = sse.split(block)
    for index in reversed(range(len(frames))):
        payload = sse.data(frames[index])
        edited = _with_cost(payload, receipt) if b'"usage"' in payload else None
        if edited is not None:
            frames[index] = _with_payload(frames[index], payload, edited)
            return b"".join(frames)
    return block


def _with_payload(frame: bytes, payload: bytes, edited: bytes) -> bytes:
    if payload in frame:
        return frame.replace(payload, edited, 1)
    name = sse.event(frame)  # its data stands in several lines
    lines = [*([b"event: " + name.encode()] if name else []), *(b"data: " + line for line in edited.split(b"\n"))]
    return b"\n".join(lines) + b"\n\n"


def _with_cost(raw: bytes, receipt: Receipt) -> bytes | None:
    """The document with the cost beside its token counts; None when it has none, or is no document."""
    try:
        wanted = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    told = {"cost_usd": receipt.cost_usd, "pricing_source": receipt.pricing_source}
    members = {key: value for key, value in told.items() if value is not None}
    usage = _usage_of(wanted)
    if usage is None:
        return None
    usage.update(members)
    inserted = orjson.dumps(members)[1:-1]
    for found in reversed(list(_USAGE_OPENS.finditer(raw))):
        rest = raw[found.end() :]
        edited = raw[: found.end()] + inserted + (b"" if rest.startswith(b"}") else b",") + rest
        if orjson.loads(edited) == wanted:
            return edited
    return orjson.dumps(wanted)  # a cost stands there already, and must give way


def _usage_of(doc: Any) -> Doc | None:
    """The token counts of a document; an event of Responses holds the whole answer."""
    if not isinstance(doc, dict):
        return None
    response = doc.get("response")
    usage = response.get("usage") if isinstance(response, dict) else doc.get("usage")
    return usage if isinstance(usage, dict) else None
