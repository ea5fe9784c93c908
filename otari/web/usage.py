"""`/v1/usage`: every answer that was accounted for, newest first, and sums of them."""

import sqlite3

from aiohttp import web

from otari.store import records, usage
from otari.web import reply
from otari.web.accounts import part_of
from otari.web.bodies import TotalsQuery, UsageQuery
from otari.web.fields import read_query
from otari.web.values import epoch_ms
from otari.web.visit import Visit


async def list_usage(visit: Visit) -> web.StreamResponse:
    """Usage at or after `start_date` and before `end_date`, newest first."""
    query = read_query(visit, UsageQuery)
    start_ms, end_ms = _range(query)

    def op(conn: sqlite3.Connection) -> list[usage.UsageRow]:
        page = {"skip": query.skip, "limit": query.limit}
        return usage.list_usage(
            conn, user_id=query.user_id, start_ms=start_ms, end_ms=end_ms, after=query.after, **page
        )

    rows = await part_of(visit, op)
    return reply.as_json([records.usage_record(row) for row in rows], visit.request_id)


async def get_usage_totals(visit: Visit) -> web.StreamResponse:
    """Requests, tokens and cost by day, model, key or user."""
    query = read_query(visit, TotalsQuery)
    start_ms, end_ms = _range(query)
    found = await visit.books.db.read(lambda conn: usage.totals_by(conn, by=query.by, start_ms=start_ms, end_ms=end_ms))
    return reply.as_json([records.total_record(total) for total in found], visit.request_id)


async def get_usage(visit: Visit) -> web.StreamResponse:
    """One row, with the arithmetic of its cost."""
    row_id = visit.request.match_info["usage_id"]
    row = await visit.books.db.read(lambda conn: usage.get_usage(conn, row_id))
    return reply.as_json(records.bill_record(row), visit.request_id)


def _range(query: UsageQuery | TotalsQuery) -> tuple[int | None, int | None]:
    start, end = query.start_date, query.end_date
    return None if start is None else epoch_ms(start), None if end is None else epoch_ms(end)
