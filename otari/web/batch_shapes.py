"""A batch as clients see it, in OpenAI's words; and its results in Otari's own.

See https://platform.openai.com/docs/api-reference/batch.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import orjson

from otari.domain.batch import Batch
from otari.domain.line_cutter import LineCutter
from otari.gateway.batches.output import read_result

_AT_ONCE_BYTES = 64 * 1024
_NO_LIMIT = 1 << 62  # of a line: they are ours
_TIMES = (
    *("in_progress_at", "finalizing_at", "completed_at", "failed_at"),
    *("expired_at", "cancelling_at", "cancelled_at"),
)


def batch_doc(batch: Batch) -> dict[str, Any]:
    """A `Batch`."""
    errors = orjson.loads(batch.errors)
    return {
        "id": batch.batch_id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.selector or None,
        "provider": batch.provider or None,
        "errors": {"object": "list", "data": errors} if errors else None,
        "input_file_id": batch.input_file_id or "",
        "completion_window": batch.completion_window,
        "status": batch.state,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": batch.created_at_ms // 1000,
        "expires_at": batch.expires_at_ms // 1000,
        **{name: _seconds(getattr(batch, f"{name}_ms")) for name in _TIMES},
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "usage": {
            "input_tokens": batch.input_tokens,
            "input_tokens_details": {"cached_tokens": batch.cache_read_tokens},
            "output_tokens": batch.output_tokens,
            "output_tokens_details": {"reasoning_tokens": batch.reasoning_tokens},
            "total_tokens": batch.input_tokens + batch.output_tokens,
        },
        "metadata": orjson.loads(batch.metadata) or None,
    }


def batch_list(batches: Sequence[Batch], has_more: bool) -> dict[str, Any]:
    """A `BatchList`."""
    return {
        "object": "list",
        "data": [batch_doc(batch) for batch in batches],
        "first_id": batches[0].batch_id if batches else None,
        "last_id": batches[-1].batch_id if batches else None,
        "has_more": has_more,
    }


async def result_doc(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """`BatchResults`, piece by piece, from the bytes of the files that a batch ended with."""
    cutter = LineCutter(_NO_LIMIT)
    out = b'{"results":['
    between = b""
    async for piece in pieces:
        for line in cutter.feed(piece):
            assert line is not None  # there is no limit
            out += between + _result(line)
            between = b","
        if len(out) >= _AT_ONCE_BYTES:
            yield out
            out = b""
    yield out + b"]}"


def _result(line: bytes) -> bytes:
    custom_id, answer, code, message = read_result(line)
    error = None if code is None else {"code": code, "message": message}
    return orjson.dumps({"custom_id": custom_id, "result": answer, "error": error})


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
