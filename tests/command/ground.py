"""What the tests of the account commands stand on: a ledger on disk, words that are run, what they wrote."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from otari.command import errand
from otari.domain import money
from otari.domain.chat import Usage
from otari.domain.price import Price
from otari.store import accounts, ledger
from otari.store.db import Database
from otari.store.key_book import KeyBook
from otari.store.ledger import Hold, Settlement
from otari.store.price_text import write_rates
from tests.store.unflushed import UnflushedWriter

NOON = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC
MASTER = "mk-command-0123456789abcdef"
PRICE = Price(1_250_000, 10_000_000, 125_000, source="api")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]

    def refused(self, code: int, *words: str) -> bool:
        """Whether it ended with one line that has all `words`, and nothing else."""
        one_line = self.err.startswith("otari: ") and self.err.count("\n") == 1 and not self.out
        return self.code == code and one_line and all(word in self.err for word in words)


class Desk:
    """Runs commands on the ledger in `folder`, as if typed at `NOON`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = folder / "otari.db"
        self.environ: dict[str, str] = {"OTARI_DATABASE_URL": f"sqlite:///{self.path}", "OTARI_DURABILITY": "normal"}
        self._capsys = capsys

    def run(self, *words: str, **environ: str) -> Ended:
        return run(self._capsys, words, {**self.environ, **environ})

    def write(self, scene: Callable[[Database], Awaitable[Any]]) -> Any:
        """Open or make the ledger, do `scene`, and close it."""

        async def whole() -> Any:
            db = Database.open(self.path, now_ms=lambda: NOON, writer=UnflushedWriter)
            try:
                return await scene(db)
            finally:
                await db.close()

        return asyncio.run(whole())


def run(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], environ: Mapping[str, str]) -> Ended:
    """Run a command in this process."""
    capsys.readouterr()
    try:
        code = errand.run(words, environ, NOON)
    except SystemExit as end:  # as argparse ends
        code = int(str(end.code))
    out, err = capsys.readouterr()
    return Ended(code, out, err)


async def furnish(db: Database) -> str:
    """Two users, a key of one of them; the id of the key."""
    await db.write(lambda conn: accounts.add_user(conn, "alice", alias="Alice", now_ms=NOON))
    await db.write(lambda conn: accounts.add_user(conn, "bob/ü", now_ms=NOON + 1))
    key, _ = await KeyBook(db, lambda: NOON).add("alice", key_name="laptop")
    return key.key_id


async def use(db: Database, row_id: str, **facts: Any) -> None:
    """A settled row of alice's, with `facts` of the hold or the settlement."""
    usage = Usage(1_000, 50, 200, None, None, 20)
    hold = Hold(
        id=row_id,
        user_id="alice",
        key_id="key-1",
        key_name="laptop",
        endpoint="/v1/chat/completions",
        selector="fast",
        provider="openai",
        model="gpt-5",
        stream=False,
        hold_nano=5_000_000,
        hold_prompt_nano=1_000_000,
        hold_estimated=False,
        counts_toward_budget=True,
        counts_toward_key=False,
        rates=write_rates(PRICE),
        price_source="api",
        created_at_ms=NOON,
    )
    hold = hold._replace(**{name: fact for name, fact in facts.items() if name in Hold._fields})
    end = Settlement(
        state="settled",
        status="success",
        provider="openai",
        model=hold.model,
        http_status=200,
        over_hold=False,
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=None,
        cache_write_1h_tokens=None,
        reasoning_tokens=usage.reasoning,
        quantity=None,
        cost_nano=money.cost(usage, PRICE),
        rates=hold.rates,
        price_source=hold.price_source,
        usage_source="provider",
        flags="",
        error=None,
        attempt_position=1,
        settled_at_ms=hold.created_at_ms + 900,
        first_byte_ms=100,
        total_ms=900,
    )
    end = end._replace(**{name: fact for name, fact in facts.items() if name in Settlement._fields})
    assert await db.write(lambda conn: ledger.hold(conn, hold)) is None
    if facts.get("state") != "open":
        assert await db.write(lambda conn: ledger.settle(conn, hold, end))
