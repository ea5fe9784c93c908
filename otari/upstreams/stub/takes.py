"""One real answer as it came, for people's files and for giving it again byte for byte: a line of JSON each."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from otari.domain.chat import Doc
from otari.upstreams.stub.rules import Exact

SUFFIX = ".jsonl"


class Key(NamedTuple):
    """The recording that a take belongs to: the rule, and which answer of it."""

    rule: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Take:
    """What was asked of which provider, and the pieces of its answer with the seconds that had passed.

    `word` is the fingerprint of the recorded reply: once that is edited, the take does not belong to it any more.
    """

    provider: str
    model: str
    dialect: str
    stream: bool
    request: Doc
    pieces: tuple[tuple[float, bytes], ...]
    word: str = ""

    @property
    def body(self) -> bytes:
        """All pieces."""
        return b"".join(piece for _, piece in self.pieces)

    def texts(self) -> Iterator[str]:
        """Everything that can be read in the answer: its bytes, and what the escapes in its JSON stand for."""
        body = self.body
        yield body.decode("utf-8", "replace")
        for line in body.splitlines() if self.stream else [body]:
            try:
                yield from _texts_in(orjson.loads(line.removeprefix(b"data:")))
            except orjson.JSONDecodeError:
                continue

    def exact(self, speed: float) -> Exact:
        """The answer to give again, `speed` times as fast; 0 is at once."""
        scale = 1 / speed if speed else 0.0
        return Exact(
            self.dialect, self.stream, tuple((seconds * scale, piece) for seconds, piece in self.pieces), self.request
        )


def write_takes(takes: Mapping[Key, Take]) -> bytes:
    """The lines of a file. Takes whose answer is not UTF-8 are left out."""
    return b"".join(_line(key, take) for key, take in takes.items())


def read_takes(data: bytes) -> Iterator[tuple[Key, Take]]:
    """The takes in the lines of a file. Raises ValueError for a line that is none."""
    for number, line in enumerate(data.splitlines(), 1):
        try:
            doc = orjson.loads(line)
            pieces = tuple((ms / 1000, text.encode()) for ms, text in doc["pieces"])
            told = (doc["provider"], doc["model"], doc["dialect"], doc["stream"], doc["request"], pieces, doc["exact"])
            yield Key(doc["rule"], doc["number"]), Take(*told)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise ValueError(f"line {number} is not a recorded answer") from None


def _line(key: Key, take: Take) -> bytes:
    try:
        pieces = [(round(seconds * 1000), piece.decode()) for seconds, piece in whole_characters(take.pieces)]
    except UnicodeDecodeError:
        return b""
    doc: dict[str, Any] = {"rule": key.rule, "number": key.number, "exact": take.word}
    doc |= {"provider": take.provider, "model": take.model, "dialect": take.dialect, "stream": take.stream}
    return orjson.dumps(doc | {"request": take.request, "pieces": pieces}) + b"\n"


def _texts_in(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts_in(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from _texts_in(item)


def whole_characters(pieces: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """The pieces, none of which ends inside a character: its first bytes wait for the others."""
    rest = b""
    last = 0.0
    for seconds, piece in pieces:
        data, last = rest + piece, seconds
        cut = _complete(data)
        rest = data[cut:]
        if cut:
            yield seconds, data[:cut]
    if rest:
        yield last, rest


def _complete(data: bytes) -> int:
    """How many bytes of `data` are whole characters of UTF-8."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if size > back else len(data)
    return len(data)
