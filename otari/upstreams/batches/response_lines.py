"""Results as OpenAI writes them: a file of lines with a response, or an error, and the name of the request."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson

from otari.dialects.openai_errors import message_in
from otari.domain.ports import Attempt
from otari.upstreams.batches.api import BatchApi, Doc, in_path, object_in
from otari.upstreams.batches.roll import CANCELLED, EXPIRED, UNREADABLE, Found, ended, good, refusal, while_kept

_ENDS = {"batch_expired": EXPIRED, "batch_cancelled": CANCELLED}


async def read_files(api: BatchApi, attempt: Attempt, name: str, files: list[str]) -> AsyncGenerator[Found, None]:
    """The results in the files of these ids, one after the other; `name` is what the requests are called."""
    for file in files:
        with while_kept():
            async with aclosing(api.lines(attempt, name, f"/files/{in_path(file)}/content")) as lines:
                async for line in lines:
                    yield UNREADABLE if line is None else read_line(api, attempt, line)


def read_line(api: BatchApi, attempt: Attempt, line: Doc) -> Found:
    """What one line says."""
    name, told, error = line.get("custom_id"), object_in(line, "response"), line.get("error")
    status, body = told.get("status_code"), told.get("body")
    status = status if type(status) is int else 200 if isinstance(body, dict) and not error else 0
    if 200 <= status < 300 and isinstance(body, dict) and not error:
        return Found(name, good(orjson.dumps(body)))
    code = error.get("code") if isinstance(error, dict) else None
    if code in _ENDS:
        return Found(name, ended(_ENDS[code]))
    words = _words(error) or (message_in(body) if isinstance(body, dict) else _words(body))
    code = code if isinstance(code, str) else None
    return Found(name, refusal(attempt, status, api.clean(attempt, words), code))


def _words(told: object) -> str:
    """What an error says: a text, or an object with a message."""
    if isinstance(told, str):
        return told
    message = told.get("message") if isinstance(told, dict) else None
    return message if isinstance(message, str) else ""
