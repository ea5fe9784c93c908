"""Prices of the configuration beside input and output: units, reasoning and tiers."""

import pytest

from otari.config import ConfigError, load, prices
from otari.domain.price import Price, Tier


def configured(entry: str) -> Price:
    text = f"providers: {{stub: }}\npricing: {{'stub:a': {{{entry}}}}}"
    (price,) = prices(load(None, {"OTARI_CONFIG_YAML": text}).config)["stub:a"]
    return price


def problems_of(entry: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        configured(entry)
    return tuple(caught.value.problems)


BASE = "input_price_per_million: 1, output_price_per_million: 2"


def test_every_meter_is_exact() -> None:
    price = configured(
        BASE + ", reasoning_price_per_million: 3, price_per_request: 0.000000000001, price_per_image: 0.04,"
        " price_per_second: 0.0001, price_per_character: 0.000015"
    )
    assert price == Price(
        1_000_000,
        2_000_000,
        reasoning=3_000_000,
        request_pico=1,
        image_pico=40_000_000_000,
        second_pico=100_000_000,
        character_pico=15_000_000,
        unit="request",
    )


@pytest.mark.parametrize(
    ("entry", "unit"),
    [
        ("", "token"),
        (", price_per_image: 0", "token"),
        (", price_per_image: 1", "image"),
        (", price_per_second: 1", "second"),
    ],
)
def test_the_unit_is_what_has_a_price(entry: str, unit: str) -> None:
    assert configured(BASE + entry).unit == unit


def test_tiers_name_only_what_changes() -> None:
    tiers = (
        "[{min_input_tokens: 200001, input_price_per_million: 2.5}, {min_input_tokens: 9, output_price_per_million: 0}]"
    )
    price = configured(f"{BASE}, pricing_tiers: {tiers}")
    assert price.tiers == (Tier(200_001, input=2_500_000), Tier(9, output=0))


@pytest.mark.parametrize(
    ("entry", "place", "words"),
    [
        (", price_per_request: -1", "price_per_request", "a price must be a number"),
        (", price_per_image: 1001", "price_per_image", "from 0 to 1,000 USD"),
        (", price_per_second: 0.0000000000001", "price_per_second", "exact to"),
        (", reasoning_price_per_million: 0.0000001", "reasoning_price_per_million", "finer"),
        (", pricing_tiers: [{input_price_per_million: 1}]", "pricing_tiers[0].min_input_tokens", "is required"),
        (", pricing_tiers: [{min_input_tokens: 0}]", "pricing_tiers[0].min_input_tokens", "a whole number from 1"),
        (
            ", pricing_tiers: [{min_input_tokens: 1, output_price_per_million: -1}]",
            "pricing_tiers[0].output_price_per_million",
            "not negative",
        ),
        (", pricing_tiers: [{min_input_tokens: 5}, {min_input_tokens: 5}]", "pricing_tiers", "two tiers"),
        (", pricing_tiers: {min_input_tokens: 5}", "pricing_tiers", "a list"),
        (", pricing_tiers: [{min_input_tokens: 5, price: 1}]", "pricing_tiers[0].price", "unknown key"),
    ],
)
def test_what_can_not_be_counted_is_told_at_its_place(entry: str, place: str, words: str) -> None:
    (problem,) = problems_of(BASE + entry)
    assert problem.startswith(f"pricing.'stub:a'.{place}: ")
    assert words in problem
