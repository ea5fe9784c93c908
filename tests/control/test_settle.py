"""Settlement: what is charged, exactly once, whatever happens to the caller, the disk or the process."""

import asyncio
from pathlib import Path

import pytest

from otari.control import charge
from otari.control.local import Rules
from otari.domain.access import Principal
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.money import MAX_NANO_USD
from otari.domain.ports import Admission, Attempt, FailedAttempt, Outcome
from otari.domain.price import Price
from otari.store import keys, prices
from otari.store.recovery import OnCrash
from tests.control.house import COST, HOLD, NOON, House, good, in_house


def failure(admission: Admission, usage: Usage | None = None, source: str = "none") -> Outcome:
    """The first attempt failed."""
    told = usage or Usage()
    return Outcome(admission.attempts[0], False, 502, told, source, "it broke")  # type: ignore[arg-type]


def test_the_truth_is_charged(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        outcome = good(admission, Usage(80, 20, cache_read=30), first_byte_s=0.25, flags=("a", "b", "a"))
        await house.control.settle(admission, outcome)
        (row,) = await house.rows()
        cost = 50 * 1_000 + 30 * 100 + 20 * 2_000
        assert await house.money() == (cost, 0)
        told = ("state", "status", "http_status", "cost_nano", "usage_source", "flags", "error", "over_hold")
        assert [row[name] for name in told] == ["settled", "success", 200, cost, "provider", "a,b", None, 0]
        tokens = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
        assert [row[name] for name in tokens] == [80, 20, 30, None, None]
        assert (row["first_byte_ms"], row["total_ms"]) == (250, 500)

    in_house(tmp_path, scene)


def test_a_second_settlement_is_reported_and_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        await house.control.settle(admission, good(admission))
        await house.control.settle(admission, good(admission, Usage(1_000, 1_000)))
        assert await house.money() == (COST, 0)
        assert admission.request_id in caplog.text

    in_house(tmp_path, scene)
    assert "settled a second time" in caplog.text


def test_a_failure_without_usage_is_released(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        await house.control.settle(admission, failure(admission))
        (row,) = await house.rows()
        assert (row["state"], row["status"], row["cost_nano"], row["error"]) == ("released", "error", 0, "it broke")
        assert await house.money() == (0, 0)

    in_house(tmp_path, scene)


def test_a_request_that_tried_nothing_is_released(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        await house.control.settle(admission, Outcome(None, False, 499, Usage(), "none"))
        assert [row["state"] for row in await house.rows()] == ["released"]
        assert await house.money() == (0, 0)

    in_house(tmp_path, scene)


def test_a_failure_in_the_middle_is_charged_for_what_came(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        await house.control.settle(admission, failure(admission, Usage(80, 20), "estimated"))
        (row,) = await house.rows()
        assert (row["state"], row["status"], row["cost_nano"]) == ("settled", "error", COST)
        assert await house.money() == (COST, 0)

    in_house(tmp_path, scene)


def test_a_cost_above_the_hold_is_charged_and_flagged(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user(cap_nano=2 * HOLD)
        admission = await house.admit(alice)
        await house.control.settle(admission, good(admission, Usage(1_000, 1_000)))
        (row,) = await house.rows()
        assert (row["over_hold"], row["cost_nano"]) == (1, 3_000_000)
        assert await house.money() == (3_000_000, 0)
        with pytest.raises(OtariError) as caught:
            await house.admit(alice)
        assert caught.value.kind is Kind.BUDGET

    in_house(tmp_path, scene)


def test_numbers_that_can_not_be_believed_never_make_a_request_free(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        await house.control.settle(admission, good(admission, Usage(-5, 10**12)))
        (row,) = await house.rows()
        assert (row["cost_nano"], row["flags"]) == (HOLD, "usage_invalid,estimated")
        assert await house.money() == (HOLD, 0)

    in_house(tmp_path, scene)


def test_an_absurd_cost_still_lands(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user(), prompt_tokens=1, output_tokens=1)
        await house.control.settle(admission, good(admission, Usage(10**9, 10**9)))
        assert await house.money() == (MAX_NANO_USD, 0)

    in_house(tmp_path, scene, prices={"cloud:small": (Price(10**15, 10**15),)})


def test_the_price_at_admission_counts(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        house.control._catalog.set_prices("cloud:small", (Price(9_000_000, 9_000_000),))
        await house.control.settle(admission, good(admission))
        assert await house.money() == (COST, 0)

    in_house(tmp_path, scene)


def test_the_attempt_that_answered_is_charged_and_the_others_are_kept(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user(), selector="best")
        first, second = admission.attempts
        failed = (FailedAttempt(first, "overloaded \ud800", 503, 0.1),)
        await house.control.settle(admission, good(admission, attempt=second, failed=failed))
        absorbed, last = sorted(await house.rows(), key=lambda row: int(row["attempt_position"]))
        assert (last["id"], last["provider"], last["model"]) == (admission.request_id, "far", "large")
        assert (last["cost_nano"], last["attempt_position"]) == (80 * 3_000 + 20 * 9_000, 2)
        assert (absorbed["id"], absorbed["status"]) == (f"{admission.request_id}.1", "absorbed")
        assert (absorbed["provider"], absorbed["http_status"], absorbed["error"]) == ("cloud", 503, "overloaded ?")
        assert await house.money() == (last["cost_nano"], 0)

    in_house(tmp_path, scene)


def test_an_attempt_of_nobody_is_a_mistake(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())
        assert isinstance(admission.ticket, charge.Ticket)
        with pytest.raises(ValueError, match="far:other was not among the attempts"):
            admission.ticket.price_of(Attempt("far", "other", "live", "", None, ()))

    in_house(tmp_path, scene)


def test_a_settlement_is_not_lost_when_its_caller_is_cancelled_twice(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        admission = await house.admit(await house.user())

        async def end() -> None:
            await house.control.settle(admission, good(admission))

        task = asyncio.create_task(end())
        await asyncio.sleep(0)
        task.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await house.db.write(lambda _: None)
        assert await house.money() == (COST, 0)

    in_house(tmp_path, scene)


def test_the_time_of_last_use_comes_with_the_settlement(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        key_id = alice.key_id
        assert key_id is not None
        for seconds in (0, 299, 301):
            house.now[0] = NOON + seconds * 1_000
            admission = await house.admit(alice)
            await house.control.settle(admission, good(admission))
            key = await house.db.read(lambda conn: keys.find_key(conn, key_id))
            assert key is not None
            assert key.last_used_at_ms == NOON + (301_000 if seconds == 301 else 0)

    in_house(tmp_path, scene)


def test_on_a_full_disk_nothing_is_admitted_and_answers_are_not_held_up(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        alice = await house.user()
        admissions = [await house.admit(alice) for _ in range(40)]
        await house.db.write(lambda conn: conn.execute("PRAGMA max_page_count = 1").fetchone())
        for admission in admissions:
            outcome = good(admission, error="x" * 2_000)
            await asyncio.wait_for(house.control.settle(admission, outcome), 5)
        unready = (await house.control.health()).problem
        with pytest.raises(OtariError) as refused:
            await _admit_until_refused(house, alice)
        assert unready is not None
        assert unready.kind is refused.value.kind is Kind.UNAVAILABLE
        assert unready.code == refused.value.code == "ledger_unavailable"
        await house.db.write(lambda conn: conn.execute("PRAGMA max_page_count = 1000000").fetchone())
        await house.db.write(lambda _: None)
        assert await house.control.health() == ({"database": "connected"}, None)
        spend, _ = await house.money()
        assert spend == 40 * COST
        settled = {row["id"] for row in await house.rows() if row["state"] == "settled"}
        assert {admission.request_id for admission in admissions} == settled

    in_house(tmp_path, scene)


async def _admit_until_refused(house: House, alice: Principal) -> None:
    for _ in range(100):
        await house.admit(alice, selector="local:" + "m" * 500)


@pytest.mark.parametrize(("on_crash", "cost"), [("hold", HOLD), ("prompt_only", 125_000), ("release", 0)])
def test_a_start_recovers_what_the_last_process_left(tmp_path: Path, on_crash: OnCrash, cost: int) -> None:
    async def first(house: House) -> None:
        alice = await house.user()
        admission = await house.admit(alice)
        await house.control.settle(admission, good(admission))
        await house.admit(alice)
        await house.admit(alice)

    async def second(house: House) -> None:
        assert house.first.recovery == (2, 2 * cost)
        assert await house.money() == (COST + 2 * cost, 0)
        assert [row["state"] for row in await house.rows()] == ["settled", "recovered", "recovered"]

    in_house(tmp_path, first)
    in_house(tmp_path, second, Rules(on_crash=on_crash))


def test_prices_of_the_database_are_laid_over_the_catalog(tmp_path: Path) -> None:
    async def first(house: House) -> None:
        price = Price(7_000_000, 7_000_000, source="api", effective_at=NOON)
        await house.db.write(lambda conn: prices.set_price(conn, "cloud:small", price, NOON, "api", NOON))

    async def second(house: House) -> None:
        await house.admit(await house.user())
        (row,) = await house.rows()
        assert (row["rates"], row["price_source"]) == ('{"input":7000000,"output":7000000}', "api")

    in_house(tmp_path, first)
    in_house(tmp_path, second)
