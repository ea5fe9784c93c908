"""The exchanges of a connected gateway whose contract we keep, with its clients and with the platform.

`golden_connected/exchanges.yaml` has what it answered and what it told the platform, `platform.yaml` what the platform
said, `deviations.yaml` every difference that is meant. The providers are those of `golden/provider.yaml`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.flows import deviations, exchanges
from tests.flows.connected import GATEWAY, USER, Connected
from tests.flows.exchanges import Document, Exchange, Talk
from tests.flows.house import play
from tests.flows.test_golden import Provider
from tests.scripted.platform import RESOLVE, USAGE, Heard, Said, ScriptedPlatform

GOLDEN = Path(__file__).parent / "golden_connected"
TOLD: dict[str, Any] = yaml.safe_load((GOLDEN / "platform.yaml").read_text())


class BothSides(Exchange):
    """An exchange whose answer also has what the platform hears because of it."""

    @property
    def expected(self) -> Document:
        return {**super().expected, "platform": self.told.get("platform", [])}


ALL = [BothSides(each.noun, each.name, each.told) for each in exchanges.read(GOLDEN / "exchanges.yaml")[1]]
OURS, FAULTS = deviations.ours(deviations.read(GOLDEN / "deviations.yaml"), ALL)


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_what_was_answered_and_told_is_so_here_but_for_the_table(tmp_path: Path, prefix: str) -> None:
    differences: list[str] = []

    async def scene() -> None:
        async with Provider() as provider, ScriptedPlatform() as platform:
            platform.models = {model: _said(told, provider.base_url) for model, told in TOLD.items()}
            async with Connected(tmp_path, platform) as house:
                talk = Talk(house, prefix)
                for exchange in ALL:
                    platform.heard.clear()
                    answer = await talk.ask(exchange)
                    await house.quiet()  # the attempts of the next exchange have the same ids
                    found = talk.differences(OURS[exchange.name], {**answer, "platform": list(_calls(platform.heard))})
                    differences.extend(f"{exchange.name}: {each}" for each in found)

    play(scene())
    assert not differences, "\n".join(differences)


def _said(told: dict[str, Any], provider: str) -> Said:
    return Said(
        told.get("status", 200), deviations.replaced(told["json"], "<provider>", provider), told.get("headers", {})
    )


def _calls(heard: list[Heard]) -> Iterator[Document]:
    """The calls, each judged by its headers; reports by their ids, since they may overtake each other."""
    for call in sorted(heard, key=lambda call: call.doc.get("correlation_id", "")):
        if call.path not in (RESOLVE, USAGE):
            continue
        tokens = {name.lower(): value for name, value in call.headers.items() if "token" in name.lower()}
        user = {"x-user-token": USER} if call.path == RESOLVE else {}
        assert tokens == {"x-gateway-token": GATEWAY, **user}
        assert call.headers["Content-Type"] == "application/json"
        yield {"resolve" if call.path == RESOLVE else "usage": call.doc}


def test_every_deviation_is_one() -> None:
    assert not FAULTS, "\n".join(FAULTS)
