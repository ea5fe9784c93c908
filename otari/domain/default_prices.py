"""The shipped default prices: what a model costs when nobody has set a price for it, and how much it can read.

The data was made by scripts/extract_prices.py, whose head explains it; here it comes parsed. The rules by which a name
finds its model, and a model its price of the moment, are those of genai-prices, where the data is from:

- the name in lower case is compared with a provider's models in their order, and the first that fits counts, also when
  it has no price; then come the providers whose models it offers too; then both once more with a compact date
  (`-20251211`) written out (`-2025-12-11`);
- a model's prices are read from the last to the first, and the first that holds counts; when none does, the first one.
  Dates and times of day are UTC.

A model that has only meters which the ledger does not know has no price, rather than one of zero. Where the ledger
knows some of them, the others are left out of the price, and `origin` names them.

The data tells the context window of many models, and of none how much it writes at most.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import cache, lru_cache
from typing import Any, NamedTuple

from otari.domain.catalog import NO_LIMITS, Limits
from otari.domain.price import Price, Tier

_DAY_MS = 86_400_000
_REMEMBERED = 4096

# Twice the longest name in the data and more. What is longer is no model, and not worth comparing.
_LONGEST_NAME = 256

_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=-|:|$)")


class Origin(NamedTuple):
    """Where a default price comes from.

    `left_out` names the source's other meters ("web_searches_kcount") and the conditions of a request for which the
    source has other rates ("service_tier=flex"): the price is silent about them.
    """

    source: str
    provider: str
    model: str
    left_out: tuple[str, ...]


class DefaultPrices:
    """All default prices. Look-ups are remembered, so that they cost nothing on the hot path."""

    def __init__(self, read: Callable[[], Mapping[str, Any]], ids: Mapping[str, str]) -> None:
        """`read` gives the parsed file; it is called once, by the first look-up that needs it.

        `ids` says under which name the data has a provider type.

        A `*` in such a name stands for what follows the last `:` of the model. Types that are not in `ids` have no
        default prices.
        """
        self._ids = ids
        self._data = cache(read)
        self._shelf = cache(self._build_shelf)
        self._find = lru_cache(_REMEMBERED)(self._search)

    def price(self, provider_type: str, model: str, at_ms: int) -> Price | None:
        """The price at `at_ms` (epoch milliseconds), with the source "default"; None when there is none."""
        found = self._find(provider_type, model)
        return None if found is None else found.offer(at_ms).price

    def limits(self, provider_type: str, model: str) -> Limits:
        """What the data knows of the model's limits."""
        found = self._find(provider_type, model)
        return NO_LIMITS if found is None else found.limits

    def origin(self, provider_type: str, model: str, at_ms: int) -> Origin | None:
        """Where that price comes from; None when the data does not know the model."""
        found = self._find(provider_type, model)
        if found is None:
            return None
        return Origin(self._data()["source"], found.provider, found.model, found.offer(at_ms).left_out)

    def _search(self, provider_type: str, model: str) -> "_Model | None":
        provider = self._ids.get(provider_type, "")
        if "*" in provider:
            model, _, backend = model.rpartition(":")
            provider = provider.replace("*", backend)
        if not provider or len(model) > _LONGEST_NAME or provider not in self._data()["providers"]:
            return None
        shelves = (provider, *self._data()["providers"][provider]["fallback"])
        name = model.lower()
        for written in dict.fromkeys((name, _COMPACT_DATE.sub(_dashed, name))):
            for shelf in shelves:
                found = self._shelf(shelf).find(written)
                if found is not None:
                    return _read_model(shelf, found)
        return None

    def _build_shelf(self, provider: str) -> "_Shelf":
        return _Shelf(self._data()["providers"][provider]["models"])


class _Shelf:
    """The models of a provider, whole names apart from patterns: a look-up then tries only the few patterns."""

    def __init__(self, models: Sequence[Mapping[str, Any]]) -> None:
        self._models = models
        self._named: dict[str, int] = {}
        self._patterns: list[tuple[int, Any]] = []
        for place, model in enumerate(models):
            for condition in model["match"]:
                if isinstance(condition, str):
                    self._named.setdefault(condition, place)
                else:
                    self._patterns.append((place, condition))

    def find(self, name: str) -> Mapping[str, Any] | None:
        """The first model that `name`, in lower case, fits."""
        best = self._named.get(name, len(self._models))
        for place, condition in self._patterns:
            if place >= best:
                break
            if _fits(condition, name):
                best = place
        return self._models[best] if best < len(self._models) else None


def _fits(condition: Any, name: str) -> bool:
    if isinstance(condition, str):
        return name == condition
    if isinstance(condition, list):
        return any(_fits(each, name) for each in condition)
    ((word, what),) = condition.items()
    match word:
        case "starts_with":
            return name.startswith(what)
        case "ends_with":
            return name.endswith(what)
        case "contains":
            return what in name
        case "regex":
            return re.search(what, name) is not None
    assert word == "and", word
    return all(_fits(each, name) for each in what)


def _dashed(compact: re.Match[str]) -> str:
    """A compact date with dashes, if there is such a day."""
    try:
        return f"-{date(*map(int, compact.groups())).isoformat()}"
    except ValueError:
        return compact[0]


class _Offer(NamedTuple):
    """A price (None: known to have none), and when it holds: from a moment on, or daily in a window of UTC."""

    price: Price | None
    left_out: tuple[str, ...]
    from_ms: int
    window_ms: tuple[int, int] | None

    def holds(self, at_ms: int) -> bool:
        if self.window_ms is None:
            return at_ms >= self.from_ms
        (start, end), now = self.window_ms, at_ms % _DAY_MS
        return start <= now < end if start <= end else now >= start or now < end


class _Model(NamedTuple):
    provider: str
    model: str
    limits: Limits
    offers: tuple[_Offer, ...]

    def offer(self, at_ms: int) -> _Offer:
        return next((offer for offer in reversed(self.offers) if offer.holds(at_ms)), self.offers[0])


def _read_model(provider: str, entry: Mapping[str, Any]) -> _Model:
    offers = tuple(_read_offer(row) for row in entry["prices"])
    return _Model(provider, entry["id"], Limits(context=entry.get("context")), offers)


def _read_offer(row: Mapping[str, Any]) -> _Offer:
    rates = dict(row)
    left_out = tuple(rates.pop("left_out", ()))
    from_ms = _midnight_ms(rates.pop("from")) if "from" in rates else 0
    window = rates.pop("utc", None)
    tiers = tuple(Tier(smallest, **others) for smallest, others in rates.pop("tiers", ()))
    price = Price(**rates, tiers=tiers, source="default", effective_at=from_ms) if rates else None
    return _Offer(price, left_out, from_ms, (_of_day_ms(window[0]), _of_day_ms(window[1])) if window else None)


def _midnight_ms(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), time(), UTC).timestamp()) * 1000


def _of_day_ms(clock: str) -> int:
    moment = time.fromisoformat(clock)
    return (moment.hour * 3600 + moment.minute * 60 + moment.second) * 1000
