"""Local counts, for when a provider did not say what it used: an honest estimate, and marked as one."""

from collections.abc import Iterator
from typing import Any

from otari.dialects import sse
from otari.dialects.dialect import Dialect
from otari.domain.chat import Doc, PartDelta
from otari.domain.tokens import Counter

_SAMPLE_BYTES = 64 * 1024
_BYTES_PER_TOKEN = 4
_DATA_URL = "data:"


def prompt_tokens(doc: Doc, counter: Counter) -> int:
    """About how many tokens a request's texts are: every string of it but data URLs, with their keys left out."""
    return counter.count("\n".join(_texts(doc)))


def _texts(doc: Any) -> Iterator[str]:
    waiting = [doc]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if not value.startswith(_DATA_URL):
                yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


class StreamMeter:
    """Weighs a stream that is only passed through, so that one that was cut can still be charged.

    Parsing every frame would cost more than everything else on that path. So only frames and bytes are counted, and a
    first sample is kept: from it, when an estimate is asked for, one learns how many bytes of a frame are envelope.
    """

    __slots__ = ("_bytes", "_dialect", "_frames", "_sample")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._frames = 0
        self._bytes = 0
        self._sample: list[bytes] = []

    def saw(self, block: bytes) -> None:
        """A block of whole frames went by."""
        if self._bytes < _SAMPLE_BYTES:
            self._sample.append(block)
        self._bytes += len(block)
        self._frames += block.count(b"data:")

    def output_tokens(self, counter: Counter) -> int:
        """About how many tokens went by: the sample is counted as text, the rest by its frames and bytes."""
        sample = b"".join(self._sample)
        frames = sample.count(b"data:")
        if not frames:
            return 0
        texts = list(sampled_texts(self._dialect, sample))
        text = "".join(texts)
        counted = max(counter.count(text), len(texts))
        rest_frames = self._frames - frames
        if not rest_frames:
            return counted
        envelope = (len(sample) - len(text.encode("utf-8", "replace"))) / frames
        rest_text = (self._bytes - len(sample)) - envelope * rest_frames
        return counted + max(rest_frames, round(rest_text / _BYTES_PER_TOKEN))


def sampled_texts(dialect: Dialect, block: bytes) -> Iterator[str]:
    """The text of every delta in a block of whole frames."""
    reader = dialect.reader()
    for frame in sse.split(block):
        for event in reader.read(frame):
            if isinstance(event, PartDelta):
                yield event.text
