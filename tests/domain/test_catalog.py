"""What can be called, at which price, and by whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.catalog import NO_LIMITS, Catalog, Limits, ModelRef, allows
from otari.domain.errors import Kind, OtariError
from otari.domain.price import FREE, Price, Tier
from otari.domain.provider import ALL_SENSES, Provider, Senses

OLD, NEW = Price(1, 1, effective_at=10), Price(2, 2, effective_at=20)
DEFAULT = Price(7, 7, source="default")


def catalog(defaults: bool = True) -> Catalog:
    def shipped(kind: str, model: str, at_ms: int) -> Price | None:
        asked.append((kind, model, at_ms))
        return DEFAULT if (kind, model) == ("openai", "gpt") else None

    asked.clear()
    return Catalog(
        [
            Provider("work", "live", kind="openai"),
            Provider("openai", "live"),
            Provider("ollama", "live", free=True),
            Provider("stub", "stub", free=True, unpriced_models=("dear",)),
        ],
        {"fast": ("work:gpt", "stub:a")},
        {"work:set": (OLD, NEW)},
        shipped if defaults else None,
    )


asked: list[tuple[str, str, int]] = []


@pytest.mark.parametrize(("at_ms", "price"), [(9, None), (10, OLD), (19, OLD), (20, NEW), (10**15, NEW)])
def test_the_newest_price_that_is_effective_counts(at_ms: int, price: Price | None) -> None:
    assert catalog().price(ModelRef("work", "set"), at_ms) == price


def test_a_model_without_a_price_has_the_shipped_one_of_its_provider_type() -> None:
    found = catalog()
    assert found.price(ModelRef("work", "gpt"), 5) is DEFAULT
    assert found.price(ModelRef("openai", "gpt"), 6) is DEFAULT  # a provider that is called like its type
    assert found.price(ModelRef("work", "unheard"), 7) is None
    assert asked == [("openai", "gpt", 5), ("openai", "gpt", 6), ("openai", "unheard", 7)]


def test_without_default_prices_such_a_model_has_none() -> None:
    assert catalog(defaults=False).price(ModelRef("work", "gpt"), 5) is None


def test_a_local_server_is_free_and_never_charged_a_vendor_s_price() -> None:
    found = catalog()
    assert found.price(ModelRef("ollama", "gpt"), 5) is FREE
    assert found.price(ModelRef("stub", "dear"), 5) is None
    found.set_prices("ollama:gpt", (OLD,))
    assert found.price(ModelRef("ollama", "gpt"), 15) == OLD  # unless somebody sets one
    assert asked == []


def test_prices_are_replaced_and_removed() -> None:
    found = catalog()
    found.set_prices("work:set", (OLD,))
    assert found.price(ModelRef("work", "set"), 30) == OLD
    found.set_prices("work:set", ())
    assert found.price(ModelRef("work", "set"), 30) is None
    assert found.priced_models() == ()


@pytest.mark.parametrize(
    ("selector", "refs"),
    [
        ("work:gpt", [("work", "gpt")]),
        ("work/gpt", [("work", "gpt")]),
        ("work:org/gpt:free", [("work", "org/gpt:free")]),
        ("fast", [("work", "gpt"), ("stub", "a")]),
    ],
)
def test_selectors(selector: str, refs: list[tuple[str, str]]) -> None:
    assert list(catalog().targets(selector)) == refs


@pytest.mark.parametrize("selector", ["gpt", "", ":gpt", "work:", "nobody:gpt", "/work"])
def test_a_selector_that_names_nothing_is_refused_with_what_there_is(selector: str) -> None:
    with pytest.raises(OtariError, match="ollama, openai, stub, work") as caught:
        catalog().targets(selector)
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID, "model")


# ---- tiers ----

TIERED = Price(1, 2, 3, source="api", effective_at=5, tiers=(Tier(200, input=20), Tier(100, input=10, reasoning=11)))


def test_the_highest_tier_that_is_reached_lies_over_the_rates() -> None:
    assert TIERED.for_input(99) == Price(1, 2, 3, source="api", effective_at=5)
    assert TIERED.for_input(100) == Price(10, 2, 3, source="api", effective_at=5, reasoning=11, tier=100)
    assert TIERED.for_input(10**9) == Price(20, 2, 3, source="api", effective_at=5, tier=200)
    assert OLD.for_input(10**9) is OLD


@pytest.mark.parametrize(
    ("price", "free"),
    [
        (FREE, True),
        (Price(0, 0, tiers=(Tier(5, input=0),)), True),
        (Price(0, 0, tiers=(Tier(5, input=1),)), False),
        (Price(0, 0, cache_write=1), False),
        (Price(0, 0, reasoning=1), False),
        (Price(0, 0, request_pico=1), False),
        (Price(0, 0, image_pico=1), False),
    ],
)
def test_what_is_free(price: Price, free: bool) -> None:
    assert price.is_free is free
    assert free is not (price.counts_tokens or price.counts_units or price.request_pico > 0)


def test_what_a_price_counts() -> None:
    assert Price(0, 0, reasoning=1).counts_tokens
    assert Price(0, 0, tiers=(Tier(5, output=1),)).counts_tokens
    for each in (Price(0, 0, image_pico=1), Price(0, 0, second_pico=1), Price(0, 0, character_pico=1)):
        assert (each.counts_tokens, each.counts_units) == (False, True)
    assert not Price(1, 1, request_pico=1).counts_units


# ---- limits ----


def test_what_a_model_takes_is_what_the_operator_says_and_else_its_kind_of_provider() -> None:
    local = Provider("local", "live", senses=Senses(documents=False))
    told = {"local:seer": Senses(images=True, documents=True), "lab:blind": Senses(images=False, documents=False)}
    catalog = Catalog([local, Provider("lab", "live")], senses=told)
    assert catalog.senses(ModelRef("local", "other")) == Senses(images=True, documents=False)
    assert catalog.senses(ModelRef("local", "seer")) == ALL_SENSES
    assert catalog.senses(ModelRef("lab", "blind")) == Senses(images=False, documents=False)
    assert catalog.senses(ModelRef("lab", "unknown")) == ALL_SENSES


def test_each_limit_is_the_operator_s_and_else_the_shipped_one() -> None:
    def shipped(kind: str, model: str) -> Limits:
        return Limits(context=1_000) if (kind, model) == ("openai", "gpt") else NO_LIMITS

    providers = [Provider("work", "live", kind="openai"), Provider("openai", "live"), Provider("lab", "live")]
    set_by_hand = {"work:gpt": Limits(output=50), "openai:gpt": Limits(7, 6), "lab:gpt": Limits(output=9)}
    found = Catalog(providers, limits=set_by_hand, default_limits=shipped)
    assert found.limits(ModelRef("work", "gpt")) == Limits(1_000, 50)
    assert found.limits(ModelRef("openai", "gpt")) == Limits(7, 6)
    assert found.limits(ModelRef("lab", "gpt")) == Limits(None, 9)
    assert found.limits(ModelRef("lab", "unheard")) == NO_LIMITS
    assert Catalog(providers, limits=set_by_hand).limits(ModelRef("work", "gpt")) == Limits(None, 50)


# ---- who may use what ----


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [
        (None, True),
        ((), False),
        (("openai:gpt-5.2",), True),
        (("openai:gpt-5",), False),  # not the beginning of a name, unless it says so
        (("openai:gpt-5*",), True),
        (("openai:*",), True),
        (("open*",), True),
        (("*",), True),
        (("anthropic:*", "openai:gpt-4*"), False),
        (("OpenAI:gpt-5.2",), False),
        (("openai/gpt-5.2",), False),
    ],
)
def test_lists_of_models(allowed: tuple[str, ...] | None, passes: bool) -> None:
    assert allows(allowed, ModelRef("openai", "gpt-5.2")) is passes


def test_characters_that_other_pattern_languages_know_mean_themselves() -> None:
    assert not allows(("openai:gpt-?.2", "openai:gpt-[5].2", "openai:.*", "%"), ModelRef("openai", "gpt-5.2"))
    assert allows(("openai:a*b*",), ModelRef("openai", "a*bc"))


def test_a_lower_price_is_rounded_up_rate_by_rate() -> None:
    tier = Tier(100, input=3, output=None)
    price = Price(1_001, 3, cache_read=None, cache_write=1, request_pico=5, image_pico=2, tiers=(tier,), source="api")
    half = price.less(50)
    assert (half.input, half.output, half.cache_read, half.cache_write) == (501, 2, None, 1)
    assert (half.request_pico, half.image_pico, half.second_pico) == (3, 1, 0)
    assert half.tiers == (Tier(100, input=2, output=None),)
    assert (half.source, half.unit) == ("api", "token")
    assert price.less(0) == price
    assert price.less(100).is_free


@given(st.integers(0, 10**15), st.integers(0, 100))
def test_a_discount_is_never_more_than_was_said(rate: int, percent: int) -> None:
    lowered = Price(rate, 0).less(percent).input
    assert lowered * 100 >= rate * (100 - percent)
    assert (lowered - 1) * 100 < rate * (100 - percent) or lowered == 0
