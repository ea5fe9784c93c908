"""What of the users must be in memory: which models they may use. Changes are written first, then in force here."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from otari.domain.batch import Batch
from otari.store import accounts, batches, keys
from otari.store.accounts import User
from otari.store.db import Database
from otari.store.key_book import KeyBook
from otari.store.keys import Key


class UserBook:
    """The allowed models of users; everything else about them is asked of the ledger."""

    def __init__(self, db: Database, keys: KeyBook, now_ms: Callable[[], int]) -> None:
        self._db = db
        self._keys = keys
        self._now_ms = now_ms
        self._allowed: dict[str, tuple[str, ...]] = {}
        self.on_cancelled: Callable[[Batch], object] | None = None  # hears of every batch that ends with its user

    async def load(self) -> None:
        """Read what the database holds."""
        self._allowed = await self._db.read(accounts.load_limits)

    def allowed(self, user_id: str) -> tuple[str, ...] | None:
        """The list of models for a user; None when any may be used, and for users who do not exist."""
        return self._allowed.get(user_id)

    def put(self, user: User) -> None:
        """Take in a user who has been committed."""
        if user.allowed_models is None:
            self._allowed.pop(user.user_id, None)
        else:
            self._allowed[user.user_id] = user.allowed_models

    async def add(
        self,
        user_id: str,
        *,
        alias: str | None = None,
        blocked: bool = False,
        budget_id: str | None = None,
        allowed_models: tuple[str, ...] | None = None,
        metadata: str = "{}",
    ) -> User:
        """A new user, or a deleted one who comes back. Raises OtariError: CONFLICT, NOT_FOUND for the budget."""
        now_ms = self._now_ms()

        def op(conn: sqlite3.Connection) -> User:
            return accounts.add_user(
                conn,
                user_id,
                alias=alias,
                blocked=blocked,
                budget_id=budget_id,
                allowed_models=allowed_models,
                metadata=metadata,
                now_ms=now_ms,
            )

        return await self._db.write(op, on_commit=self.put)

    async def change(self, user_id: str, changes: Mapping[str, Any]) -> User:
        """Change the named facts of a user; None clears one. Raises OtariError(NOT_FOUND) for user or budget."""
        now_ms = self._now_ms()
        return await self._db.write(
            lambda conn: accounts.change_user(conn, user_id, changes, now_ms), on_commit=self.put
        )

    async def refresh(self, user_id: str) -> None:
        """Take in a user, and its keys, as they stand in the database, whoever wrote them."""

        def op(conn: sqlite3.Connection) -> tuple[User | None, list[Key]]:
            return accounts.find_user(conn, user_id), keys.keys_of(conn, user_id)

        def hear(found: tuple[User | None, list[Key]]) -> None:
            user, theirs = found
            if user is not None and user.deleted_at_ms is None:
                self.put(user)
            else:
                self._allowed.pop(user_id, None)
            for key in theirs:
                self._keys.put(key)

        await self._db.write(op, on_commit=hear)

    async def remove(self, user_id: str) -> None:
        """Mark a user as deleted, make its keys inactive, cancel its batches. Raises OtariError(NOT_FOUND)."""
        now_ms = self._now_ms()

        def op(conn: sqlite3.Connection) -> list[Batch]:
            accounts.remove_user(conn, user_id, now_ms)
            return batches.cancel_batches_of(conn, user_id, now_ms)

        def forget(cancelled: list[Batch]) -> None:
            self._allowed.pop(user_id, None)
            self._keys.silence(user_id)
            if self.on_cancelled is not None:
                for batch in cancelled:
                    self.on_cancelled(batch)

        await self._db.write(op, on_commit=forget)
