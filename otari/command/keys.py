"""`otari.pyz keys …`: virtual keys. A token is shown when it is made, and never again."""

import sqlite3
from functools import partial
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
    moment,
    some,
    text_or_none,
    translation,
    words_or_none,
    yes_no,
)
from otari.command.request import Request, path
from otari.command.show import Column, Record
from otari.store import keys, records
from otari.store.records import iso

_COLUMNS = (
    Column("id", "id", "id"),
    Column("key", "key"),
    Column("name", "key_name"),
    Column("user", "user_id", "id"),
    Column("state", "state", "active"),
    Column("spend USD", "spend", "money"),
    Column("created", "created_at", "time"),
    Column("last used", "last_used_at", "time"),
    Column("expires", "expires_at", "time"),
)
_FACTS = (
    *_COLUMNS,
    Column("reserved USD", "reserved", "money"),
    Column("budget", "budget_id"),
    Column("next reset", "next_budget_reset_at", "time"),
    Column("spares the user's budget", "exclude_from_budget"),
    Column("allowed models", "allowed_models"),
    Column("rejects another user", "reject_user_mismatch"),
    Column("translation", "translation"),
    Column("metadata", "metadata"),
)
# The API's names of facts, and the store's where they differ.
_IN_STORE = {"reject_user_mismatch": "rejects_user_mismatch", "expires_at": "expires_at_ms"}


def list_keys(errand: Errand) -> None:
    """Every key, oldest first."""

    def directly(conn: sqlite3.Connection, limit: int, after: str | None) -> list[Record]:
        return [records.key_record(key) for key in keys.list_keys(conn, limit=limit, after=after)]

    found = errand.listed(directly, Request("GET", path("keys")))
    errand.show_table(_COLUMNS, found, "no keys", partial(_shown, errand.now_ms))


def show_key(errand: Errand) -> None:
    """One key."""
    key_id = errand.options.id
    record = errand.place.read(
        lambda conn: records.key_record(keys.get_key(conn, key_id)), Request("GET", path("keys", key_id))
    )
    _show(errand, record)


def create_key(errand: Errand) -> None:
    """A new key; its token goes to standard output."""
    facts = _facts(errand)
    user_id = facts.pop("user_id", None)
    body = {**facts, **({} if user_id is None else {"user_id": user_id})}

    async def changing(db: Any) -> Record:
        key, token = await _book(db, errand).add(user_id, creates_user=True, **_stored(errand, facts))
        return {**records.key_record(key), "key": token.reveal()}

    record = errand.place.write(changing, Request("POST", path("keys"), body=body))
    sentence = f"created key {record['id']} for user {record['user_id']}"
    errand.show_secret(record, record["key"], sentence)


def rotate_key(errand: Errand) -> None:
    """Another token for a key; the old one is refused at once."""
    key_id = errand.options.id

    async def changing(db: Any) -> Record:
        key, token = await _book(db, errand).rotate(key_id)
        return {**records.key_record(key), "key": token.reveal()}

    record = errand.place.write(changing, Request("POST", path("keys", key_id, "rotate")))
    errand.show_secret(record, record["key"], f"key {key_id} has a new token and the old one is refused")


def change_key(errand: Errand) -> None:
    """Other facts for a key; what is not named stays."""
    _show(errand, _change(errand, some(_facts(errand))))


def revoke_key(errand: Errand) -> None:
    """Refuse a key from now on; it can be made active again."""
    _show(errand, _change(errand, {"is_active": False}))


def delete_key(errand: Errand) -> None:
    """Delete a key for good; what it was used for stays in the ledger."""
    key_id = errand.options.id

    async def changing(db: Any) -> None:
        await _book(db, errand).remove(key_id)

    errand.place.write(changing, Request("DELETE", path("keys", key_id)))
    errand.done(f"deleted key {key_id}", deleted=key_id)


def _change(errand: Errand, facts: Record) -> Record:
    key_id = errand.options.id

    async def changing(db: Any) -> Record:
        return records.key_record(await _book(db, errand).change(key_id, _stored(errand, facts)))

    changed: Record = errand.place.write(changing, Request("PATCH", path("keys", key_id), body=facts))
    return changed


def _book(db: Any, errand: Errand) -> Any:
    from otari.store.key_book import KeyBook  # with it comes the writer, which reading does not need

    return KeyBook(db, lambda: errand.now_ms)


def _facts(errand: Errand) -> dict[str, Any]:
    """What was typed, under the names and with the values of the API."""
    facts = given(errand.options, "user_id", "key_name", "metadata", "allowed_models", "budget_id")
    facts |= given(errand.options, "exclude_from_budget", "reject_user_mismatch", "is_active", "translation")
    for text in given(errand.options, "expires_at").values():
        facts["expires_at"] = None if text in ("", "none") else iso(moment(text, errand.now_ms, ahead=True))
    return facts


def _stored(errand: Errand, facts: Record) -> dict[str, Any]:
    """Facts of the API as the store takes them."""
    stored = records.renamed(_IN_STORE, facts)
    if stored.get("expires_at_ms") is not None:
        stored["expires_at_ms"] = moment(stored["expires_at_ms"], errand.now_ms)
    if stored.get("allowed_models") is not None:
        stored["allowed_models"] = tuple(stored["allowed_models"])
    if "metadata" in stored:
        stored["metadata"] = orjson.dumps(stored["metadata"]).decode()
    return stored


def _show(errand: Errand, record: Record) -> None:
    errand.show_facts(_FACTS, record, partial(_shown, errand.now_ms))


def _shown(now_ms: int, record: Record) -> Record:
    """A record with the words that people look for: how the key begins and ends, and whether it works."""
    expires = record["expires_at"]
    if not record["is_active"]:
        state = "revoked"
    else:
        state = "expired" if expires is not None and moment(expires, now_ms) <= now_ms else "active"
    prefix, suffix = record.get("key_prefix"), record.get("key_suffix")
    models = record.get("allowed_models")
    shown = {**record, "state": state, "key": f"{prefix}…{suffix}" if prefix else None}
    return {**shown, "allowed_models": "any" if models is None else models}


def _options(parser: Parser) -> None:
    parser.optional("--name", "key_name", text_or_none)
    parser.optional("--expires", "expires_at", str)
    parser.optional("--models", "allowed_models", words_or_none)
    parser.optional("--budget", "budget_id", text_or_none)
    parser.optional("--exclude-from-budget", "exclude_from_budget", yes_no)
    parser.optional("--reject-user-mismatch", "reject_user_mismatch", yes_no)
    parser.optional("--translation", "translation", translation)
    parser.optional("--metadata", "metadata", metadata)


def _create_options(parser: Parser) -> None:
    parser.optional("--user", "user_id", str)
    _options(parser)


def _change_options(parser: Parser) -> None:
    id_argument(parser)
    _options(parser)
    parser.optional("--active", "is_active", yes_no)


VERBS = {
    "list": Verb(list_keys, limit_option),
    "show": Verb(show_key, id_argument),
    "create": Verb(create_key, _create_options),
    "change": Verb(change_key, _change_options),
    "revoke": Verb(revoke_key, id_argument),
    "rotate": Verb(rotate_key, id_argument),
    "delete": Verb(delete_key, id_argument),
}
