"""Which price counts, and how a row explains what it cost."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.control import charge
from otari.control.charge import Ticket
from otari.domain import money
from otari.domain.access import Principal
from otari.domain.catalog import Catalog
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, Outcome
from otari.domain.price import Price, Tier
from otari.store import ledger, prices, usage
from tests.control import house as ground
from tests.control.house import HOLD, NOON, OUTPUT, PROMPT, House, good, in_house
from tests.domain.test_money import prices as any_price
from tests.domain.test_money import usages
from tests.store.ground import hold_row, in_memory

DEAR = Price(9_000_000, 9_000_000, source="api")


def with_defaults(monkeypatch: pytest.MonkeyPatch, found: Price | None) -> None:
    """A house whose catalog has shipped prices."""
    plain: Callable[[], Catalog] = ground.catalog

    def catalog() -> Catalog:
        made = plain()
        return Catalog(made.providers.values(), made.aliases, None, lambda kind, model, at_ms: found)

    monkeypatch.setattr(ground, "catalog", catalog)


async def rates_of(house: House, principal: Principal, selector: str = "cloud:small") -> tuple[Price | None, str]:
    admission = await house.admit(principal, selector=selector)
    await house.control.settle(admission, good(admission))
    row = await house.db.read(lambda conn: usage.get_usage(conn, admission.request_id))
    return row.price, row.price_source


def test_a_price_that_is_set_counts_from_the_next_request_on(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        row = await house.control.prices.set("cloud:small", DEAR)
        assert (row.model_key, row.effective_at_ms, row.source) == ("cloud:small", NOON, "api")
        found, source = await rates_of(house, alice)
        assert found is not None
        assert (found.input, source) == (9_000_000, "api")
        await house.control.prices.set("cloud:small", Price(1, 1), effective_at_ms=NOON + 5)  # not yet
        assert (await rates_of(house, alice))[0] == found
        house.now[0] = NOON + 5
        assert (await rates_of(house, alice))[0] == Price(1, 1, source="api")
        assert await house.control.prices.remove("cloud:small", NOON + 5) == 1
        assert (await rates_of(house, alice))[0] == found
        assert await house.control.prices.remove("cloud:small") == 1
        with pytest.raises(OtariError) as caught:
            await house.admit(alice)
        assert caught.value.kind is Kind.UNPRICED
        assert await house.control.prices.remove("cloud:small") == 0

    in_house(tmp_path, scene)


def test_a_restart_does_not_bring_back_what_the_api_replaced(tmp_path: Path) -> None:
    configured: dict[str, tuple[Price, ...]] = {"cloud:small": (Price(5, 5),)}

    async def first(house: House) -> None:
        house.now[0] += 1
        await house.control.prices.set("cloud:small", DEAR)

    async def second(house: House) -> None:
        house.now[0] += 1
        found, source = await rates_of(house, await house.user())
        assert found is not None
        assert (found.input, source) == (9_000_000, "api")

    in_house(tmp_path, first, prices=configured)
    in_house(tmp_path, second, prices=configured)


def test_prices_that_others_wrote_can_be_taken_in(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.db.write(lambda conn: prices.set_price(conn, "cloud:small", DEAR, NOON, "api", NOON))
        await house.control.prices_changed("cloud:small")
        assert (await rates_of(house, await house.user()))[1] == "api"

    in_house(tmp_path, scene)


def test_a_shipped_price_counts_and_the_row_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_defaults(monkeypatch, Price(1_000_000, 2_000_000, 100_000, 1_250_000, source="default"))

    async def scene(house: House) -> None:
        alice = await house.user(cap_nano=10**9)
        admission = await house.admit(alice)
        assert await house.money() == (0, HOLD)
        await house.control.settle(admission, good(admission))
        (row,) = await house.rows()
        assert (row["price_source"], row["cost_nano"]) == ("default", 120_000)
        assert (await rates_of(house, alice, "local:small"))[1] == "none"
        await house.control.prices.set("cloud:small", DEAR)
        assert (await rates_of(house, alice))[1] == "api"

    in_house(tmp_path, scene)


def test_without_a_shipped_price_a_model_is_unpriced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_defaults(monkeypatch, None)

    async def scene(house: House) -> None:
        with pytest.raises(OtariError) as caught:
            await house.admit(await house.user())
        assert caught.value.kind is Kind.UNPRICED

    in_house(tmp_path, scene)


def test_a_long_prompt_is_held_and_charged_by_its_tier(tmp_path: Path) -> None:
    price = Price(1_000_000, 2_000_000, tiers=(Tier(PROMPT, input=3_000_000, output=4_000_000),))

    async def scene(house: House) -> None:
        alice = await house.user()
        admission = await house.admit(alice)
        assert await house.money() == (0, PROMPT * 3_000 + OUTPUT * 4_000)
        await house.control.settle(admission, good(admission, Usage(PROMPT, 10)))
        shorter = await house.admit(alice)
        await house.control.settle(shorter, good(shorter, Usage(PROMPT - 1, 10)))
        rows = await house.rows()
        assert [row["cost_nano"] for row in rows] == [PROMPT * 3_000 + 40_000, (PROMPT - 1) * 1_000 + 20_000]
        assert [row["rates"] for row in rows] == [
            '{"input":3000000,"output":4000000,"tier":100}',
            '{"input":1000000,"output":2000000}',
        ]

    in_house(tmp_path, scene, prices={"cloud:small": (price,)})


def test_what_is_counted_beside_tokens_is_charged_and_kept(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        await house.control.settle(admission, good(admission, Usage(), quantity=3))
        (row,) = await house.rows()
        assert (row["quantity"], row["cost_nano"], row["over_hold"]) == (3, 120_000_005, 1)

    price = Price(0, 0, image_pico=40_000_000_000, request_pico=5_000, unit="image")
    in_house(tmp_path, scene, prices={"cloud:small": (price,)})


@given(told=usages(), price=any_price(), quantity=st.integers(0, 100))
def test_the_lines_of_every_row_are_its_cost(told: Usage, price: Price, quantity: int) -> None:
    conn = in_memory()
    conn.execute("INSERT INTO users (user_id, created_at_ms, updated_at_ms) VALUES ('alice', 0, 0)")
    attempt = Attempt("cloud", "small", "live", "", None, ())
    held = hold_row("r")
    rates, source = charge.rates(price, 100)
    held = held._replace(rates=rates, price_source=source)
    outcome = Outcome(attempt, True, 200, told, "provider", quantity=quantity)
    ledger.hold(conn, held)
    ledger.settle(conn, held, charge.settlement(Ticket(held, (attempt,), (price,)), outcome, NOON + 1))
    row = usage.get_usage(conn, "r")
    conn.close()
    pico = sum(line.amount_pico for line in row.lines)
    assert row.cost_nano == (pico + 500) // 1_000 == money.cost(told, price, quantity)
