"""A platform on loopback that decides and accounts for a connected gateway, for tests: it says what it is told to say.

In a test: `async with ScriptedPlatform() as platform: …`. As a process: `python -m tests.scripted.platform`.
"""

import argparse
import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web

from tests.scripted.provider import reset
from tests.scripted.running import run_until_stopped

Document = dict[str, Any]

RESOLVE, USAGE, HEALTH = "/gateway/provider-keys/resolve", "/gateway/usage", "/utils/health-check/"


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of the platform: `body` is a document, or raw bytes.

    `late` waits until it is set, `broken` resets the connection instead of answering: before the request counts as
    received, or after it.
    """

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    late: asyncio.Event | None = None
    broken: bool = False

    def response(self) -> web.Response:
        raw = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
        kind = {} if "Content-Type" in self.headers else {"Content-Type": "application/json"}
        return web.Response(status=self.status, body=raw, headers={**kind, **self.headers})


TAKEN = Said(204)
AWAY = Said(broken=True)


@dataclass(frozen=True, slots=True)
class Heard:
    """One call that came, in the order in which they came."""

    path: str
    headers: Mapping[str, str]
    doc: Document


class ScriptedPlatform:
    """Async context manager: listens on a loopback port while it is entered.

    `models` maps a model to what resolving it says: a `Said`, or a document. Any other name names the attempts itself,
    `first+second`, all at `provider` and `api_base` with `api_key`; without one, each attempt has a key of its own
    (`key_of`), by which its provider can tell it from the others. `usage` holds what the next reports are answered
    with, then `takes` decides. `heard` is all that came (unless a journal has it), `reports` the reports among it.
    `drops` is the share of calls whose connection is reset, half of them after the call was received.
    """

    def __init__(
        self,
        journal: Path | None = None,
        port: int = 0,
        *,
        provider: str = "openai_compatible",
        api_base: str | None = None,
        api_key: str = "sk-canary-from-the-platform-0123",
        drops: float = 0.0,
        seed: str = "",
    ) -> None:
        self.port = port
        self.provider = provider
        self.api_base = api_base
        self.api_key = api_key
        self.models: dict[str, Said | Document] = {}
        self.usage: deque[Said] = deque()
        self.takes: Callable[[Document], Said] = lambda report: TAKEN
        self.health = Said(body={"status": "ok"})
        self.heard: list[Heard] = []
        self.changed = asyncio.Condition()
        self._journal = journal.open("ab", buffering=0) if journal else None
        self._drops = drops
        self._dice = random.Random(seed)
        self._runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/api/v1"

    @property
    def resolves(self) -> list[Heard]:
        return [call for call in self.heard if call.path == RESOLVE]

    @property
    def reports(self) -> list[Document]:
        """Every report that was received, repeated ones too."""
        return [call.doc for call in self.heard if call.path == USAGE]

    def report(self, attempt_id: str) -> Document:
        """The one report of an attempt; fails when there are several that differ, or none."""
        (found,) = {orjson.dumps(doc) for doc in self.reports if doc["correlation_id"] == attempt_id}
        told: Document = orjson.loads(found)
        return told

    def attempts(self, *models: str, **more: object) -> Document:
        """What resolving says when it names these attempts; `more` is in each of them."""
        return {
            "request_id": f"rq-{uuid4()}",
            "fallback_enabled": len(models) > 1,
            "attempts": [self.attempt(model, position, **more) for position, model in enumerate(models)],
        }

    def attempt(self, model: str, position: int = 0, **more: object) -> Document:
        """One attempt with an id of its own."""
        attempt_id = f"att-{uuid4()}"
        return {
            "attempt_id": attempt_id,
            "position": position,
            "provider": self.provider,
            "model": model,
            "api_key": self.api_key or key_of(attempt_id),
            "api_base": self.api_base,
            "managed": False,
            **more,
        }

    async def reported(self, count: int) -> list[Document]:
        """Wait until so many reports have come, repeated ones not counted; all that came by then."""
        async with self.changed:
            await self.changed.wait_for(lambda: len({each["correlation_id"] for each in self.reports}) >= count)
        return self.reports

    async def asked(self, count: int) -> None:
        """Wait until so many calls have come, of any kind."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.heard) >= count)

    async def __aenter__(self) -> "ScriptedPlatform":
        await self.come()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
        if self._journal:
            self._journal.close()

    async def come(self) -> None:
        """Listen, after `leave` on the same port as before."""
        app = web.Application()
        app.router.add_route("*", "/api/v1{path:/.*}", self._answer)
        # Hardly any grace at the end: an answer that is late would use all of it.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def leave(self) -> None:
        """Be away: connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---- answering ----

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        drop, before = self._dice.random() < self._drops, self._dice.random() < 0.5
        if drop and before:
            return await _broken(request)
        call = Heard(request.match_info["path"], request.headers, orjson.loads(body) if body else {})
        said = self._said(call)
        await self._note(call, said)
        if said.late is not None:
            await said.late.wait()
        if drop or said.broken:
            return await _broken(request)
        return said.response()

    async def _note(self, call: Heard, said: Said) -> None:
        if self._journal:
            named = {"path": call.path, "doc": call.doc, "said": said.status}
            told = said.body if call.path == RESOLVE and isinstance(said.body, dict) else {}
            ids = [attempt["attempt_id"] for attempt in told.get("attempts", ())]
            self._journal.write(orjson.dumps({**named, "attempts": ids}, option=orjson.OPT_APPEND_NEWLINE))
            return
        async with self.changed:
            self.heard.append(call)
            self.changed.notify_all()

    def _said(self, call: Heard) -> Said:
        match call.path:
            case "/gateway/provider-keys/resolve":
                model = call.doc["model"]
                said = self.models.get(model) or self.attempts(*model.split("+"))
                return said if isinstance(said, Said) else Said(body=said)
            case "/gateway/usage":
                return self.usage.popleft() if self.usage else self.takes(call.doc)
            case "/utils/health-check/":
                return self.health
        return Said(404, {"detail": "no such path"})


def key_of(attempt_id: str) -> str:
    """The key of an attempt that has one of its own."""
    return f"sk-canary-{attempt_id}"


async def _broken(request: web.Request) -> web.StreamResponse:
    reset(request)
    await asyncio.Event().wait()  # until the lost connection cancels this
    raise AssertionError("never reached")


def once_each(reports: list[Document]) -> dict[str, Document]:
    """Reports by correlation id; fails when two of one id differ."""
    found: dict[str, Document] = {}
    for report in reports:
        assert found.setdefault(report["correlation_id"], report) == report
    return found


def repeated(reports: list[Document]) -> dict[str, int]:
    """How often each report came that came more than once."""
    return {name: n for name, n in Counter(report["correlation_id"] for report in reports).items() if n > 1}


def main() -> None:
    """Listen on a loopback port, write its number to a file, and answer until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.scripted.platform", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on (0 = a free one)")
    parser.add_argument("--port-file", type=Path, help="where to write the port once it is listened on")
    parser.add_argument("--journal", type=Path, help="where to append a line per call")
    parser.add_argument("--provider", default="openai_compatible", help="the type of provider that attempts name")
    parser.add_argument("--api-base", help="where that provider is")
    parser.add_argument("--api-key", default="", help="the key for it; without one, each attempt has its own")
    parser.add_argument("--cost", help="what every report is acknowledged with, in USD")
    parser.add_argument("--drops", type=float, default=0.0, help="share of calls whose connection is reset")
    parser.add_argument("--seed", default="", help="which ones those are")
    given = parser.parse_args()
    platform = ScriptedPlatform(
        given.journal,
        given.port,
        provider=given.provider,
        api_base=given.api_base,
        api_key=given.api_key,
        drops=given.drops,
        seed=given.seed,
    )
    if given.cost is not None:
        receipt = Said(200, {"cost_usd": given.cost, "pricing_source": "catalog"})
        platform.takes = lambda report: receipt
    asyncio.run(run_until_stopped(platform, given.port_file))


if __name__ == "__main__":
    main()
