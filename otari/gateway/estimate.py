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

    Parsing every frame would cost more than everything else on that path, and even counting frames is felt. So only
    bytes are counted, and a first sample is kept: when an estimate is asked for, it tells how long a frame is, and how
    much of it is text.
    """

    __slots__ = ("_bytes", "_dialect", "_sample")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._bytes = 0
        self._sample: list[bytes] = []

    def saw(self, block: bytes) -> None:
        """A block of whole frames went by."""
        if self._bytes < _SAMPLE_BYTES:
            self._sample.append(block)
        self._bytes += len(block)

    def output_tokens(self, counter: Counter) -> int:
        """About how many tokens went by: the sample is counted as text, the rest by its frames and bytes."""
        sample = b"".join(self._sample)
        texts = list(sampled_texts(self._dialect, sample))
        if not texts:
            return 0
        text = "".join(texts)
        counted = max(counter.count(text), len(texts))
        rest = self._bytes - len(sample)
        frames = rest * len(texts) / len(sample)  # that hold text, if the rest is like the sample
        text_bytes = rest * len(text.encode("utf-8", "replace")) / len(sample)
        return counted + round(max(frames, text_bytes / _BYTES_PER_TOKEN))


def sampled_texts(dialect: Dialect, block: bytes) -> Iterator[str]:
    """The text of every delta in a block of whole frames."""
    reader = dialect.reader()
    for frame in sse.split(block):
        for event in reader.read(frame):
            if isinstance(event, PartDelta):
                yield event.text
