"""A standalone control plane on a fresh database, with a clock that is set by hand and one priced model."""

import asyncio
import itertools
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from otari.control.local import FirstRun, LocalControl, Rules
from otari.domain.access import Credential, Principal
from otari.domain.catalog import Catalog, Limits
from otari.domain.chat import Usage
from otari.domain.ports import Admission, Ask, Outcome
from otari.domain.price import Price
from otari.domain.provider import Provider, Quirks
from otari.domain.secret import Secret
from otari.store import accounts, budgets
from otari.store.db import Database
from tests.store.unflushed import UnflushedWriter

T = TypeVar("T")
NOON = 1_700_000_000_000
MASTER = Secret("a-master-key-of-the-tests")
PROMPT, OUTPUT = 100, 50
PRICE = Price(1_000_000, 2_000_000, cache_read=100_000, cache_write=1_250_000)  # 1 and 2 USD per million tokens
# Every prompt token at its dearest rate (a cache write), every output token: 100 × 1,250 + 50 × 2,000 nano-USD.
HOLD = 225_000
USED = Usage(input=80, output=20)
COST = 120_000


def catalog() -> Catalog:
    """A priced, a dearer, a bounded, an unpriced and a free model, and lists of two to try."""
    return Catalog(
        [
            Provider("cloud", "live", "https://cloud.test/v1", Secret("sk-cloud"), ("openai-chat",)),
            Provider("far", "live", "https://far.test/v1", quirks=Quirks(top_k=True)),
            Provider("local", "stub", free=True, unpriced_models=("odd",)),
        ],
        aliases={
            "best": ("cloud:small", "far:large"),
            "odd": ("cloud:small", "cloud:unpriced"),
            "half": ("far:bounded", "cloud:small"),
        },
        prices={
            "cloud:small": (PRICE,),
            "far:large": (Price(3_000_000, 9_000_000),),
            "far:bounded": (PRICE,),
            "cloud:pictures": (Price(0, 0, image_pico=40_000_000),),
        },
        limits={"far:bounded": Limits(output=2_000)},
    )


def ask(number: int | str, selector: str = "cloud:small", **facts: Any) -> Ask:
    """A request."""
    plain = Ask(f"req-{number}", "/v1/chat/completions", selector, None, PROMPT, OUTPUT, 1, False)
    return plain._replace(**facts)


def good(admission: Admission, usage: Usage = USED, **facts: Any) -> Outcome:
    """The first attempt answered."""
    return Outcome(admission.attempts[0], True, 200, usage, "provider", total_s=0.5)._replace(**facts)


class House:
    """What a test works with."""

    def __init__(self, db: Database, control: LocalControl, first: FirstRun, now: list[int]) -> None:
        self.db = db
        self.control = control
        self.first = first
        self.now = now
        self._numbers = itertools.count(1)

    async def user(self, user_id: str = "alice", cap_nano: int | None = None, period_s: int | None = None) -> Principal:
        """A user with a cap and a key; who that key stands for."""

        def op(conn: sqlite3.Connection) -> None:
            budget = budgets.add_budget(conn, max_nano=cap_nano, duration_s=period_s, name=None, now_ms=self.now[0])
            accounts.add_user(conn, user_id, budget_id=budget.budget_id, now_ms=self.now[0])

        await self.db.write(op)
        _, token = await self.control.keys.add(user_id, key_name=f"key of {user_id}")
        return await self.control.identify(Credential(token))

    async def admit(self, principal: Principal, **facts: Any) -> Admission:
        """Admit the next request."""
        return await self.control.admit(principal, ask(next(self._numbers), **facts))

    async def rows(self) -> list[dict[str, Any]]:
        """All usage rows, oldest first."""

        def op(conn: sqlite3.Connection) -> list[dict[str, Any]]:
            cursor = conn.execute("SELECT * FROM usage ORDER BY rowid")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        return await self.db.read(op)

    async def money(self, user_id: str = "alice") -> tuple[int, int]:
        """Spent and reserved."""
        user = await self.db.read(lambda conn: accounts.get_user(conn, user_id))
        return user.spend_nano, user.reserved_nano


def in_house(
    folder: Path,
    scene: Callable[[House], Awaitable[T]],
    rules: Rules | None = None,
    master_key: Secret | None = MASTER,
    prices: dict[str, tuple[Price, ...]] | None = None,
) -> T:
    """Run `scene` in a house whose database is in `folder`."""

    async def run() -> T:
        now = [NOON]
        db = Database.open(folder / "otari.db", now_ms=lambda: now[0], writer=UnflushedWriter)
        try:
            control, first = await LocalControl.start(
                db,
                catalog(),
                rules or Rules(),
                lambda: now[0],
                master_key=master_key,
                configured_prices=prices,
            )
            return await scene(House(db, control, first, now))
        finally:
            await db.close()

    return asyncio.run(run())
