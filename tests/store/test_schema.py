"""Whose database it is, whether it is whole, and what its tables refuse."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from otari.domain.money import MAX_NANO_USD
from otari.store import schema
from otari.store.faults import StoreError
from tests.store.ground import NOON, in_memory, opened


def test_the_shipped_migrations_are_numbered_without_a_gap() -> None:
    names = [name for name, _ in schema.shipped()]
    assert names
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_every_migration_of_the_folder_is_named() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    assert sorted(path.name for path in folder.glob("*.sql")) == list(schema.MIGRATIONS)


def test_a_migration_that_breaks_leaves_nothing_behind() -> None:
    conn = in_memory()
    files = [*schema.shipped(), ("9999_broken.sql", "CREATE TABLE later (a INTEGER) STRICT; CREATE TABLE nonsense;")]
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(conn, "x", files, lambda: NOON)
    assert not conn.in_transaction
    assert conn.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'later'").fetchone()[0] == 0
    assert conn.execute("SELECT count(*) FROM migrations").fetchone()[0] == len(files) - 1
    files[-1] = ("9999_broken.sql", "CREATE TABLE later (a INTEGER) STRICT;")
    schema.migrate(conn, "x", files, lambda: NOON)
    assert conn.execute("SELECT name FROM migrations ORDER BY name DESC").fetchone()[0] == "9999_broken.sql"
    assert conn.execute("PRAGMA user_version").fetchone()[0] == len(files)


def test_a_newer_database_is_refused() -> None:
    conn = in_memory()
    conn.execute("INSERT INTO migrations VALUES ('9999_from_the_future.sql', 0)")
    with pytest.raises(StoreError, match=r"newer release.*9999_from_the_future"):
        schema.migrate(conn, "x", schema.shipped(), lambda: NOON)


def test_migrating_twice_changes_nothing() -> None:
    conn = in_memory()
    before = conn.execute("SELECT * FROM migrations").fetchall()
    schema.migrate(conn, "x", schema.shipped(), lambda: NOON + 5)
    assert conn.execute("SELECT * FROM migrations").fetchall() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET spend_nano = 'much'",
        "UPDATE users SET spend_nano = 9223372036854775807 + 1",  # SQLite makes a REAL of it
        "UPDATE users SET spend_nano = 0.5",
        "UPDATE users SET spend_nano = -1",
        "UPDATE users SET reserved_nano = reserved_nano - 1",
        f"UPDATE users SET spend_nano = {MAX_NANO_USD + 1}",
        "INSERT INTO budgets VALUES ('b', NULL, -1, NULL, NULL, 0, 0)",
        "INSERT INTO budgets VALUES ('b', NULL, 1, 0, NULL, 0, 0)",
        "INSERT INTO budgets VALUES ('b', NULL, 1, 60, 'calendar_day', 0, 0)",  # two kinds of period
        "INSERT INTO budgets VALUES ('b', NULL, 1, NULL, 'calendar_year', 0, 0)",
        "UPDATE users SET allowed_models = 'openai:*'",  # not a list
        "UPDATE users SET budget_id = 'nope'",
        "INSERT INTO keys (key_id, digest, prefix, user_id, created_at_ms, updated_at_ms)"
        " VALUES ('k', x'00', 'gw-', 'alice', 0, 0)",
        "INSERT INTO prices (model_key, effective_at_ms, input_pico, output_pico, source, created_at_ms, updated_at_ms)"
        " VALUES ('a:b', 0, -1, 0, 'api', 0, 0)",
        "INSERT INTO prices (model_key, effective_at_ms, input_pico, output_pico, unit, source, created_at_ms,"
        " updated_at_ms) VALUES ('a:b', 0, 1, 0, 'page', 'api', 0, 0)",
        "UPDATE usage SET rates = 'free'",
        "UPDATE usage SET state = 'lost'",
        "UPDATE usage SET state = 'settled'",  # without a time
        "UPDATE usage SET settled_at_ms = 1",  # while open
        "UPDATE usage SET cost_nano = 1",  # while open
        "UPDATE usage SET input_tokens = -1",
        "UPDATE usage SET hold_prompt_nano = 2",  # more than the hold
        "DELETE FROM users",  # rows of history stand on them
    ],
)
def test_tables_refuse_what_must_not_be(statement: str) -> None:
    conn = in_memory()
    conn.execute("INSERT INTO users (user_id, created_at_ms, updated_at_ms) VALUES ('alice', 0, 0)")
    conn.execute("""INSERT INTO usage (id, request_id, user_id, endpoint, selector, provider, model, stream, state,
        hold_nano, hold_prompt_nano, hold_estimated, price_source, created_at_ms)
        VALUES ('r', 'r', 'alice', '/', 's', 'p', 'm', 0, 'open', 1, 1, 0, 'config', 0)""")
    with pytest.raises(sqlite3.IntegrityError):
        conn.execute(statement)


def test_amounts_stop_where_the_domain_says() -> None:
    sql = schema.shipped()[0][1]
    assert f"BETWEEN 0 AND {MAX_NANO_USD}" in sql


def test_the_pragmas_are_set(tmp_path: Path) -> None:
    async def scene() -> dict[str, object]:
        db = opened(tmp_path, durability="normal")
        names = ["journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check", "busy_timeout"]
        names += ["temp_store", "wal_autocheckpoint", "journal_size_limit", "application_id", "user_version"]
        found = {name: db._conn.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
        assert await db.close()
        return found

    assert asyncio.run(scene()) == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "busy_timeout": 5000,
        "temp_store": 2,
        "wal_autocheckpoint": 1000,
        "journal_size_limit": 64 * 1024 * 1024,
        "application_id": 0x4F544152,
        "user_version": len(schema.shipped()),
    }


def test_full_durability_flushes_every_commit(tmp_path: Path) -> None:
    db = opened(tmp_path, durability="full")
    assert db._conn.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert asyncio.run(db.close())
