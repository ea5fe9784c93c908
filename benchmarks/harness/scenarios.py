"""What is measured under load. A scenario visits its targets, all of them running, in turns, round by round.

In turns, because a machine's speed drifts: a ratio is formed within one round, and the median of these is
judged. CPU seconds are judged rather than requests per second, because other work on the machine steals time
from a wall clock but hardly from a process's own account.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.gateway import FIREHOSE, FIREHOSE_CHUNKS, PACED, WHOLE, Durability
from harness.load import Load, Result, Target, Tools, Wire
from harness.processes import BenchmarkError
from harness.report import Figure, Progress, median

_SETTLE_S = 0.1  # what a target still does after its last answer belongs to that answer
_WARM_UP_S = 0.3
_SPOKEN = {"mock": "chat", "mock-messages": "messages"}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything one round holds."""

    rounds: int
    busy_s: float = 2.0  # requests over 32 connections
    alone_s: float = 0.7  # requests over one connection
    firehose_streams: int = 300  # of 2,000 chunks each
    paced_streams: int = 12  # of about 0.1 s each
    counts: int = 200  # of tokens, one at a time


QUICK = Effort(rounds=2, busy_s=0.7, alone_s=0.3, firehose_streams=150, paced_streams=6, counts=60)


@dataclass(frozen=True, slots=True)
class Bench:
    """All that a load scenario needs; what the gateway is, is somebody else's choice."""

    tools: Tools
    effort: Effort
    progress: Progress
    direct: Target
    yardstick: Callable[[str], AbstractContextManager[Target]]  # by its --stream
    gateway: Callable[[Durability], AbstractContextManager[Target]]
    sync_ms: Callable[[], float]  # what forcing 4 kB to the ledger's disk takes right now

    def turns(self, targets: Sequence[Target]) -> Iterator[Target]:
        """Round by round every target once, in changing order: nobody always follows the same neighbour."""
        for number in range(self.effort.rounds):
            for target in targets if number % 2 == 0 else reversed(targets):
                self.progress.step(f"round {number + 1} of {self.effort.rounds}: {target.name}")
                yield target

    def costed(self, target: Target, load: Load) -> "Costed":
        """Run a load and read the CPU seconds that it took the target."""
        before_s = target.cpu_s()
        result = self.tools.run(target, load)
        time.sleep(_SETTLE_S)
        cpu_s = target.cpu_s() - before_s
        if not cpu_s:
            raise BenchmarkError(f"{target.name}: this run was too short for the clock of /proc, 10 ms a step")
        return Costed(result, cpu_s)


class Costed(NamedTuple):
    """A load's result and its price in CPU."""

    result: Result
    cpu_s: float


Samples = Mapping[str, Sequence[float]]  # a target's name, its value of every round


def _by_target() -> defaultdict[str, list[float]]:
    return defaultdict(list)


def _ratios(tops: Sequence[float], bottoms: Sequence[float]) -> list[float]:
    return [top / bottom for top, bottom in zip(tops, bottoms, strict=True)]


def measure_requests(bench: Bench) -> list[Figure]:
    """CPU per request over 32 connections, requests per second, and the time of one request at a time."""
    load = Load(WHOLE, connections=32, seconds=bench.effort.busy_s)
    alone = Load(WHOLE, connections=1, seconds=bench.effort.alone_s)
    with (
        bench.yardstick("raw") as yardstick,
        bench.gateway("full") as full,
        bench.gateway("normal") as normal,
    ):
        targets = (yardstick, full, normal)
        cpu_us, per_s, single_ms = _by_target(), _by_target(), _by_target()
        for target in targets:
            bench.tools.run(target, replace(load, seconds=_WARM_UP_S))
        for target in bench.turns(targets):
            run = bench.costed(target, load)
            cpu_us[target.name].append(run.cpu_s / run.result.answers * 1e6)
            per_s[target.name].append(run.result.answers_per_s)
            single_ms[target.name].append(bench.tools.run(target, alone).latency_us / 1e3)
        memory_mb = full.server.rss_mb() if full.server else 0.0
    return [
        _cpu_figure("requests", full, yardstick, cpu_us, "µs", gate=1.4),
        _cpu_figure("requests", normal, yardstick, cpu_us, "µs", gate=None),
        *(_speed_figure(target, yardstick, per_s) for target in (full, normal)),
        *(_single_figure(target, single_ms) for target in targets),
        Figure("requests", "memory after load", "MB", [memory_mb]),
    ]


def _cpu_figure(
    scenario: str,
    target: Target,
    yardstick: Target,
    cpu: Samples,
    unit: str,
    gate: float | None,
) -> Figure:
    ours, theirs = cpu[target.name], cpu[yardstick.name]
    note = f"{median(ours)} / {median(theirs)} {unit}"
    return Figure(scenario, f"CPU, {target.name} / yardstick", "x", _ratios(ours, theirs), gate, note)


def _speed_figure(target: Target, yardstick: Target, per_s: Samples) -> Figure:
    ours, theirs = per_s[target.name], per_s[yardstick.name]
    note = f"{median(ours)} / {median(theirs)} requests/s"
    return Figure("requests", f"speed, {target.name} / yardstick", "x", _ratios(ours, theirs), note=note)


def _single_figure(target: Target, single_ms: Samples) -> Figure:
    return Figure("requests", f"one at a time, p50, {target.name}", "ms", single_ms[target.name])


def measure_firehose(bench: Bench) -> list[Figure]:
    """CPU per 100,000 chunks of streams that the provider sends as fast as they are read."""
    streams = bench.effort.firehose_streams
    with (
        bench.yardstick("raw") as yardstick,
        bench.yardstick("reencode") as reencoding,
        bench.gateway("full") as gateway,
    ):
        targets = (yardstick, gateway, reencoding)
        cpu_s = _by_target()
        for target in targets:
            bench.tools.run(target, Load(FIREHOSE, connections=8, streams=8))
        for target in bench.turns(targets):
            # Re-encoding costs many times as much: fewer streams show it just as well.
            count = streams // 4 if target is reencoding else streams
            run = bench.costed(target, Load(FIREHOSE, connections=8, streams=count))
            cpu_s[target.name].append(run.cpu_s / run.result.chunks * 1e5)
    return [
        _cpu_figure("firehose", gateway, yardstick, cpu_s, "s per 100,000 chunks", gate=1.3),
        _cpu_figure("firehose", reencoding, yardstick, cpu_s, "s per 100,000 chunks", gate=None),
    ]


# What clients speak, and the provider that speaks something else.
_CELLS: tuple[tuple[Wire, str], ...] = (
    ("messages", "mock"),
    ("responses", "mock"),
    ("chat", "mock-messages"),
    ("responses", "mock-messages"),
)


def measure_translated(bench: Bench) -> list[Figure]:
    """CPU per 100,000 chunks of streams whose client and provider speak different dialects."""
    streams = bench.effort.firehose_streams // 4
    with bench.yardstick("reencode") as yardstick, bench.gateway("full") as gateway:
        runs = [(yardstick, Load(FIREHOSE, connections=8, streams=streams), yardstick.name)]
        for wire, provider in _CELLS:
            load = Load(FIREHOSE, connections=8, streams=streams, wire=wire, provider=provider)
            runs.append((gateway, load, f"{wire} over {_SPOKEN[provider]}"))
        cpu_s = _by_target()
        for target, load, _ in runs:
            bench.tools.run(target, replace(load, streams=8))
        for number in range(bench.effort.rounds):
            for target, load, name in runs if number % 2 == 0 else reversed(runs):
                bench.progress.step(f"round {number + 1} of {bench.effort.rounds}: {name}")
                run = bench.costed(target, load)
                # Not the chunks that were seen: a Responses stream tells its whole text again at its end.
                cpu_s[name].append(run.cpu_s / (run.result.answers * FIREHOSE_CHUNKS) * 1e5)
    theirs = cpu_s.pop(yardstick.name)
    return [
        Figure(
            "translated",
            f"CPU, {name} / re-encoding yardstick",
            "x",
            _ratios(ours, theirs),
            0.8,
            f"{median(ours)} / {median(theirs)} s per 100,000 chunks",
        )
        for name, ours in cpu_s.items()
    ]


def measure_first_token(bench: Bench) -> list[Figure]:
    """The time that a target adds until the first content chunk is there, one stream at a time."""
    load = Load(PACED, connections=1, streams=bench.effort.paced_streams)
    sync_ms = []
    with (
        bench.yardstick("raw") as yardstick,
        bench.gateway("normal") as normal,
        bench.gateway("full") as full,
    ):
        targets = (bench.direct, yardstick, normal, full)
        first_ms = _by_target()
        for target in targets:
            bench.tools.run(target, replace(load, streams=2))
        for target in bench.turns(targets):
            first_ms[target.name].append(bench.tools.run(target, load).first_token_us / 1e3)
            if target is bench.direct:
                sync_ms.append(bench.sync_ms())
    return [
        Figure("first-token", "direct", "ms", first_ms[bench.direct.name]),
        _added_figure(yardstick, bench.direct, first_ms),
        _added_figure(normal, bench.direct, first_ms, gate=1.5),
        _added_figure(full, bench.direct, first_ms, note="holds the request until its hold is on the disk"),
        Figure("first-token", "fdatasync of 4 kB, p50", "ms", sync_ms, note="the disk's part in durability full"),
    ]


def _added_figure(
    target: Target,
    direct: Target,
    first_ms: Samples,
    *,
    gate: float | None = None,
    note: str = "",
) -> Figure:
    added = [ours - bare for ours, bare in zip(first_ms[target.name], first_ms[direct.name], strict=True)]
    return Figure("first-token", f"added by {target.name}", "ms", added, gate, note)
