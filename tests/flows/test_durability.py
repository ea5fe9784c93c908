"""The ledger waits for the disk as much as is configured; everywhere else in these tests nobody waits."""

from pathlib import Path

import pytest

from otari.store.writer import Writer
from tests.flows.house import House, play


class Careful(House):
    """With the writer of a gateway that serves."""

    writer = Writer


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_the_ledger_waits_for_the_disk_as_configured(tmp_path: Path, durability: str, synchronous: int) -> None:
    async def scene() -> None:
        async with Careful(tmp_path, durability=durability) as house:
            assert house.gateway.database._conn.execute("PRAGMA synchronous").fetchone()[0] == synchronous

    play(scene())
