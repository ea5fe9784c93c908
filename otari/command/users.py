"""`otari.pyz users …`: who is charged, under which budget, and who may not ask at all."""

import sqlite3
from typing import Any

import orjson

from otari.command.errand import Errand
from otari.command.parsing import (
    Parser,
    Verb,
    given,
    id_argument,
    limit_option,
    metadata,
    some,
    text_or_none,
    words_or_none,
    yes_no,
)
from otari.command.request import Request, path
from otari.command.show import Column, Record
from otari.store import accounts, records

_COLUMNS = (
    Column("id", "user_id", "id"),
    Column("alias", "alias"),
    Column("state", "state", "active"),
    Column("spend USD", "spend", "money"),
    Column("reserved USD", "reserved", "money"),
    Column("budget", "budget_id", "id"),
    Column("next reset", "next_budget_reset_at", "time"),
    Column("created", "created_at", "time"),
)
_FACTS = (
    *_COLUMNS,
    Column("period began", "budget_started_at", "time"),
    Column("allowed models", "allowed_models"),
    Column("metadata", "metadata"),
)
_CHANGEABLE = ("alias", "blocked", "budget_id", "allowed_models", "metadata")


def list_users(errand: Errand) -> None:
    """Every user who is not deleted, oldest first."""

    def directly(conn: sqlite3.Connection, limit: int, after: str | None) -> list[Record]:
        return [records.user_record(user) for user in accounts.list_users(conn, limit=limit, after=after)]

    found = errand.listed(directly, Request("GET", path("users")), lambda user: str(user["user_id"]))
    errand.show_table(_COLUMNS, found, "no users", _shown)


def show_user(errand: Errand) -> None:
    """One user."""
    user_id = errand.options.id
    record = errand.place.read(
        lambda conn: records.user_record(accounts.get_user(conn, user_id)), Request("GET", path("users", user_id))
    )
    _show(errand, record)


def create_user(errand: Errand) -> None:
    """A new user, or a deleted one who comes back with nothing spent."""
    user_id, facts = errand.options.id, given(errand.options, *_CHANGEABLE)

    async def changing(db: Any) -> Record:
        return records.user_record(await _book(db, errand).add(user_id, **_stored(facts)))

    _show(errand, errand.place.write(changing, Request("POST", path("users"), body={"user_id": user_id, **facts})))


def change_user(errand: Errand) -> None:
    """Other facts for a user; what is not named stays."""
    _show(errand, _change(errand, some(given(errand.options, *_CHANGEABLE))))


def block_user(errand: Errand) -> None:
    """Refuse every further request of a user."""
    _show(errand, _change(errand, {"blocked": True}))


def unblock_user(errand: Errand) -> None:
    """Let a user ask again."""
    _show(errand, _change(errand, {"blocked": False}))


def delete_user(errand: Errand) -> None:
    """Delete a user and make its keys inactive; what it used stays in the ledger."""
    user_id = errand.options.id

    async def changing(db: Any) -> None:
        await _book(db, errand).remove(user_id)

    errand.place.write(changing, Request("DELETE", path("users", user_id)))
    errand.done(f"deleted user {user_id}; its keys are refused from now on", deleted=user_id)


def _change(errand: Errand, facts: Record) -> Record:
    user_id = errand.options.id

    async def changing(db: Any) -> Record:
        return records.user_record(await _book(db, errand).change(user_id, _stored(facts)))

    changed: Record = errand.place.write(changing, Request("PATCH", path("users", user_id), body=facts))
    return changed


def _book(db: Any, errand: Errand) -> Any:
    from otari.store.key_book import KeyBook  # with both comes the writer, which reading does not need
    from otari.store.user_book import UserBook

    return UserBook(db, KeyBook(db, lambda: errand.now_ms), lambda: errand.now_ms)


def _stored(facts: Record) -> dict[str, Any]:
    """Facts of the API as the store takes them."""
    stored = dict(facts)
    if stored.get("allowed_models") is not None:
        stored["allowed_models"] = tuple(stored["allowed_models"])
    if "metadata" in stored:
        stored["metadata"] = orjson.dumps(stored["metadata"]).decode()
    return stored


def _show(errand: Errand, record: Record) -> None:
    errand.show_facts(_FACTS, record, _shown)


def _shown(record: Record) -> Record:
    """A record with the words that people look for."""
    models = record.get("allowed_models")
    state = "blocked" if record["blocked"] else "active"
    return {**record, "state": state, "allowed_models": "any" if models is None else models}


def _options(parser: Parser) -> None:
    id_argument(parser)
    parser.optional("--alias", "alias", text_or_none)
    parser.optional("--blocked", "blocked", yes_no)
    parser.optional("--budget", "budget_id", text_or_none)
    parser.optional("--models", "allowed_models", words_or_none)
    parser.optional("--metadata", "metadata", metadata)


VERBS = {
    "list": Verb(list_users, limit_option),
    "show": Verb(show_user, id_argument),
    "create": Verb(create_user, _options),
    "change": Verb(change_user, _options),
    "block": Verb(block_user, id_argument),
    "unblock": Verb(unblock_user, id_argument),
    "delete": Verb(delete_user, id_argument),
}
