"""Default prices: which entry a name finds, which price holds when, and what the shipped data promises."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from otari.config.provider_types import prices_ids, provider_types
from otari.config.shipped import shipped
from otari.domain.catalog import NO_LIMITS, Limits
from otari.domain.default_prices import DefaultPrices, Origin
from otari.domain.price import Price, Tier

NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def entry(name: str, *match: Any, prices: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    rates = {"input": 1, "output": 2} if prices is None else None
    return {"id": name, "match": match or [name], "prices": [rates] if rates else prices}


def shelves(ids: dict[str, str] | None = None, **models: list[dict[str, Any]]) -> DefaultPrices:
    """Default prices with these providers; `acme` may fall back on `other`, and `other` on `third`."""
    fallback = {"acme": ["other"], "other": ["third"]}
    providers = {name: {"fallback": fallback.get(name, []), "models": found} for name, found in models.items()}
    providers = {name: providers.get(name, {"fallback": [], "models": []}) for name in {*providers, "other", "third"}}
    for name, follows in fallback.items():
        if name in providers:
            providers[name]["fallback"] = follows
    data = {"source": "test 1", "providers": providers}
    return DefaultPrices(lambda: data, ids or {name: name for name in providers})


def found(prices: DefaultPrices, model: str, provider: str = "acme") -> str | None:
    origin = prices.origin(provider, model, NOON)
    return None if origin is None else f"{origin.provider}/{origin.model}"


def test_the_data_is_read_once_and_not_before_it_is_needed() -> None:
    reads = []

    def read() -> dict[str, Any]:
        reads.append(1)
        return {"source": "test 1", "providers": {"acme": {"fallback": [], "models": [entry("it")]}}}

    prices = DefaultPrices(read, {"acme": "acme"})
    assert prices.limits("stub", "it") == NO_LIMITS
    assert not reads
    assert found(prices, "it") == found(prices, "IT") == "acme/it"
    assert prices.price("acme", "it", NOON) is not None
    assert reads == [1]


# ---- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "fits", "fits_not"),
    [
        ("gpt-4o", "GPT-4o", "gpt-4o-mini"),
        ({"starts_with": "gpt-"}, "GPT-5", "my-gpt-5"),
        ({"ends_with": "-mini"}, "gpt-mini", "mini-gpt"),
        ({"contains": "son"}, "sonnet", "opus"),
        ({"regex": r"^o\d$"}, "O3", "o3-mini"),
        ({"and": [{"starts_with": "a"}, ["az", {"ends_with": "b"}]]}, "a-b", "a-c"),
    ],
)
def test_conditions_do_not_mind_the_case(condition: Any, fits: str, fits_not: str) -> None:
    prices = shelves(acme=[entry("it", condition)])
    assert found(prices, fits) == "acme/it"
    assert found(prices, fits_not) is None


def test_the_first_model_that_fits_counts_be_it_by_name_or_by_pattern() -> None:
    a, b = {"starts_with": "m"}, {"contains": "x"}
    prices = shelves(acme=[entry("1", "mx"), entry("2", a), entry("3", "m", "ox"), entry("4", b), entry("5", "x")])
    assert [found(prices, name) for name in ("mx", "mxx", "m", "ox", "x")] == [
        *("acme/1", "acme/2", "acme/2", "acme/3", "acme/4")
    ]


def test_a_model_without_a_price_hides_what_comes_after_it() -> None:
    prices = shelves(acme=[entry("m", prices=[{"left_out": ["pages"]}]), entry("any", {"contains": "m"})], other=[])
    assert prices.price("acme", "m", NOON) is None
    assert prices.origin("acme", "m", NOON) == Origin("test 1", "acme", "m", ("pages",))


def test_the_models_of_other_vendors_are_found_one_step_away() -> None:
    prices = shelves(acme=[entry("a")], other=[entry("b"), entry("a")], third=[entry("c")])
    assert [found(prices, name) for name in "abc"] == ["acme/a", "other/b", None]
    assert found(prices, "c", "other") == "third/c"


def test_compact_dates_are_written_out_when_nothing_else_fits() -> None:
    models = [entry("dashed", "m-2025-12-11"), entry("compact", "n-20251211"), entry("pattern", {"starts_with": "n-"})]
    prices = shelves(acme=models)
    assert found(prices, "m-20251211") == "acme/dashed"
    assert found(prices, "m-20251211:free") is None
    assert found(prices, "n-20251211") == "acme/compact"
    assert found(prices, "m-20251232") is None
    # even a vendor one step away comes first
    both = shelves(acme=[entry("dashed", "m-2025-12-11")], other=[entry("compact", "m-20251211")])
    assert found(both, "m-20251211") == "other/compact"


def test_a_star_stands_for_what_follows_the_last_colon_of_the_model() -> None:
    prices = shelves({"hub": "hub_*"}, hub_fast=[entry("org/m")], hub_slow=[entry("org/m:x")])
    assert found(prices, "org/m:fast", "hub") == "hub_fast/org/m"
    assert found(prices, "org/m:x:slow", "hub") == "hub_slow/org/m:x"
    for name in ("org/m", "org/m:none", "org/m:", ":fast", ""):
        assert found(prices, name, "hub") is None


def test_unknown_types_and_names_of_any_length_have_no_price() -> None:
    prices = shelves(acme=[entry("all", {"contains": ""})])
    assert prices.price("nobody", "m", NOON) is None
    assert prices.price("acme", "m" * 256, NOON) is not None
    assert prices.price("acme", "m" * 257, NOON) is None


# ---- times ---------------------------------------------------------------------------------------------------------


def test_a_price_holds_from_midnight_utc_of_its_first_day() -> None:
    dated: list[dict[str, Any]] = [{"input": 1, "output": 0}, {"from": "2026-02-28", "input": 2, "output": 0}]
    prices = shelves(acme=[entry("m", prices=dated)])
    before, after = (
        prices.price("acme", "m", at("2026-02-27T23:59:59.999")),
        prices.price("acme", "m", at("2026-02-28")),
    )
    assert before == Price(1, 0, source="default")
    assert after == Price(2, 0, source="default", effective_at=at("2026-02-28"))


def test_the_last_price_that_holds_counts_and_the_first_when_none_does() -> None:
    rows: list[dict[str, Any]] = [
        {"from": "2026-06-01", "input": 1, "output": 0},
        {"from": "2026-02-01", "input": 2, "output": 0},
        {"from": "2026-01-01", "input": 3, "output": 0},
    ]
    prices = shelves(acme=[entry("m", prices=rows)])
    counted = [prices.price("acme", "m", at(day)) for day in ("2025-12-31", "2026-01-01", "2026-03-01", "2026-07-01")]
    assert [price.input for price in counted if price] == [1, 3, 3, 3]


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        (["01:00:00", "04:00:00"], ["01:00:00", "03:59:59.999"], ["00:59:59.999", "04:00:00"]),
        (["16:30:00", "00:30:00"], ["16:30:00", "23:59:59", "00:29:59.999"], ["00:30:00", "16:29:59.999"]),
        (["05:00:00", "05:00:00"], [], ["05:00:00", "12:00:00"]),
    ],
)
def test_a_window_of_the_day_is_half_open_and_may_wrap_midnight(
    window: list[str], inside: list[str], outside: list[str]
) -> None:
    rows: list[dict[str, Any]] = [{"input": 1, "output": 0}, {"utc": window, "input": 2, "output": 0}]
    prices = shelves(acme=[entry("m", prices=rows)])
    for clocks, rate in ((inside, 2), (outside, 1)):
        for clock in clocks:
            price = prices.price("acme", "m", at(f"2026-03-01T{clock}"))
            assert price is not None
            assert price.input == rate, clock


# ---- rates ---------------------------------------------------------------------------------------------------------


def test_every_rate_arrives() -> None:
    row = {
        "input": 1,
        "output": 2,
        "cache_read": 3,
        "cache_write": 4,
        "cache_write_1h": 5,
        "reasoning": 6,
        "request_pico": 7,
        "tiers": [[200_001, {"input": 8, "cache_read": 9}]],
        "left_out": ["pages"],
    }
    prices = shelves(acme=[entry("m", prices=[row]), entry("s", prices=[{"input": 0, "output": 0, "second_pico": 9}])])
    assert prices.price("acme", "m", NOON) == Price(
        *(1, 2, 3, 4, 5),
        reasoning=6,
        request_pico=7,
        tiers=(Tier(200_001, input=8, cache_read=9),),
        source="default",
    )
    assert prices.origin("acme", "m", NOON) == Origin("test 1", "acme", "m", ("pages",))
    spoken = prices.price("acme", "s", NOON)
    assert spoken is not None
    assert spoken.second_pico == 9


def test_a_price_that_was_found_is_remembered() -> None:
    prices = shelves(acme=[entry("m")])
    assert prices.price("acme", "m", NOON) is prices.price("acme", "m", NOON)


# ---- limits --------------------------------------------------------------------------------------------------------


def test_a_context_window_is_found_like_a_price() -> None:
    known = shelves(acme=[{**entry("m"), "context": 8_192}, entry("n")], other=[{**entry("far"), "context": 5}])
    assert known.limits("acme", "M") == Limits(context=8_192)
    assert known.limits("acme", "n") == NO_LIMITS
    assert known.limits("acme", "far") == Limits(context=5)
    assert known.limits("acme", "unheard") == NO_LIMITS
    assert known.limits("nobody", "m") == NO_LIMITS


# ---- the shipped data ----------------------------------------------------------------------------------------------


def shipped_data() -> Any:
    return orjson.loads(shipped("prices.json"))


def test_the_types_name_providers_that_the_data_has() -> None:
    known = shipped_data()["providers"]
    for kind, name in prices_ids().items():
        assert any(provider.startswith(name.rstrip("*")) for provider in known) if "*" in name else name in known, kind


def test_local_servers_and_the_stub_have_no_default_prices() -> None:
    prices = DefaultPrices(shipped_data, prices_ids())
    local = [name for name, kind in provider_types().items() if kind.local]
    assert len(local) > 5
    for name in (*local, "openai_compatible", "otari"):
        for model in ("gpt-4o", "claude-opus-5", "llama-3.3-70b-versatile"):
            assert prices.price(name, model, NOON) is None


def test_every_shipped_price_can_be_read_and_is_believable() -> None:
    data = shipped_data()
    prices = DefaultPrices(lambda: data, {name: name for name in data["providers"]})
    names = [(provider, model["id"]) for provider, shelf in data["providers"].items() for model in shelf["models"]]
    priced = 0
    for provider, name in names:
        price, origin = prices.price(provider, name, NOON), prices.origin(provider, name, NOON)
        if price is None or origin is None:  # some entries can not be asked for by their own id
            continue
        priced += 1
        rates = (price.input, price.output, price.cache_read or 0, price.cache_write or 0, price.cache_write_1h or 0)
        assert all(type(rate) is int and 0 <= rate <= 10**9 for rate in rates), name  # up to 1,000 USD per million
        smallest = [tier.min_input_tokens for tier in price.tiers]
        assert smallest == sorted(set(smallest))
        assert price.is_free == origin.model.endswith(":free"), name
    assert priced > 2000


def test_the_shipped_context_windows_are_believable() -> None:
    models = [model for shelf in shipped_data()["providers"].values() for model in shelf["models"]]
    windows = [model["context"] for model in models if "context" in model]
    assert len(windows) > len(models) / 2
    assert all(type(tokens) is int and 256 <= tokens <= 100_000_000 for tokens in windows)
    assert DefaultPrices(shipped_data, prices_ids()).limits("anthropic", "claude-3-5-sonnet") == Limits(200_000)
