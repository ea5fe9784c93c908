"""The whole gateway in process, on a real socket, with the stub and a scripted provider behind it."""

import asyncio
import io
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web

from otari.app import Gateway, Setting, build, wall_ms
from otari.config import load
from otari.store.writer import Writer
from otari.web.server import answer_straight, limit_connections, make_runner
from tests.scripted import ScriptedProvider
from tests.store.unflushed import UnflushedWriter

MASTER = "mk-flows-0123456789abcdef"
PROVIDER_KEY = "sk-canary-provider-key-000111222"


class House:
    """A running gateway: `post`, `rows`, `user`; entered and left like any async context."""

    setting: Setting | None = None  # who answers and who is let in, when it is not as usual
    writer: type[Writer] = UnflushedWriter  # unless the setting has one of its own
    now_ms: Callable[[], int] = staticmethod(wall_ms)

    def __init__(self, folder: Path, provider: ScriptedProvider | None = None, **config: object) -> None:
        self.folder = folder
        self.provider = provider
        providers: dict[str, object] = {"stub": {"type": "stub", "unpriced_models": ["unpriced"]}}
        if provider is not None:
            providers["live"] = {"type": "openai_compatible", "api_base": provider.base_url, "api_key": PROVIDER_KEY}
        self.config: dict[str, object] = {
            "database_url": f"sqlite:///{folder}/otari.db",
            "durability": "normal",
            "master_key": MASTER,
            "require_pricing": False,
            "providers": providers,
            **config,
        }

    async def __aenter__(self) -> Self:
        document = orjson.dumps(self.config).decode()
        loaded = load(None, {"OTARI_CONFIG_YAML": document})
        setting = self.setting or Setting()
        if setting.writer is Writer:
            setting = replace(setting, writer=self.writer)
        self.gateway: Gateway = await build(loaded.config, loaded.environ, self.now_ms, setting)
        first = self.gateway.plane.api_key
        self.key = first.reveal() if first else ""
        self.runner = make_runner(self.gateway.app, 1.0)
        await self.runner.setup()
        assert self.runner.server is not None
        limit_connections(self.runner.server)
        answer_straight(self.runner.server, self.gateway.app)
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port = int(self.runner.addresses[0][1])
        self.base = f"http://127.0.0.1:{self.port}"
        self.client = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()
        await self.runner.cleanup()
        await self.gateway.close()

    async def post(
        self, body: object, *, path: str = "/v1/chat/completions", headers: Mapping[str, str] | None = None
    ) -> "Answer":
        """POST a JSON document (or raw bytes) with the first key."""
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **(headers or {})}
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.client.post(self.base + path, data=io.BytesIO(raw), headers=sent) as response:
            received, whole = b"", True
            try:
                async for piece in response.content.iter_any():
                    received += piece
            except aiohttp.ClientPayloadError:
                whole = False
            return Answer(response.status, dict(response.headers), received, whole)

    async def get(self, path: str, **headers: str) -> "Answer":
        return await self.request("GET", path, headers)

    async def request(self, method: str, path: str, headers: Mapping[str, str], **more: Any) -> "Answer":
        """Any request with these headers alone; `more` as aiohttp's client takes it (`data`, `json`, `params`)."""
        async with self.client.request(method, self.base + path, headers=headers, **more) as response:
            return Answer(response.status, dict(response.headers), await response.read(), True)

    async def raw(self, sent: bytes) -> bytes:
        """Everything the gateway answers to these very bytes, until it closes or falls silent for a moment."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        received = b""
        try:
            async with asyncio.timeout(20):
                while piece := await reader.read(65536):
                    received += piece
                    if b"\r\n\r\n" in received and _complete(received):
                        break
        except (ConnectionError, TimeoutError):
            pass
        writer.close()
        return received

    def rows(self) -> list[dict[str, Any]]:
        """All usage rows, oldest first, as the database file has them."""
        return self.query("SELECT * FROM usage ORDER BY seq")

    def query(self, sql: str) -> list[dict[str, Any]]:
        conn = sqlite3.connect(f"file:{self.folder}/otari.db?mode=ro", uri=True)
        conn.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in conn.execute(sql)]
        finally:
            conn.close()

    async def write(self, sql: str, *values: object) -> None:
        """Change the database through the gateway's own writer."""
        await self.gateway.database.write(lambda conn: conn.execute(sql, values).rowcount)

    async def eventually(self, condition: Callable[[], bool]) -> None:
        """Wait until something outside of this loop's reach has come true; a few seconds at most."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110  (a file or another process changes it: nothing to wait for)
                await asyncio.sleep(0.005)

    def balanced(self) -> bool:
        """Nothing is held, nothing is open, and every user's spend is the sum of the rows."""
        users = self.query("SELECT user_id, spend_nano, reserved_nano FROM users")
        sums = {
            row["user_id"]: row["total"]
            for row in self.query("SELECT user_id, sum(coalesce(cost_nano, 0)) AS total FROM usage GROUP BY user_id")
        }
        still = self.query("SELECT id FROM usage WHERE state = 'open'")
        return not still and all(
            user["reserved_nano"] == 0 and user["spend_nano"] == sums.get(user["user_id"], 0) for user in users
        )


class Answer:
    """A response that was read. `whole` is False when the connection was cut before the end of the body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, whole: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.whole = whole

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


def _complete(received: bytes) -> bool:
    head, _, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return body.endswith(b"0\r\n\r\n")


def chat(model: str = "stub:echo", text: str = "Hello", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run one scene, bounded in time."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scene

    asyncio.run(bounded())
