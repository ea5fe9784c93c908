"""The default prices against the package that they are from: the same names, the same model, the same cost.

docs/default-prices.md lists where the two differ on purpose, and why. What that page calls "rounded" and "no price" is
met here and held to its bounds; the other differences are outside of what both can be asked.
"""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from otari.config.shipped import shipped
from otari.domain.chat import Usage
from otari.domain.default_prices import DefaultPrices
from otari.domain.money import explain
from otari.domain.price import Price

ROOT = Path(__file__).parent.parent.parent
SEED = 1
PICO = 10**12
TOKEN_METERS = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok"}
METERS = {
    *(*TOKEN_METERS, "output_reasoning_mtok", "requests_kcount"),
    *("audio_hours", "input_audio_hours", "input_mchars"),
}


class Sample(NamedTuple):
    """A question to both."""

    provider: str
    model: str
    at: datetime
    usage: Usage
    quantity: int


class Package:
    """The package's own data and look-up. Imported late: it takes half a second, which only this file should cost."""

    def __init__(self) -> None:
        from genai_prices.data_snapshot import get_snapshot

        self.providers: list[Any] = get_snapshot().providers
        self._find = get_snapshot().find_provider_model

    def find(self, provider: str, model: str) -> Any:
        """The package's model, or None."""
        try:
            return self._find(model, None, provider, None)[1]
        except LookupError:
            return None


@pytest.fixture(scope="module")
def source() -> Package:
    return Package()


@pytest.fixture(scope="module")
def ours() -> DefaultPrices:
    data = orjson.loads(shipped("prices.json"))
    return DefaultPrices(lambda: data, {name: name for name in data["providers"]})


def spellings(model: str) -> tuple[str, ...]:
    """The name, and names like it that may or may not be known."""
    compact = model.replace("-2025-", "-2025").replace("-2024-", "-2024")
    return (model, model.upper(), f"{model}-20251211", compact, f"{model}:free", f"vendor/{model}", model[:-1])


def samples(source: Package) -> Iterator[Sample]:
    """Every model of every provider, and some of another provider, each in several spellings."""
    dice = random.Random(SEED)
    everything = [model.id for provider in source.providers for model in provider.models]
    for provider in source.providers:
        for model in (*(model.id for model in provider.models), *dice.sample(everything, 30)):
            for spelling in (model, model, *spellings(model)):  # a known name at several times
                yield Sample(provider.id, spelling, moment(dice), usage(dice), dice.choice((0, 1, 61, 3600)))


def moment(dice: random.Random) -> datetime:
    """From 2024 to 2027; often on the hour or at midnight, where prices change."""
    start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * dice.randrange(1200 * 48))
    return start + timedelta(milliseconds=dice.choice((-1, 0, 0, dice.randrange(1_800_000))))


def usage(dice: random.Random) -> Usage:
    read = dice.choice((0, 1, 500, 100_000, 128_000, 128_001, 200_000, 200_001, 272_001, 900_000))
    cached, kept = dice.randrange(read // 3 + 1), dice.randrange(read // 3 + 1)
    written = dice.randrange(9_000)
    return Usage(read, written, cached, kept, dice.randrange(kept + 1), dice.randrange(written + 1))


def package_cost(rates: Any, sample: Sample, unit: str) -> Fraction:
    """What the package makes of it, in pico-USD."""
    from genai_prices import Usage as PackageUsage

    tokens = sample.usage
    counted = {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_tokens": tokens.cache_write,
        "cache_write_1h_tokens": tokens.cache_write_1h,
        "output_reasoning_tokens": tokens.reasoning,
    }
    if unit == "second":
        counted |= {"audio_seconds": sample.quantity, "input_audio_seconds": sample.quantity}
    if unit == "character":
        counted |= {"input_characters": sample.quantity}
    return Fraction(rates.calc_price(PackageUsage(**counted))["total_price"]) * PICO


def compare(sample: Sample, source: Package, ours: DefaultPrices) -> str:
    """How the two agree: "unknown", "no price", "same" or "rounded". Anything else fails."""
    at_ms = (sample.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    origin = ours.origin(sample.provider, sample.model, at_ms)
    price = ours.price(sample.provider, sample.model, at_ms)
    model = source.find(sample.provider, sample.model)
    if model is None:
        assert (origin, price) == (None, None), sample
        return "unknown"
    assert origin is not None, sample
    assert origin.model == model.id, sample
    assert ours.limits(sample.provider, sample.model).context == model.context_window, sample
    rates = model.get_prices(sample.at)
    meters = {name for name, rate in rates.__dict__.items() if rate is not None}
    assert meters - METERS == {name for name in origin.left_out if "=" not in name}, sample
    if price is None:
        assert not meters & METERS, sample
        return "no price"
    assert price.source == "default"
    return compare_cost(sample, price, package_cost(rates, sample, price.unit))


def compare_cost(sample: Sample, price: Price, wanted: Fraction) -> str:
    quantity = sample.quantity if price.unit != "token" else 0
    lines = explain(sample.usage, price, quantity)
    difference = abs(sum(line.amount_pico for line in lines) - wanted)
    # Each rate is at most half a pico-USD off.
    assert difference <= Fraction(sum(line.count for line in lines), 2), sample
    return "rounded" if difference else "same"


def test_it_agrees_with_the_package(source: Package, ours: DefaultPrices) -> None:
    seen = Counter(compare(sample, source, ours) for sample in samples(source))
    assert seen["same"] > 10_000
    assert seen["unknown"] > 10_000
    assert 0 < seen["rounded"] < seen["same"] / 50
    assert 0 < seen["no price"] < seen["same"] / 10


def test_only_rates_finer_than_a_pico_are_rounded(source: Package) -> None:
    finer = {
        (provider.id, name)
        for provider in source.providers
        for model in provider.models
        for entry in (model.prices if isinstance(model.prices, list) else [model])
        for name, rate in entry.prices.__dict__.items()
        if name in TOKEN_METERS and not hasattr(rate, "base") and rate * 10**6 % 1
    }
    # Thirds and sixths of a rate, and amounts that were binary fractions on their way.
    assert {provider for provider, _ in finer} <= {"openrouter", "huggingface_together"}


def test_the_shipped_file_is_what_the_locked_package_holds(tmp_path: Path) -> None:
    fresh = tmp_path / "prices.json"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "extract_prices.py"), str(fresh)], check=True, timeout=120)
    assert fresh.read_bytes() == (ROOT / "config" / "prices.json").read_bytes(), "run `make prices`"


def test_the_licence_ships_with_the_data() -> None:
    licence = distribution("genai-prices").read_text("licenses/LICENSE")
    assert licence is not None
    terms = licence.partition("Copyright")[2]
    assert terms
    assert terms in (ROOT / "config" / "NOTICE.prices").read_text()
