"""A process to be killed: many requests at once, each told on standard output when it is held and when it is settled.

Run with the path of the database, the durability and a prefix for the request ids.
"""

import asyncio
import itertools
import os
import signal
import sys
import time

from otari.store import ledger
from otari.store.db import Database
from tests.store.ground import end, hold_row

WORKERS = 24


def tell(word: str, request_id: str, amount: int) -> None:
    """One whole line in one system call: what the parent has read was told."""
    os.write(1, f"{word} {request_id} {amount}\n".encode())


async def work(path: str, durability: str, prefix: str) -> None:
    """Hold and settle until killed."""
    db = Database.open(
        path, durability="full" if durability == "full" else "normal", now_ms=lambda: int(time.time() * 1000)
    )
    numbers = itertools.count()

    async def one() -> None:
        while True:
            number = next(numbers)
            held = hold_row(f"{prefix}{number}", hold_nano=100 + number % 50)
            assert await db.write(lambda conn, held=held: ledger.hold(conn, held)) is None  # type: ignore[misc]
            tell("held", held.id, held.hold_nano)
            cost = held.hold_nano - number % 90

            def settle(conn, held=held, cost=cost) -> None:  # type: ignore[no-untyped-def]
                assert ledger.settle(conn, held, end(cost))

            await db.write_until_kept(settle)
            tell("settled", held.id, cost)

    await asyncio.gather(*(one() for _ in range(WORKERS)))


if __name__ == "__main__":
    signal.alarm(30)  # should the parent be gone
    asyncio.run(work(*sys.argv[1:4]))
