"""Prices of the configuration, as the catalog wants them."""

from collections.abc import Iterator
from decimal import Decimal

from otari.config.problems import Problems, below
from otari.config.settings import Config, PriceSettings, TierSettings
from otari.domain.money import rate, unit_rate
from otari.domain.price import Price, Tier, Unit

_PER_MILLION = "_price_per_million"
_EACH: dict[str, Unit] = {
    "price_per_request": "request",
    "price_per_image": "image",
    "price_per_second": "second",
    "price_per_character": "character",
}


def prices(config: Config) -> dict[str, tuple[Price, ...]]:
    """Every configured price by `provider:model`; without `effective_at` it is in force since ever (0)."""
    return {key: (_price(entry),) for key, entry in config.pricing.items()}


def check_rates(key: str, entry: PriceSettings, problems: Problems) -> None:
    """Tell every rate that money can not count exactly, and tiers that contradict each other."""
    path = below("pricing", key)
    _check_amounts(path, entry, problems)
    for index, tier in enumerate(entry.pricing_tiers):
        _check_amounts(f"{path}.pricing_tiers[{index}]", tier, problems)
    starts = [tier.min_input_tokens for tier in entry.pricing_tiers]
    if len(set(starts)) < len(starts):
        problems.error(below(path, "pricing_tiers"), "two tiers have the same `min_input_tokens`")


def _check_amounts(path: str, entry: PriceSettings | TierSettings, problems: Problems) -> None:
    for name, amount in _amounts(entry):
        try:
            _pico(name, amount)
        except ValueError as error:
            problems.error(below(path, name), str(error))


def _amounts(entry: PriceSettings | TierSettings) -> Iterator[tuple[str, Decimal]]:
    for name in entry.__struct_fields__:
        amount = getattr(entry, name)
        if isinstance(amount, Decimal):
            yield name, amount


def _pico(name: str, amount: Decimal) -> int:
    return unit_rate(amount) if name in _EACH else rate(amount)


def _price(entry: PriceSettings) -> Price:
    each = {name: _pico(name, amount) for name, amount in _amounts(entry) if name in _EACH}
    return Price(
        **_rates(entry),
        **{f"{_EACH[name]}_pico": pico for name, pico in each.items()},
        unit=next((_EACH[name] for name, pico in each.items() if pico), "token"),
        tiers=tuple(Tier(tier.min_input_tokens, **_rates(tier)) for tier in entry.pricing_tiers),
        source="config",
        effective_at=0 if entry.effective_at is None else round(entry.effective_at.timestamp() * 1000),
    )


def _rates(entry: PriceSettings | TierSettings) -> dict[str, int]:
    amounts = _amounts(entry)
    return {name.removesuffix(_PER_MILLION): rate(amount) for name, amount in amounts if name not in _EACH}
