"""An answer of the stub under way: its bytes as they come, and every way in which it can break off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.upstreams.stub.frames import Move, Wait
from otari.upstreams.stub.rules import Answer, Cut

RULE_HEADER = "x-stub-rule"
_BREATH = 16  # chunks between two chances for others to run (and to cancel)

Sleep = Callable[[float], Awaitable[None]]


class StubReply:
    """One scripted answer; see `UpstreamReply`. It can be read once."""

    def __init__(
        self, attempt: Attempt, rule: str, answer: Answer, content_type: str, moves: Iterable[Move], sleep: Sleep
    ) -> None:
        self._attempt = attempt
        self.status = answer.status
        self.content_type = content_type
        self.headers: Mapping[str, str] = {**answer.headers, "content-type": content_type, RULE_HEADER: rule}
        self._all = moves
        self._moves = iter(moves)
        self._sleep = sleep

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in awkward pieces.

        Raises OtariError(UPSTREAM) where the script resets the connection, and OtariError(UPSTREAM_TIMEOUT) when it
        hangs for longer than the provider's silence is allowed to last.
        """
        sent = 0
        for move in self._moves:
            match move:
                case bytes():
                    yield move
                    sent += 1
                    if sent % _BREATH == 0:
                        await asyncio.sleep(0)
                case Wait(seconds):
                    await self._sleep(seconds)
                case Cut("reset"):
                    raise self._broken_off()
                case Cut("hang"):
                    await self._hang()
                case Cut():
                    return

    async def read(self) -> bytes:
        """The whole body. Raises like `chunks`."""
        match self._all:
            case (bytes(body),):
                return body
        return b"".join([chunk async for chunk in self.chunks()])

    def _broken_off(self) -> OtariError:
        """What a connection means that closes in the middle of an answer; as with a real provider."""
        return OtariError(
            Kind.UPSTREAM,
            f"LLM provider error (the answer of '{self._attempt.provider}' broke off)",
            code="upstream_disconnected",
            retryable=True,
            upstream_status=self.status,
            detail=f"{self._attempt.provider}: the script says cut: reset",
        )

    async def _hang(self) -> None:
        """Silence, until somebody cancels or the time is up that real providers have."""
        allowed = self._attempt.timeouts.silence_s
        try:
            async with asyncio.timeout(allowed):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            raise OtariError(
                Kind.UPSTREAM_TIMEOUT,
                f"LLM provider timeout ('{self._attempt.provider}' sent nothing for {allowed:g} s)",
                code="upstream_timeout",
                retryable=True,
                upstream_status=self.status,
                detail=f"{self._attempt.provider}: the script says cut: hang",
            ) from None
