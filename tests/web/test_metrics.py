"""Counting: what the labels are, that they are bounded, and that the text is what Prometheus reads."""

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from otari.store.ledger import Settlement
from otari.web.metrics import MODELS_MAX, Meters


class Clock:
    """Each look at it is `step` seconds after the one before."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def settlement(model: str = "m", *, state: str = "settled", cost_nano: int | None = 7, tokens: int = 3) -> Settlement:
    values = dict.fromkeys(Settlement._fields)
    values |= {"state": state, "provider": "p", "model": model, "cost_nano": cost_nano, "input_tokens": tokens}
    return Settlement(**values)  # type: ignore[arg-type]


def samples(meters: Meters) -> Iterator[tuple[str, str]]:
    for line in meters.text().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name, value


def answer(meters: Meters, status: int | BaseException) -> None:
    """One request to `GET /v1/things/{id}` that ends like this."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if isinstance(status, BaseException):
            raise status
        return web.Response(status=status)

    asyncio.run(asyncio.wait_for(_call(meters.counted(handle, "GET", "/v1/things/{id}")), 5))


async def _call(handle: object) -> None:
    assert callable(handle)
    await handle(make_mocked_request("GET", "/v1/things/secret-7"))


@pytest.mark.parametrize(("status", "told"), [(200, "2xx"), (204, "2xx"), (404, "4xx"), (503, "5xx")])
def test_requests_are_counted_by_route_and_class_of_status(status: int, told: str) -> None:
    meters = Meters()
    answer(meters, status)
    found = dict(samples(meters))
    assert found[f'otari_requests_total{{method="GET",route="/v1/things/{{id}}",status="{told}"}}'] == "1"
    assert "secret-7" not in meters.text()


def test_a_client_that_left_counts_as_one_whose_request_failed() -> None:
    meters = Meters()
    with pytest.raises(ConnectionResetError):
        answer(meters, ConnectionResetError())
    found = dict(samples(meters))
    assert found['otari_requests_total{method="GET",route="/v1/things/{id}",status="4xx"}'] == "1"
    assert found["otari_requests_in_flight"] == "0"


def test_times_fall_into_buckets_that_add_up() -> None:
    meters = Meters(clock=Clock(0.5))
    answer(meters, 200)
    found = dict(samples(meters))
    labels = 'method="GET",route="/v1/things/{id}"'
    assert found[f'otari_request_seconds_bucket{{{labels},le="0.1"}}'] == "0"
    assert found[f'otari_request_seconds_bucket{{{labels},le="0.5"}}'] == "1"
    assert found[f'otari_request_seconds_bucket{{{labels},le="+Inf"}}'] == "1"
    assert found[f"otari_request_seconds_sum{{{labels}}}"] == "0.5"
    assert found[f"otari_request_seconds_count{{{labels}}}"] == "1"


def test_requests_in_flight_are_those_that_have_no_answer_yet() -> None:
    meters = Meters()
    seen: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(dict(samples(meters))["otari_requests_in_flight"])
        return web.Response()

    asyncio.run(_call(meters.counted(handle, "GET", "/v1/things")))
    assert seen == ["1"]
    assert dict(samples(meters))["otari_requests_in_flight"] == "0"


def test_costs_are_exact() -> None:
    meters = Meters()
    meters.settled(settlement(cost_nano=2_000_000_001))
    meters.settled(settlement(cost_nano=9_007_199_254_740_993))  # one more than a float can tell
    meters.settled(settlement(cost_nano=None))
    assert dict(samples(meters))['otari_cost_usd_total{provider="p",model="m"}'] == "9007201.254740994"
    assert dict(samples(meters))['otari_tokens_total{provider="p",model="m",kind="input"}'] == "9"


def test_a_released_request_used_nothing() -> None:
    meters = Meters()
    meters.settled(settlement(state="released"))
    assert "otari_cost_usd_total{" not in meters.text()


def test_models_beyond_the_limit_are_told_as_other() -> None:
    meters = Meters()
    for number in range(MODELS_MAX + 50):
        meters.settled(settlement(f"m{number}"))
    meters.settled(settlement("m0"))
    found = {name: value for name, value in samples(meters) if name.startswith("otari_cost_usd_total")}
    assert len(found) == MODELS_MAX + 1
    assert found['otari_cost_usd_total{provider="p",model="other"}'] == "0.000000350"
    assert found['otari_cost_usd_total{provider="p",model="m0"}'] == "0.000000014"


def test_names_of_models_can_not_break_the_text() -> None:
    meters = Meters()
    meters.settled(settlement('a"b\\c\nd\ud800'))
    assert r'model="a\"b\\c\nd?"' in meters.text()


def test_every_family_is_explained_once_before_its_samples() -> None:
    meters = Meters()
    answer(meters, 200)
    meters.settled(settlement())
    known: set[str] = set()
    for line in meters.text().splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in known
            known.add(name)
        elif not line.startswith("#"):
            name, value = line.split("{")[0].split(" ")[0], line.rpartition(" ")[2]
            float(value)
            base = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            assert base in known, name
    assert meters.text().endswith("\n")
