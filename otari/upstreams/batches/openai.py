"""Batches of OpenAI: a file of lines is uploaded, a batch made of it, and its results are two files.

Facts: the typed models of OpenAI's Python library (`types/batch.py`, `types/batch_create_params.py`).
"""

from collections.abc import AsyncIterator
from pathlib import Path
from types import MappingProxyType
from typing import get_args

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
    object_in,
    objects_in,
    read_id,
    unknown,
)
from otari.upstreams.batches.response_lines import read_files
from otari.upstreams.batches.roll import each_once
from otari.upstreams.batches.spool import Spool, at_most
from otari.upstreams.live import LiveUpstream

_STATES: tuple[str, ...] = get_args(BatchState)  # they are OpenAI's own words
_BYTES_MAX = 200 << 20
_PAGES_MAX = 20
_PAGE = 100
_ERRORS_TOLD = 5


class OpenAIBatches:
    """See `BatchUpstream`. `folder` is where a batch is written before it is sent."""

    flavour = "openai"
    dialects = MappingProxyType(
        {
            "openai-responses": "/v1/responses",
            "openai-chat": "/v1/chat/completions",
            "embeddings": "/v1/embeddings",
            "moderations": "/v1/moderations",
        }
    )
    lines_max = 50_000
    asks_often = False

    def __init__(self, live: LiveUpstream, folder: Path | None = None) -> None:
        self._api = BatchApi(live, "openai-chat")
        self._folder = folder

    async def create(self, attempt: Attempt, batch_id: str, dialect: str, lines: BatchLines) -> BatchLook:
        """See `BatchUpstream.create`."""
        endpoint = self.dialects[dialect]
        with Spool(self._folder, _BYTES_MAX) as spool:
            async for number, body in at_most(self.lines_max, lines()):
                spool.write(b'{"custom_id":"%d","method":"POST","url":"%b","body":' % (number, endpoint.encode()))
                spool.write(body + b"}\n")
            spool.seal()
            file = await self._api.upload(attempt, batch_id, "/files", spool)
        asked = {
            "input_file_id": file,
            "endpoint": endpoint,
            "completion_window": "24h",
            "metadata": {MARK: batch_id},
        }
        told = await self._api.post(attempt, batch_id, "/batches", orjson.dumps(asked), JSON_TYPE)
        return self._read(attempt, told.doc)

    async def find(self, attempt: Attempt, batch_id: str) -> BatchLook | None:
        """See `BatchUpstream.find`: the newest batches are looked through for ours."""
        after = ""
        for _ in range(_PAGES_MAX):
            page = await self._api.get(attempt, batch_id, f"/batches?limit={_PAGE}{after}")
            listed = objects_in(page, "data")
            for doc in listed:
                if is_marked(doc, batch_id):
                    return self._read(attempt, doc)
            if not listed or page.get("has_more") is not True:
                return None
            after = f"&after={in_path(read_id(attempt, listed[-1].get('id')))}"
        raise unknown(attempt)

    async def look(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.look`."""
        return self._read(attempt, await self._api.get(attempt, remote_id, f"/batches/{in_path(remote_id)}"))

    async def cancel(self, attempt: Attempt, remote_id: str) -> BatchLook:
        """See `BatchUpstream.cancel`."""
        told = await self._api.post(attempt, remote_id, f"/batches/{in_path(remote_id)}/cancel")
        return self._read(attempt, told.doc)

    def results(self, attempt: Attempt, look: BatchLook, lines: int) -> AsyncIterator[BatchAnswer]:
        """See `BatchUpstream.results`."""
        files = look.results.split()
        return each_once(attempt, read_files(self._api, attempt, look.remote_id, files), look, lines)

    def _read(self, attempt: Attempt, doc: Doc) -> BatchLook:
        state = next((word for word in _STATES if word == doc.get("status")), None)
        if state is None:
            raise malformed(attempt, f"its status {str(doc.get('status'))[:40]!r} is not known")
        counts = object_in(doc, "request_counts")
        files = (find_id(doc.get("output_file_id")), find_id(doc.get("error_file_id")))
        return BatchLook(
            remote_id=read_id(attempt, doc.get("id")),
            state=state,  # type: ignore[arg-type]  # one of its words
            total=count(counts.get("total")),
            completed=count(counts.get("completed")),
            failed=count(counts.get("failed")),
            error=self._error(attempt, doc),
            results=" ".join(filter(None, files)),
        )

    def _error(self, attempt: Attempt, doc: Doc) -> str | None:
        """The first things that are wrong with the lines, as the provider says them."""
        told = objects_in(object_in(doc, "errors"), "data")[:_ERRORS_TOLD]
        return self._api.clean(attempt, "; ".join(map(_problem, told))) or None


def _problem(error: Doc) -> str:
    words, line = error.get("message"), error.get("line")
    said = words[:300] if isinstance(words, str) else "an error without words"
    return f"line {line}: {said}" if type(line) is int else said
