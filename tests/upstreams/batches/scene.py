"""A vendor and the gateway's batches there, for tests of the latter."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from otari.dialects import DIALECTS
from otari.domain.batches import BatchAnswer, BatchLine, BatchLines, BatchLook, BatchUpstream
from otari.domain.errors import OtariError
from otari.domain.ports import Attempt
from otari.domain.provider import Timeouts
from otari.domain.redaction import Redactor
from otari.domain.secret import Secret
from otari.upstreams.batches import batch_upstreams
from otari.upstreams.live import LiveUpstream
from tests.vendors import VENDORS
from tests.vendors.vendor import Doc, Vendor

KEY = "0123456789abcdef0123456789abcdef"  # no telling shape: only its being known keeps it out of messages
OURS = "batch_0123456789ab0123456789abcdef012345"
LONGEST_S = 20.0
FLAVOURS = tuple(VENDORS)
DIALECT = {
    "openai": "openai-chat",
    "anthropic": "anthropic-messages",
    "mistral": "openai-chat",
    "gemini": "gemini",
}
_AUTHS = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}


class Scene:
    """A vendor, and what asks it."""

    def __init__(self, vendor: Vendor, live: LiveUpstream) -> None:
        self.vendor = vendor
        self.flavour = vendor.flavour
        self.dialect = DIALECT[vendor.flavour]
        self.upstream: BatchUpstream = batch_upstreams(live)[vendor.flavour]
        self.attempt = Attempt(
            provider="acme",
            model="m-1",
            via="live",
            base_url=vendor.base_url,
            secret=Secret(KEY),
            speaks=(self.dialect,),
            auth=_AUTHS.get(vendor.flavour, "bearer"),
            timeouts=Timeouts(connect_s=5.0, silence_s=5.0),
        )

    async def create(self, bodies: Sequence[Doc] | int = 3) -> BatchLook:
        docs = [body(self.dialect, f"say {number}") for number in range(bodies)] if type(bodies) is int else bodies
        return await self.upstream.create(self.attempt, OURS, self.dialect, lines_of(docs))  # type: ignore[arg-type]

    async def looked(self, remote_id: str) -> BatchLook:
        return await self.upstream.look(self.attempt, remote_id)

    async def results(self, look: BatchLook, lines: int) -> list[BatchAnswer]:
        """The answers in the order of their lines."""
        return sorted([answer async for answer in self.upstream.results(self.attempt, look, lines)])

    async def ended(
        self, lines: Sequence[bytes], errors: Sequence[bytes] = (), state: str = "", words: str = "", many: int = 3
    ) -> list[BatchAnswer]:
        """What comes of a batch of `many` lines that ends with these results."""
        created = await self.create(many)
        job = next(reversed(self.vendor.jobs))
        self.vendor.end(job, state or self.vendor.done, lines, errors, words)
        return await self.results(await self.looked(created.remote_id), many)

    async def failure(self, doing: Awaitable[object]) -> OtariError:
        with pytest.raises(OtariError) as raised:
            await doing
        return raised.value

    async def broken_off(self, look: BatchLook, lines: int) -> tuple[list[BatchAnswer], OtariError]:
        """The answers that came, and the error that ended them."""
        got = []
        try:
            async for answer in self.upstream.results(self.attempt, look, lines):
                got += [answer]
        except OtariError as error:
            return got, error
        pytest.fail("the results came to their end")

    def at(self, **changes: object) -> Attempt:
        return replace(self.attempt, **changes)  # type: ignore[arg-type]


def body(dialect: str, text: str) -> Doc:
    """A small request."""
    if dialect == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return {"model": "m-1", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}


def lines_of(docs: Sequence[Doc]) -> BatchLines:
    async def lines() -> AsyncIterator[BatchLine]:
        for number, doc in enumerate(docs, 1):
            yield BatchLine(number, orjson.dumps(doc))

    return lines


def play(flavour: str, scene: Callable[[Scene], Awaitable[None]]) -> None:
    """Play a scene with the vendor of this flavour."""

    async def run() -> None:
        async with asyncio.timeout(LONGEST_S), a_scene(flavour) as set_up:
            await scene(set_up)

    asyncio.run(run())


@asynccontextmanager
async def a_scene(flavour: str) -> AsyncIterator[Scene]:
    readers = {name: dialect.read_error for name, dialect in DIALECTS.items()}
    live = LiveUpstream(readers, Redactor(), "9.9")
    try:
        async with VENDORS[flavour]() as vendor:
            yield Scene(vendor, live)
    finally:
        await live.close()
