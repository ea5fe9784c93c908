"""`GET /metrics`: what was answered, what it cost, how the ledger and the process are, for Prometheus to read.

Every set of labels is bounded: routes by the table, providers by the configuration, models by `MODELS_MAX`. The text is
https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4). Everything counts from the start of the process.
"""

import bisect
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from aiohttp import web

from otari.domain.errors import CLIENT_GONE
from otari.domain.ports import Outcome
from otari.store.db import Database
from otari.store.ledger import Settlement
from otari.store.reports import Tally
from otari.web import reply
from otari.web.visit import Visit

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MODELS_MAX = 200  # clients name models: more pairs of provider and model than these are told as "other"
OTHER = "other"
BUCKETS_S = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_NANO = 1_000_000_000
_KINDS = ("input", "output", "cache_read", "cache_write", "reasoning")

_Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Sample = tuple[str, Mapping[str, str], int | float | str]


class _Series:
    """The requests of one route."""

    __slots__ = ("buckets", "classes", "method", "route", "seconds")

    def __init__(self, method: str, route: str) -> None:
        self.method = method
        self.route = route
        self.classes = [0] * 6  # by the first digit of the status
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0


class _Spent:
    """What the models of one pair of labels used."""

    __slots__ = ("cost_nano", "tokens")

    def __init__(self) -> None:
        self.tokens = dict.fromkeys(_KINDS, 0)
        self.cost_nano = 0

    def add(self, *counts: int | None) -> None:
        """Add tokens, in the order of `_KINDS`; None = not told."""
        for kind, count in zip(_KINDS, counts, strict=True):
            self.tokens[kind] += count or 0


class Meters:
    """Counts in memory. `counted`, and `settled` or `ended`, are all that requests pay for it.

    With `reports` the cost is reckoned elsewhere, and told is how the reports stand.
    """

    def __init__(self, ledger: Database | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._ledger = ledger
        self._clock = clock
        self._started_at = time.time()
        self._routes: list[_Series] = []
        self._spent: dict[tuple[str, str], _Spent] = {}
        self._in_flight = 0
        self.reports: Callable[[], Tally] | None = None

    def counted(self, handle: _Handle, method: str, route: str) -> _Handle:
        """`handle`, its requests counted under `method` and `route` (the template, never a path of a client)."""
        series = _Series(method, route)
        self._routes.append(series)
        clock = self._clock

        async def measured(request: web.Request) -> web.StreamResponse:
            self._in_flight += 1
            began = clock()
            status = CLIENT_GONE
            try:
                response = await handle(request)
                status = response.status
                return response
            finally:
                took = clock() - began
                self._in_flight -= 1
                series.classes[status // 100] += 1
                series.buckets[bisect.bisect_left(BUCKETS_S, took)] += 1
                series.seconds += took

        return measured

    def settled(self, end: Settlement) -> None:
        """Count what a row of the ledger says that a request used. One that was released used nothing."""
        if end.state != "settled":
            return
        spent = self._of(end.provider, end.model)
        spent.cost_nano += end.cost_nano or 0
        spent.add(
            *(end.input_tokens, end.output_tokens, end.cache_read_tokens, end.cache_write_tokens, end.reasoning_tokens)
        )

    def ended(self, outcome: Outcome) -> None:
        """Count what a request used whose cost others reckon."""
        attempt, used = outcome.attempt, outcome.usage
        if attempt is not None and (used.input is not None or used.output is not None):
            spent = self._of(attempt.provider, attempt.model)
            spent.add(used.input, used.output, used.cache_read, used.cache_write, used.reasoning)

    def _of(self, provider: str, model: str) -> _Spent:
        labels = (provider, model)
        spent = self._spent.get(labels)
        if spent is None:
            if len(self._spent) >= MODELS_MAX:
                labels = (provider, OTHER)
            spent = self._spent.setdefault(labels, _Spent())
        return spent

    def text(self) -> str:
        """Everything, in the text format."""
        return "".join(self._families())

    def _families(self) -> Iterator[str]:
        seen = [series for series in self._routes if any(series.classes)]
        yield _family("otari_requests_total", "counter", "Requests by route and class of status.", _requests(seen))
        yield _family(
            "otari_request_seconds", "histogram", "From the head of a request to the end of its answer.", _times(seen)
        )
        flying: list[_Sample] = [("", {}, self._in_flight)]
        yield _family("otari_requests_in_flight", "gauge", "Requests that are being answered now.", flying)
        pairs = sorted(self._spent.items())
        yield _family("otari_tokens_total", "counter", "Tokens by kind, as they are charged.", _tokens(pairs))
        if self.reports is not None:
            yield from _reports(self.reports())
        else:
            yield _family(
                "otari_cost_usd_total", "counter", "What was charged, exact to the nano-dollar.", _costs(pairs)
            )
        if self._ledger is not None:
            yield from _ledger(self._ledger)
        yield from self._process()

    def _process(self) -> Iterator[str]:
        resident = _resident_bytes()
        if resident is not None:
            yield _single("process_resident_memory_bytes", "gauge", "Memory that is resident.", resident)
        yield _single("process_cpu_seconds_total", "counter", "Time on processors.", time.process_time())
        yield _single("process_start_time_seconds", "gauge", "When it started, since 1970.", self._started_at)


METERS = web.AppKey("meters", Meters)


async def get_metrics(visit: Visit) -> web.StreamResponse:
    """Counters and gauges in the Prometheus text format. Amounts are exact decimals."""
    text = visit.request.app[METERS].text()
    return reply.as_text(text.encode(), CONTENT_TYPE, visit.request_id)


def _requests(seen: Iterable[_Series]) -> Iterator[_Sample]:
    for series in seen:
        for digit, count in enumerate(series.classes):
            if count:
                yield "", {"method": series.method, "route": series.route, "status": f"{digit}xx"}, count


def _times(seen: Iterable[_Series]) -> Iterator[_Sample]:
    for series in seen:
        labels = {"method": series.method, "route": series.route}
        total = 0
        for edge, count in zip((*map(str, BUCKETS_S), "+Inf"), series.buckets, strict=True):
            total += count
            yield "_bucket", {**labels, "le": edge}, total
        yield "_sum", labels, series.seconds
        yield "_count", labels, total


def _tokens(pairs: Iterable[tuple[tuple[str, str], _Spent]]) -> Iterator[_Sample]:
    for (provider, model), spent in pairs:
        for kind, count in spent.tokens.items():
            if count:
                yield "", {"provider": provider, "model": model, "kind": kind}, count


def _costs(pairs: Iterable[tuple[tuple[str, str], _Spent]]) -> Iterator[_Sample]:
    for (provider, model), spent in pairs:
        dollars, nano = divmod(spent.cost_nano, _NANO)
        yield "", {"provider": provider, "model": model}, f"{dollars}.{nano:09d}"


def _reports(tally: Tally) -> Iterator[str]:
    ends: list[_Sample] = [
        ("", {"result": "taken"}, tally.taken),
        ("", {"result": "refused"}, tally.refused),
    ]
    yield _family("otari_reports_total", "counter", "Reports that the platform has taken or refused.", ends)
    yield _single("otari_reports_waiting", "gauge", "Reports that wait for the platform.", tally.waiting)
    yield _single("otari_report_failures_total", "counter", "Deliveries that are tried again.", tally.in_vain)


def _ledger(ledger: Database) -> Iterator[str]:
    yield _single("otari_ledger_commits_total", "counter", "Commits.", ledger.commits)
    yield _single("otari_ledger_operations_total", "counter", "Operations that were committed.", ledger.ops)
    yield _single("otari_ledger_waiting", "gauge", "Operations that wait in memory for the disk.", ledger.waiting)
    yield _single("otari_ledger_healthy", "gauge", "1 while the ledger can be written.", int(ledger.healthy))


def _single(name: str, kind: str, meaning: str, value: int | float) -> str:
    return _family(name, kind, meaning, [("", {}, value)])


def _family(name: str, kind: str, meaning: str, samples: Iterable[_Sample]) -> str:
    lines = [f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"]
    for suffix, labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{suffix}{{{told}}} {value}\n" if told else f"{name}{suffix} {value}\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    """A label's value; what is no Unicode text (half of a surrogate pair) can not be written."""
    plain = text.encode("utf-8", "replace").decode()
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident_bytes() -> int | None:
    """Linux tells pages (proc(5), statm); other systems do not."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None
