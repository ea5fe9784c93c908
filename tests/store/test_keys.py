"""Virtual keys: never stored, found by digest, changed on disk and in memory together."""

from dataclasses import replace
from pathlib import Path

import pytest

from otari.domain.access import key_digest
from otari.domain.errors import Kind, OtariError
from otari.store import accounts, keys, ledger
from otari.store.db import Database
from otari.store.keys import Key, KeyBook
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
        changed = await book.change(replace(key, is_active=False, key_name="old", expires_at_ms=9))
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
        for change in (book.remove(key.key_id), book.change(key)):
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
        await book.remove_user("alice")
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
