"""Whole answers of generateContent ↔ canonical replies."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

from otari.dialects.gemini.content import write_answer
from otari.dialects.gemini.finish import block_of, candidate_of, parts_of, refusal_of, write_ending
from otari.dialects.gemini.reader import GeminiReader
from otari.dialects.gemini.usage import write_usage
from otari.dialects.losses import collector
from otari.domain.chat import Doc, Failed, Refusal, Reply, fold
from otari.domain.errors import Kind, OtariError

_WRITTEN_TIMES = range(253_402_300_800)  # until the end of the year 9999: RFC 3339 knows no other


def read_reply(doc: Doc, dropped: list[str] | None = None) -> Reply:
    """The answer in a response body. `dropped` gets the names of what nobody reads.

    Raises OtariError(UPSTREAM) when the body holds an error or no answer at all, and when the model broke off.
    """
    reader = GeminiReader()
    reply = fold([*reader.read_doc(doc), *reader.end(whole=True)])
    drop = collector(dropped)
    for name in reader.dropped:
        drop(name)
    if isinstance(reply, Failed):
        raise OtariError(Kind.UPSTREAM, "The provider failed.", code=reply.code, detail=reply.message, retryable=True)
    return reply


def write_reply(reply: Reply, dropped: list[str] | None = None) -> Doc:
    """The response body."""
    drop = collector(dropped)
    if reply.stop_sequence is not None:
        drop("stop_sequence")
    if reply.service_tier is not None:
        drop("service_tier")
    refusal = "".join(part.text for part in reply.parts if isinstance(part, Refusal))
    candidate: Doc = {"content": {"parts": write_answer(reply.parts, drop), "role": "model"}}
    candidate |= {**write_ending(reply.finish, refusal), "index": 0}
    doc: Doc = {"candidates": [candidate]}
    usage = write_usage(reply.usage)
    if usage is not None:
        doc["usageMetadata"] = usage
    return doc | head_of(reply.id, reply.model, reply.created)


def head_of(reply_id: str, model: str, created: int | None) -> Doc:
    """What stands in every frame of an answer; `created` is in seconds since the epoch."""
    head: Doc = {"modelVersion": model, "responseId": reply_id}
    if created is not None and created in _WRITTEN_TIMES:
        head["createTime"] = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    return head


def text_in(doc: Doc) -> str:
    """All text that an answer holds: texts, thinking, refusals, the names and arguments of tool calls. Never raises."""
    candidate = candidate_of(doc)
    if candidate is None:
        return block_of(doc) or ""
    texts = [text for part in parts_of(candidate) for text in _texts(part)]
    return "\n".join(filter(None, [*texts, refusal_of(candidate)]))


def _texts(part: Doc) -> Iterator[str]:
    if isinstance(part.get("text"), str):
        yield part["text"]
    call = part.get("functionCall")
    if isinstance(call, dict):
        if isinstance(call.get("name"), str):
            yield call["name"]
        if call.get("args"):
            yield _dumped(call["args"])
    code = part.get("executableCode")
    if isinstance(code, dict) and isinstance(code.get("code"), str):
        yield code["code"]


def _dumped(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return ""  # nested too deeply for anybody
