"""Money: exact against a reference in decimals, rounded once, never free by accident."""

import random
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain import money
from otari.domain.chat import Usage
from otari.domain.money import Line
from otari.domain.price import Price, Tier

RATE = st.integers(0, 10**9)
MAYBE_RATE = st.none() | RATE
COUNT = st.integers(0, 10**6)


def usages() -> st.SearchStrategy[Usage]:
    """Counts that may contradict each other or be missing."""
    count = st.none() | COUNT
    return st.builds(Usage, count, count, count, count, count, count)


def prices() -> st.SearchStrategy[Price]:
    tier = st.builds(Tier, st.integers(1, 10**6), *[MAYBE_RATE] * 6)
    return st.builds(
        Price,
        RATE,
        RATE,
        MAYBE_RATE,
        MAYBE_RATE,
        MAYBE_RATE,
        reasoning=MAYBE_RATE,
        request_pico=RATE,
        image_pico=RATE,
        tiers=st.lists(tier, max_size=3, unique_by=lambda tier: tier.min_input_tokens).map(tuple),
    )


# ---- rates and amounts ----


@pytest.mark.parametrize(
    ("usd_per_million", "pico"),
    [("0", 0), ("0.000001", 1), ("0.25", 250_000), ("3", 3_000_000), ("1000000000", 10**15), ("1E-6", 1)],
)
def test_a_rate_is_exact(usd_per_million: str, pico: int) -> None:
    assert money.rate(Decimal(usd_per_million)) == pico


@pytest.mark.parametrize("text", ["-1", "NaN", "Infinity", "-0.000001", "0.0000001", "1000000000.1", "1e400"])
def test_a_rate_that_can_not_be_counted_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="price"):
        money.rate(Decimal(text))


def test_a_rate_per_unit_is_in_pico_usd() -> None:
    assert money.unit_rate(Decimal("0.04")) == 40_000_000_000
    assert money.unit_rate(Decimal("0.000000000001")) == 1
    for text in ("-1", "NaN", "1e-13", "1001"):
        with pytest.raises(ValueError, match="price"):
            money.unit_rate(Decimal(text))


@given(st.integers(0, money.MAX_NANO_USD))
def test_usd_and_nano_usd_are_the_same_amount(nano: int) -> None:
    assert money.nano_usd(money.usd(nano)) == nano


def test_ten_dimes_are_a_dollar() -> None:
    assert sum(money.nano_usd(Decimal("0.1")) for _ in range(10)) == money.NANO_PER_USD


# ---- cost ----


@pytest.mark.parametrize(
    ("usage", "price", "nano"),
    [
        (Usage(1_000_000, 0), Price(1_000_000, 0), 1_000_000_000),
        (Usage(7, 5), Price(1_000_000, 2_000_000), 17_000),
        (Usage(1, 0), Price(499, 0), 0),
        (Usage(1, 0), Price(500, 0), 1),  # half up
        (Usage(1, 1), Price(250, 250), 1),  # rounded once, not twice
        (Usage(None, None), Price(1, 1), 0),
        # subset convention: 100 read, 60 of them from the cache, 20 written to it, 5 of those for an hour
        (Usage(100, 0, 60, 20, 5), Price(1_000, 0, 100, 1_250, 2_000), 20 + 6 + 19 + 10),
        (Usage(100, 0, 60, 20, 5), Price(1_000, 0), 100),  # no rates of their own: the input rate, never free
        (Usage(100, 0, 60, 20, 5), Price(1_000, 0, 1_000, 2_000), 80 + 40),  # an hour costs like five minutes
        (Usage(100, 0, 101), Price(1_000, 0, 0), 100),  # more cached than read: all of it is plain
        (Usage(100, 0, 0, 10, 11), Price(1_000, 0, 0, 0, 0), 100),
        (Usage(0, 100, reasoning=40), Price(0, 1_000, reasoning=3_000), 60 + 120),
        (Usage(0, 100, reasoning=40), Price(0, 1_000), 100),
        (Usage(0, 100, reasoning=101), Price(0, 1_000, reasoning=3_000), 100),
        (Usage(1, 1), Price(1_000, 1_000, request_pico=5_000), 7),
        (Usage(), Price(0, 0, request_pico=5_000), 5),
    ],
)
def test_what_usage_costs(usage: Usage, price: Price, nano: int) -> None:
    assert money.cost(usage, price) == nano


TIERED = Price(1_000, 2_000, 100, tiers=(Tier(300, 4_000, 5_000, reasoning=9_000), Tier(200, input=3_000)))


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(199, 10), 199 + 20),
        (Usage(200, 10), 600 + 20),  # from the threshold on, for every token; the output rate is not listed and stays
        (Usage(299, 0, 100), 199 * 3 + 10),  # cached tokens count toward the threshold
        (Usage(300, 10), 1_200 + 50),  # the highest tier that is reached
        (Usage(300, 10, reasoning=4), 1_200 + 30 + 36),
    ],
)
def test_a_long_prompt_costs_by_its_tier(usage: Usage, nano: int) -> None:
    assert money.cost(usage, TIERED) == nano


def test_units_beside_tokens() -> None:
    image = Price(0, 0, image_pico=40_000_000_000, unit="image")
    assert money.cost(Usage(), image, 3) == 120_000_000
    assert money.explain(Usage(), image, 3) == (Line("image", 3, 40_000_000_000, 120_000_000_000),)
    assert money.cost(Usage(), Price(0, 0, second_pico=100_000_000), 61) == 6_100_000
    assert money.cost(Usage(5, 5), Price(1_000, 1_000), 3) == 10  # what has no rate costs nothing more


def test_the_lines_of_a_bill() -> None:
    usage = Usage(100, 50, 60, 20, 5, 30)
    price = Price(1_000, 2_000, 100, 1_250, 2_000, reasoning=3_000, request_pico=7)
    assert money.explain(usage, price) == (
        Line("input", 20, 1_000, 20_000),
        Line("cache_read", 60, 100, 6_000),
        Line("cache_write", 15, 1_250, 18_750),
        Line("cache_write_1h", 5, 2_000, 10_000),
        Line("output", 20, 2_000, 40_000),
        Line("reasoning", 30, 3_000, 90_000),
        Line("request", 1, 7, 7),
    )


@given(usages(), prices(), st.integers(0, 1_000))
def test_the_cost_is_the_rounded_sum_of_the_lines(usage: Usage, price: Price, quantity: int) -> None:
    lines = money.explain(usage, price, quantity)
    assert all(line.amount_pico == line.count * line.rate_pico for line in lines)
    exact = Fraction(sum(line.amount_pico for line in lines), 1_000)
    assert money.cost(usage, price, quantity) == (exact + Fraction(1, 2)) // 1
    counted = [line.count for line in lines if line.meter in ("input", "cache_read", "cache_write", "cache_write_1h")]
    assert sum(counted) == (usage.input or 0)  # no token is charged twice or not at all
    assert sum(line.count for line in lines if line.meter in ("output", "reasoning")) == (usage.output or 0)


@given(usages(), prices())
def test_the_rates_of_a_row_explain_it_without_the_tiers(usage: Usage, price: Price) -> None:
    assert money.cost(usage, price.for_input(usage.input or 0)) == money.cost(usage, price)


@given(usages(), prices(), COUNT, COUNT)
def test_the_hold_is_an_upper_bound(usage: Usage, price: Price, more_prompt: int, more_output: int) -> None:
    prompt, output = (usage.input or 0) + more_prompt, (usage.output or 0) + more_output
    assert money.cost(usage, price, 3) <= money.dearest(prompt, output, price, 3)


@pytest.mark.parametrize(
    ("worst", "price"),
    [
        (Usage(200, 30), Price(5_000, 7_000, 1_000, 2_000)),
        (Usage(200, 30, cache_read=200), Price(5_000, 7_000, 9_000)),
        (Usage(200, 30, cache_write=200), Price(5_000, 7_000, cache_write=6_250)),
        (Usage(200, 30, None, 200, 200), Price(5_000, 7_000, cache_write=6_250, cache_write_1h=10_000)),
        (Usage(200, 30, reasoning=30), Price(5_000, 7_000, reasoning=11_000)),
        (Usage(200, 30), Price(5_000, 7_000, request_pico=13_000)),
        (Usage(200, 30), Price(5_000, 7_000, tiers=(Tier(200, input=8_000),))),
        (Usage(200, 30), Price(5_000, 7_000, tiers=(Tier(150, output=90_000), Tier(201, input=99_000)))),
        (Usage(199, 30), Price(5_000, 7_000, tiers=(Tier(200, input=1_000, output=500),))),  # cheaper when long
    ],
)
def test_the_hold_is_no_more_than_the_worst_that_can_come(worst: Usage, price: Price) -> None:
    assert money.dearest(worst.input or 0, worst.output or 0, price) == money.cost(worst, price)


EACH = ("request", "image", "second", "character")


def reference(
    usage: Usage, quantity: int, price: dict[str, Decimal], threshold: int, dearer: dict[str, Decimal]
) -> int:
    """The cost in decimals of USD (per million tokens, or for each of the other units), as one would reckon by hand."""
    total, output = Decimal(usage.input or 0), Decimal(usage.output or 0)
    rates = {**price, **dearer} if total >= threshold else price
    read, write, hour = (Decimal(count or 0) for count in (usage.cache_read, usage.cache_write, usage.cache_write_1h))
    thought = Decimal(usage.reasoning or 0)
    write_rate = rates.get("cache_write", rates["input"])
    usd = (
        (total - read - write) * rates["input"]
        + read * rates.get("cache_read", rates["input"])
        + (write - hour) * write_rate
        + hour * rates.get("cache_write_1h", write_rate)
        + (output - thought) * rates["output"]
        + thought * rates.get("reasoning", rates["output"])
    ) / 1_000_000
    usd += price.get("request", Decimal(0))
    usd += quantity * sum(price.get(unit, Decimal(0)) for unit in EACH[1:])
    return int((usd * 1_000_000_000).quantize(Decimal(1), ROUND_HALF_UP))


def test_ten_thousand_random_prices_equal_a_decimal_reference() -> None:
    dice = random.Random(11)
    meters = ("cache_read", "cache_write", "cache_write_1h", "reasoning")
    for _ in range(10_000):
        usd = {"input": dice_price(dice), "output": dice_price(dice)}
        usd |= {meter: dice_price(dice) for meter in meters if dice.random() < 0.5}
        usd |= {unit: dice_price(dice).scaleb(-6) for unit in EACH if dice.random() < 0.3}
        dearer = {meter: dice_price(dice) for meter in ("input", "output", *meters) if dice.random() < 0.5}
        threshold = dice.randrange(1, 2_000)
        total, output = dice.randrange(3_000), dice.randrange(3_000)
        read = dice.randrange(total + 1)
        write = dice.randrange(total - read + 1)
        usage = Usage(total, output, read, write, dice.randrange(write + 1), dice.randrange(output + 1))
        rates: dict[str, Any] = {meter: money.rate(amount) for meter, amount in usd.items() if meter not in EACH}
        rates |= {f"{unit}_pico": money.unit_rate(amount) for unit, amount in usd.items() if unit in EACH}
        price = Price(**rates, tiers=(Tier(threshold, **{m: money.rate(amount) for m, amount in dearer.items()}),))
        quantity = dice.randrange(500)
        assert money.cost(usage, price, quantity) == reference(usage, quantity, usd, threshold, dearer), (usage, price)


def dice_price(dice: random.Random) -> Decimal:
    return Decimal(dice.randrange(10 ** dice.randrange(1, 9))).scaleb(-6)


# ---- what providers tell ----


@pytest.mark.parametrize("told", [-1, 10**9 + 1, 10**30, True, "7", 1.0, float("nan"), [5]])
def test_numbers_that_can_not_be_are_not_believed(told: Any) -> None:
    assert money.believable(Usage(told, 1)) is None
    assert money.believable(Usage(1, 1, reasoning=told)) is None


def test_an_honest_zero_is_believed() -> None:
    assert money.believable(Usage(0, 0)) == Usage(0, 0)
