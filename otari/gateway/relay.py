"""Streams on their way from a provider to a client.

Only whole frames go out, so that an error can always be told after the last one. Here: what all relays have in
common, and the one for a provider that speaks the client's dialect: bytes pass, and a block of frames that holds
nothing notable passes as it came; the others are looked at frame by frame.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

import orjson

from otari.dialects import sse
from otari.dialects.dialect import Dialect
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.gateway.estimate import StreamMeter

BROKE_OFF = "The provider broke off the answer before its end"


class Relay(ABC):
    """One stream on its way; `server` is the provider's dialect.

    `usage` is what it told so far, `finished` that the model said why it stopped, `terminal` that the last frame has
    come, `failure` that the provider told an error inside the stream (to be raised once what came before is out).
    """

    def __init__(self, server: Dialect, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._framer = sse.Framer()
        self._begun = False  # the client has been told something that means something
        self.meter = StreamMeter(server)
        self.usage = Usage()
        self.failure: OtariError | None = None
        self.finished = False
        self.terminal = False
        self.holds_usage = False  # keep back the usage at the end until the last frame: something is to be added to it

    async def first(self, chunks: AsyncIterator[bytes]) -> bytes:
        """The first bytes for the client, once the first frame with data has come and is no error.

        Raises OtariError (retryable) when the stream ends, breaks or fails before that.
        """
        held = b""
        async for data in chunks:
            held += self.feed(data)
            if self.failure is not None and not self._begun:
                raise self.failure
            if self._begun:
                return held
        return held + self.end()

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Bytes from the upstream → bytes for the client (whole frames, maybe none)."""

    @abstractmethod
    def end(self) -> bytes:
        """The upstream closed cleanly: what is still to be told.

        Raises OtariError(UPSTREAM) when the answer has no end.
        """

    @abstractmethod
    def error_frames(self, error: OtariError) -> bytes:
        """What tells the client an error in the middle of its stream."""

    def _rest(self) -> bytes:
        """The last frame if it only lacks its blank line, else b""."""
        rest = self._framer.rest()
        if not rest.strip() or self.terminal or not _whole(sse.data(rest)):
            return b""
        self.meter.saw(rest)
        return rest

    def _failed(self, words: str, code: str | None = None) -> OtariError:
        return broken_off(self._clean(words), code)


def broken_off(words: str, code: str | None = None) -> OtariError:
    """The provider told an error in the middle of its answer, in these `words` (without secrets)."""
    told = words[:400]
    message = f"{BROKE_OFF}: {told}" if told else BROKE_OFF
    detail = f"error event in the stream: {told}"
    return OtariError(Kind.UPSTREAM, message, code=code, retryable=True, detail=detail)


class SameDialectRelay(Relay):
    """Watches one stream that passes as it came."""

    def __init__(self, dialect: Dialect, *, wants_usage: bool, clean: Callable[[str], str]) -> None:
        super().__init__(dialect, clean)
        self._dialect = dialect
        self._wants_usage = wants_usage
        self._held: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        block = self._framer.feed(data)
        if not block or self.terminal or self.failure is not None:
            return b""
        self.meter.saw(block)
        at = 0 if self._held else self._dialect.notable(block)
        if at >= 0:
            start = sse.start_of(block, at)
            block = block[:start] + self._look(block[start:])
        if not self._begun:
            self._begun = _has_data(block)
        return block

    def end(self) -> bytes:
        self.holds_usage = False
        out = self._look(self._rest())
        if not (self.terminal or self.finished or self.failure is not None):
            raise OtariError(Kind.UPSTREAM, BROKE_OFF, retryable=True, detail="the stream has no terminal event")
        return out

    def error_frames(self, error: OtariError) -> bytes:
        return self._dialect.stream_error(error)

    def _look(self, block: bytes) -> bytes:
        kept, self._held = self._held, []
        hold_from = 0 if kept else None
        for frame in sse.split(block):
            seen = self._dialect.see(frame, wants_usage=self._wants_usage)
            if seen.failed is not None:
                self.failure = self._failed(seen.failed)
                break
            if seen.usage is not None:
                self.usage = self.usage.merged(seen.usage)
            if seen.finishes:
                self.finished = True
            if seen.keep:
                if self.holds_usage and hold_from is None and seen.usage is not None and self.finished:
                    hold_from = len(kept)
                kept.append(frame)
            if seen.terminal:
                self.terminal = True
                break  # nothing may follow the end
        if self.holds_usage and hold_from is not None and not self.terminal and self.failure is None:
            kept, self._held = kept[:hold_from], kept[hold_from:]
        return b"".join(kept)


def _has_data(block: bytes) -> bool:
    """Whether a block holds more than comments."""
    start = 0
    while start < len(block):
        frame = sse.first(block, start)
        if sse.data(frame):
            return True
        start += len(frame)
    return False


def _whole(payload: bytes) -> bool:
    """Whether a frame's data is complete though its blank line never came."""
    if payload.strip() == b"[DONE]":
        return True
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        return False
    return True
