"""Prices of the configuration, as the catalog wants them."""

from collections.abc import Iterator
from decimal import Decimal

from otari.config.problems import Problems, below
from otari.config.settings import Config, PriceSettings
from otari.domain.catalog import Price
from otari.domain.money import rate


def prices(config: Config) -> dict[str, tuple[Price, ...]]:
    """Every configured price by `provider:model`; without `effective_at` it is in force since ever (0)."""
    return {key: (_price(entry),) for key, entry in config.pricing.items()}


def check_rates(key: str, entry: PriceSettings, problems: Problems) -> None:
    """Tell every rate that money can not count exactly."""
    for name, amount in _rates(entry):
        try:
            rate(amount)
        except ValueError as error:
            problems.error(below(below("pricing", key), name), str(error))


def _rates(entry: PriceSettings) -> Iterator[tuple[str, Decimal]]:
    for name in entry.__struct_fields__:
        amount = getattr(entry, name)
        if isinstance(amount, Decimal):
            yield name, amount


def _price(entry: PriceSettings) -> Price:
    rates = {name.removesuffix("_price_per_million"): rate(amount) for name, amount in _rates(entry)}
    effective_at = 0 if entry.effective_at is None else round(entry.effective_at.timestamp() * 1000)
    return Price(**rates, source="config", effective_at=effective_at)
