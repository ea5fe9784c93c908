"""Cutting text the way a model streams it: words with the space before them, Chinese and Japanese per character."""

import re
from collections.abc import Iterator

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_PIECE = re.compile(rf"\s*[{_CJK}]|\s*[^\s{_CJK}]{{1,40}}|\s+")
_ARGUMENT_PIECE = re.compile(r"\W*\w{1,40}|\W+")


def pieces(text: str) -> Iterator[str]:
    """The pieces of `text` in order; joined they are `text`."""
    return (found.group() for found in _PIECE.finditer(text))


def argument_pieces(text: str) -> Iterator[str]:
    """The pieces of a JSON text in order, cut inside strings and between tokens; joined they are `text`."""
    return (found.group() for found in _ARGUMENT_PIECE.finditer(text))
