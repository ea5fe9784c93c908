"""Clients that ask a gateway without pause until it is gone, and remember what they saw. Seeded."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson

MAX_TOKENS = 40
GAPS_MS = (0, 2, 10)
MODELS = tuple(f"ok-n{tokens}-i{gap}" for tokens in range(1, MAX_TOKENS + 1) for gap in GAPS_MS)

_STREAMED = 0.8
_CUT = 0.15  # of the streams, after the first chunk
_PATIENCE_S = 30.0
_AFTER_REFUSAL_S = 0.02  # or refusals, which cost nothing, would be nearly all that happens
_DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Seen:
    """What the clients of one load know. Ids are those of the gateway's answers."""

    asked: int = 0
    in_flight: int = 0
    whole: set[str] = field(default_factory=set)  # the client got the answer to its very end
    cut: set[str] = field(default_factory=set)  # the client left after the first chunk
    refused: dict[str, str] = field(default_factory=dict)  # no budget was left, in the words of the answer
    wrong: list[str] = field(default_factory=list)  # answers that should not be


class Load:
    """`clients` closed-loop clients that share out `keys`; `provider` is the name before the model."""

    def __init__(self, url: str, keys: Sequence[str], provider: str, clients: int, seed: str) -> None:
        self.seen = Seen()
        self._address = f"{url}/v1/chat/completions"
        self._keys = keys
        self._provider = provider
        self._clients = clients
        self._seed = seed

    async def run(self, end: Callable[[], Awaitable[None]]) -> None:
        """Ask until `end` returns; it ends the gateway. Raises TimeoutError when a client hangs after that."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE_S, sock_read=_PATIENCE_S)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            asking = [asyncio.create_task(self._client(session, number)) for number in range(self._clients)]
            await end()
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.gather(*asking)

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        dice = random.Random(f"{self._seed}/{number}")
        key = self._keys[number % len(self._keys)]
        while True:
            try:
                let_in = await self._ask(session, key, dice)
            except aiohttp.ClientError:
                return  # the gateway is gone
            if not let_in:
                await asyncio.sleep(_AFTER_REFUSAL_S)

    async def _ask(self, session: aiohttp.ClientSession, key: str, dice: random.Random) -> bool:
        """One request; False when it was refused."""
        tokens, gap = dice.randint(1, MAX_TOKENS), dice.choice(GAPS_MS)
        stream = dice.random() < _STREAMED
        cut = stream and dice.random() < _CUT
        body = {
            "model": f"{self._provider}:ok-n{tokens}-i{gap}",
            "messages": [{"role": "user", "content": "word " * dice.randint(1, 12)}],
            "max_tokens": tokens,
            "stream": stream,
        }
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.seen.asked += 1
        self.seen.in_flight += 1
        async with session.post(self._address, data=orjson.dumps(body), headers=headers) as answer:
            if answer.status != 200:
                await self._refused(answer)
            elif cut:
                await answer.content.readany()
                self.seen.cut.add(_id(answer))
                answer.close()
            else:
                await self._read(answer, stream=stream)
        self.seen.in_flight -= 1  # not when the connection broke: that request was in flight at the end
        return answer.status == 200

    async def _refused(self, answer: aiohttp.ClientResponse) -> None:
        error = orjson.loads(await answer.read())["error"]
        if (answer.status, error["code"]) == (403, "insufficient_quota"):
            self.seen.refused[_id(answer)] = error["message"]
        else:
            self.seen.wrong.append(f"{answer.status} {error}")

    async def _read(self, answer: aiohttp.ClientResponse, *, stream: bool) -> None:
        """Read to the end. A stream is whole for its client at `[DONE]`, whatever the connection does after it."""
        body = b""
        async for data in answer.content.iter_any():
            body += data
            if stream and body.endswith(_DONE):
                self.seen.whole.add(_id(answer))
        if not stream and "choices" in orjson.loads(body):
            self.seen.whole.add(_id(answer))
        if _id(answer) not in self.seen.whole:
            self.seen.wrong.append(f"200 without an end: ...{body[-200:]!r}")


def _id(answer: aiohttp.ClientResponse) -> str:
    return answer.headers["Otari-Request-ID"]
