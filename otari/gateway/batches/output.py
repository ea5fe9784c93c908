"""How the result of a line is written to the files that a batch ends with, and read from them again.

The shape is OpenAI's: `response` with a status and a body for what was carried out, `error` for what was not.
"""

from typing import NamedTuple

import orjson

from otari.domain.batch import LineResult
from otari.domain.chat import Doc


class Told(NamedTuple):
    """What one line of such a file tells: the body of an answer, or a code and words."""

    custom_id: str
    answer: Doc | None
    code: str | None
    message: str | None


def write_result(batch_id: str, result: LineResult) -> bytes:
    """A line of an output or error file, with its line break."""
    name = result.request_id.removeprefix("req_") or f"{batch_id.removeprefix('batch_')}_{result.line}"
    response = error = None
    if result.status:
        # A line break between two tokens of an answer would be one between two lines here.
        body = (result.body or b"null").replace(b"\r", b" ").replace(b"\n", b" ")
        response = {"status_code": result.status, "request_id": result.request_id, "body": orjson.Fragment(body)}
    else:
        error = {"code": result.code, "message": result.message}
    doc = {"id": f"batch_req_{name}", "custom_id": result.custom_id, "response": response, "error": error}
    return orjson.dumps(doc, option=orjson.OPT_APPEND_NEWLINE)


def read_result(raw: bytes) -> Told:
    """One such line."""
    doc = orjson.loads(raw)
    response = doc["response"]
    if response is None:
        return Told(doc["custom_id"], None, doc["error"]["code"], doc["error"]["message"])
    body = response["body"]
    if 200 <= response["status_code"] < 300:
        return Told(doc["custom_id"], body, None, None)
    told = body.get("error") if isinstance(body, dict) else None
    told = told if isinstance(told, dict) else {}
    code = told.get("code") or told.get("type") or str(response["status_code"])
    return Told(doc["custom_id"], None, code, told.get("message") or f"HTTP status {response['status_code']}")
