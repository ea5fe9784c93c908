"""SIGKILL at random times under load: what the ledger promises holds after every one of them.

The clients know which answers they got whole, the provider's journal knows what was asked and sent, the ledger must
agree with both. Their keys and users have budgets that are used up and start over again and again, kill or no kill.
The process dies, not the machine: what the disk keeps after a power cut is not tested here.

`OTARI_KILL_SEED` repeats a run, `OTARI_KILL_ROUNDS` sets its length.
"""

import asyncio
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.ledger import Row
from tests.e2e.load import MODELS, Load
from tests.e2e.provider import Line, Provider
from tests.e2e.tenants import TENANTS, USERS, move_in

CLIENTS = 40
KILL_BETWEEN_S = (0.6, 1.6)
LOOK_EVERY_S = 0.1
INPUT_NANO, OUTPUT_NANO = 2_000, 7_000  # per token: 2 and 7 USD per million

_PRICE = {"input_price_per_million": INPUT_NANO / 1000, "output_price_per_million": OUTPUT_NANO / 1000}


@dataclass
class Run:
    """Everything that is known after the last recovery."""

    seed: str
    rounds: int
    asked: int = 0
    whole: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    recovered_per_kill: list[int] = field(default_factory=list)
    beyond_flight: list[tuple[int, int]] = field(default_factory=list)
    looks: int = 0
    beyond_cap: list[Row] = field(default_factory=list)
    out_of_balance: list[Row] = field(default_factory=list)
    held_after_recovery: list[int] = field(default_factory=list)
    took_s: float = 0.0
    rows: dict[str, list[Row]] = field(default_factory=dict)
    sent: dict[str, Line] = field(default_factory=dict)
    gateway: Gateway | None = None

    def row(self, request_id: str) -> Row:
        """The one row of a request."""
        (row,) = self.rows[request_id]
        return row

    def all_rows(self) -> list[Row]:
        """The rows of all requests."""
        return [row for rows in self.rows.values() for row in rows]

    def true_cost(self, request_id: str) -> int:
        """What the provider worked for a request, in nano-USD; 0 when it never heard of it."""
        line = self.sent.get(request_id)
        return 0 if line is None else INPUT_NANO * line["prompt_tokens"] + OUTPUT_NANO * line["tokens_sent"]


def one_round(gateway: Gateway, keys: Sequence[str], run: Run, number: int) -> None:
    """Load, SIGKILL, start again; notes what that start recovered, and what the ledger said before and after."""
    dice = random.Random(f"{run.seed}/{number}")
    load = Load(gateway.url, keys, "up", CLIENTS, f"{run.seed}/{number}")
    in_flight = 0

    async def kill_it() -> None:
        nonlocal in_flight
        at = time.monotonic() + dice.uniform(*KILL_BETWEEN_S)
        while (left_s := at - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, LOOK_EVERY_S))
            run.looks += 1
            run.beyond_cap += await asyncio.to_thread(gateway.ledger.beyond_cap)
        in_flight = load.seen.in_flight
        gateway.kill()

    asyncio.run(load.run(kill_it))
    audit(gateway, run)
    before = recovered(gateway)
    gateway.restart()
    audit(gateway, run)
    run.held_after_recovery.append(gateway.ledger.reserved())
    new = recovered(gateway) - before
    run.recovered_per_kill.append(len(new))
    run.beyond_flight.append((len(new - load.seen.cut), in_flight))
    run.asked += load.seen.asked
    run.whole |= load.seen.whole
    run.cut |= load.seen.cut
    run.refused |= load.seen.refused
    run.wrong += load.seen.wrong


def audit(gateway: Gateway, run: Run) -> None:
    """Whatever is on disk must be right: what a kill left there, and what the next start made of it."""
    run.looks += 1
    run.beyond_cap += gateway.ledger.beyond_cap()
    run.out_of_balance += gateway.ledger.out_of_balance()


def recovered(gateway: Gateway) -> set[str]:
    return {row["request_id"] for row in gateway.ledger.ask("SELECT request_id FROM usage WHERE state = 'recovered'")}


@pytest.fixture(scope="module")
def run(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("kill")
    seed = os.environ.get("OTARI_KILL_SEED") or secrets.token_hex(4)
    run = Run(seed, int(os.environ.get("OTARI_KILL_ROUNDS") or 20))
    began = time.monotonic()
    with Provider(folder / "provider") as provider:
        config = {
            "providers": {"up": provider.settings()},
            "pricing": {f"up:{model}": _PRICE for model in MODELS},
            "durability": "full",
        }
        with Gateway(pyz, folder / "gateway", config) as gateway:
            keys = move_in(gateway)
            for number in range(run.rounds):
                one_round(gateway, keys, run, number)
            run.sent = provider.finished()
            assert gateway.stop() == 0, gateway.tail()
            for row in gateway.ledger.usage():
                run.rows.setdefault(row["request_id"], []).append(row)
            run.gateway = gateway
            run.took_s = time.monotonic() - began
            yield run


def test_the_run_was_worth_looking_at(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Without answers, cuts and recoveries the promises below would hold for nothing."""
    with capsys.disabled():
        print(f"\n{report(run)}")
    assert run.wrong == []
    assert run.whole, "no client got an answer"
    assert sum(run.recovered_per_kill) > 0, "no kill hit a request"
    assert run.cut, "no client left"
    assert {words.split()[0] for words in run.refused.values()} == {"User", "API"}, "not every kind of budget was met"
    assert {row["key_id"] is None for row in resets(run)} == {True, False}, "not every kind of budget started over"


def test_nothing_reaches_a_provider_without_a_row(run: Run) -> None:
    assert set(run.sent) - set(run.rows) == set(), run.seed


def test_an_answer_that_came_whole_is_settled(run: Run) -> None:
    states = Counter((run.row(i)["state"], run.row(i)["status"]) for i in run.whole if i in run.rows)
    assert run.whole <= set(run.rows), run.seed
    assert states == {("settled", "success"): len(run.whole)}, run.seed


def test_an_answer_that_came_whole_is_charged_exactly(run: Run) -> None:
    for request_id in run.whole:
        row, usage = run.row(request_id), run.sent[request_id]["usage"]
        told = (usage["prompt_tokens"], usage["completion_tokens"])
        assert (row["input_tokens"], row["output_tokens"]) == told, (run.seed, row)
        assert row["cost_nano"] == INPUT_NANO * told[0] + OUTPUT_NANO * told[1], (run.seed, row)
        assert (row["usage_source"], row["flags"], row["hold_estimated"]) == ("provider", "", 0), (run.seed, row)


def test_every_account_equals_the_sum_of_its_rows(run: Run) -> None:
    """After every kill and every start: spend is what its rows cost since the last reset, reserved what they hold."""
    assert run.gateway is not None
    assert run.out_of_balance == [], run.seed
    run.gateway.ledger.assert_balanced()


def test_nothing_is_held_after_a_recovery(run: Run) -> None:
    assert run.held_after_recovery == [0] * run.rounds, run.seed


def test_no_account_is_ever_beyond_its_cap(run: Run) -> None:
    """No hold of the run was an estimate, so no charge can be above it either."""
    assert run.looks >= 4 * run.rounds  # two while it ran, one at the kill, one after the start
    assert run.beyond_cap == [], run.seed
    assert not [row for row in run.all_rows() if row["over_hold"] or row["hold_estimated"]], run.seed
    caps = {row["budget_id"]: row["max_nano"] for row in ask(run, "SELECT budget_id, max_nano FROM budgets")}
    assert not [row for row in resets(run) if row["previous_spend_nano"] > caps[row["budget_id"]]], run.seed


def test_periods_start_over_once_on_each_boundary(run: Run) -> None:
    lengths = {row["budget_id"]: 1000 * row["duration_s"] for row in ask(run, "SELECT * FROM budgets")}
    before: dict[str, int] = {}
    for row in resets(run):
        account, length = row["key_id"] or row["user_id"], lengths[row["budget_id"]]
        assert row["next_reset_at_ms"] == row["reset_at_ms"] + length, (run.seed, row)
        assert (row["reset_at_ms"] - before.get(account, row["reset_at_ms"] - length)) % length == 0, (run.seed, row)
        assert row["reset_at_ms"] > before.get(account, 0), (run.seed, row)
        before[account] = row["reset_at_ms"]
    with_budget = [budget for budget in (*USERS.values(), *(tenant.budget for tenant in TENANTS)) if budget]
    assert len(before) == len(with_budget), run.seed


def test_what_is_refused_reaches_nobody_and_leaves_no_row(run: Run) -> None:
    assert not run.refused.keys() & (run.sent.keys() | run.rows.keys()), run.seed


def test_every_request_has_exactly_one_end(run: Run) -> None:
    assert {len(rows) for rows in run.rows.values()} == {1}, run.seed
    assert {row["state"] for row in run.all_rows()} <= {"settled", "recovered"}, run.seed


def test_a_recovered_request_is_never_charged_too_little(run: Run) -> None:
    for row in run.all_rows():
        if row["state"] == "recovered":
            assert row["cost_nano"] == row["hold_nano"] >= run.true_cost(row["request_id"]), (run.seed, row)


def test_all_that_is_charged_too_much_was_held_at_a_kill(run: Run) -> None:
    """Answers that their client cut are estimates, and not part of this sum."""
    rows = [row for row in run.all_rows() if "client_gone" not in row["flags"].split(",")]
    too_much = sum(row["cost_nano"] for row in rows) - sum(run.true_cost(row["request_id"]) for row in rows)
    held = sum(row["hold_nano"] for row in rows if row["state"] == "recovered")
    assert 0 <= too_much <= held, run.seed


def test_a_kill_leaves_open_at_most_what_was_in_flight(run: Run) -> None:
    assert all(new <= in_flight <= CLIENTS for new, in_flight in run.beyond_flight), (run.seed, run.beyond_flight)


def test_no_start_complained(run: Run) -> None:
    assert run.gateway is not None
    log = run.gateway.err.read_text()
    assert "Traceback" not in log
    assert "settled a second time" not in log


def ask(run: Run, sql: str) -> list[Row]:
    assert run.gateway is not None
    return run.gateway.ledger.ask(sql)


def resets(run: Run) -> list[Row]:
    """Every time that an account started over, oldest first."""
    return ask(run, "SELECT * FROM budget_resets ORDER BY seq")


def report(run: Run) -> str:
    """The figures of the run, for people."""
    off = [
        row["output_tokens"] - run.sent[row["request_id"]]["tokens_sent"]
        for row in run.all_rows()
        if "client_gone" in row["flags"].split(",") and row["request_id"] in run.sent
    ]
    cut = f"{len(off)} cut by their client"
    if off:
        cut += f" ({sum(o == 0 for o in off)} exact, off by {mean(off):+.1f} tokens on average, {min(off)} at worst)"
    refused = Counter(words.split()[0] for words in run.refused.values())
    return (
        f"kill test, seed {run.seed}: {run.rounds} kills in {run.took_s:.0f} s, {run.asked} requests,"
        f" {len(run.whole)} answered whole, {len(run.refused)} refused (user's budget {refused['User']}, key's"
        f" {refused['API']}), {len(resets(run))} resets, {sum(run.recovered_per_kill)} recovered (at most"
        f" {max(run.recovered_per_kill)} by one kill), {cut}, {run.looks} looks at the accounts"
    )
