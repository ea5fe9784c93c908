"""How long a count of tokens takes: one at a time, and fifty that come together."""

import contextlib
import http.client
import time
from collections.abc import Iterator, Sequence

from harness.load import Target
from harness.processes import BenchmarkError
from harness.prompts import coding_request
from harness.report import Figure
from harness.scenarios import Bench

TOGETHER = 50
SIZES = (48_000, 86_000)  # what Claude Code sends for a prompt of one line, from and to
_PATH = "/v1/messages/count_tokens"
_MODEL = "mock:gpt-5"
_TIMEOUT_S = 20.0


def measure_counts(bench: Bench) -> list[Figure]:
    """Milliseconds per count: the 99th percentile of one at a time, and all of fifty at once.

    Every text is sent twice: unseen, and once more. The gateway has loaded its token table before; its ledger must
    stay empty, which is checked when it ends.
    """
    alone: dict[str, list[float]] = {"unseen": [], "seen": []}
    together: dict[str, list[float]] = {"unseen": [], "seen": []}
    with bench.gateway("full") as target:
        _count(target, [coding_request(_MODEL, 2_000, 0)])
        for number in range(bench.effort.rounds):
            bench.progress.step(f"round {number + 1} of {bench.effort.rounds}: {target.name}")
            bodies = _bodies(bench.effort.counts, seed=1 + number * 10_000)
            for kind in alone:
                alone[kind].append(_p99([_count(target, [body]) for body in bodies]))
            bodies = _bodies(TOGETHER, seed=5_000 + number * 10_000)
            for kind in together:
                together[kind].append(_count(target, bodies))
    note = f"bodies of {SIZES[0] // 1000} and {SIZES[1] // 1000} kB"
    return [
        Figure("counts", "one at a time, p99, new texts", "ms", alone["unseen"], 20.0, note),
        Figure("counts", "one at a time, p99, texts seen before", "ms", alone["seen"]),
        Figure("counts", f"{TOGETHER} at once, new texts", "ms", together["unseen"], 1000.0, note),
        Figure("counts", f"{TOGETHER} at once, texts seen before", "ms", together["seen"]),
    ]


def _bodies(count: int, seed: int) -> list[bytes]:
    return [coding_request(_MODEL, SIZES[number % len(SIZES)], seed + number) for number in range(count)]


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[round(0.99 * (len(values) - 1))]


def _count(target: Target, bodies: Sequence[bytes]) -> float:
    """Milliseconds until all of these, each on a connection of its own, are answered.

    Raises BenchmarkError for any answer but a count.
    """
    headers = dict(header.split(": ", 1) for header in target.headers) | {"Content-Type": "application/json"}
    with _connected(target.port, len(bodies)) as connections:
        began = time.perf_counter()
        for connection, body in zip(connections, bodies, strict=True):
            connection.request("POST", _PATH, body, headers)
        answers = [connection.getresponse() for connection in connections]
        took_ms = (time.perf_counter() - began) * 1e3
        for answer in answers:
            told = answer.read()
            if answer.status != http.client.OK or not told.startswith(b'{"input_tokens":'):
                raise BenchmarkError(f"{target.name} counted nothing: {answer.status} {told[:200]!r}")
    return took_ms


@contextlib.contextmanager
def _connected(port: int, count: int) -> Iterator[list[http.client.HTTPConnection]]:
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S) for _ in range(count)]
    try:
        for connection in connections:
            connection.connect()
        yield connections
    finally:
        for connection in connections:
            connection.close()
