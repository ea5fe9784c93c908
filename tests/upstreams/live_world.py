"""A scripted provider and the live upstream that asks it, for the tests of the latter."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from otari.dialects.openai_errors import read_error
from otari.domain.errors import OtariError
from otari.domain.ports import Attempt, Call
from otari.domain.provider import Timeouts
from otari.domain.redaction import Redactor
from otari.domain.secret import Secret
from otari.upstreams.live import LiveUpstream
from tests.scripted import ScriptedProvider

KEY = "0123456789abcdef0123456789abcdef"  # no telling shape: only its being known keeps it out of messages
PATIENT = Timeouts(connect_s=5.0, silence_s=5.0)
IMPATIENT = Timeouts(connect_s=0.05, silence_s=0.05)
LONGEST_S = 10.0  # of a scene: what hangs must fail
REACTION_S = 1.0  # within this the provider must notice that nobody listens any more


class World:
    """A provider and the upstream under test that asks it."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self.provider = provider
        self.live = LiveUpstream({"openai-chat": read_error}, Redactor(), "9.9", now=lambda: 1_445_412_000.0)
        self.attempt = Attempt(
            provider="acme",
            model="m",
            via="live",
            base_url=provider.base_url,
            secret=Secret(KEY),
            speaks=("openai-chat",),
            timeouts=PATIENT,
        )

    async def ask(self, model: str, **changes: object) -> bytes:
        async with self.live.send(self.changed(changes), call(model)) as reply:
            return await reply.read()

    async def stream(self, model: str, **changes: object) -> bytes:
        return b"".join([chunk async for chunk in self.pieces(model, **changes)])

    async def pieces(self, model: str, **changes: object) -> AsyncIterator[bytes]:
        async with self.live.send(self.changed(changes), call(model, stream=True)) as reply:
            async for chunk in reply.chunks():
                yield chunk

    async def failure(self, model: str, stream: bool = False, /, **changes: object) -> OtariError:
        with pytest.raises(OtariError) as raised:
            await (self.stream if stream else self.ask)(model, **changes)
        return raised.value

    async def broken(self, model: str, **changes: object) -> tuple[bytes, OtariError]:
        """What came of a stream, and the error that ended it."""
        got = b""
        try:
            async for piece in self.pieces(model, **changes):
                got += piece
        except OtariError as error:
            return got, error
        pytest.fail("the stream came to its end")

    def changed(self, changes: dict[str, object]) -> Attempt:
        return replace(self.attempt, **changes) if changes else self.attempt  # type: ignore[arg-type]


def call(model: str, *, stream: bool = False, operation: str = "chat", content: str = "two words") -> Call:
    doc = {"model": model, "stream": stream, "messages": [{"role": "user", "content": content}]}
    return Call("req-1", operation, "openai-chat", orjson.dumps(doc), stream)


@asynccontextmanager
async def a_world() -> AsyncIterator[World]:
    async with ScriptedProvider() as provider:
        world = World(provider)
        try:
            yield world
        finally:
            await world.live.close()


def play(scene: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(LONGEST_S), a_world() as world:
            await scene(world)

    asyncio.run(run())


async def soon_idle(world: World) -> None:
    async with asyncio.timeout(REACTION_S):
        await world.provider.idle()
