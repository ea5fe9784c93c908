"""A whole gateway in process that is connected to a scripted platform, and what clients of three dialects ask of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.flows.house import Answer, House
from tests.scripted.platform import ScriptedPlatform

USER = "tk_canary-user-token-4711"
GATEWAY = "gw_canary-gateway-token-0815"
KEYS = ("resolve_timeout_ms", "usage_timeout_ms", "usage_inline_timeout_ms", "streaming_first_chunk_timeout_ms")

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
        await self.eventually(lambda: not self.kept())


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
