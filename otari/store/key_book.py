"""All virtual keys in memory, and their changes: written first, in force here as soon as they are committed.

So a key that was revoked is refused from the next request on, and no request waits for the disk to learn who is asking.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from otari.domain.access import mint_key
from otari.domain.errors import Kind, OtariError
from otari.domain.secret import Secret
from otari.store import accounts, keys
from otari.store.db import Database
from otari.store.keys import LAST_USED_EVERY_MS, Key, issue


class KeyBook:
    """All keys by digest and by id; always what the database holds (but for the money, see `Key`)."""

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
        for key in await self._db.read(keys.load_keys):
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
        user_id: str | None,
        *,
        creates_user: bool = False,
        key_name: str | None = None,
        rejects_user_mismatch: bool | None = None,
        exclude_from_budget: bool = False,
        budget_id: str | None = None,
        allowed_models: tuple[str, ...] | None = None,
        expires_at_ms: int | None = None,
        metadata: str = "{}",
        translation: Literal["lenient", "strict"] | None = None,
    ) -> tuple[Key, Secret]:
        """A new key and its token. Without a user it gets one of its own, `apikey-<key id>`.

        `creates_user`: a user who is not known is made too. Raises OtariError(NOT_FOUND): no such user, a deleted one,
        no such budget.
        """
        now_ms = self._now_ms()
        key, token = issue(
            user_id or "",
            key_name=key_name,
            rejects_user_mismatch=rejects_user_mismatch,
            exclude_from_budget=exclude_from_budget,
            budget_id=budget_id,
            allowed_models=allowed_models,
            expires_at_ms=expires_at_ms,
            metadata=metadata,
            translation=translation,
            now_ms=now_ms,
        )
        if user_id is None:
            key = replace(key, user_id=f"apikey-{key.key_id}")

        def op(conn: sqlite3.Connection) -> Key:
            if user_id is None:
                alias = f"Virtual user for API key: {key_name or 'unnamed'}"
                accounts.add_user(conn, key.user_id, alias=alias, now_ms=now_ms)
            else:
                _owner(conn, user_id, creates_user, now_ms)
            return keys.add_key(conn, key)

        return await self._db.write(op, on_commit=self.put), token

    async def change(self, key_id: str, changes: Mapping[str, Any]) -> Key:
        """Change the named facts of a key; None clears one. Raises OtariError(NOT_FOUND) for key or budget."""
        now_ms = self._now_ms()
        return await self._db.write(lambda conn: keys.change_key(conn, key_id, changes, now_ms), on_commit=self.put)

    async def rotate(self, key_id: str) -> tuple[Key, Secret]:
        """Give a key another token; the old one is refused at once. Raises OtariError(NOT_FOUND)."""
        token, now_ms = Secret(mint_key()), self._now_ms()
        key = await self._db.write(lambda conn: keys.rotate_key(conn, key_id, token, now_ms), on_commit=self.put)
        return key, token

    async def remove(self, key_id: str) -> None:
        """Delete a key for good. Raises OtariError(NOT_FOUND)."""
        await self._db.write(lambda conn: keys.remove_key(conn, key_id), on_commit=self.drop)

    def silence(self, user_id: str) -> None:
        """Make the keys of a user inactive whose removal has been committed."""
        for key in [key for key in self._by_id.values() if key.user_id == user_id]:
            self.put(replace(key, is_active=False))


def _owner(conn: sqlite3.Connection, user_id: str, creates: bool, now_ms: int) -> None:
    """Make sure that the user of a new key is there."""
    user = accounts.find_user(conn, user_id)
    if user is None and creates:
        accounts.add_user(conn, user_id, alias=f"User {user_id}", now_ms=now_ms)
    elif user is not None and user.deleted_at_ms is not None:
        message = f"User '{user_id}' has been deleted. Recreate via POST /v1/users first."
        raise OtariError(Kind.NOT_FOUND, message, param="user_id")
    else:
        accounts.get_user(conn, user_id)
