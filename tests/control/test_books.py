"""A hundred thousand settlements of every kind: no nano-USD is lost between arithmetic, rows and accounts."""

import random
import sqlite3
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import orjson

from otari.control import charge
from otari.control.charge import Ticket
from otari.domain import money
from otari.domain.chat import Usage
from otari.domain.ports import Attempt, Outcome
from otari.domain.price import Price, Tier, Unit
from otari.store import accounts, keys, ledger
from tests.store.ground import NOON, assert_books_agree, hold_row, in_memory

ROWS = 100_000
SEED = 5
ATTEMPT = Attempt("stub", "small", "live", "", None, ("openai-chat",))
UNITS: tuple[Unit, ...] = ("request", "image", "second", "character")
METERS = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")


def dice_price(dice: random.Random) -> Price:
    """Any price: meters with and without a rate of their own, tiers, units beside tokens."""

    def rate() -> int:
        return dice.randrange(10 ** dice.randrange(1, 9))

    tiers = {dice.randrange(1, 5_000): {meter: rate() for meter in dice.sample(METERS, 3)} for _ in range(2)}
    others: dict[str, Any] = {meter: rate() for meter in METERS[2:] if dice.random() < 0.5}
    others |= {f"{unit}_pico": rate() for unit in UNITS if dice.random() < 0.3}
    return Price(rate(), rate(), **others, tiers=tuple(Tier(start, **rates) for start, rates in tiers.items()))


def dice_outcome(dice: random.Random) -> Outcome:
    """Any end: good, cut off, contradictory numbers, none at all."""
    lot = dice.random()
    if lot < 0.05:
        return Outcome(ATTEMPT, False, 502, Usage(), "none", "it broke")
    total, output = dice.randrange(6_000), dice.randrange(3_000)
    read = dice.randrange(total + 1)
    write = dice.randrange(total - read + 1)
    usage = Usage(total, output, read, write, dice.randrange(write + 1), dice.randrange(output + 1))
    if lot < 0.15:
        usage = usage._replace(cache_read=total + 1, reasoning=output + 1)
    return Outcome(ATTEMPT, lot < 0.9, 200, usage, "provider", quantity=dice.choice((0, 0, 1, 500)))


def write_rows(conn: sqlite3.Connection, dice: random.Random) -> int:
    """Hold and settle ROWS requests; what the arithmetic says they cost together."""
    prices = [dice_price(dice) for _ in range(300)]
    total = 0
    for number in range(ROWS):
        price, outcome = dice.choice(prices), dice_outcome(dice)
        hold = hold_row(f"r{number}", key_id="laptop", hold_nano=1 + number % 1_000, counts_toward_key=True)
        assert ledger.hold(conn, hold) is None
        end = charge.settlement(Ticket(hold, (ATTEMPT,), (price,)), outcome, NOON + number)
        assert ledger.settle(conn, hold, end)
        if end.state == "settled":
            total += money.cost(outcome.usage, price, outcome.quantity)
    return total


def by_hand(row: sqlite3.Row) -> int:
    """What a row costs by its own numbers and rates, in decimals of USD."""
    rates = {name: Decimal(rate) for name, rate in orjson.loads(row["rates"]).items() if isinstance(rate, int)}
    read, write, hour = row["cache_read_tokens"], row["cache_write_tokens"], row["cache_write_1h_tokens"]
    plain, thought = row["input_tokens"] - read - write, row["reasoning_tokens"]
    if plain < 0:
        plain, read, write, hour = row["input_tokens"], 0, 0, 0
    if thought > row["output_tokens"]:
        thought = 0
    write_rate = rates.get("cache_write", rates["input"])
    pico = (
        plain * rates["input"]
        + read * rates.get("cache_read", rates["input"])
        + (write - hour) * write_rate
        + hour * rates.get("cache_write_1h", write_rate)
        + (row["output_tokens"] - thought) * rates["output"]
        + thought * rates.get("reasoning", rates["output"])
        + rates.get("request", 0)
        + (row["quantity"] or 0) * sum(rates.get(unit, 0) for unit in UNITS[1:])
    )
    return int((pico / 1_000).quantize(Decimal(1), ROUND_HALF_UP))


def test_the_sum_of_a_hundred_thousand_random_rows_is_exactly_what_was_spent() -> None:
    conn = in_memory()
    accounts.add_user(conn, "alice", now_ms=NOON)
    keys.add_key(conn, keys.issue("alice", key_id="laptop", now_ms=NOON)[0])
    conn.execute("BEGIN")
    total = write_rows(conn, random.Random(SEED))
    conn.execute("COMMIT")

    (of_rows,) = conn.execute("SELECT sum(cost_nano) FROM usage").fetchone()
    user, key = accounts.get_user(conn, "alice"), keys.get_key(conn, "laptop")
    assert total > money.NANO_PER_USD
    assert of_rows == user.spend_nano == key.spend_nano == total
    assert user.reserved_nano == key.reserved_nano == 0
    assert_books_agree(conn)

    conn.row_factory = sqlite3.Row
    checked = conn.execute("SELECT * FROM usage WHERE state = 'settled' AND seq % 10 = 0").fetchall()
    assert len(checked) > ROWS / 11
    for row in checked:
        assert row["cost_nano"] == by_hand(row), dict(row)
