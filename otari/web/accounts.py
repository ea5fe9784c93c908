"""What the management routes share: the books that they write to, lists by page, changes from a body."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from msgspec import UNSET, Struct, structs

from otari.domain.errors import Kind, OtariError
from otari.web import reply
from otari.web.bodies import Page
from otari.web.fields import wrong
from otari.web.values import metadata_text
from otari.web.visit import Visit

Row = TypeVar("Row")
Found = TypeVar("Found")


async def listed(
    visit: Visit, page: Page, rows: Callable[..., list[Row]], record: Callable[[Row], Mapping[str, Any]]
) -> web.StreamResponse:
    """One page of a list, as a bare JSON array."""
    found = await part_of(visit, lambda conn: rows(conn, skip=page.skip, limit=page.limit, after=page.after))
    return reply.as_json([record(row) for row in found], visit.request_id)


async def part_of(visit: Visit, read: Callable[[sqlite3.Connection], Found]) -> Found:
    """What `read` finds of a list. Raises InvalidFields when `after` names no place in it."""
    try:
        return await visit.books.db.read(read)
    except OtariError as error:
        if error.kind is not Kind.UNPROCESSABLE:
            raise
        raise wrong("query", error.param or "after", msg=error.message) from None


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
        return metadata_text(value)
    return tuple(value) if isinstance(value, list) else value


def removed(visit: Visit) -> web.StreamResponse:
    """204: it is gone, and there is nothing to say."""
    return web.Response(status=204, headers=reply.headers(visit.request_id))
