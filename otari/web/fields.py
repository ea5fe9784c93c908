"""Bodies and parameters of Otari's own routes: read into types, or refused with all that is wrong with them."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec
import orjson
from msgspec import Struct
from multidict import MultiMapping

from otari.domain.errors import Kind, OtariError
from otari.web import problems
from otari.web.problems import Problem, problem
from otari.web.visit import Visit, read_json

T = TypeVar("T", bound=Struct)
BODY_MAX_BYTES = 64 * 1024
_TOLD = 5  # so many problems stand in the message; all of them in `detail`


class InvalidFields(OtariError):
    """422: fields that break their schema. `problems` are `{type, loc, msg}` each."""

    def __init__(self, found: Iterable[Problem]) -> None:
        self.problems = list(found)
        told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in self.problems[:_TOLD]]
        if len(self.problems) > _TOLD:
            told.append(f"and {len(self.problems) - _TOLD} more")
        super().__init__(
            Kind.UNPROCESSABLE, "; ".join(told), param=str(self.problems[0]["loc"][-1]), code="invalid_fields"
        )


def wrong(place: str, *loc: str | int, msg: str, kind: str = "value_error") -> InvalidFields:
    """One field is wrong; `place` is "body", "query" or "path"."""
    return InvalidFields([problem((place, *loc), msg, kind)])


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
        found = problems.in_body(raw, into)
        if found:
            raise InvalidFields(found)
        return msgspec.json.decode(raw, type=into, strict=False)  # of other types than it wants, only 60.0 is left
    except (msgspec.DecodeError, RecursionError):
        raise wrong("body", msg="The body is not valid JSON", kind="json_invalid") from None


def read_query(visit: Visit, into: type[T]) -> T:
    """The parameters of the address as `into`. Raises InvalidFields."""
    query = visit.request.query
    given = dict(query)
    found = [*problems.in_query(given, into), *_repeated(query, into)]
    if found:
        raise InvalidFields(found)
    return msgspec.convert(given, into, strict=False)


def _repeated(query: MultiMapping[str], into: type[Struct]) -> Iterator[Problem]:
    """Parameters that stand more than once: which of them is meant, nobody knows."""
    for field in msgspec.structs.fields(into):
        if len(query.getall(field.encode_name, ())) > 1:
            yield problem(("query", field.encode_name), "This stands more than once: send it once")
