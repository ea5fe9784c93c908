"""A thousand requests over a platform that drops three calls in ten, and a gateway that is killed five times: in the
end the platform has exactly one report of every attempt that was made.

The provider's journal knows which attempts were made, since each has a key of its own; the platform's journal knows
which it named and what it was told. `OTARI_REPORTS_SEED` repeats a run.
"""

import asyncio
import hashlib
import os
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.platform import GATEWAY_TOKEN, USER_TOKEN, ConnectedGateway, Document, Platform
from tests.e2e.process import until
from tests.e2e.provider import Line, Provider
from tests.scripted.platform import key_of, repeated

REQUESTS, KILLS, CLIENTS = 1_000, 5, 24
DROPS = 0.3
AT_LAST_S = 40.0
# What the attempts do: most answer, some fail and lead to the next one, some break off.
MODELS = (
    *("ok-n3", "ok-n8-i2", "ok-n20-i3", "cut_mid_event", "status-400"),
    *("status-500+ok-n2", "reset_before_headers+ok-n4-i2", "status-429+status-503"),
)


@dataclass
class Run:
    """What everybody knows after the last report has been taken."""

    seed: str
    asked: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    whole: set[str] = field(default_factory=set)  # attempts whose answer a client got to its very end
    broken: int = 0
    kills: int = 0
    open_at_kill: list[int] = field(default_factory=list)
    offered: set[str] = field(default_factory=set)
    reports: list[Document] = field(default_factory=list)
    made: dict[str, Line] = field(default_factory=dict)  # by attempt: what the provider noted of it
    written: bytes = b""
    took_s: float = 0.0

    def told(self) -> dict[str, Document]:
        """The reports by attempt, after de-duplication."""
        return {report["correlation_id"]: report for report in self.reports}


class Clients:
    """Asks as long as there is something left to ask, wherever the gateway is now."""

    def __init__(self, run: Run, gateway: ConnectedGateway) -> None:
        self._run = run
        self._gateway = gateway
        self._dice = random.Random(run.seed)
        self._up = asyncio.Event()
        self._up.set()
        self._kill = asyncio.Semaphore(0)

    async def all(self) -> None:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._one(session))
            group.create_task(self._killer())

    async def _one(self, session: aiohttp.ClientSession) -> None:
        while self._run.asked < REQUESTS:
            await self._up.wait()
            self._run.asked += 1
            if self._run.asked % (REQUESTS // (KILLS + 1)) == 0:
                self._kill.release()
            try:
                await self._ask(session)
            except (aiohttp.ClientError, OSError):  # the gateway is gone, or the provider broke off
                self._run.broken += 1

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        stream, cut = self._dice.random() < 0.6, self._dice.random() < 0.1
        body = {
            "model": f"vendor:{self._dice.choice(MODELS)}",
            "messages": [{"role": "user", "content": "word " * self._dice.randint(1, 9)}],
            "stream": stream,
        }
        headers = {"Authorization": f"Bearer {USER_TOKEN}"}
        async with session.post(f"{self._gateway.url}/v1/chat/completions", json=body, headers=headers) as answer:
            self._run.statuses[answer.status] += 1
            if stream and cut and answer.status == 200:
                await answer.content.readany()
                answer.close()
                return
            received = await answer.read()
        if answer.status == 200 and (not stream or received.endswith(b"data: [DONE]\n\n")):
            self._run.whole.add(answer.headers["X-Correlation-ID"])

    async def _killer(self) -> None:
        """Kill it when each sixth of the requests has been asked, and start it again."""
        for _ in range(KILLS):
            await self._kill.acquire()
            await asyncio.sleep(self._dice.uniform(0, 0.03))
            self._up.clear()
            self._gateway.kill()
            states = Counter(row["state"] for row in self._gateway.kept())
            self._run.open_at_kill.append(states["open"])
            await asyncio.to_thread(self._gateway.restart)
            self._run.kills += 1
            self._up.set()


@pytest.fixture(scope="module")
def run(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("reports")
    run = Run(os.environ.get("OTARI_REPORTS_SEED") or secrets.token_hex(4))
    began = time.monotonic()
    with Provider(folder / "provider") as provider:
        where = f"http://127.0.0.1:{provider.port}/v1"
        with (
            Platform(folder / "platform", where, "--drops", str(DROPS), "--seed", run.seed) as platform,
            ConnectedGateway(pyz, folder / "gateway", platform) as gateway,
        ):
            asyncio.run(Clients(run, gateway).all())
            provider.finished()
            until(lambda: not gateway.kept(), "every report to be taken", AT_LAST_S)
            assert gateway.stop() == 0, gateway.tail()
            run.took_s = time.monotonic() - began
            run.offered, run.reports = platform.offered(), platform.reports()
            run.made = by_attempt(provider.finished(), provider.journal(), run.offered)
            run.written = gateway.written() + b"".join(path.read_bytes() for path in gateway.folder.glob("otari.db*"))
    print(report(run))
    return run


def by_attempt(finished: dict[str, Line], journal: list[Line], offered: set[str]) -> dict[str, Line]:
    """What the provider noted of each attempt, which it knows by its key alone."""
    names = {hashlib.sha256(f"Bearer {key_of(name)}".encode()).hexdigest(): name for name in offered}
    made: dict[str, Line] = {}
    ends = {line["number"]: line for line in journal if line["event"] == "end"}
    for line in journal:
        if line["event"] == "start":
            name = names[line["authorization_sha256"]]
            assert name not in made, f"{name} was sent twice"
            made[name] = {**line, **ends[line["number"]]}
    assert finished
    return made


def report(run: Run) -> str:
    """The figures of the run, for people."""
    return (
        f"reports test, seed {run.seed}: {run.asked} requests and {run.kills} kills in {run.took_s:.0f} s;"
        f" statuses {dict(run.statuses)}, {run.broken} broken off; {len(run.offered)} attempts named, {len(run.made)}"
        f" made, {len(run.told())} reported, {len(run.reports)} times; open at the kills {run.open_at_kill}"
    )


def test_it_was_a_thousand_requests_and_five_kills(run: Run) -> None:
    assert (run.asked, run.kills) == (REQUESTS, KILLS), run.seed
    assert run.took_s < 60, report(run)
    assert sum(run.open_at_kill) > 0, run.seed  # the kills met attempts under way
    assert len(run.whole) > REQUESTS / 4, report(run)
    assert repeated(run.reports), run.seed  # and acknowledgements were lost


def test_every_attempt_that_was_made_is_reported_and_no_other(run: Run) -> None:
    told = run.told()
    assert run.made.keys() - told.keys() == set(), run.seed
    assert told.keys() - run.offered == set(), run.seed
    unmade = [told[name] for name in told.keys() - run.made.keys()]  # begun, and killed before it was sent
    assert {(each["status"], each.get("error_class")) for each in unmade} <= {("error", "unknown")}, run.seed


def test_reports_of_one_attempt_are_the_same(run: Run) -> None:
    told = run.told()
    assert [each for each in run.reports if each != told[each["correlation_id"]]] == [], run.seed


def test_an_answer_that_a_client_got_whole_is_a_success_with_the_tokens_of_the_provider(run: Run) -> None:
    told = run.told()
    for name in run.whole:
        used = run.made[name]["usage"]
        expected = {key: used[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")}
        assert told[name]["status"] == "success", (run.seed, name)
        assert told[name]["usage"] == {**expected, "cache_read_tokens": 0, "cache_write_tokens": 0}, (run.seed, name)


def test_an_attempt_that_failed_is_told_with_its_class(run: Run) -> None:
    told, classes = run.told(), Counter[tuple[str, str | None]]()
    for name, line in run.made.items():
        model = line["model"].split("-")[0]
        if line["state"] == "refused" and told[name].get("error_class") != "unknown":
            assert told[name]["error_class"] == f"http_{line['model'].split('-')[1]}", (run.seed, name)
        classes[model, told[name].get("error_class")] += 1
    assert classes["status", "http_500"], run.seed
    assert classes["reset_before_headers", "conn_err"], run.seed
    assert classes["cut_mid_event", None] + classes["cut_mid_event", "conn_err"], run.seed


def test_after_a_kill_there_are_no_tokens(run: Run) -> None:
    unknown = [each for each in run.told().values() if each.get("error_class") == "unknown"]
    assert unknown, run.seed
    assert len(unknown) <= sum(run.open_at_kill), report(run)
    assert not [each for each in unknown if "usage" in each], run.seed


def test_no_start_complained_and_no_secret_was_written(run: Run) -> None:
    assert b"Traceback" not in run.written, run.seed
    for secret in (GATEWAY_TOKEN, USER_TOKEN, "sk-canary-att-"):
        assert secret.encode() not in run.written, run.seed
