"""The exchanges of the gateway whose contract we keep: what it answered is answered here, but for what the table says.

`golden/*.yaml` has its answers by noun, `golden/provider.yaml` what the provider behind it said, and
`golden/deviations.yaml` every difference that is meant, with its reason. Anything else that differs fails, also a
difference that is listed and no longer there.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiohttp import web

from tests.flows import deviations, exchanges
from tests.flows.deviations import Deviation
from tests.flows.exchanges import Exchange, Talk
from tests.flows.house import House, play

GOLDEN = Path(__file__).parent / "golden"
NOUNS = sorted(path.stem for path in GOLDEN.glob("*.yaml") if path.stem not in ("provider", "deviations"))
ALL = [exchange for noun in NOUNS for exchange in exchanges.read(GOLDEN / f"{noun}.yaml")[1]]
OURS, FAULTS = deviations.ours(deviations.read(GOLDEN / "deviations.yaml"), ALL)


class Provider:
    """A provider on loopback that says what `provider.yaml` has for a model."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = yaml.safe_load((GOLDEN / "provider.yaml").read_text())
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)

    async def __aenter__(self) -> "Provider":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        asked = await request.json()
        said = self._said[asked["model"]]
        if asked.get("stream") and "events" in said:
            events = (event if isinstance(event, str) else orjson.dumps(event).decode() for event in said["events"])
            return web.Response(
                text="".join(f"data: {event}\n\n" for event in events), content_type="text/event-stream"
            )
        return web.json_response(said["json"], status=said.get("status", 200))


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("noun", NOUNS)
def test_what_was_answered_is_answered_here_but_for_the_table(tmp_path: Path, noun: str, prefix: str) -> None:
    house_config, asked = exchanges.read(GOLDEN / f"{noun}.yaml")
    differences: list[str] = []

    async def scene() -> None:
        async with Provider() as provider:
            upstream = {"type": "openai_compatible", "api_base": provider.base_url, "api_key": "sk-upstream"}
            models = {"models": ["stub-a", "stub-b"]}
            providers = {"openai": {**upstream, **models}, "home_lab": {**upstream, **models}}
            providers |= {name: {**upstream, **told} for name, told in house_config.pop("providers", {}).items()}
            async with House(tmp_path, providers=providers, **house_config) as house:
                talk = Talk(house, prefix)
                for exchange in asked:
                    answer = await talk.ask(exchange)
                    if exchange.prepares:
                        assert answer["status"] == exchange.expected["status"], f"{exchange.name}: {answer}"
                        continue
                    found = talk.differences(OURS[exchange.name], answer)
                    differences.extend(f"{exchange.name}: {each}" for each in found)

    play(scene())
    assert not differences, "\n".join(differences)


def test_every_deviation_is_one() -> None:
    assert not FAULTS, "\n".join(FAULTS)


def test_every_exchange_has_a_name_of_its_own() -> None:
    names = Counter(exchange.name for exchange in ALL if not exchange.prepares)
    assert [name for name, count in names.items() if count > 1] == []


def test_a_deviation_that_is_none_is_a_fault_of_the_table() -> None:
    exchange = Exchange("things", "get thing", {"ask": "GET /", "json": {"made": "<time>", "count": 1}})
    table = [
        {"why": "times say that they are UTC", "exchanges": {"holding": "<time>"}, "replace": {"<time>": "<utc>"}},
        {"why": "it counts as before", "exchanges": ["get thing"], "set": {"json.count": 1}},
        {"why": "it was taken away", "exchanges": ["get other"], "set": {"json.count": 2}},
        {"why": "no name is told", "exchanges": {"holding": "Otari"}, "replace": {"Otari": ""}},
    ]
    answers, faults = deviations.ours([Deviation(told) for told in table], [exchange])
    assert answers["get thing"]["json"] == {"made": "<utc>", "count": 1}
    assert faults == [
        "'get thing' does not differ in this: it counts as before",
        "there is no exchange 'get other': it was taken away",
        "no exchange is concerned by: no name is told",
    ]


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("<time>", "2026-11-22T23:44:02.341058", True),
        ("<time>", "2026-11-22T23:44:02.341+00:00", False),
        ("<utc>", "2026-11-22T23:44:02.341+00:00", True),
        ("<int>", 5, True),
        ("<int>", True, False),
        (0, False, False),
        (0.0, 0, True),
        (0.000021, 0.000021000000000000002, False),
        (None, 0, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1], [1, 2], False),
        ("key-<uuid k>", "key-6f1f8c52-0d3c-4a4e-9a52-7f1f0a3f9d11", True),
        (
            ["<uuid k>", "<uuid k>"],
            ["6f1f8c52-0d3c-4a4e-9a52-7f1f0a3f9d11", "6f1f8c52-0d3c-4a4e-9a52-7f1f0a3f9d12"],
            False,
        ),
        ("Expected 'Bearer <token>'", "Expected 'Bearer <token>'", True),
    ],
)
def test_what_counts_as_the_same(expected: Any, found: Any, same: bool) -> None:
    house = House(Path("nowhere"))
    house.key = ""
    assert (not list(Talk(house).differences(expected, found))) is same
