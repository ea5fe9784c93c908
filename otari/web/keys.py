"""`/v1/keys`: virtual keys. The token of a key is shown when it is made or rotated, and never again."""

from typing import Any

from aiohttp import web
from msgspec import UNSET

from otari.store import keys, records
from otari.web import reply
from otari.web.accounts import changes, listed, removed
from otari.web.bodies import KeyChange, NewKey, Page
from otari.web.fields import read_body, read_query
from otari.web.values import epoch_ms, metadata_text
from otari.web.visit import Visit


async def create_key(visit: Visit) -> web.StreamResponse:
    """Make a key; `key` in the answer is its token, shown only now."""
    body = await read_body(visit, NewKey)
    key, token = await visit.books.keys.add(
        body.user_id,
        creates_user=True,
        key_name=body.key_name,
        rejects_user_mismatch=body.reject_user_mismatch,
        translation=body.translation,
        exclude_from_budget=bool(body.exclude_from_budget),
        budget_id=body.budget_id,
        allowed_models=None if body.allowed_models is None else tuple(body.allowed_models),
        expires_at_ms=None if body.expires_at is None else epoch_ms(body.expires_at),
        metadata=metadata_text(body.metadata),
    )
    return reply.as_json({**records.key_record(key), "key": token.reveal()}, visit.request_id)


async def list_keys(visit: Visit) -> web.StreamResponse:
    """All keys in the order of their creation, without their tokens."""
    page = read_query(visit, Page)
    return await listed(visit, page, keys.list_keys, records.key_record)


async def get_key(visit: Visit) -> web.StreamResponse:
    """One key, without its token."""
    key_id = visit.request.match_info["key_id"]
    key = await visit.books.db.read(lambda conn: keys.get_key(conn, key_id))
    return reply.as_json(records.key_record(key), visit.request_id)


async def change_key(visit: Visit) -> web.StreamResponse:
    """Change what the body names; an explicit null clears it. It holds from the next request on."""
    body = await read_body(visit, KeyChange)
    told = changes(body, {"reject_user_mismatch": "rejects_user_mismatch", "expires_at": "expires_at_ms"})
    for absent in ("capture_agent_telemetry", "workspace_id"):
        told.pop(absent, None)
    if body.expires_at is not UNSET and body.expires_at is not None:
        told["expires_at_ms"] = epoch_ms(body.expires_at)
    key = await visit.books.keys.change(visit.request.match_info["key_id"], told)
    return reply.as_json(records.key_record(key), visit.request_id)


async def rotate_key(visit: Visit) -> web.StreamResponse:
    """Give the key another token; the old one is refused at once."""
    key, token = await visit.books.keys.rotate(visit.request.match_info["key_id"])
    shown: dict[str, Any] = {**records.key_record(key), "key": token.reveal()}
    return reply.as_json(shown, visit.request_id)


async def delete_key(visit: Visit) -> web.StreamResponse:
    """Delete the key; its usage stays, with the key's id and name."""
    await visit.books.keys.remove(visit.request.match_info["key_id"])
    return removed(visit)
