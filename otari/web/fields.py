"""Bodies and parameters of Otari's own routes: read into types, refused field by field.

A refusal names where (`loc`) and why (`msg`), and never repeats the value: it may be a secret in the wrong place.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import orjson

from otari.domain.errors import Kind, OtariError
from otari.web.visit import Visit, read_json

T = TypeVar("T")
BODY_MAX_BYTES = 64 * 1024
_LAST_MS = 253_402_300_799_999  # the end of the year 9999
_PATH = re.compile(r" - at `(.*)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.S)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class InvalidFields(OtariError):
    """422: fields that break their schema. `problems` are `{type, loc, msg}` each."""

    def __init__(self, problems: Iterable[Mapping[str, Any]]) -> None:
        self.problems = [dict(problem) for problem in problems]
        first = self.problems[0]
        where = ".".join(str(step) for step in first["loc"])
        super().__init__(
            Kind.UNPROCESSABLE, f"{where}: {first['msg']}", param=str(first["loc"][-1]), code="invalid_fields"
        )


def wrong(place: str, *loc: str | int, msg: str, kind: str = "value_error") -> InvalidFields:
    """One field is wrong; `place` is "body", "query" or "path"."""
    return InvalidFields([{"type": kind, "loc": [place, *loc], "msg": msg}])


async def read_body(visit: Visit, into: type[T]) -> T:
    """The JSON body as `into`. Raises InvalidFields, and OtariError like `read_json`; at most 64 KiB."""
    raw = await read_json(visit, BODY_MAX_BYTES)
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise wrong("body", msg="The body is not valid JSON", kind="json_invalid") from None
    if not isinstance(doc, dict):
        raise wrong("body", msg="The body must be a JSON object", kind="model_attributes_type")
    try:
        return msgspec.json.decode(raw, type=into)
    except msgspec.ValidationError as error:
        raise _told("body", into, str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        raise wrong("body", msg="The body is not valid JSON", kind="json_invalid") from None


def read_query(visit: Visit, into: type[T]) -> T:
    """The parameters of the address as `into`. Raises InvalidFields."""
    try:
        return msgspec.convert(dict(visit.request.query), type=into, strict=False)
    except msgspec.ValidationError as error:
        raise _told("query", into, str(error)) from None


def _told(place: str, into: type, text: str) -> InvalidFields:
    found = _PATH.search(text)
    loc: list[str | int] = []
    for name, index in _STEP.findall(found[1] if found else ""):
        loc.append(name or (int(index) if index.isdigit() else index))
    reason = text[: found.start()] if found else text
    unknown = _UNKNOWN.match(reason)
    if unknown is not None:
        known = [field.encode_name for field in msgspec.structs.fields(into)]
        near = difflib.get_close_matches(unknown[1], known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return wrong(place, *loc, unknown[1][:100], msg=f"This field is not known{hint}", kind="extra_forbidden")
    missing = re.match(r"^Object missing required field `(.*)`$", reason)
    if missing is not None:
        return wrong(place, *loc, missing[1], msg="Field required", kind="missing")
    if reason.startswith("Invalid enum value"):
        reason = "This is not one of the allowed values"
    return wrong(place, *(loc or ["body"] if place != "body" else loc), msg=reason)


def moment(text: str, place: str, field: str) -> int:
    """ISO 8601 or epoch seconds as epoch milliseconds; without an offset it is UTC. Raises InvalidFields."""
    try:
        if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text):
            at_ms = int(Decimal(text) * 1000)
        else:
            point = datetime.fromisoformat(text)
            at_ms = round((point if point.tzinfo else point.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        at_ms = -1
    if not 0 <= at_ms <= _LAST_MS:
        raise wrong(place, field, msg="This is not a time: write ISO 8601 or epoch seconds", kind="datetime_parsing")
    return at_ms
