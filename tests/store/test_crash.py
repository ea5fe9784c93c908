"""A process is killed in the middle of its writes, again and again, on one database."""

import asyncio
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from otari.store import accounts, recovery
from otari.store.db import Database
from otari.store.recovery import Recovery
from tests.store.crash_child import WORKERS
from tests.store.ground import NOON, assert_books_agree, money, opened

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 3
LATEST_MS = 4_000_000_000_000


def killed(path: Path, durability: str, prefix: str, lines: int) -> dict[str, dict[str, int]]:
    """Kill the child when it has told so many lines; all that it had told: word → id → amount."""
    command = [sys.executable, "-m", "tests.store.crash_child", str(path), durability, prefix]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        heard = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        heard += child.stdout.readlines()
    told: dict[str, dict[str, int]] = {"held": {}, "settled": {}}
    for line in heard:
        assert line.endswith(b"\n"), "the child ended by itself"
        word, request_id, amount = line.decode().split()
        told[word][request_id] = int(amount)
    return told


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_what_was_told_is_on_disk_and_the_rest_is_recovered(tmp_path: Path, durability: str) -> None:
    dice = random.Random(durability)
    path = tmp_path / "otari.db"

    async def prepare() -> None:
        db = opened(tmp_path)
        await db.write(lambda conn: accounts.add_user(conn, "alice", now_ms=NOON))
        await db.close()

    async def recover(prefix: str, told: dict[str, dict[str, int]]) -> int:
        db = opened(tmp_path)
        try:
            rows = await db.read(lambda conn: _rows(conn, prefix))
            await db.read(assert_books_agree)
            assert set(told["held"]) <= set(rows)  # no request without a row
            for request_id, cost in told["settled"].items():
                assert rows[request_id] == ("settled", cost)  # an answer that was told is charged, exactly
            found: Recovery = await db.write(lambda conn: recovery.recover(conn, "hold", LATEST_MS))
            await check(db, found, prefix, rows)
            return found.rows
        finally:
            await db.close()

    async def check(db: Database, found: Recovery, prefix: str, before: dict[str, tuple[str, int | None]]) -> None:
        assert found.rows == sum(state == "open" for state, _ in before.values())
        assert found.rows <= WORKERS
        after = await db.read(lambda conn: _rows(conn, prefix))
        assert {state for state, _ in after.values()} <= {"settled", "recovered"}
        await db.read(assert_books_agree)
        assert (await db.read(money))[1] == 0
        assert await db.read(lambda conn: conn.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"

    asyncio.run(prepare())
    recovered = 0
    for number in range(ROUNDS):
        told = killed(path, durability, f"{number}-", dice.randrange(50, 600))
        recovered += asyncio.run(recover(f"{number}-", told))
    assert recovered > 0, "no kill came in the middle of anything"


def _rows(conn: sqlite3.Connection, prefix: str) -> dict[str, tuple[str, int | None]]:
    found = conn.execute("SELECT id, state, cost_nano FROM usage WHERE id LIKE ?", (f"{prefix}%",))
    return {request_id: (state, cost) for request_id, state, cost in found}
