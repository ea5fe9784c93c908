"""How many tokens a text has: exactly, for the two public OpenAI encodings, or roughly, for everything else.

This file knows the shape of a packed token table and how each encoding cuts text into pieces. It does not
know where tables are kept: whoever builds a `Tokenizer` gives it a loader.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

# Longer texts are counted slice by slice: the encoder's regular expressions give up, with an exception that
# is not an Exception, on something between 100,000 and 1,000,000 spaces in a row.
SLICE_CHARS = 65_536
SEARCHED_CHARS = 4_096


class Counter(Protocol):
    """Counts the tokens of a text."""

    def count(self, text: str) -> int:
        """The number of tokens in `text`; 0 for the empty text only."""
        ...


def approximate(text: str) -> int:
    """About how many tokens `text` has, from its length alone; never 0 for a text that is not empty.

    A quarter of a token per character, plus half a token for every byte that a character takes in UTF-8
    beyond its first: ASCII counts 0.25 per character, Greek and Cyrillic 0.75, Chinese and Japanese 1.25,
    emoji 1.75. The sum is rounded up. Plain English comes out a little high, dense code and numbers come out
    low.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    return (2 * size - len(text) + 3) // 4


class Approximate:
    """The Counter for models whose tokenizer is not public."""

    def count(self, text: str) -> int:
        """See `approximate`."""
        return approximate(text)


@dataclass(frozen=True, slots=True)
class _Encoding:
    """A public encoding: the size of its table, and the pattern whose matches are tokenized one by one."""

    tokens: int
    pattern: str


# Sizes and patterns as OpenAI publishes them with its open-source tokenizer, tiktoken. Special tokens such as
# <|endoftext|> are left out on purpose: in a text that somebody sent they are ordinary characters.
_ENCODINGS = {
    "cl100k_base": _Encoding(
        100_256,
        "|".join(
            (
                r"'(?i:[sdmt]|ll|ve|re)",  # the ends of English contractions
                r"[^\r\n\p{L}\p{N}]?+\p{L}++",  # a word, with the one character before it
                r"\p{N}{1,3}+",  # up to three digits
                r" ?[^\s\p{L}\p{N}]++[\r\n]*+",  # punctuation, with the line ends after it
                r"\s++$",  # white space: at the end, up to a line end, before a word, alone
                r"\s*[\r\n]",
                r"\s+(?!\S)",
                r"\s",
            )
        ),
    ),
    "o200k_base": _Encoding(
        199_998,
        "|".join(
            (
                # Words are cut where capitals follow small letters and keep their contraction.
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
    ),
}

ENCODINGS = tuple(_ENCODINGS)
"""The names a Tokenizer can have."""


def unpack(packed: bytes, tokens: int) -> dict[bytes, int]:
    """The ranks in a packed table: `tokens` length bytes, then the tokens themselves, both by rank.

    Raises ValueError when the table is cut off, too long, or names a token twice.
    """
    ends = list(accumulate(packed[:tokens], initial=tokens))
    if len(ends) != tokens + 1 or ends[-1] != len(packed):
        raise ValueError(f"a table of {tokens} tokens can not be {len(packed)} bytes long like this one")
    ranks = {packed[start:end]: rank for rank, (start, end) in enumerate(pairwise(ends))}
    if len(ranks) != tokens:
        raise ValueError("the table names a token twice")
    return ranks


def _cut(text: str, start: int) -> int:
    """Where to end the slice of `text` that begins at `start`.

    No pattern lets a piece go on from a letter or digit to white space, so a cut there never changes the
    count. A text without such a place near the limit is cut at the limit, which can add a token.
    """
    limit = start + SLICE_CHARS
    if limit >= len(text):
        return len(text)
    earliest = max(start + 1, limit - SEARCHED_CHARS)
    space = text.rfind(" ", earliest, limit)
    while space > 0:
        before = text[space - 1]
        if before.isascii() and before.isalnum():
            return space
        space = text.rfind(" ", earliest, space)
    return limit


class Tokenizer:
    """The Counter that counts exactly as the models of one public encoding do.

    `load` gives the packed table of an encoding by name and may raise what it likes. The table is loaded at
    the first count, or by `prepare`: that takes 0.1 to 0.3 s, in which no other thread runs, and leaves 40 to
    70 MB in use.
    """

    def __init__(self, name: str, load: Callable[[str], bytes]) -> None:
        """Raises ValueError when there is no encoding called `name`."""
        if name not in _ENCODINGS:
            raise ValueError(f"there is no tokenizer {name!r}; there are {', '.join(ENCODINGS)}")
        self.name = name
        self._load = load
        self._encode: Callable[[str], list[int]] | None = None

    def prepare(self) -> None:
        """Load the table now. Raises ValueError when it is damaged, and whatever the loader raises."""
        if self._encode is None:
            self._encode = self._build()

    def count(self, text: str) -> int:
        """The number of tokens in `text`. Safe in several threads at once. Raises like `prepare`."""
        encode = self._encode
        if encode is None:
            encode = self._encode = self._build()
        total = start = 0
        while start < len(text):
            end = _cut(text, start)
            total += len(encode(text[start:end]))
            start = end
        return total

    def _build(self) -> Callable[[str], list[int]]:
        # Imported here because most starts never count exactly, and this costs them 10 to 20 ms.
        import tiktoken

        encoding = _ENCODINGS[self.name]
        ranks = unpack(self._load(self.name), encoding.tokens)
        built = tiktoken.Encoding(self.name, pat_str=encoding.pattern, mergeable_ranks=ranks, special_tokens={})
        # The encoder has made its own copy; the dictionary would keep another 20 to 40 MB alive.
        ranks.clear()
        return built.encode_ordinary
