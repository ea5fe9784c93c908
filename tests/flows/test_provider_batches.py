"""Batches that a provider carries out itself: the whole gateway over a vendor's API, money to the nano, and kills."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from otari.app import wall_ms
from otari.control.batch_account import BatchAccount
from otari.domain.errors import Kind, OtariError
from otari.domain.redaction import Redactor
from otari.gateway.batches import collector, remote, runner, submitter, watch
from otari.store.batch_shelf import BatchShelf
from otari.upstreams.batches import batch_upstreams
from otari.upstreams.batches.api import BatchApi
from otari.upstreams.live import LiveUpstream
from tests.flows.batches_client import Batches, jsonl, line, script
from tests.flows.house import MASTER, House, play
from tests.vendors import VENDORS
from tests.vendors.vendor import Doc, Vendor

MODEL = "m-1"
PRICE = {"input_price_per_million": 2, "output_price_per_million": 8}
IN, OUT = 1_000, 100  # tokens that every line takes: 1,000 × 1 + 100 × 4 USD per million, since a batch is half price
LINE_NANO = 1_400_000
FLAVOURS = tuple(VENDORS)
everywhere = pytest.mark.parametrize("flavour", FLAVOURS)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question looks, and what went wrong is tried again soon."""
    monkeypatch.setattr(watch, "LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(watch, "LOOK_FIRST_S", 0.05)
    monkeypatch.setattr(submitter, "LATE_S", 0.05)


@asynccontextmanager
async def a_house(folder: Path, vendor: Vendor, key: str = "", **config: Any) -> AsyncIterator[House]:
    """A gateway over the vendor; `key` is that of an earlier run."""
    provider = {"api_key": "sk-vendor-0123456789", "api_base": vendor.base_url, "batches": True}
    settings = {"providers": {vendor.flavour: provider}, "pricing": {f"{vendor.flavour}:{MODEL}": PRICE}}
    async with House(folder, None, **{**settings, "shutdown_timeout_s": 0.1, **config}) as house:
        house.key = key or house.key
        yield house


def answered(flavour: str, text: str) -> Doc:
    """A whole answer in the vendor's dialect."""
    match flavour:
        case "anthropic":
            return {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": MODEL,
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": IN, "output_tokens": OUT},
            }
        case "gemini":
            return {
                "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": IN, "candidatesTokenCount": OUT, "totalTokenCount": IN + OUT},
            }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": IN, "completion_tokens": OUT, "total_tokens": IN + OUT},
    }


def request(text: str) -> Doc:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 500}


def selector(vendor: Vendor) -> str:
    return f"{vendor.flavour}:{MODEL}"


async def begun(house: House, vendor: Vendor, many: int = 3) -> str:
    """A batch that is with its vendor; its id."""
    sent = await Batches(house).send([request(f"say {number}") for number in range(many)], model=selector(vendor))
    assert sent.status == 200, sent.body
    await house.eventually(lambda: _sent(house))
    return str(sent.json["id"])


def _sent(house: House) -> bool:
    return [row["remote_state"] for row in house.query("SELECT remote_state FROM batches")] == ["sent"]


def finish(vendor: Vendor, many: int = 3, bad: int = 0) -> None:
    """Let the vendor's last job end, its last `bad` lines refused."""
    job = next(reversed(vendor.jobs))
    good = [vendor.good(str(n), answered(vendor.flavour, f"said {n}")) for n in range(many - bad, 0, -1)]
    vendor.end(job, vendor.done, good, [vendor.bad(str(n), 400, "no") for n in range(many - bad + 1, many + 1)])


def money(house: House) -> tuple[int, int]:
    """What the one user has spent, and what is held."""
    (user,) = house.query("SELECT spend_nano, reserved_nano FROM users WHERE spend_nano + reserved_nano > 0") or [
        {"spend_nano": 0, "reserved_nano": 0}
    ]
    return user["spend_nano"], user["reserved_nano"]


@everywhere
def test_a_batch_is_carried_out_by_its_provider_at_half_the_price(tmp_path: Path, flavour: str) -> None:
    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            batch_id = await begun(house, vendor)
            (row,) = house.rows()
            assert (row["id"], row["state"], row["endpoint"]) == (batch_id, "open", "/v1/batches")
            assert money(house) == (0, row["hold_nano"])
            assert row["hold_nano"] >= 3 * 500 * 4_000  # what all lines may write, at the price of a batch
            batch = await Batches(house).get(batch_id)
            assert batch["status"] == "in_progress"
            assert batch["request_counts"] == {"total": 3, "completed": 0, "failed": 0}
            finish(vendor, bad=1)
            batch = await Batches(house).get(batch_id)  # whoever asks sees the end
            assert batch["status"] == "completed"
            assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
            results = await Batches(house).results(batch_id)
            texts = [results[name]["result"]["choices"][0]["message"]["content"] for name in ("r0", "r1")]
            assert texts == ["said 1", "said 2"]
            assert results["r2"]["error"]["message"] == f"Provider '{flavour}' says: no"
            _, *lines = house.rows()
            assert [(row["id"], row["status"], row["cost_nano"]) for row in lines] == [
                (f"{batch_id}.1", "success", LINE_NANO),
                (f"{batch_id}.2", "success", LINE_NANO),
                (f"{batch_id}.3", "error", 0),
            ]
            assert {row["flags"] for row in lines} == {"batch"}
            assert [(row["input_tokens"], row["output_tokens"]) for row in lines][:2] == [(IN, OUT)] * 2
            assert money(house) == (2 * LINE_NANO, 0)
            assert house.balanced()
            assert len(vendor.jobs) == 1

    play(scene())


@everywhere
def test_clients_of_every_endpoint_are_served_by_every_provider(tmp_path: Path, flavour: str) -> None:
    """Translated both ways, hours apart; tools keep the names that the client gave them."""

    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            batches = Batches(house)
            model = selector(vendor)
            asked: dict[str, Doc] = {
                "/v1/chat/completions": {"model": model, **request("hi")},
                "/v1/messages": {"model": model, **request("hi")},
                "/v1/responses": {"model": model, "input": "hi", "max_output_tokens": 500},
            }
            for endpoint, body in asked.items():
                sent = await batches.send_file(jsonl([line("a", body, endpoint)]), endpoint)
                await house.eventually(lambda: house.query("SELECT 1 FROM batches WHERE remote_state = 'sent'") != [])
                finish(vendor, 1)
                batch = await batches.ended(sent)
                told = (await batches.lines(batch["output_file_id"]))["a"]["response"]["body"]
                assert "said 1" in str(told), endpoint
                assert batch["usage"]["input_tokens"] == IN
            assert money(house) == (3 * LINE_NANO, 0)
            assert house.balanced()

    play(scene())


@everywhere
def test_a_batch_beyond_the_budget_fails_before_anything_is_sent(tmp_path: Path, flavour: str) -> None:
    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            admin = {"Authorization": f"Bearer {MASTER}"}
            budget = (await house.post({"max_budget": 0.001}, path="/v1/budgets", headers=admin)).json["budget_id"]
            await house.post({"user_id": "ann", "budget_id": budget}, path="/v1/users", headers=admin)
            key = (await house.post({"user_id": "ann"}, path="/v1/keys", headers=admin)).json["key"]
            batches = Batches(house)
            content = jsonl([line(f"r{n}", {"model": selector(vendor), **request("hi")}) for n in range(3)])
            batch = await batches.ended(await batches.send_file(content, key=key), key=key)
            assert batch["status"] == "failed"
            assert batch["errors"]["data"][0]["code"] == "insufficient_quota"
            assert vendor.seen == []
            assert house.rows() == []
            assert house.balanced()

    play(scene())


def test_a_line_that_can_not_be_sent_fails_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor, a_house(tmp_path, vendor) as house:
            batches = Batches(house)
            bodies = [request("a"), {"messages": "nonsense"}, {**request("b"), "stream": True}, request("c")]
            sent = await batches.send(bodies, model=selector(vendor))
            await house.eventually(lambda: _sent(house))
            (asked,) = vendor.asked.values()
            assert list(asked) == ["1", "4"]
            vendor.end("batch_1", "completed", [vendor.good(n, answered("openai", f"said {n}")) for n in ("4", "1")])
            batch = await batches.ended(sent)
            assert batch["request_counts"] == {"total": 4, "completed": 2, "failed": 2}
            results = await batches.results(batch["id"])
            assert [results[f"r{n}"]["error"] is None for n in range(4)] == [True, False, False, True]
            assert results["r2"]["error"]["message"].startswith("A request of a batch is not streamed")
            assert money(house) == (2 * LINE_NANO, 0)

    play(scene())


def test_a_batch_whose_lines_are_all_wrong_is_not_sent(tmp_path: Path) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor, a_house(tmp_path, vendor) as house:
            batches = Batches(house)
            batch = await batches.ended(await batches.send([{"messages": 1}, {"messages": 2}], model=selector(vendor)))
            assert (batch["status"], batch["request_counts"]["failed"]) == ("completed", 2)
            assert vendor.seen == []

    play(scene())


@pytest.mark.parametrize("flavour", ["openai", "mistral", "gemini"])
def test_a_batch_that_its_provider_refuses_as_a_whole_costs_nothing(tmp_path: Path, flavour: str) -> None:
    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            batch_id = await begun(house, vendor)
            word = {"openai": "failed", "mistral": "FAILED", "gemini": "BATCH_STATE_FAILED"}[flavour]
            vendor.end(next(iter(vendor.jobs)), word, [], words="the model is not for batches")
            batch = await Batches(house).ended(batch_id)
            assert batch["status"] == "failed"
            assert "the model is not for batches" in batch["errors"]["data"][0]["message"]
            errors = await Batches(house).lines(batch["error_file_id"])
            assert {each["error"]["code"] for each in errors.values()} == {"batch_failed"}
            assert money(house) == (0, 0)
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize("flavour", ["openai", "anthropic", "mistral"])
def test_a_cancelled_batch_keeps_and_pays_what_was_done(tmp_path: Path, flavour: str) -> None:
    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            batches = Batches(house)
            batch_id = await begun(house, vendor)
            assert (await batches.ask("POST", f"/{batch_id}/cancel")).json["status"] == "cancelling"
            await house.eventually(lambda: any("cancel" in seen.path for seen in vendor.seen))
            word = {"openai": "cancelled", "anthropic": "ended", "mistral": "CANCELLED"}[flavour]
            rest = [vendor.cancelled(name) for name in ("1", "3")] if flavour == "anthropic" else []
            vendor.end(next(iter(vendor.jobs)), word, [vendor.good("2", answered(flavour, "said 2")), *rest])
            batch = await batches.ended(batch_id)
            assert (batch["status"], batch["request_counts"]["completed"]) == ("cancelled", 1)
            assert list(await batches.lines(batch["output_file_id"])) == ["r1"]
            errors = await batches.lines(batch["error_file_id"])
            assert {name: each["error"]["code"] for name, each in errors.items()} == dict.fromkeys(
                ("r0", "r2"), "batch_cancelled"
            )
            assert money(house) == (LINE_NANO, 0)
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize("flavour", ["openai", "anthropic", "mistral"])
def test_a_batch_ends_with_its_user_and_what_was_done_is_paid(tmp_path: Path, flavour: str) -> None:
    """The cancel goes to the provider; its results are charged, and no files are left for nobody."""

    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            await begun(house, vendor)
            (user,) = {row["user_id"] for row in house.query("SELECT user_id FROM batches")}
            gone = await house.request("DELETE", f"/v1/users/{user}", {"Authorization": f"Bearer {MASTER}"})
            assert gone.status in (200, 204)
            await house.eventually(lambda: any("cancel" in seen.path for seen in vendor.seen))
            word = {"openai": "cancelled", "anthropic": "ended", "mistral": "CANCELLED"}[flavour]
            rest = [vendor.cancelled(name) for name in ("1", "3")] if flavour == "anthropic" else []
            vendor.end(next(iter(vendor.jobs)), word, [vendor.good("2", answered(flavour, "said 2")), *rest])
            await house.eventually(lambda: house.query("SELECT state FROM batches")[0]["state"] == "cancelled")
            (batch,) = house.query("SELECT completed, output_file_id, error_file_id FROM batches")
            assert (batch["completed"], batch["output_file_id"], batch["error_file_id"]) == (1, None, None)
            assert house.query("SELECT * FROM files") == []
            assert money(house) == (LINE_NANO, 0)
            assert house.balanced()

    play(scene())


def test_a_cancel_that_ends_a_batch_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with VENDORS["gemini"]() as vendor, a_house(tmp_path, vendor) as house:
            batches = Batches(house)
            batch_id = await begun(house, vendor)
            await batches.ask("POST", f"/{batch_id}/cancel")
            batch = await batches.ended(batch_id)
            assert (batch["status"], batch["request_counts"]["completed"]) == ("cancelled", 0)
            assert len(await batches.lines(batch["error_file_id"])) == 3
            assert (money(house), house.balanced()) == ((0, 0), True)

    play(scene())


def test_a_provider_that_is_busy_is_asked_again_and_nothing_is_held_meanwhile(tmp_path: Path) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor, a_house(tmp_path, vendor) as house:
            vendor.refusal = (429, {"error": {"message": "slow down"}})
            batches = Batches(house)
            sent = await batches.send([request("a")], model=selector(vendor))
            await house.eventually(lambda: len(vendor.seen) >= 2)
            vendor.refusal = None
            await house.eventually(lambda: _sent(house))
            finish(vendor, 1)
            assert (await batches.ended(sent))["status"] == "completed"
            assert money(house) == (LINE_NANO, 0)
            assert len(vendor.jobs) == 1

    play(scene())


@pytest.mark.parametrize(
    ("flavour", "came_through"),
    [*((flavour, False) for flavour in FLAVOURS), ("openai", True), ("mistral", True), ("gemini", True)],
)  # Anthropic can not be asked what has come through
def test_a_failure_of_the_provider_is_no_reason_to_send_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavour: str, came_through: bool
) -> None:
    """It answers with 500 when the batch is made, which may have been done all the same."""
    kind = type(batch_upstreams(LiveUpstream({}, Redactor(), "1"))[flavour])
    real, failed = kind.create, False

    async def create(*args: Any) -> Any:
        nonlocal failed
        if failed:
            return await real(*args)
        failed = True
        if came_through:
            await real(*args)
        raise OtariError(Kind.UPSTREAM, "broken", code="upstream_error", retryable=True, upstream_status=500)

    async def scene() -> None:
        async with VENDORS[flavour]() as vendor, a_house(tmp_path, vendor) as house:
            monkeypatch.setattr(kind, "create", create)
            sent = await Batches(house).send([request("a")], model=selector(vendor))
            await house.eventually(lambda: _sent(house))
            finish(vendor, 1)
            assert (await Batches(house).ended(sent))["status"] == "completed"
            assert money(house) == (LINE_NANO, 0)
            assert len(vendor.jobs) == 1

    play(scene())


@pytest.mark.parametrize("status", [400, 401, 404, 413])
def test_a_provider_that_will_not_have_the_batch_ends_it(tmp_path: Path, status: int) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor, a_house(tmp_path, vendor) as house:
            vendor.refusal = (status, {"error": {"message": "no"}})
            batches = Batches(house)
            batch = await batches.ended(await batches.send([request("a")], model=selector(vendor)))
            assert batch["status"] == "failed"
            assert batch["errors"]["data"][0]["message"]
            assert house.rows() == []
            assert house.balanced()

    play(scene())


def test_results_that_break_off_are_read_again_and_charged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor, a_house(tmp_path, vendor) as house:
            batch_id = await begun(house, vendor, 40)
            vendor.cut_at = 9_000
            finish(vendor, 40)
            asked = asyncio.ensure_future(Batches(house).get(batch_id))
            await house.eventually(lambda: sum("content" in seen.path for seen in vendor.seen) >= 2)
            vendor.cut_at = None
            await asked
            batch = await Batches(house).ended(batch_id)
            assert batch["request_counts"] == {"total": 40, "completed": 40, "failed": 0}
            assert money(house) == (40 * LINE_NANO, 0)
            assert house.balanced()

    play(scene())


def test_a_batch_for_several_models_or_an_address_of_ones_own_is_carried_out_here(tmp_path: Path) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor:
            stub = script(tmp_path, {"reply": "from the stub"})
            openai = {"api_key": "k", "api_base": vendor.base_url}
            providers: Doc = {
                "openai": {**openai, "batches": True},
                "proxy": {"type": "openai", **openai},
                "stub": stub,
            }
            aliases = {"chain": ["stub:script", f"openai:{MODEL}"]}
            async with a_house(tmp_path, vendor, providers=providers, aliases=aliases) as house:
                batches = Batches(house)
                batch = await batches.ended(await batches.send(["a"], model="chain"))
                assert batch["request_counts"]["completed"] == 1
                await batches.send(["a"], model=f"proxy:{MODEL}")
                await house.eventually(lambda: any(seen.path == "/v1/chat/completions" for seen in vendor.seen))
                assert not any("batches" in seen.path or "files" in seen.path for seen in vendor.seen)

    play(scene())


# ---- kills ----------------------------------------------------------------------------------------------------------


def hang_at(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, after: int = 0) -> Callable[[], bool]:
    """Let a method hang for ever when it was called so often, as if the process had died in it; whether one does."""
    real, calls = getattr(kind, method), 0

    async def hanging(self: object, *args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            await asyncio.Event().wait()
        return await real(self, *args, **more)

    monkeypatch.setattr(kind, method, hanging)
    return lambda: calls > after


async def killed(
    folder: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, after: int, many: int
) -> tuple[str, str]:
    """A run that ends in this place; the batch's id, and its owner's key."""
    with monkeypatch.context() as patch:
        hangs = hang_at(patch, kind, method, after)
        async with a_house(folder, vendor) as house:
            sent = await Batches(house).send([request(f"say {n}") for n in range(many)], model=selector(vendor))
            if not hangs():
                await house.eventually(lambda: hangs() or _sent(house))
            if not hangs():
                finish(vendor, many)
                asked = asyncio.ensure_future(Batches(house).get(sent.json["id"]))
                await house.eventually(hangs)
                asked.cancel()
            return str(sent.json["id"]), house.key


@pytest.mark.parametrize("flavour", ["openai", "mistral", "gemini"])
@pytest.mark.parametrize(
    ("kind", "method", "after", "held"),
    [
        (BatchApi, "post", 0, True),  # before anything has come through
        (BatchAccount, "sent", 0, True),  # the provider has it, and we do not know
        (BatchAccount, "keep", 0, True),  # before the first results are kept
        (BatchAccount, "keep", 2, True),  # between some and others
        (BatchAccount, "close", 0, True),  # all results are here
        (BatchShelf, "finish", 0, False),  # its files are not written
    ],
)
def test_a_batch_survives_a_kill_anywhere_and_is_paid_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flavour: str,
    kind: type,
    method: str,
    after: int,
    held: bool,
) -> None:
    monkeypatch.setattr(collector, "AT_ONCE", 2)
    many = 7

    async def scene() -> None:
        async with VENDORS[flavour]() as vendor:
            batch_id, key = await killed(tmp_path, vendor, monkeypatch, kind, method, after, many)
            async with a_house(tmp_path, vendor, key) as house:
                spent, reserved = money(house)
                if held:
                    assert reserved >= many * 500 * 4_000
                    assert {row["state"] for row in house.rows()} <= {"open", "settled"}
                await house.eventually(lambda: bool(vendor.jobs))
                if not any(vendor.state_of(job) == vendor.done for job in vendor.jobs):
                    await house.eventually(lambda: _sent(house))
                    finish(vendor, many)
                batch = await Batches(house).ended(batch_id)
                assert batch["status"] == "completed"
                assert batch["request_counts"] == {"total": many, "completed": many, "failed": 0}
                assert len(await Batches(house).lines(batch["output_file_id"])) == many
                assert money(house) == (many * LINE_NANO, 0)
                assert spent <= many * LINE_NANO
                rows = [row for row in house.rows() if row["state"] == "settled"]
                assert sorted(row["id"] for row in rows) == [f"{batch_id}.{n}" for n in range(1, many + 1)]
                assert house.balanced()
                assert len(vendor.jobs) == 1

    play(scene())


def test_where_nobody_can_tell_whether_it_was_sent_the_batch_fails_openly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with VENDORS["anthropic"]() as vendor:
            batch_id, key = await killed(tmp_path, vendor, monkeypatch, BatchAccount, "sent", 0, 2)
            assert len(vendor.jobs) == 1
            async with a_house(tmp_path, vendor, key) as house:
                batch = await Batches(house).ended(batch_id)
                assert batch["status"] == "failed"
                assert batch["errors"]["data"][0]["code"] == "batch_unknown"
                (row,) = house.rows()
                assert (row["state"], row["status"]) == ("settled", "error")
                assert row["cost_nano"] == row["hold_nano"]  # as `on_crash: hold` has it
                assert row["flags"] == "batch,estimated"
                assert house.balanced()
                assert len(vendor.jobs) == 1

    play(scene())


def test_a_batch_that_waits_is_looked_at_again_by_the_next_run(tmp_path: Path) -> None:
    async def scene() -> None:
        async with VENDORS["anthropic"]() as vendor:
            async with a_house(tmp_path, vendor) as house:
                batch_id = await begun(house, vendor)
                held, key = money(house), house.key
            finish(vendor)
            async with a_house(tmp_path, vendor, key) as house:
                assert held[1] > 0
                batch = await Batches(house).ended(batch_id)
                assert batch["request_counts"]["completed"] == 3
                assert money(house) == (3 * LINE_NANO, 0)
                assert house.balanced()

    play(scene())


def test_what_the_provider_counts_is_told_while_it_works(tmp_path: Path) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor, a_house(tmp_path, vendor) as house:
            batch_id = await begun(house, vendor)
            (job,) = vendor.jobs.values()
            job["request_counts"] = {"total": 3, "completed": 1, "failed": 1}
            batch = await Batches(house).get(batch_id)
            assert batch["request_counts"] == {"total": 3, "completed": 1, "failed": 1}
            finish(vendor)
            batch = await Batches(house).ended(batch_id)
            assert batch["request_counts"] == {"total": 3, "completed": 3, "failed": 0}

    play(scene())


# ---- time ----------------------------------------------------------------------------------------------------------


def later(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """The next runs are so much later."""
    monkeypatch.setattr(House, "now_ms", staticmethod(lambda: wall_ms() + int(hours * 3_600_000)))


def test_a_batch_whose_time_is_over_is_ended_at_its_provider_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor:
            async with a_house(tmp_path, vendor) as house:
                batch_id, key = await begun(house, vendor), house.key
            later(monkeypatch, 25)
            async with a_house(tmp_path, vendor, key) as house:
                await house.eventually(lambda: vendor.state_of("batch_1") == "cancelling")
                vendor.end(
                    "batch_1", "expired", [vendor.good("2", answered("openai", "in time"))], [vendor.expired("1")]
                )
                batch = await Batches(house).ended(batch_id)
                assert (batch["status"], batch["request_counts"]["completed"]) == ("expired", 1)
                errors = await Batches(house).lines(batch["error_file_id"])
                assert {each["error"]["code"] for each in errors.values()} == {"batch_expired"}
                assert money(house) == (LINE_NANO, 0)
                assert house.balanced()
                assert sum("cancel" in seen.path for seen in vendor.seen) == 1

    play(scene())


def test_a_provider_that_tells_nothing_is_asked_on_until_there_is_no_hope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with VENDORS["openai"]() as vendor:
            async with a_house(tmp_path, vendor) as house:
                batch_id, key = await begun(house, vendor), house.key
                vendor.refusal = (503, {"error": {"message": "down"}})
                asked = len(vendor.seen)
                for _ in range(3):
                    assert (await Batches(house).get(batch_id))["status"] == "in_progress"
                assert len(vendor.seen) >= asked + 3
                held = money(house)[1]
            later(monkeypatch, 31)
            async with a_house(tmp_path, vendor, key) as house:
                batch = await Batches(house).ended(batch_id)
                assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "upstream_overloaded")
                assert money(house) == (held, 0)  # as `on_crash: hold` has it: what it did will never be known
                assert house.balanced()

    play(scene())


def test_a_batch_of_which_its_provider_knows_nothing_any_more_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it says so for a while."""
    monkeypatch.setattr(remote, "LOST_S", 0.05)

    async def scene() -> None:
        async with VENDORS["mistral"]() as vendor, a_house(tmp_path, vendor) as house:
            batch_id = await begun(house, vendor)
            vendor.jobs.clear()
            batch = await Batches(house).ended(batch_id)
            assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "batch_lost")
            assert money(house) == (0, 0)
            assert house.balanced()

    play(scene())


def test_questions_in_quick_succession_are_one_at_the_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_AGAIN_S", 60.0)
    monkeypatch.setattr(watch, "LOOK_FIRST_S", 60.0)

    async def scene() -> None:
        async with VENDORS["openai"]() as vendor, a_house(tmp_path, vendor) as house:
            batch_id = await begun(house, vendor)
            asked = len(vendor.seen)
            for _ in range(5):
                await Batches(house).get(batch_id)
            assert len(vendor.seen) == asked  # it was handed in just now, which told how it stands

    play(scene())


def test_many_batches_that_wait_keep_nobody_from_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "AT_ONCE", 1)

    async def scene() -> None:
        async with VENDORS["openai"]() as vendor:
            openai = {"api_key": "k", "api_base": vendor.base_url, "batches": True}
            providers = {"openai": openai, "stub": {"type": "stub"}}
            async with a_house(tmp_path, vendor, providers=providers) as house:
                batches = Batches(house)
                for _ in range(3):
                    await batches.send([request("a")], model=selector(vendor))
                await house.eventually(lambda: len(vendor.jobs) == 3)
                assert (await batches.ended(await batches.send(["a"])))["status"] == "completed"

    play(scene())


# ---- the stub -------------------------------------------------------------------------------------------------------


def test_the_stub_as_a_provider_of_batches(tmp_path: Path) -> None:
    """Done when it is looked at for the second time, the third line fails."""

    async def scene() -> None:
        rules = (
            {"id": "bat", "when": {"surface": "batches"}, "batch": {"polls": 2, "fail": [3]}},
            {"id": "chat", "reply": "you said ${user}"},
        )
        async with House(tmp_path, None, providers={"stub": script(tmp_path, *rules)}) as house:
            batches = Batches(house)
            sent = await batches.send(["a", "b", "c", "d"], model="stub:script")
            await house.eventually(lambda: _sent(house))
            assert (await batches.get(sent.json["id"]))["status"] == "in_progress"
            batch = await batches.get(sent.json["id"])
            assert (batch["status"], batch["request_counts"]) == (
                "completed",
                {"total": 4, "completed": 3, "failed": 1},
            )
            results = await batches.results(batch["id"])
            assert results["r3"]["result"]["choices"][0]["message"]["content"] == "you said d"
            assert results["r2"]["error"]["message"] == "Provider 'stub' says: The script says that this line fails."
            assert [row["usage_source"] for row in house.rows() if row["state"] == "settled"] == ["stub"] * 3
            assert house.balanced()

    play(scene())
