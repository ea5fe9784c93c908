"""Vectors on the wire: a list of numbers, or base64 of little-endian 32-bit floats (OpenAI's `encoding_format`)."""

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any

_FLOAT_BYTES = 4


def as_base64(numbers: Sequence[float]) -> str:
    """The vector as base64. Raises ValueError for what are no numbers."""
    try:
        packed = array("f", numbers)
    except (TypeError, OverflowError):
        raise ValueError("not a list of numbers") from None
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()


def as_numbers(text: str) -> list[float]:
    """The vector in base64 `text`. Raises ValueError for what is no base64 of whole floats."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if len(raw) % _FLOAT_BYTES:
        raise ValueError("not a whole number of floats")
    packed = array("f", raw)
    if sys.byteorder == "big":
        packed.byteswap()
    numbers = packed.tolist()
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not of finite numbers")  # JSON has no others
    return numbers


def encoded(vector: Any, encoding: str) -> str | list[float]:
    """A vector of either form in the one that is wanted ("float" or "base64"). Raises ValueError when it is none."""
    if isinstance(vector, str):
        numbers = as_numbers(vector)
        return vector if encoding == "base64" else numbers
    if not isinstance(vector, list):
        raise ValueError("not a vector")
    return as_base64(vector) if encoding == "base64" else vector
