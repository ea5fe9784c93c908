"""What the management routes share: the books that they write to, lists by page, changes from a body."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from aiohttp import web
from msgspec import UNSET, Struct, structs

from otari.domain import money
from otari.web import reply
from otari.web.bodies import Page
from otari.web.fields import wrong
from otari.web.visit import Visit

Row = TypeVar("Row")


async def listed(
    visit: Visit, page: Page, rows: Callable[..., list[Row]], record: Callable[[Row], Mapping[str, Any]]
) -> web.StreamResponse:
    """One page of a list, as a bare JSON array."""
    found = await visit.books.db.read(lambda conn: rows(conn, skip=page.skip, limit=page.limit, after=page.after))
    return reply.as_json([record(row) for row in found], visit.request_id)


def changes(body: Struct, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The fields that a body names, under the store's names; lists as tuples, metadata as text."""
    told: dict[str, Any] = {}
    for field, value in structs.asdict(body).items():
        if value is UNSET:
            continue
        told[(names or {}).get(field, field)] = _stored(field, value)
    return told


def _stored(field: str, value: Any) -> Any:
    if field == "metadata":
        return text_of(value)
    return tuple(value) if isinstance(value, list) else value


def text_of(metadata: Mapping[str, Any] | None) -> str:
    """Metadata as the JSON text that is stored. Raises InvalidFields when it can not be written (nested too deeply)."""
    try:
        return orjson.dumps(metadata or {}).decode()
    except orjson.JSONEncodeError:
        raise wrong("body", "metadata", msg="This is nested too deeply, or holds too large a number") from None


def removed(visit: Visit) -> web.StreamResponse:
    """204: it is gone, and there is nothing to say."""
    return web.Response(status=204, headers=reply.headers(visit.request_id))


def nano(amount: Any, field: str) -> int:
    """An amount of USD as nano-USD, exactly. Raises InvalidFields."""
    try:
        return money.exact_nano(amount)
    except ValueError as error:
        raise wrong("body", field, msg=str(error)) from None
