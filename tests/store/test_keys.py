"""Virtual keys: never stored, found by digest, changed on disk and in memory together."""

import asyncio
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from otari.domain.access import key_digest
from otari.domain.errors import Kind, OtariError
from otari.store import accounts, budgets, keys, ledger
from otari.store.db import Database
from otari.store.key_book import KeyBook
from otari.store.keys import Key
from otari.store.user_book import UserBook
from tests.store.ground import NOON, Clock, Gate, end, hold_row, in_loop


async def with_alice(db: Database) -> KeyBook:
    await db.write(lambda conn: accounts.add_user(conn, "alice", now_ms=NOON))
    return KeyBook(db, Clock())


def contents(folder: Path) -> bytes:
    """Every byte of every file."""
    found = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"bootstrap" in found or b"alice" in found
    return found


async def on_disk(db: Database) -> list[Key]:
    return await db.read(keys.load_keys)


def test_a_new_key_is_found_by_its_token_and_nowhere_shown(tmp_path: Path) -> None:
    async def scene(db: Database) -> str:
        book = await with_alice(db)
        key, token = await book.add("alice", key_name="laptop", expires_at_ms=5, metadata='{"a":1}')
        assert book.find(key_digest(token.reveal())) == key
        assert await on_disk(db) == [key]
        assert token.reveal().startswith(key.prefix)
        assert len(token.reveal()) == 67
        assert str(token) == "***"
        assert (key.key_name, key.user_id, key.is_active, key.expires_at_ms) == ("laptop", "alice", True, 5)
        text = token.reveal().encode()
        assert text[10:] not in contents(tmp_path)  # the log included
        return token.reveal()

    token = in_loop(tmp_path, scene)
    assert token[10:].encode() not in contents(tmp_path)


def test_the_book_is_what_the_database_holds(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        for name in ("a", "b", "c"):
            await book.add("alice", key_name=name, rejects_user_mismatch=name == "b" or None)
        fresh = KeyBook(db, Clock())
        await fresh.load()
        assert len(fresh) == 3
        for key in await on_disk(db):
            assert fresh.find(key.digest) == book.find(key.digest) == key
            assert fresh.find_by_id(key.key_id) == key

    in_loop(tmp_path, scene)


def test_a_key_needs_a_user(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = KeyBook(db, Clock())
        with pytest.raises(OtariError) as caught:
            await book.add("ghost")
        assert caught.value.kind is Kind.NOT_FOUND
        assert len(book) == 0

    in_loop(tmp_path, scene)


def test_a_change_takes_effect_on_disk_and_in_memory(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        key, _ = await book.add("alice")
        changed = await book.change(key.key_id, {"is_active": False, "key_name": "old", "expires_at_ms": 9})
        assert book.find(key.digest) == changed
        assert await on_disk(db) == [changed]

    in_loop(tmp_path, scene)


def test_a_revocation_takes_effect_even_if_its_caller_is_gone(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        key, _ = await book.add("alice")
        gate = Gate(db)
        revoking = book.remove(key.key_id)
        waiting = revoking.send(None)  # the caller gets as far as its first wait …
        assert waiting is not None
        revoking.close()  # … and is gone
        gate.open()
        await db.write(lambda _: None)
        assert book.find(key.digest) is None
        assert await on_disk(db) == []

    in_loop(tmp_path, scene)


def test_a_key_with_history_can_be_deleted_and_the_history_stays(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        key, _ = await book.add("alice", key_name="laptop")
        held = hold_row("r", key_id=key.key_id, key_name=key.key_name)
        await db.write(lambda conn: ledger.hold(conn, held))
        await book.remove(key.key_id)
        assert await db.write(lambda conn: ledger.settle(conn, held, end(), key_used=True))
        facts = await db.read(lambda conn: conn.execute("SELECT key_id, key_name, state FROM usage").fetchone())
        assert facts == (key.key_id, "laptop", "settled")

    in_loop(tmp_path, scene)


def test_unknown_keys_are_told(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        key, _ = keys.issue("alice", now_ms=NOON)
        for change in (book.remove(key.key_id), book.change(key.key_id, {"is_active": False}), book.rotate(key.key_id)):
            with pytest.raises(OtariError, match=f"API key with id '{key.key_id}' not found"):
                await change
        assert await db.read(lambda conn: keys.find_key(conn, key.key_id)) is None

    in_loop(tmp_path, scene)


def test_deleting_a_user_makes_its_keys_inactive(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        await db.write(lambda conn: accounts.add_user(conn, "bob", now_ms=NOON))
        hers, _ = await book.add("alice")
        his, _ = await book.add("bob")
        await UserBook(db, book, Clock()).remove("alice")
        found = book.find(hers.digest)
        assert found is not None
        assert not found.is_active
        assert book.find(his.digest) == his
        assert [key.is_active for key in await on_disk(db) if key.user_id == "alice"] == [False]

    in_loop(tmp_path, scene)


def test_the_time_of_last_use_is_written_every_five_minutes(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        key, _ = await book.add("alice")
        assert book.used(key.key_id, NOON)
        assert not book.used(key.key_id, NOON + 299_999)
        assert book.used(key.key_id, NOON + 300_000)
        held = hold_row("r", key_id=key.key_id)
        await db.write(lambda conn: ledger.hold(conn, held))
        await db.write(lambda conn: ledger.settle(conn, held, end(settled_at_ms=NOON + 9), key_used=True))
        fresh = KeyBook(db, Clock())
        await fresh.load()
        assert not fresh.used(key.key_id, NOON + 10)  # a restart remembers

    in_loop(tmp_path, scene)


def test_a_rotated_key_has_another_token_and_the_old_one_is_unknown(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        key, old = await book.add("alice", key_name="laptop", allowed_models=("a:*",))
        rotated, new = await book.rotate(key.key_id)
        assert book.find(key_digest(old.reveal())) is None
        assert book.find(key_digest(new.reveal())) == rotated
        assert (rotated.key_id, rotated.key_name, rotated.allowed_models) == (key.key_id, "laptop", ("a:*",))
        assert new.reveal().startswith(rotated.prefix)
        assert new.reveal().endswith(rotated.suffix)
        assert await on_disk(db) == [rotated]

    in_loop(tmp_path, scene)


def test_none_clears_and_what_is_not_named_stays(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        budget = await db.write(lambda conn: budgets.add_budget(conn, duration_s=60, now_ms=NOON))
        key, _ = await book.add(
            "alice",
            key_name="laptop",
            expires_at_ms=9,
            allowed_models=(),
            budget_id=budget.budget_id,
            exclude_from_budget=True,
            rejects_user_mismatch=False,
        )
        assert (key.budget_started_at_ms, key.next_reset_at_ms) == (NOON, NOON + 60_000)
        changed = await book.change(key.key_id, {"expires_at_ms": None, "allowed_models": None, "budget_id": None})
        assert (changed.expires_at_ms, changed.allowed_models, changed.budget_id) == (None, None, None)
        assert (changed.budget_started_at_ms, changed.next_reset_at_ms) == (None, None)
        assert (changed.key_name, changed.exclude_from_budget, changed.rejects_user_mismatch) == ("laptop", True, False)
        assert await on_disk(db) == [changed]
        assert book.find_by_id(key.key_id) == changed
        with pytest.raises(TypeError, match="user_id"):
            await book.change(key.key_id, {"user_id": "bob"})
        with pytest.raises(OtariError, match="Budget with id 'nope' not found"):
            await book.change(key.key_id, {"budget_id": "nope"})

    in_loop(tmp_path, scene)


def test_two_changes_at_once_both_count(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        key, _ = await book.add("alice")
        await asyncio.gather(book.change(key.key_id, {"key_name": "a"}), book.change(key.key_id, {"is_active": False}))
        changed = book.find_by_id(key.key_id)
        assert changed is not None
        assert (changed.key_name, changed.is_active) == ("a", False)

    in_loop(tmp_path, scene)


def test_a_key_brings_its_user_along_when_it_may(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        own, _ = await book.add(None, key_name="laptop")
        nameless, _ = await book.add(None)
        new, _ = await book.add("bob", creates_user=True)
        await book.add("bob", creates_user=True)
        users = {user.user_id: user.alias for user in await db.read(accounts.list_users)}
        assert own.user_id == f"apikey-{own.key_id}"
        assert new.user_id == "bob"
        assert users == {
            "alice": None,
            own.user_id: "Virtual user for API key: laptop",
            nameless.user_id: "Virtual user for API key: unnamed",
            "bob": "User bob",
        }
        await UserBook(db, book, Clock()).remove("bob")
        with pytest.raises(OtariError) as caught:
            await book.add("bob", creates_user=True)
        assert caught.value.message == "User 'bob' has been deleted. Recreate via POST /v1/users first."
        assert caught.value.kind is Kind.NOT_FOUND

    in_loop(tmp_path, scene)


def test_a_key_that_can_not_be_added_leaves_no_user_behind(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        with pytest.raises(OtariError, match="Budget with id 'nope' not found"):
            await book.add(None, budget_id="nope")
        assert [user.user_id for user in await db.read(accounts.list_users)] == ["alice"]
        assert len(book) == 0

    in_loop(tmp_path, scene)


def test_keys_are_listed_in_pages(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        made = [(await book.add("alice", key_name=str(number)))[0] for number in range(7)]
        made.sort(key=lambda key: key.key_id)  # all of one moment
        assert await db.read(keys.list_keys) == made
        assert await db.read(lambda conn: keys.list_keys(conn, skip=2, limit=3)) == made[2:5]
        assert await db.read(lambda conn: keys.list_keys(conn, after=made[4].key_id)) == made[5:]
        with pytest.raises(OtariError, match="'after'"):
            await db.read(lambda conn: keys.list_keys(conn, after="nope"))

    in_loop(tmp_path, scene)


def test_a_list_of_models_that_another_program_broke_allows_nothing(tmp_path: Path) -> None:
    async def scene(db: Database) -> None:
        book = await with_alice(db)
        key, _ = await book.add("alice", allowed_models=("a:b",))
        for odd, read in (("[broken]", ()), ('["a:b", 5]', ("a:b",)), ("[]", ())):
            await db.write(partial(_break_list, odd))
            found = await db.read(lambda conn: keys.get_key(conn, key.key_id))
            assert found.allowed_models == read

    in_loop(tmp_path, scene)


def _break_list(text: str, conn: sqlite3.Connection) -> None:
    conn.execute("UPDATE keys SET allowed_models = ?", (text,))
