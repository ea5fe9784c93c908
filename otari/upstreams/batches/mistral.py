"""Batches of Mistral: jobs over an uploaded file of lines, whose results are written as OpenAI's.

Facts: the typed models of Mistral's Python library (`models/batchjob.py`, `models/createbatchjobrequest.py`).
"""

from collections.abc import AsyncIterator
from pathlib import Path
from types import MappingProxyType

import orjson

from otari.domain.batches import BatchAnswer, BatchLines, BatchLook, BatchState
from otari.domain.ports import Attempt
from otari.upstreams.batches.api import (
    JSON_TYPE,
    MARK,
    BatchApi,
    Doc,
    count,
    find_id,
    in_path,
    is_marked,
    malformed,
    objects_in,
    read_id,
    unknown,
)
from otari.upstreams.batches.response_lines import read_files
from otari.upstreams.batches.roll import each_once
from otari.upstreams.batches.spool import Spool, at_most
from otari.upstreams.live import LiveUpstream

_STATES: dict[str, BatchState] = {
    "QUEUED": "validating",
    "RUNNING": "in_progress",
    "SUCCESS": "completed",
    "FAILED": "failed",
    "TIMEOUT_EXCEEDED": "expired",
    "CANCELLATION_REQUESTED": "cancelling",
    "CANCELLED": "cancelled",
}
_BYTES_MAX = 512 << 20  # of any file that is uploaded
_HOURS = 24
_PAGES_MAX = 20
_PAGE = 100
_ERRORS_TOLD = 5


class MistralBatches:
    """See `BatchUpstream`. `folder` is where a batch is written before it is sent."""

    flavour = "mistral"
    dialects = MappingProxyType(
        {
            "openai-chat": "/v1/chat/completions",
            "embeddings": "/v1/embeddings",
            "moderations": "/v1/moderations",
        }
    )
    lines_max = 1_000_000
    asks_often = False

    def __init__(self, live: LiveUpstream, folder: Path | None = None) -> None:
        self._api = BatchApi(live, "openai-chat")
        self._folder = folder

    async def create(self, attempt: Attempt, batch_id: str, dialect: str, lines: BatchLines) -> BatchLook:
        """See `BatchUpstream.create`. The model is the job's; the lines do not repeat it."""
        with Spool(self._folder, _BYTES_MAX) as spool:
            async for number, body in at_most(self.lines_max, lines()):
                asked = {key: value for key, value in orjson.loads(body).items() if key != "model"}
                spool.write(b'{"custom_id":"%d","body":%b}\n' % (number, orjson.dumps(asked)))
            spool.seal()
            file = await self._api.upload(attempt, batch_id, "/files", spool)
        job = {
            "input_files": [file],
            "endpoint": self.dialects[dialect],
            "model": attempt.model,
            "metadata": {MARK: batch_id},
            "timeout_hours": _HOURS,
        }
        told = await self._api.post(attempt, batch_id, "/batch/jobs", orjson.dumps(job), JSON_TYPE)
        return self._read(attempt, told.doc)

    async def find(self, attempt: Attempt, batch_id: str) -> BatchLook | None:
        """See `BatchUpstream.find`: the newest jobs are looked through for ours."""
        for number in range(_PAGES_MAX):
            page = await self._api.get(attempt, batch_id, f"/batch/jobs?page={number}&page_size={_PAGE}")
            listed = objects_in(page, "data")
            for doc in listed:
                if is_marked(doc, batch_id):
                    return self._read(attempt, doc)
            if len(listed) < _PAGE:
                return None
        raise unknown(attempt)

    async def look(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.look`."""
        return self._read(attempt, await self._api.get(attempt, remote_id, f"/batch/jobs/{in_path(remote_id)}"))

    async def cancel(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.cancel`."""
        told = await self._api.post(attempt, remote_id, f"/batch/jobs/{in_path(remote_id)}/cancel")
        return self._read(attempt, told.doc)

    def results(self, attempt: Attempt, look: BatchLook, lines: int) -> AsyncIterator[BatchAnswer]:
        """See `BatchUpstream.results`."""
        files = look.results.split()
        return each_once(attempt, read_files(self._api, attempt, look.remote_id, files), look, lines)

    def _read(self, attempt: Attempt, doc: Doc) -> BatchLook:
        state = _STATES.get(str(doc.get("status")))
        if state is None:
            raise malformed(attempt, f"its status {str(doc.get('status'))[:40]!r} is not known")
        files = (find_id(doc.get("output_file")), find_id(doc.get("error_file")))
        return BatchLook(
            remote_id=read_id(attempt, doc.get("id")),
            state=state,
            total=count(doc.get("total_requests")),
            completed=count(doc.get("succeeded_requests")),  # `completed_requests` counts failures, too
            failed=count(doc.get("failed_requests")),
            error=self._error(attempt, doc) if state == "failed" else None,
            results=" ".join(filter(None, files)),
        )

    def _error(self, attempt: Attempt, doc: Doc) -> str | None:
        listed = objects_in(doc, "errors")[:_ERRORS_TOLD]
        told = [each["message"][:300] for each in listed if type(each.get("message")) is str]
        return self._api.clean(attempt, "; ".join(told)) or None
