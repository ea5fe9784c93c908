"""A whole gateway in process that is connected to a scripted platform, and what clients of three dialects ask of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from otari.control.connected import ConnectedControl
from tests.flows.house import Answer, House
from tests.scripted import ScriptedProvider
from tests.scripted.platform import ScriptedPlatform

USER = "tk_canary-user-token-4711"
GATEWAY = "gw_canary-gateway-token-0815"

CHAT, MESSAGES, RESPONSES = SURFACES = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


class Connected(House):
    """A House whose clients carry a user token of the platform. `platform` keys are added to its configuration."""

    def __init__(self, folder: Path, platform: ScriptedPlatform, *, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder)
        self.platform = platform
        settings = {"base_url": platform.base_url, "allow_private_hosts": True, **(told or {})}
        self.config = {
            "database_url": f"sqlite:///{folder}/otari.db",
            "durability": "normal",
            "ai_token": GATEWAY,
            "enable_metrics": True,
            "platform": settings,
        }

    async def __aenter__(self) -> "Connected":
        await super().__aenter__()
        self.key = USER
        return self

    async def ask(self, path: str, model: str, *, stream: bool = False, **more: object) -> Answer:
        """A small request of the dialect that belongs to `path`."""
        return await self.post({**body(path, model), "stream": stream, **more}, path=path)

    def kept(self) -> list[dict[str, Any]]:
        """The reports on disk."""
        return self.query("SELECT * FROM reports ORDER BY seq")

    async def quiet(self) -> None:
        """Wait until no report is kept any more."""
        await self.quiet_but(0)

    async def quiet_but(self, count: int) -> None:
        """Wait until so many reports are kept and no more."""
        await self.eventually(lambda: len(self.kept()) == count)

    def last_knocked(self, ago_s: float) -> None:
        """Set how long ago the platform was asked whether it is there."""
        control = self.gateway.control
        assert isinstance(control, ConnectedControl)
        control._platform._knocked_at = asyncio.get_running_loop().time() - ago_s


@asynccontextmanager
async def connected(
    folder: Path, **told: object
) -> AsyncIterator[tuple[Connected, ScriptedPlatform, ScriptedProvider]]:
    """A gateway, its platform, and the provider that has all models. `told` are keys of the platform's settings."""
    async with (
        ScriptedProvider() as provider,
        ScriptedPlatform(api_base=provider.base_url) as platform,
        Connected(folder, platform, told=told) as house,
    ):
        yield house, platform, provider


def body(path: str, model: str) -> dict[str, Any]:
    """What a client asks of `model`."""
    if path == RESPONSES:
        return {"model": model, "input": "one two three"}
    limit = {"max_tokens": 100} if path == MESSAGES else {}
    return {"model": model, "messages": [{"role": "user", "content": "one two three"}], **limit}


def message(path: str, answer: Answer) -> str:
    """What an error says, where clients of the dialect look for it; the same stands in `detail`."""
    doc = answer.json
    assert doc["detail"] == doc["error"]["message"]
    if path == MESSAGES:
        assert doc["type"] == "error"
    return str(doc["detail"])
