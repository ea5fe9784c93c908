"""The tokenizers as Otari ships them, loaded once for all tests of a process."""

from importlib.resources import files

from otari.domain.tokens import ENCODINGS, Tokenizer


def _shipped(name: str) -> bytes:
    return (files("otari.data") / f"{name}.pk").read_bytes()


TOKENIZERS = {name: Tokenizer(name, _shipped) for name in ENCODINGS}
