"""Virtual keys: on disk as digests, in memory as a book that every request is looked up in.

The book is changed by the same functions that write, in the event loop, as soon as the write is committed;
so a key that was revoked is refused from the next request on, and no request waits for the disk to learn who
is asking.
"""

import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from otari.domain.access import key_digest, mint_key
from otari.domain.errors import Kind, OtariError
from otari.domain.secret import Secret
from otari.store import accounts
from otari.store.db import Database

# So much of a token is kept to tell keys apart: "gw-" and 7 of its 64 random characters.
PREFIX_LENGTH = 10
# The time of last use is written at most so often per key.
LAST_USED_EVERY_MS = 300_000


@dataclass(frozen=True, slots=True)
class Key:
    """A virtual key as it is stored. `rejects_user_mismatch` None = as configured for all keys."""

    key_id: str
    digest: bytes
    prefix: str
    key_name: str | None
    user_id: str
    is_active: bool
    rejects_user_mismatch: bool | None
    expires_at_ms: int | None
    last_used_at_ms: int | None
    metadata: str
    created_at_ms: int


# ---- on disk ----

_ADD = """
INSERT INTO keys (
    key_id, digest, prefix, key_name, user_id, is_active, rejects_user_mismatch, expires_at_ms,
    last_used_at_ms, metadata, created_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def add_key(conn: sqlite3.Connection, key: Key) -> Key:
    """Write a new key; its user must be there."""
    flags = (key.is_active, key.rejects_user_mismatch, key.expires_at_ms, key.last_used_at_ms)
    who = (key.key_id, key.digest, key.prefix, key.key_name, key.user_id)
    conn.execute(_ADD, (*who, *flags, key.metadata, key.created_at_ms))
    return key


_COLUMNS = """
SELECT key_id, digest, prefix, key_name, user_id, is_active, rejects_user_mismatch, expires_at_ms,
last_used_at_ms,
       metadata, created_at_ms
FROM keys
"""


def load_keys(conn: sqlite3.Connection) -> list[Key]:
    """All keys, in the order of their creation."""
    return [_key(row) for row in conn.execute(_COLUMNS + " ORDER BY created_at_ms, key_id")]


def find_key(conn: sqlite3.Connection, key_id: str) -> Key | None:
    """The key, or None."""
    row = conn.execute(_COLUMNS + " WHERE key_id = ?1", (key_id,)).fetchone()
    return None if row is None else _key(row)


_CHANGE = """
UPDATE keys SET key_name = ?2, is_active = ?3, rejects_user_mismatch = ?4, expires_at_ms = ?5, metadata = ?6
WHERE key_id = ?1
"""


def change_key(conn: sqlite3.Connection, key: Key) -> Key:
    """Write name, activity, expiry, the mismatch rule and metadata of a key. Raises OtariError(NOT_FOUND)."""
    facts = (key.key_id, key.key_name, key.is_active, key.rejects_user_mismatch, key.expires_at_ms)
    if conn.execute(_CHANGE, (*facts, key.metadata)).rowcount != 1:
        raise _not_found(key.key_id)
    return key


_REMOVE = "DELETE FROM keys WHERE key_id = ?1"


def remove_key(conn: sqlite3.Connection, key_id: str) -> str:
    """Delete a key; usage rows keep its id and name. Raises OtariError(NOT_FOUND)."""
    if conn.execute(_REMOVE, (key_id,)).rowcount != 1:
        raise _not_found(key_id)
    return key_id


def _key(row: tuple[object, ...]) -> Key:
    key = Key(*row)  # type: ignore[arg-type]  # STRICT columns have these types
    mismatch = key.rejects_user_mismatch
    return replace(
        key, is_active=bool(key.is_active), rejects_user_mismatch=None if mismatch is None else bool(mismatch)
    )


def _not_found(key_id: str) -> OtariError:
    return OtariError(Kind.NOT_FOUND, f"API key with id '{key_id}' not found")


def issue(
    user_id: str,
    *,
    key_id: str | None = None,
    key_name: str | None = None,
    rejects_user_mismatch: bool | None = None,
    expires_at_ms: int | None = None,
    metadata: str = "{}",
    now_ms: int,
) -> tuple[Key, Secret]:
    """A fresh key for `user_id` and its token, which is shown once and stored nowhere. Nothing is written yet."""
    token = mint_key()
    key = Key(
        key_id=key_id or str(uuid.uuid4()),
        digest=key_digest(token),
        prefix=token[:PREFIX_LENGTH],
        key_name=key_name,
        user_id=user_id,
        is_active=True,
        rejects_user_mismatch=rejects_user_mismatch,
        expires_at_ms=expires_at_ms,
        last_used_at_ms=None,
        metadata=metadata,
        created_at_ms=now_ms,
    )
    return key, Secret(token)


# ---- in memory ----


class KeyBook:
    """All keys by digest and by id; always what the database holds."""

    def __init__(self, db: Database, now_ms: Callable[[], int]) -> None:
        self._db = db
        self._now_ms = now_ms
        self._by_digest: dict[bytes, Key] = {}
        self._by_id: dict[str, Key] = {}
        self._last_used_ms: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    async def load(self) -> None:
        """Read all keys of the database."""
        for key in await self._db.read(load_keys):
            self.put(key)

    def find(self, digest: bytes) -> Key | None:
        """The key with this digest, inactive and expired ones too; or None."""
        return self._by_digest.get(digest)

    def find_by_id(self, key_id: str) -> Key | None:
        """The key with this id, or None."""
        return self._by_id.get(key_id)

    def put(self, key: Key) -> None:
        """Take in a key that has been committed, in place of one with the same id."""
        self.drop(key.key_id)
        self._by_digest[key.digest] = self._by_id[key.key_id] = key
        if key.last_used_at_ms is not None:
            self._last_used_ms.setdefault(key.key_id, key.last_used_at_ms)

    def drop(self, key_id: str) -> None:
        """Forget a key whose removal has been committed."""
        key = self._by_id.pop(key_id, None)
        if key is not None:
            del self._by_digest[key.digest]

    def used(self, key_id: str, now_ms: int) -> bool:
        """Note that a key is used; True when the time is to be written (at most once per 300 s)."""
        last = self._last_used_ms.get(key_id)
        if last is not None and now_ms - last < LAST_USED_EVERY_MS:
            return False
        self._last_used_ms[key_id] = now_ms
        return True

    # ---- both: write, then take effect here ----

    async def add(
        self,
        user_id: str,
        *,
        key_name: str | None = None,
        rejects_user_mismatch: bool | None = None,
        expires_at_ms: int | None = None,
        metadata: str = "{}",
    ) -> tuple[Key, Secret]:
        """A new key for a user who is there. Raises OtariError(NOT_FOUND)."""
        key, token = issue(
            user_id,
            key_name=key_name,
            rejects_user_mismatch=rejects_user_mismatch,
            expires_at_ms=expires_at_ms,
            metadata=metadata,
            now_ms=self._now_ms(),
        )

        def op(conn: sqlite3.Connection) -> Key:
            accounts.get_user(conn, user_id)
            return add_key(conn, key)

        await self._db.write(op, on_commit=self.put)
        return key, token

    async def change(self, key: Key) -> Key:
        """Write a changed key: `replace(key, is_active=False)`. Raises OtariError(NOT_FOUND)."""
        return await self._db.write(lambda conn: change_key(conn, key), on_commit=self.put)

    async def remove(self, key_id: str) -> None:
        """Delete a key for good. Raises OtariError(NOT_FOUND)."""
        await self._db.write(lambda conn: remove_key(conn, key_id), on_commit=self.drop)

    async def remove_user(self, user_id: str) -> None:
        """Mark a user as deleted and make its keys inactive. Raises OtariError(NOT_FOUND)."""
        now_ms = self._now_ms()

        def forget(_: None) -> None:
            for key in [k for k in self._by_id.values() if k.user_id == user_id]:
                self.put(replace(key, is_active=False))

        await self._db.write(lambda conn: accounts.remove_user(conn, user_id, now_ms), on_commit=forget)
