"""Batches of Anthropic: all requests in one body, results as lines at an address of the batch.

Facts: the typed models of Anthropic's Python library (`types/messages/`). A batch tells where its results are
(`results_url`); they are asked for under the provider's configured address all the same, where they are documented to
be, so that a key never goes to an address that came in an answer.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import MappingProxyType

import orjson

from otari.domain.batches import BatchAnswer, BatchLines, BatchLook, BatchState
from otari.domain.ports import Attempt
from otari.upstreams.batches.api import JSON_TYPE, BatchApi, Doc, count, in_path, malformed, object_in, read_id, unknown
from otari.upstreams.batches.roll import (
    CANCELLED,
    EXPIRED,
    UNREADABLE,
    Found,
    each_once,
    ended,
    good,
    refusal,
    while_kept,
)
from otari.upstreams.batches.spool import Spool, at_most
from otari.upstreams.live import LiveUpstream

_PATH = "/messages/batches"
_BYTES_MAX = 256 << 20
# https://docs.claude.com/en/api/errors: what each type of error would have been as a status
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicBatches:
    """See `BatchUpstream`. `folder` is where a batch is written before it is sent."""

    flavour = "anthropic"
    dialects = MappingProxyType({"anthropic-messages": _PATH})
    lines_max = 100_000
    asks_often = False

    def __init__(self, live: LiveUpstream, folder: Path | None = None) -> None:
        self._api = BatchApi(live, "anthropic-messages")
        self._folder = folder

    async def create(self, attempt: Attempt, batch_id: str, dialect: str, lines: BatchLines) -> BatchLook:
        """See `BatchUpstream.create`."""
        with Spool(self._folder, _BYTES_MAX) as spool:
            spool.write(b'{"requests":[')
            comma = b""
            async for number, body in at_most(self.lines_max, lines()):
                spool.write(b'%b{"custom_id":"%d","params":' % (comma, number))
                spool.write(body + b"}")
                comma = b","
            spool.write(b"]}")
            spool.seal()
            told = await self._api.post(attempt, batch_id, _PATH, spool, JSON_TYPE)
        return self._read(attempt, told.doc)

    async def find(self, attempt: Attempt, batch_id: str) -> BatchLook | None:
        """See `BatchUpstream.find`. Anthropic's batches carry no word of ours by which one could be known again."""
        raise unknown(attempt)

    async def look(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.look`."""
        return self._read(attempt, await self._api.get(attempt, remote_id, f"{_PATH}/{in_path(remote_id)}"))

    async def cancel(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.cancel`."""
        told = await self._api.post(attempt, remote_id, f"{_PATH}/{in_path(remote_id)}/cancel")
        return self._read(attempt, told.doc)

    def results(self, attempt: Attempt, look: BatchLook, lines: int) -> AsyncIterator[BatchAnswer]:
        """See `BatchUpstream.results`."""
        return each_once(attempt, self._found(attempt, look.remote_id), look, lines)

    async def _found(self, attempt: Attempt, remote_id: str) -> AsyncGenerator[Found, None]:
        path = f"{_PATH}/{in_path(remote_id)}/results"
        with while_kept():  # for 29 days
            async with aclosing(self._api.lines(attempt, remote_id, path)) as lines:
                async for line in lines:
                    yield UNREADABLE if line is None else self._read_line(attempt, line)

    def _read_line(self, attempt: Attempt, line: Doc) -> Found:
        name, result = line.get("custom_id"), line.get("result")
        if not isinstance(result, dict):
            return UNREADABLE
        match result:
            case {"type": "succeeded", "message": dict(message)}:
                return Found(name, good(orjson.dumps(message)))
            case {"type": "canceled"}:
                return Found(name, ended(CANCELLED))
            case {"type": "expired"}:
                return Found(name, ended(EXPIRED))
            case {"type": "errored", "error": {"error": {"type": str(kind), "message": str(words)}}}:
                code = kind if kind in _STATUSES else None
                return Found(name, refusal(attempt, _STATUSES.get(kind, 500), self._api.clean(attempt, words), code))
        return Found(name, UNREADABLE.answer)

    def _read(self, attempt: Attempt, doc: Doc) -> BatchLook:
        counts = object_in(doc, "request_counts")
        succeeded, processing = count(counts.get("succeeded")), count(counts.get("processing"))
        failed = sum(count(counts.get(key)) for key in ("errored", "canceled", "expired"))
        return BatchLook(
            remote_id=read_id(attempt, doc.get("id")),
            state=_state(attempt, doc, counts),
            total=processing + succeeded + failed,
            completed=succeeded,
            failed=failed,
            error=None,
            results="",
        )


def _state(attempt: Attempt, doc: Doc, counts: Doc) -> BatchState:
    match doc.get("processing_status"):
        case "in_progress":
            return "in_progress"
        case "canceling":
            return "cancelling"
        case "ended":
            pass
        case odd:
            raise malformed(attempt, f"its processing_status {str(odd)[:40]!r} is not known")
    if count(counts.get("canceled")):
        return "cancelled"
    others = ("succeeded", "errored", "processing")
    return (
        "expired" if count(counts.get("expired")) and not any(count(counts.get(key)) for key in others) else "completed"
    )
