"""How long the gateway takes to be there, and how big it is in memory and as a file."""

import subprocess
import time
from pathlib import Path

from harness.gateway import Gateway
from harness.machine import pinned
from harness.processes import BenchmarkError
from harness.report import Figure, Progress

_WARM_STARTS_PER_ROUND = 2
_HELPS_PER_ROUND = 2
_IDLE_S = 0.5
_HELP_TIMEOUT_S = 10.0


def measure_start(gateway: Gateway, caches: Path, rounds: int, progress: Progress) -> list[Figure]:
    """Start it again and again.

    Cold: the file was never unpacked here and there is no database. Warm: both are there. Times run from the
    exec of the interpreter to the first 200 of /health. The system's file cache is warm in both cases: only
    root can empty it.
    """
    cold_s: list[float] = []
    warm_s: list[float] = []
    help_ms: list[float] = []
    idle_mb: list[float] = []
    for number in range(rounds):
        progress.step(f"round {number + 1} of {rounds}: starts")
        cache = caches / f"cold-{number}"
        _forget_database(gateway.database)
        cold_s.append(_start_s(gateway, cache))
        warm_s += [_start_s(gateway, cache, idle_mb) for _ in range(_WARM_STARTS_PER_ROUND)]
        help_ms += [_help_ms(gateway, cache) for _ in range(_HELPS_PER_ROUND)]
    size_mb = gateway.file.stat().st_size / 1e6
    return [
        Figure("start", "cold, to /health 200", "s", cold_s, gate=1.0),
        Figure("start", "warm, to /health 200", "s", warm_s, gate=0.5),
        Figure("start", "--help", "ms", help_ms, gate=150),
        Figure("start", "memory idle (RSS)", "MB", idle_mb, gate=60),
        Figure("start", "size of otari.pyz", "MB", [size_mb], gate=16),
    ]


def _forget_database(database: Path) -> None:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()


def _start_s(gateway: Gateway, cache: Path, idle_mb: list[float] | None = None) -> float:
    began = time.perf_counter()
    with gateway.process(cache) as server:
        taken_s = time.perf_counter() - began
        if idle_mb is not None:
            time.sleep(_IDLE_S)
            idle_mb.append(server.rss_mb())
    return taken_s


def _help_ms(gateway: Gateway, cache: Path) -> float:
    command = [*gateway.command, "--help"]
    began = time.perf_counter()
    with pinned(gateway.cores.target):
        done = subprocess.run(
            command, capture_output=True, env=gateway.env(cache), timeout=_HELP_TIMEOUT_S, check=False
        )
    taken_ms = (time.perf_counter() - began) * 1e3
    if done.returncode or not done.stdout:
        raise BenchmarkError(f"--help ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return taken_ms
