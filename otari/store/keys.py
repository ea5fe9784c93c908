"""Virtual keys on disk, as digests. `key_book.py` has them in memory, where every request is looked up.

Functions on a connection inside a transaction; amounts in nano-USD, times in epoch milliseconds.
"""

import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from otari.domain.access import key_digest, mint_key
from otari.domain.errors import Kind, OtariError
from otari.domain.secret import Secret
from otari.store.budgets import window_of
from otari.store.changes import changed
from otari.store.model_lists import read_models, write_models
from otari.store.pages import BEFORE_ALL, bounded, known_place

# So much of a token is kept to tell keys apart: "gw-" and 7 of its 64 random characters, and its last 4.
PREFIX_LENGTH = 10
SUFFIX_LENGTH = 4
# The time of last use is written at most so often per key.
LAST_USED_EVERY_MS = 300_000

_CHANGEABLE = frozenset(
    {"key_name", "is_active", "expires_at_ms", "metadata", "rejects_user_mismatch"}
    | {"allowed_models", "exclude_from_budget", "budget_id", "translation"}
)


@dataclass(frozen=True, slots=True)
class Key:
    """A virtual key as it is stored. `rejects_user_mismatch` None = as configured for all keys.

    `allowed_models` narrows those of the user (None = no further). `budget_id` is a cap of its own, beside the user's:
    while there is one, `spend_nano` counts. `exclude_from_budget` spares the user's account. `translation` "strict"
    refuses what can not be translated without loss; None and "lenient" leave it to the provider's setting.

    In a key of the `KeyBook` the money and the time of last use are those of its last change: who wants them as they
    are reads the key from the database.
    """

    key_id: str
    digest: bytes
    prefix: str
    suffix: str
    key_name: str | None
    user_id: str
    is_active: bool
    rejects_user_mismatch: bool | None
    exclude_from_budget: bool
    budget_id: str | None
    spend_nano: int
    reserved_nano: int
    budget_started_at_ms: int | None
    next_reset_at_ms: int | None
    allowed_models: tuple[str, ...] | None
    expires_at_ms: int | None
    last_used_at_ms: int | None
    metadata: str
    created_at_ms: int
    updated_at_ms: int
    translation: Literal["lenient", "strict"] | None = None


# ---- on disk ----

_ADD = """
INSERT INTO keys (
    key_id, digest, prefix, suffix, key_name, user_id, is_active, rejects_user_mismatch, exclude_from_budget, budget_id,
    budget_started_at_ms, next_reset_at_ms, allowed_models, expires_at_ms, metadata, created_at_ms, updated_at_ms,
    translation)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def add_key(conn: sqlite3.Connection, key: Key) -> Key:
    """Write a new key, whose user must be there; the period of its budget begins. Raises OtariError(NOT_FOUND)."""
    started_ms, next_ms = window_of(conn, key.budget_id, key.created_at_ms)
    key = replace(key, budget_started_at_ms=started_ms, next_reset_at_ms=next_ms)
    who = (key.key_id, key.digest, key.prefix, key.suffix, key.key_name, key.user_id)
    flags = (key.is_active, key.rejects_user_mismatch, key.exclude_from_budget)
    limits = (key.budget_id, started_ms, next_ms, write_models(key.allowed_models), key.expires_at_ms)
    rest = (key.metadata, key.created_at_ms, key.updated_at_ms, key.translation)
    conn.execute(_ADD, (*who, *flags, *limits, *rest))
    return key


_COLUMNS = """
SELECT key_id, digest, prefix, suffix, key_name, user_id, is_active, rejects_user_mismatch, exclude_from_budget,
       budget_id, spend_nano, reserved_nano, budget_started_at_ms, next_reset_at_ms, allowed_models, expires_at_ms,
       last_used_at_ms, metadata, created_at_ms, updated_at_ms, translation
FROM keys
"""

_ALL = _COLUMNS + " ORDER BY created_at_ms, key_id"


def load_keys(conn: sqlite3.Connection) -> list[Key]:
    """All keys, in the order of their creation. Not for a request: the list has no limit."""
    return [_key(row) for row in conn.execute(_ALL)]


_OF_USER = _COLUMNS + " WHERE user_id = ?1 ORDER BY created_at_ms, key_id"


def keys_of(conn: sqlite3.Connection, user_id: str) -> list[Key]:
    """All keys of a user."""
    return [_key(row) for row in conn.execute(_OF_USER, (user_id,))]


_LIST = _COLUMNS + (" WHERE (created_at_ms, key_id) > (?3, ?4) ORDER BY created_at_ms, key_id LIMIT ?1 OFFSET ?2")


def list_keys(conn: sqlite3.Connection, *, skip: int = 0, limit: int = 100, after: str | None = None) -> list[Key]:
    """Keys in the order of their creation, from behind the key `after` on. Raises OtariError(UNPROCESSABLE)."""
    place = BEFORE_ALL
    if after is not None:
        place = known_place(find_key(conn, after)).created_at_ms, after
    return [_key(row) for row in conn.execute(_LIST, (*bounded(skip, limit), *place))]


_FIND = _COLUMNS + " WHERE key_id = ?1"


def find_key(conn: sqlite3.Connection, key_id: str) -> Key | None:
    """The key, or None."""
    row = conn.execute(_FIND, (key_id,)).fetchone()
    return None if row is None else _key(row)


def get_key(conn: sqlite3.Connection, key_id: str) -> Key:
    """The key. Raises OtariError(NOT_FOUND)."""
    key = find_key(conn, key_id)
    if key is None:
        raise OtariError(Kind.NOT_FOUND, f"API key with id '{key_id}' not found", param="key_id")
    return key


_CHANGE = """
UPDATE keys SET key_name = ?2, is_active = ?3, rejects_user_mismatch = ?4, exclude_from_budget = ?5, budget_id = ?6,
    budget_started_at_ms = ?7, next_reset_at_ms = ?8, allowed_models = ?9, expires_at_ms = ?10, metadata = ?11,
    updated_at_ms = ?12, translation = ?13
WHERE key_id = ?1
"""


def change_key(conn: sqlite3.Connection, key_id: str, changes: Mapping[str, Any], now_ms: int) -> Key:
    """Change the named facts of a key; None clears one. Another budget's period begins now.

    Raises OtariError(NOT_FOUND) for an unknown key or budget.
    """
    before = get_key(conn, key_id)
    key = changed(before, changes, _CHANGEABLE)
    if key.budget_id != before.budget_id:
        started_ms, next_ms = window_of(conn, key.budget_id, now_ms)
        key = replace(key, budget_started_at_ms=started_ms, next_reset_at_ms=next_ms)
    flags = (key.is_active, key.rejects_user_mismatch, key.exclude_from_budget)
    limits = (key.budget_id, key.budget_started_at_ms, key.next_reset_at_ms, write_models(key.allowed_models))
    rest = (key.expires_at_ms, key.metadata, now_ms, key.translation)
    conn.execute(_CHANGE, (key_id, key.key_name, *flags, *limits, *rest))
    return replace(key, updated_at_ms=now_ms)


_ROTATE = "UPDATE keys SET digest = ?2, prefix = ?3, suffix = ?4, updated_at_ms = ?5 WHERE key_id = ?1"


def rotate_key(conn: sqlite3.Connection, key_id: str, token: Secret, now_ms: int) -> Key:
    """Give a key another token; the old one is refused from now on. Raises OtariError(NOT_FOUND)."""
    conn.execute(_ROTATE, (key_id, *_marks(token), now_ms))
    return get_key(conn, key_id)


_REMOVE = "DELETE FROM keys WHERE key_id = ?1"


def remove_key(conn: sqlite3.Connection, key_id: str) -> str:
    """Delete a key for good; its history stays. The id comes back. Raises OtariError(NOT_FOUND)."""
    get_key(conn, key_id)
    conn.execute(_REMOVE, (key_id,))
    return key_id


def _key(row: tuple[Any, ...]) -> Key:
    key = Key(*row)
    rejects = key.rejects_user_mismatch
    return replace(
        key,
        is_active=bool(key.is_active),
        rejects_user_mismatch=None if rejects is None else bool(rejects),
        exclude_from_budget=bool(key.exclude_from_budget),
        allowed_models=read_models(row[14]),
    )


def _marks(token: Secret) -> tuple[bytes, str, str]:
    """Digest, prefix and suffix of a token."""
    text = token.reveal()
    return key_digest(text), text[:PREFIX_LENGTH], text[-SUFFIX_LENGTH:]


def issue(
    user_id: str,
    *,
    key_id: str | None = None,
    key_name: str | None = None,
    rejects_user_mismatch: bool | None = None,
    exclude_from_budget: bool = False,
    budget_id: str | None = None,
    allowed_models: tuple[str, ...] | None = None,
    expires_at_ms: int | None = None,
    metadata: str = "{}",
    translation: Literal["lenient", "strict"] | None = None,
    now_ms: int,
) -> tuple[Key, Secret]:
    """A fresh key for `user_id` and its token, which is shown once and stored nowhere. Nothing is written yet."""
    token = Secret(mint_key())
    digest, prefix, suffix = _marks(token)
    key = Key(
        key_id=key_id or str(uuid.uuid4()),
        digest=digest,
        prefix=prefix,
        suffix=suffix,
        key_name=key_name,
        user_id=user_id,
        is_active=True,
        rejects_user_mismatch=rejects_user_mismatch,
        exclude_from_budget=exclude_from_budget,
        budget_id=budget_id,
        spend_nano=0,
        reserved_nano=0,
        budget_started_at_ms=None,
        next_reset_at_ms=None,
        allowed_models=allowed_models,
        expires_at_ms=expires_at_ms,
        last_used_at_ms=None,
        metadata=metadata,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        translation=translation,
    )
    return key, token
