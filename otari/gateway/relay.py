"""A stream whose upstream speaks the client's dialect: bytes pass, frames are only watched.

Only whole frames go out, so that an error can always be told after the last one. A block of frames that holds nothing
notable passes as it came; the others are looked at frame by frame.
"""

from collections.abc import AsyncIterator, Callable

import orjson

from otari.dialects import sse
from otari.dialects.dialect import Dialect
from otari.domain.chat import Usage, unfold
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import UpstreamReply
from otari.gateway.estimate import StreamMeter

BROKE_OFF = "The provider broke off the answer before its end"


class SameDialectRelay:
    """Watches one stream.

    `usage` is what it told so far, `finished` that the model said why it stopped, `terminal` that the last frame has
    come, `failure` that the provider told an error inside the stream (to be raised once what came before is out).
    """

    def __init__(self, dialect: Dialect, *, wants_usage: bool, clean: Callable[[str], str]) -> None:
        self._dialect = dialect
        self._wants_usage = wants_usage
        self._clean = clean
        self._framer = sse.Framer()
        self._begun = False
        self.meter = StreamMeter(dialect)
        self.usage = Usage()
        self.failure: OtariError | None = None
        self.finished = False
        self.terminal = False

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

    def feed(self, data: bytes) -> bytes:
        """Bytes from the upstream → bytes for the client (whole frames, maybe none)."""
        block = self._framer.feed(data)
        if not block or self.terminal or self.failure is not None:
            return b""
        self.meter.saw(block)
        at = self._dialect.notable(block)
        if at >= 0:
            start = sse.start_of(block, at)
            block = block[:start] + self._look(block[start:])
        if not self._begun:
            self._begun = _has_data(block)
        return block

    def end(self) -> bytes:
        """The upstream closed cleanly: the last frame if it only lacks its blank line.

        Raises OtariError(UPSTREAM) when the answer has no end.
        """
        rest = self._framer.rest()
        out = b""
        if rest.strip() and not self.terminal and _whole(sse.data(rest)):
            self.meter.saw(rest)
            out = self._look(rest)
        if not (self.terminal or self.finished or self.failure is not None):
            raise OtariError(Kind.UPSTREAM, BROKE_OFF, retryable=True, detail="the stream has no terminal event")
        return out

    def _look(self, block: bytes) -> bytes:
        kept: list[bytes] = []
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
                kept.append(frame)
            if seen.terminal:
                self.terminal = True
                break  # nothing may follow the end
        return b"".join(kept)

    def _failed(self, words: str) -> OtariError:
        told = self._clean(words)[:400]
        message = f"{BROKE_OFF}: {told}" if told else BROKE_OFF
        return OtariError(Kind.UPSTREAM, message, retryable=True, detail=f"error event in the stream: {told}")


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


async def replayed(dialect: Dialect, reply: UpstreamReply, *, wants_usage: bool) -> tuple[bytes, Usage]:
    """A whole JSON answer to a request for a stream, told as the stream it should have been.

    Some servers ignore `stream: true`. Raises OtariError(UPSTREAM) when the body is not an answer.
    """
    body = await reply.read()
    doc = read_answer(dialect, body)
    writer = dialect.writer(wants_usage=wants_usage)
    frames = b"".join(writer.write(event) for event in unfold(dialect.read_reply(doc)))
    return frames, dialect.usage_in(doc) or Usage()


def read_answer(dialect: Dialect, body: bytes) -> dict[str, object]:
    """The JSON object of a whole answer. Raises OtariError(UPSTREAM) when it is none, or tells an error instead."""
    try:
        doc = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        told = f"the answer is not JSON: {error.msg.split(':')[0]}"
        raise OtariError(Kind.UPSTREAM, "The provider's answer is not JSON", retryable=True, detail=told) from None
    if not isinstance(doc, dict):
        raise OtariError(Kind.UPSTREAM, "The provider's answer is not a JSON object", retryable=True)
    if doc.get("error") and not doc.get("choices"):
        raise OtariError(
            Kind.UPSTREAM, "The provider answered with an error", retryable=True, detail=dialect.read_error(body)
        )
    return doc
