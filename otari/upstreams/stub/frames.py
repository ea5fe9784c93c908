"""Beats → the bytes of an answer and what happens between them, cut the way a bad network would cut them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from otari.dialects.dialect import Dialect, StreamWriter
from otari.domain.chat import Doc, Failed, PartDelta
from otari.upstreams.stub.dice import Dice
from otari.upstreams.stub.reply import Beat, whole
from otari.upstreams.stub.rules import Cut, Exact, Pace, Pause

GARBAGE_FRAME = b'data: {"scripted garbage": \n\n'
GARBAGE_BODY = b"<html>scripted garbage</html>"

# Places where a cut hurts most: inside a UTF-8 sequence, and inside the line ends that close a frame.
_IN_CHARACTER = re.compile(rb"[\x80-\xbf]")
_IN_LINE_ENDS = re.compile(rb"(?<=[\r\n])\n")
_SORE = re.compile(rb"[\x80-\xbf]|(?<=[\r\n])\n")
_SIZES = (5, 60, 700, 2000)  # the largest chunk that a throw of the dice may ask for, in bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing comes for `seconds`."""

    seconds: float


Move = bytes | Wait | Cut


def streamed(beats: Iterable[Beat], writer: StreamWriter, pace: Pace, dice: Dice) -> Iterator[Move]:
    """An answer as chunks of a stream.

    Before a wait everything has been sent; without one, frames share chunks.
    """
    ready = bytearray()
    if pace.ttft_s:
        yield Wait(pace.ttft_s)
    for beat in beats:
        wait = _wait(beat, pace, dice)
        if wait or isinstance(beat, Cut):
            yield from chunks(bytes(ready), dice)
            ready.clear()
        if wait:
            yield Wait(wait)
        if isinstance(beat, Cut):
            yield from _torn(beat, writer, dice)
            return
        if not isinstance(beat, Pause):
            ready += writer.write(beat)
    yield from chunks(bytes(ready), dice)


def at_once(beats: tuple[Beat, ...], dialect: Dialect, request: Doc, pace: Pace, dice: Dice) -> Iterator[Move]:
    """An answer to `request` as chunks of one JSON body.

    It takes as long as its stream would take; a cut leaves half of it.
    """
    waits = pace.ttft_s + sum(_wait(beat, pace, dice) for beat in beats)
    if waits:
        yield Wait(waits)
    body = orjson.dumps(dialect.write_reply(whole(beats), request_doc=request))
    cut = beats[-1]
    if not isinstance(cut, Cut):
        yield from chunks(body, dice)
    elif cut.kind == "garbage":
        yield from chunks(GARBAGE_BODY, dice)
    else:
        yield from chunks(body[: len(body) // 2], dice)
        yield cut


def as_it_came(exact: Exact) -> Iterator[Move]:
    """A recorded answer once more, with the silences between its pieces."""
    passed = 0.0
    for seconds, piece in exact.pieces:
        if seconds > passed:
            yield Wait(seconds - passed)
            passed = seconds
        yield piece


def nothing(cut: Cut, *, stream: bool) -> Iterator[Move]:
    """An answer that breaks off before its first byte."""
    if cut.kind == "garbage":
        yield GARBAGE_FRAME if stream else GARBAGE_BODY
    else:
        yield cut


def failure_message(status: int) -> str:
    """What the provider of the stub says when the script makes it fail."""
    return f"The stub was told to fail with status {status}"


def _torn(cut: Cut, writer: StreamWriter, dice: Dice) -> Iterator[Move]:
    """What still comes where a stream breaks. After garbage and after an error the stream just ends."""
    if cut.kind == "garbage":
        yield from chunks(GARBAGE_FRAME, dice)
    elif cut.kind == "error":
        status = cut.status or 500
        yield from chunks(writer.write(Failed(failure_message(status), str(status))), dice)
    else:
        yield cut


def _wait(beat: Beat, pace: Pace, dice: Dice) -> float:
    """Seconds of silence before a beat."""
    if isinstance(beat, Pause):
        return beat.seconds
    if isinstance(beat, PartDelta) and pace.tps:
        return (1 + pace.jitter * (2 * dice.share() - 1)) / pace.tps
    return 0.0


def chunks(data: bytes, dice: Dice) -> Iterator[bytes]:
    """`data` in chunks of very different sizes.

    The first character of several bytes and the end of the first frame are always cut in two, later ones
    now and then.
    """
    first_sores = sorted(found.start() for p in (_IN_CHARACTER, _IN_LINE_ENDS) if (found := p.search(data, 1)))
    at = 0
    for stop in (*first_sores, len(data)):
        while at < stop:
            end = min(at + 1 + dice.below(_SIZES[dice.below(len(_SIZES))]), stop)
            sore = _SORE.search(data, at + 1, end) if dice.below(4) == 0 else None
            end = sore.start() if sore else end
            yield data[at:end]
            at = end
