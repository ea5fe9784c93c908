"""Prices as JSON text: the rates that a settled row keeps for ever, and the tiers of a price row.

Every rate is an integer of pico-USD under the name of its meter; what a price does not have is not written.
"""

from functools import lru_cache
from typing import Any

import orjson

from otari.domain.price import Price, Tier

_RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
_EACH = {"request_pico": "request", "image_pico": "image", "second_pico": "second", "character_pico": "character"}


@lru_cache(maxsize=1_024)
def write_rates(price: Price) -> str:
    """The rates of a price without tiers (`Price.for_input`), and the tier that they came from."""
    doc: dict[str, Any] = {name: rate for name in _RATES if (rate := getattr(price, name)) is not None}
    doc |= {word: rate for name, word in _EACH.items() if (rate := getattr(price, name))}
    if price.unit != "token":
        doc["unit"] = price.unit
    if price.tier is not None:
        doc["tier"] = price.tier
    return orjson.dumps(doc).decode()


def read_rates(text: str | None, source: str) -> Price | None:
    """The price in a row; None when it was unpriced."""
    if text is None:
        return None
    doc = orjson.loads(text)
    rates = {name: doc.get(name) for name in _RATES}
    each = {name: doc.get(word, 0) for name, word in _EACH.items()}
    return Price(**rates, **each, source=source, unit=doc.get("unit", "token"), tier=doc.get("tier"))


def write_tiers(tiers: tuple[Tier, ...]) -> str:
    """The tiers of a price."""
    docs = [{name: value for name, value in tier._asdict().items() if value is not None} for tier in tiers]
    return orjson.dumps(docs).decode()


def read_tiers(text: str) -> tuple[Tier, ...]:
    """The tiers in a column."""
    return () if text == "[]" else tuple(Tier(**doc) for doc in orjson.loads(text))
