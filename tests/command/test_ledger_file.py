"""The ledger's file: read beside a gateway, written only when none holds it, and told when it can not be used."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from otari.store.db import Database
from tests.command.gateway import scripted
from tests.command.ground import MASTER, NOON, Desk, Ended, furnish


async def _with_gateway(desk: Desk, *words: str, **environ: str) -> Ended:
    """Run a command while this process holds the ledger."""
    db = Database.open(desk.path, durability="normal", now_ms=lambda: NOON)
    try:
        await furnish(db)
        return await asyncio.to_thread(desk.run, *words, **environ)
    finally:
        await db.close()


def test_a_ledger_in_use_is_read_as_it_is_now(desk: Desk) -> None:
    listed = asyncio.run(_with_gateway(desk, "users"))
    assert [row[0] for row in listed.rows] == ["alice", "bob/ü"]


def test_a_ledger_in_use_is_not_written_without_a_master_key(desk: Desk) -> None:
    ended = asyncio.run(_with_gateway(desk, "users", "create", "carol"))
    assert ended.refused(3, "in use by process", "OTARI_MASTER_KEY")


def test_a_ledger_in_use_is_written_by_the_gateway_that_the_configuration_names(desk: Desk) -> None:
    with scripted((200, {"user_id": "carol", "blocked": False})) as gateway:
        port = gateway.url.rpartition(":")[2]
        words = ("users", "create", "carol", "--json")
        ended = asyncio.run(_with_gateway(desk, *words, OTARI_MASTER_KEY=MASTER, OTARI_PORT=port))
    assert (ended.code, ended.json["user_id"]) == (0, "carol")
    assert [asked.target for asked in gateway.asked] == ["/v1/users"]


def test_a_gateway_that_does_not_answer_is_told(desk: Desk) -> None:
    with scripted() as gateway:
        port = gateway.url.rpartition(":")[2]
    ended = asyncio.run(_with_gateway(desk, "users", "create", "carol", OTARI_MASTER_KEY=MASTER, OTARI_PORT=port))
    assert ended.refused(3, "in use by process", "no gateway answers", "--url")


@pytest.mark.parametrize("words", [("keys", "list"), ("keys", "create"), ("usage", "totals")])
def test_no_ledger_is_made_by_a_command(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk.run(*words).refused(4, "there is no ledger at")
    assert not desk.path.exists()


def test_another_programs_file_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    desk.path.write_bytes(b"hello" * 1_000)
    assert desk.run("keys").refused(4, "can not be read")
    desk.path.unlink()
    conn = sqlite3.connect(desk.path)
    conn.execute("CREATE TABLE notes (text TEXT)")
    conn.close()
    assert desk.run("keys").refused(4, "no ledger of Otari")
    assert desk.run("keys", "create").refused(4, "belongs to another program")
    assert sorted(tmp_path.iterdir()) == [desk.path, Path(f"{desk.path}.lock")]


@pytest.mark.parametrize(("version", "word"), [(0, "start the gateway once"), (9_999, "use that release")])
def test_another_releases_ledger_is_not_guessed_at(desk: Desk, version: int, word: str) -> None:
    desk.write(furnish)
    conn = sqlite3.connect(desk.path)
    conn.execute(f"PRAGMA user_version = {version}")
    conn.close()
    assert desk.run("keys").refused(4, "another release", word)


def test_reading_changes_nothing_on_disk(desk: Desk) -> None:
    desk.write(furnish)
    before = desk.path.read_bytes()
    assert desk.run("keys").code == 0
    assert desk.path.read_bytes() == before


def test_a_wrong_configuration_is_told_problem_by_problem(desk: Desk) -> None:
    ended = desk.run("keys", OTARI_PORT="many")
    assert ended.code == 2
    assert all(line.startswith("otari: ") for line in ended.err.splitlines())
    assert not ended.out


def test_an_error_of_ours_is_one_line_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(furnish)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a\nb")

    monkeypatch.setattr("otari.store.keys.list_keys", broken)
    assert desk.run("keys").refused(1, "unexpected RuntimeError in test_ledger_file.py", "a\\nb")
