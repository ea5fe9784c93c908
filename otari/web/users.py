"""`/v1/users`: who is charged."""

import sqlite3

from aiohttp import web

from otari.store import accounts, records, usage
from otari.web import reply
from otari.web.accounts import changes, listed, part_of, removed
from otari.web.bodies import NewUser, Page, UserChange
from otari.web.fields import read_body, read_query
from otari.web.values import metadata_text
from otari.web.visit import Visit


async def create_user(visit: Visit) -> web.StreamResponse:
    """Make a user, or bring a removed one back with nothing spent."""
    body = await read_body(visit, NewUser)
    user = await visit.books.users.add(
        body.user_id,
        alias=body.alias,
        blocked=bool(body.blocked),
        budget_id=body.budget_id,
        allowed_models=None if body.allowed_models is None else tuple(body.allowed_models),
        metadata=metadata_text(body.metadata),
    )
    return reply.as_json(records.user_record(user), visit.request_id)


async def list_users(visit: Visit) -> web.StreamResponse:
    """All users that were not removed, in the order of their creation."""
    return await listed(visit, read_query(visit, Page), accounts.list_users, records.user_record)


async def get_user(visit: Visit) -> web.StreamResponse:
    """One user."""
    user_id = visit.request.match_info["user_id"]
    user = await visit.books.db.read(lambda conn: accounts.get_user(conn, user_id))
    return reply.as_json(records.user_record(user), visit.request_id)


async def change_user(visit: Visit) -> web.StreamResponse:
    """Change what the body names; an explicit null clears it."""
    told = changes(await read_body(visit, UserChange))
    user = await visit.books.users.change(visit.request.match_info["user_id"], told)
    return reply.as_json(records.user_record(user), visit.request_id)


async def delete_user(visit: Visit) -> web.StreamResponse:
    """Remove the user: the keys are refused at once, the history stays."""
    await visit.books.users.remove(visit.request.match_info["user_id"])
    return removed(visit)


async def list_user_usage(visit: Visit) -> web.StreamResponse:
    """What the user has used, newest first; of removed users too."""
    page = read_query(visit, Page)
    user_id = visit.request.match_info["user_id"]

    def op(conn: sqlite3.Connection) -> list[usage.UsageRow]:
        if accounts.find_user(conn, user_id) is None:
            accounts.get_user(conn, user_id)
        return usage.list_usage(conn, user_id=user_id, skip=page.skip, limit=page.limit, after=page.after)

    rows = await part_of(visit, op)
    return reply.as_json([records.usage_record(row) for row in rows], visit.request_id)
