"""Batches with their providers when the time is wrong: cancelled too late, asked for too early, changed on the way."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest

from otari.control.batch_account import BatchAccount
from otari.dialects.anthropic_messages import AnthropicMessages
from otari.dialects.openai_chat import OpenAIChat
from otari.gateway.batches import runner, submitter, watch
from otari.upstreams.batches.openai import OpenAIBatches
from tests.flows.batches_client import Batches
from tests.flows.house import House, play
from tests.flows.test_provider_batches import (
    LINE_NANO,
    MODEL,
    PRICE,
    a_house,
    answered,
    begun,
    eager,
    everywhere,
    finish,
    money,
    request,
    selector,
)
from tests.vendors import VENDORS
from tests.vendors.openai import OpenAIVendor
from tests.vendors.vendor import Doc

__all__ = ["eager"]  # for every test here, too


def is_sent(house: House) -> bool:
    return house.query("SELECT 1 FROM batches WHERE remote_state = 'sent'") != []


@everywhere
def test_a_batch_that_is_cancelled_when_its_provider_is_done_with_it_has_its_results(
    tmp_path: Path, flavour: str
) -> None:
    """The provider refuses to cancel what has ended; what it has done is kept and paid all the same."""

    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            batches = Batches(house)
            batch_id = await begun(house, vendor)
            finish(vendor)
            await batches.ask("POST", f"/{batch_id}/cancel")
            batch = await batches.ended(batch_id)
            assert batch["status"] == "cancelled"
            assert batch["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
            assert len(await batches.lines(batch["output_file_id"])) == 3
            assert money(house) == (3 * LINE_NANO, 0)
            assert house.balanced()

    play(scene())


def test_a_cancel_goes_over_a_restart(tmp_path: Path) -> None:
    """The next run does not know that the provider was told; that refuses to hear it twice."""

    async def scene() -> None:
        async with OpenAIVendor() as vendor:
            async with a_house(tmp_path, vendor) as house:
                batch_id, key = await begun(house, vendor), house.key
                await Batches(house).ask("POST", f"/{batch_id}/cancel")
                await house.eventually(lambda: vendor.state_of("batch_1") == "cancelling")
            async with a_house(tmp_path, vendor, key) as house:
                await house.eventually(lambda: sum("cancel" in seen.path for seen in vendor.seen) == 2)
                finish(vendor, 1)
                vendor.jobs["batch_1"]["status"] = "cancelled"
                batch = await Batches(house).ended(batch_id)
                assert (batch["status"], batch["request_counts"]["completed"]) == ("cancelled", 1)
                assert money(house) == (LINE_NANO, 0)
                assert house.balanced()

    play(scene())


@pytest.mark.parametrize("now", [["two:m-9"], ["two:m-9", f"one:{MODEL}"], [f"one:{MODEL}-new"]])
def test_what_an_alias_stands_for_later_does_not_concern_a_batch_that_is_with_its_provider(
    tmp_path: Path, now: list[str]
) -> None:
    async def scene() -> None:
        async with OpenAIVendor() as one, OpenAIVendor() as two:
            providers: Doc = {
                name: {"type": "openai", "api_key": f"k-{name}", "api_base": vendor.base_url, "batches": True}
                for name, vendor in (("one", one), ("two", two))
            }
            config: Doc = {"providers": providers, "pricing": {f"one:{MODEL}": PRICE}}
            async with a_house(tmp_path, one, **config, aliases={"quick": [f"one:{MODEL}"]}) as house:
                sent = await Batches(house).send([request("a")], model="quick")
                await house.eventually(lambda: is_sent(house))
                key = house.key
            finish(one, 1)
            async with a_house(tmp_path, one, key, **config, aliases={"quick": now}) as house:
                batch = await Batches(house).ended(sent)
                assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", 1)
                _, row = house.rows()
                assert (row["provider"], row["model"], row["cost_nano"]) == ("one", MODEL, LINE_NANO)
                assert (money(house), two.seen) == ((LINE_NANO, 0), [])

    play(scene())


@everywhere
@pytest.mark.parametrize("place", [1, 2])  # where lines are written for the provider; where they are put together
def test_a_batch_waits_for_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavour: str, place: int
) -> None:
    """Nothing is sent, and nothing held, before there is some."""
    monkeypatch.setattr(runner, "_PAUSE_S", 0.05)
    real, opened, refused, full = tempfile.TemporaryFile, 0, 0, True

    def temporary(**named: Any) -> Any:
        nonlocal opened, refused
        opened += 1
        if full and opened % place == 0:
            refused += 1
            return Path("/dev/full").open("r+b")
        return real(**named)

    async def scene() -> None:
        nonlocal full
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
            sent = await Batches(house).send([request("a")], model=selector(vendor))
            await house.eventually(lambda: refused > 1)
            assert vendor.seen == []
            full = False
            await house.eventually(lambda: is_sent(house))
            finish(vendor, 1)
            assert (await Batches(house).ended(sent))["status"] == "completed"
            assert money(house) == (LINE_NANO, 0)
            assert house.balanced()

    play(scene())


def test_who_asks_while_results_are_collected_need_not_wait_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, goes_on, keeps = BatchAccount.keep, asyncio.Event(), asyncio.Event()

    async def keep(self: BatchAccount, *args: Any) -> None:
        keeps.set()
        await goes_on.wait()
        await real(self, *args)

    async def scene() -> None:
        async with OpenAIVendor() as vendor, a_house(tmp_path, vendor) as house:
            monkeypatch.setattr(BatchAccount, "keep", keep)
            batch_id = await begun(house, vendor)
            finish(vendor)
            first = asyncio.ensure_future(Batches(house).get(batch_id))
            await keeps.wait()
            async with asyncio.timeout(watch.ASKED_S / 2):
                assert (await Batches(house).get(batch_id))["status"] == "in_progress"
            goes_on.set()
            assert (await first)["status"] == "completed"

    play(scene())


def test_what_comes_through_late_is_not_sent_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash the provider knows nothing of the batch, and a moment later it does."""
    monkeypatch.setattr(submitter, "LATE_S", 1.0)
    real, made, hangs = OpenAIBatches.create, [], asyncio.Event()

    async def create(*args: Any) -> Any:
        made.append(args)
        hangs.set()
        await asyncio.Event().wait()

    async def scene() -> None:
        async with OpenAIVendor() as vendor:
            async with a_house(tmp_path, vendor) as house:
                with monkeypatch.context() as patch:
                    patch.setattr(OpenAIBatches, "create", create)
                    sent = await Batches(house).send([request("a")], model=selector(vendor))
                    await hangs.wait()
                await real(*made[0])
                key, (job,) = house.key, vendor.jobs.items()
            vendor.jobs.clear()
            async with a_house(tmp_path, vendor, key) as house:
                await house.eventually(lambda: any(seen.path.startswith("/v1/batches?") for seen in vendor.seen))
                vendor.jobs[job[0]] = job[1]
                await house.eventually(lambda: is_sent(house))
                finish(vendor, 1)
                assert (await Batches(house).ended(sent))["status"] == "completed"
                assert (len(vendor.jobs), money(house)) == (1, (LINE_NANO, 0))

    play(scene())


def test_a_batch_that_its_provider_denies_for_a_moment_is_not_lost(tmp_path: Path) -> None:
    """A wrong key or address, which the next run has right."""

    async def scene() -> None:
        async with OpenAIVendor() as vendor:
            async with a_house(tmp_path, vendor) as house:
                batch_id, key = await begun(house, vendor), house.key
                held = money(house)
            jobs = dict(vendor.jobs)
            vendor.jobs.clear()
            async with a_house(tmp_path, vendor, key) as house:
                for _ in range(2):
                    assert (await Batches(house).get(batch_id))["status"] == "in_progress"
                assert money(house) == held
            vendor.jobs.update(jobs)
            finish(vendor)
            async with a_house(tmp_path, vendor, key) as house:
                assert (await Batches(house).ended(batch_id))["status"] == "completed"
                assert money(house) == (3 * LINE_NANO, 0)

    play(scene())


@everywhere
def test_no_key_that_a_provider_repeats_is_told_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, flavour: str
) -> None:
    """Neither in a refusal of the batch, nor of a line, nor in any file, log or table."""
    secret, words = "sk-vendor-0123456789", "Incorrect API key provided: sk-vendor-0123456789"

    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            batches = Batches(house)
            batch_id = await begun(house, vendor)
            job = next(iter(vendor.jobs))
            vendor.end(job, vendor.done, [vendor.bad(str(n), status, words) for n, status in ((1, 400), (2, 401))])
            told = [await batches.ended(batch_id), await batches.results(batch_id)]
            vendor.refusal = (400, {"error": {"type": "invalid_request_error", "message": words, "code": 400}})
            sent = await batches.send([request("a")], model=selector(vendor))
            refused = await batches.ended(sent)
            assert refused["status"] == "failed"
            ledger = [house.query(f"SELECT * FROM {table}") for table in ("batches", "usage")]
            assert secret not in repr((told, refused, ledger)) + caplog.text

    play(scene())
    files = [each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()]
    assert files
    assert not any(secret.encode() in each for each in files)


@pytest.mark.parametrize(
    ("dialect", "half", "word"),
    [(AnthropicMessages, "write_request", "say 1"), (OpenAIChat, "write_reply", "said 2")],
)
def test_a_line_at_which_we_fail_ourselves_stops_no_other_and_keeps_no_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: type, half: str, word: str
) -> None:
    """Before it is sent it costs nothing; once it is answered it costs what its answer tells."""
    real = getattr(dialect, half)

    def odd(self: object, doc: object, *args: Any, **named: Any) -> Any:
        if word in repr(doc):
            raise TypeError("unhashable type")
        return real(self, doc, *args, **named)

    async def scene() -> None:
        async with VENDORS["anthropic"]() as vendor, a_house(tmp_path, vendor) as house:
            monkeypatch.setattr(dialect, half, odd)
            batch_id = await begun(house, vendor)
            paid = [int(name) for name in vendor.asked["msgbatch_1"]]
            vendor.end("msgbatch_1", "ended", [vendor.good(str(n), answered("anthropic", f"said {n}")) for n in paid])
            batch = await Batches(house).ended(batch_id)
            assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
            results = await Batches(house).results(batch_id)
            assert results["r1"]["error"]["message"].startswith("Internal error. The log has it under")
            assert money(house) == (len(paid) * LINE_NANO, 0)
            assert house.balanced()

    play(scene())
