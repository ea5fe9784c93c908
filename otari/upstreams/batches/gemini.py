"""Batches of the Gemini API: operations over requests that stand in the call, or in an uploaded file.

Facts: Google's Python library (`google/genai/batches.py`, `files.py`, `types.py`). Few requests go in the call
itself; its answer then holds their results. More go as a file, so that neither side is ever in memory as a whole.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import MappingProxyType

import orjson
from yarl import URL

from otari.domain.batches import BatchAnswer, BatchLines, BatchLook, BatchState
from otari.domain.ports import Attempt
from otari.upstreams.batches.api import (
    JSON_TYPE,
    LINES_TYPE,
    BatchApi,
    Doc,
    count,
    in_path,
    malformed,
    object_in,
    objects_in,
    parsed,
    read_id,
    unknown,
)
from otari.upstreams.batches.roll import CANCELLED, UNREADABLE, Found, each_once, ended, good, refusal, while_kept
from otari.upstreams.batches.spool import Spool, at_most
from otari.upstreams.live import LiveUpstream

_ROOT = "/.."  # the configured address is that of the API's part for OpenAI's clients
_UPLOAD = "/../../upload/v1beta/files"
_BYTES_MAX = 2_000_000_000  # of a file
_INLINE_MAX_BYTES, _INLINE_MAX_LINES = 1 << 20, 100
_INLINE = "inline"
_PAGES_MAX, _PAGE = 20, 100
_STATES: dict[str, BatchState] = {
    "UNSPECIFIED": "validating",
    "QUEUED": "validating",
    "PENDING": "validating",
    "RUNNING": "in_progress",
    "PAUSED": "in_progress",
    "UPDATING": "in_progress",
    "SUCCEEDED": "completed",
    "PARTIALLY_SUCCEEDED": "completed",
    "FAILED": "failed",
    "CANCELLING": "cancelling",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}
_CANCELLED_CODE = 1
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_STATUSES = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 14: 503, 16: 401}


class GeminiBatches:
    """See `BatchUpstream`. `folder` is where a batch is written before it is sent."""

    flavour = "gemini"
    dialects = MappingProxyType({"gemini": "generateContent"})
    lines_max = 100_000
    asks_often = False

    def __init__(self, live: LiveUpstream, folder: Path | None = None) -> None:
        self._api = BatchApi(live, "gemini")
        self._folder = folder

    async def create(self, attempt: Attempt, batch_id: str, dialect: str, lines: BatchLines) -> BatchLook:
        """See `BatchUpstream.create`."""
        with Spool(self._folder, _BYTES_MAX) as spool:
            written = 0
            async for number, body in at_most(self.lines_max, lines()):
                written += 1
                spool.write(b'{"key":"%d","request":%b}\n' % (number, body))
            spool.seal()
            if written <= _INLINE_MAX_LINES and spool.size <= _INLINE_MAX_BYTES:
                source: Doc = {"requests": {"requests": [_inline(line) for line in spool.read().splitlines()]}}
            else:
                source = {"fileName": await self._upload(attempt, batch_id, spool)}
        asked = {"batch": {"displayName": batch_id, "inputConfig": source}}
        path = f"{_ROOT}/models/{in_path(attempt.model)}:batchGenerateContent"
        told = await self._api.post(attempt, batch_id, path, orjson.dumps(asked), JSON_TYPE)
        return self._read(attempt, told.doc)

    async def find(self, attempt: Attempt, batch_id: str) -> BatchLook | None:
        """See `BatchUpstream.find`: ours carries our name for it."""
        token = ""
        for _ in range(_PAGES_MAX):
            page = await self._api.get(attempt, batch_id, f"{_ROOT}/batches?pageSize={_PAGE}{token}")
            for doc in objects_in(page, "operations"):
                if object_in(doc, "metadata").get("displayName") == batch_id:
                    return self._read(attempt, doc)
            following = page.get("nextPageToken")
            if not isinstance(following, str) or not following:
                return None
            token = f"&pageToken={in_path(following)}"
        raise unknown(attempt)

    async def look(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.look`."""
        return self._read(attempt, await self._operation(attempt, remote_id))

    async def cancel(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.cancel`. The answer to it is empty."""
        await self._api.post(attempt, remote_id, f"{_ROOT}/batches/{in_path(remote_id)}:cancel")
        return await self.look(attempt, remote_id)

    def results(self, attempt: Attempt, look: BatchLook, lines: int) -> AsyncIterator[BatchAnswer]:
        """See `BatchUpstream.results`."""
        return each_once(attempt, self._found(attempt, look), look, lines)

    async def _found(self, attempt: Attempt, look: BatchLook) -> AsyncGenerator[Found, None]:
        if not look.results:
            return
        with while_kept():
            if look.results == _INLINE:
                for found in self._inlined(attempt, await self._operation(attempt, look.remote_id)):
                    yield found
                return
            path = f"{_ROOT}/files/{in_path(look.results)}:download?alt=media"
            async with aclosing(self._api.lines(attempt, look.remote_id, path)) as lines:
                async for line in lines:
                    yield UNREADABLE if line is None else self._read_line(attempt, line.get("key"), line)

    def _inlined(self, attempt: Attempt, operation: Doc) -> list[Found]:
        """The results that stand in the operation. They come in the order of the requests, whose keys they repeat."""
        listed = object_in(_output(operation), "inlinedResponses").get("inlinedResponses")
        found = []
        for number, line in enumerate(listed if isinstance(listed, list) else (), 1):
            if isinstance(line, dict):
                name = object_in(line, "metadata").get("key", str(number))
                found.append(self._read_line(attempt, name, line))
        return found

    def _read_line(self, attempt: Attempt, name: object, line: Doc) -> Found:
        response, error = line.get("response"), line.get("error")
        if isinstance(response, dict) and not error:
            return Found(name, good(orjson.dumps(response)))
        if not isinstance(error, dict):
            return Found(name, UNREADABLE.answer)
        code, words = error.get("code"), error.get("message")
        if code == _CANCELLED_CODE:
            return Found(name, ended(CANCELLED))
        status = code if type(code) is int and code >= 400 else _STATUSES.get(code, 500) if type(code) is int else 500
        told = self._api.clean(attempt, words) if isinstance(words, str) else ""
        return Found(name, refusal(attempt, status, told))

    async def _operation(self, attempt: Attempt, remote_id: str) -> Doc:
        return await self._api.get(attempt, remote_id, f"{_ROOT}/batches/{in_path(remote_id)}")

    async def _upload(self, attempt: Attempt, batch_id: str, spool: Spool) -> str:
        """Give the provider the file of a batch: ask for an address, send it there. What it is called then."""
        start = (
            ("X-Goog-Upload-Protocol", "resumable"),
            ("X-Goog-Upload-Command", "start"),
            ("X-Goog-Upload-Header-Content-Length", str(spool.size)),
            ("X-Goog-Upload-Header-Content-Type", LINES_TYPE),
        )
        asked = orjson.dumps({"file": {"display_name": batch_id, "mime_type": LINES_TYPE, "size_bytes": spool.size}})
        told = await self._api.post(attempt, batch_id, _UPLOAD, asked, JSON_TYPE, start)
        path = _below(attempt, told.headers.get("X-Goog-Upload-URL", ""))
        rest = (("X-Goog-Upload-Command", "upload, finalize"), ("X-Goog-Upload-Offset", "0"))
        sent = await self._api.post(attempt, batch_id, path, spool, LINES_TYPE, rest)
        name = object_in(sent.doc, "file").get("name")
        return f"files/{_after(attempt, name, 'files/')}"

    def _read(self, attempt: Attempt, doc: Doc) -> BatchLook:
        metadata = object_in(doc, "metadata")
        word = str(metadata.get("state", "")).removeprefix("JOB_STATE_").removeprefix("BATCH_STATE_")
        state = _STATES.get(word)
        if state is None:
            raise malformed(attempt, f"its state {word[:40]!r} is not known")
        stats, output = object_in(metadata, "batchStats"), _output(doc)
        words = object_in(doc, "error").get("message")
        file = output.get("responsesFile")
        results = _after(attempt, file, "files/") if file else _INLINE if output.get("inlinedResponses") else ""
        return BatchLook(
            remote_id=_after(attempt, doc.get("name"), "batches/"),
            state=state,
            total=count(stats.get("requestCount")),
            completed=count(stats.get("successfulRequestCount")),
            failed=count(stats.get("failedRequestCount")),
            error=self._api.clean(attempt, words) if isinstance(words, str) and words else None,
            results=results,
        )


def _inline(line: bytes) -> Doc:
    doc = parsed(line)
    assert doc is not None  # it was written here
    return {"request": doc["request"], "metadata": {"key": doc["key"]}}


def _output(operation: Doc) -> Doc:
    """Where the results of an operation are told: in what it answers, or in what is said of it."""
    return object_in(object_in(operation, "metadata"), "output") or object_in(operation, "response")


def _after(attempt: Attempt, name: object, kind: str) -> str:
    """The name of a thing of this kind, without the kind. Raises OtariError(UPSTREAM)."""
    return read_id(attempt, name.removeprefix(kind) if isinstance(name, str) else None)


def _below(attempt: Attempt, told: str) -> str:
    """The path to an address that the provider told, if it is one of its own: no key goes anywhere else."""
    base = URL(attempt.base_url)
    try:
        url = URL(told)
        own = url.origin() == base.origin()
    except ValueError:
        own = False
    if not own:
        raise malformed(attempt, "it wants the file at an address that is not its own")
    up = "/.." * len([step for step in base.raw_path.split("/") if step])
    return up + url.raw_path_qs
