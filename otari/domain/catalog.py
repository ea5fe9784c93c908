"""What can be called, what it costs and how much it takes: selectors, aliases, prices in force, limits.

The catalog is built once from the configuration and read on the hot path, so every look-up is a dict look-up. Prices
of the database are laid over it by the store; the newest price that is effective at the asked time wins. Where there is
none, the shipped default prices may be asked. `Catalog.limits` gives the `Limits` of a model, `NO_LIMITS` when nobody
knows any.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from otari.domain.errors import invalid
from otari.domain.price import FREE, Price
from otari.domain.provider import Provider, Senses


class ModelRef(NamedTuple):
    """A model of a configured provider. Written `provider:model`; the model part may itself hold `:` and `/`."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


class Limits(NamedTuple):
    """The most a model takes and gives, in tokens; None = not known.

    `context` is the window for the prompt and what is written after it; `output` is the most it writes as one answer,
    reasoning included.
    """

    context: int | None = None
    output: int | None = None


NO_LIMITS = Limits()

# The shipped price for a provider type, a model and a time in epoch milliseconds; None when there is none. It is asked
# on the hot path, so it must remember what it has found.
Defaults = Callable[[str, str, int], Price | None]

# The shipped limits of a provider type's model. Asked on the hot path too.
DefaultLimits = Callable[[str, str], Limits]


class Catalog:
    """Providers, aliases, prices and limits, by name."""

    def __init__(
        self,
        providers: Iterable[Provider],
        aliases: Mapping[str, tuple[str, ...]] | None = None,
        prices: Mapping[str, tuple[Price, ...]] | None = None,
        defaults: Defaults | None = None,
        limits: Mapping[str, Limits] | None = None,
        default_limits: DefaultLimits | None = None,
        senses: Mapping[str, Senses] | None = None,
        anything_from: str | None = None,
    ) -> None:
        """`defaults` gives the shipped price of a model, None when default prices are off.

        `limits` are those that the operator set, by `provider:model`; `default_limits` gives the shipped ones. `senses`
        are those that the operator set.
        `anything_from` is a provider that has every model whose selector names no other one.
        """
        self._anything_from = anything_from
        self._defaults = defaults
        self._limits = dict(limits or {})
        self._senses = dict(senses or {})
        self._default_limits = default_limits
        self.providers = {p.name: p for p in providers}
        self.aliases = dict(aliases or {})
        self._prices: dict[str, tuple[Price, ...]] = {}
        for key, history in (prices or {}).items():
            self.set_prices(key, history)

    @property
    def has_anything(self) -> bool:
        """Whether every name is that of a model."""
        return self._anything_from is not None

    def set_prices(self, model_key: str, history: Iterable[Price]) -> None:
        """Replace the price history of `provider:model`."""
        ordered = tuple(sorted(history, key=lambda p: p.effective_at, reverse=True))
        if ordered:
            self._prices[model_key] = ordered
        else:
            self._prices.pop(model_key, None)

    def priced_models(self) -> tuple[str, ...]:
        """Every `provider:model` that has a price row, sorted."""
        return tuple(sorted(self._prices))

    def targets(self, selector: str) -> tuple[ModelRef, ...]:
        """The models that a selector stands for, in the order to try them.

        Raises OtariError(INVALID) when the selector is no alias and has no `provider:` prefix, or when the provider is
        not configured; the message names what is configured.
        """
        alias = self.aliases.get(selector)
        if alias is not None:
            return tuple(self.model_ref(target) for target in alias)
        return (self.model_ref(selector),)

    def model_ref(self, selector: str) -> ModelRef:
        """`provider:model` (or the older `provider/model`), split at the first `:` or `/`."""
        cut = min((i for i in (selector.find(":"), selector.find("/")) if i > 0), default=-1)
        whole = cut < 0 or cut == len(selector) - 1
        if self._anything_from is not None and (whole or selector[:cut] not in self.providers):
            return ModelRef(self._anything_from, selector)
        if whole:
            raise invalid(
                f"Model {selector!r} is not known: write it as 'provider:model'. Configured providers: {self._names()}",
                param="model",
                code="model_not_found",
            )
        provider = selector[:cut]
        if provider not in self.providers:
            raise invalid(
                f"Provider {provider!r} of model {selector!r} is not configured. Configured providers: {self._names()}",
                param="model",
                code="model_not_found",
            )
        return ModelRef(provider, selector[cut + 1 :])

    def price(self, ref: ModelRef, at_ms: int) -> Price | None:
        """The price in force at `at_ms` (epoch milliseconds); None when nobody knows one.

        In this order: a price that was set (over the API or by the configuration), zero for providers that are free,
        the shipped default. A local server is never charged a vendor's price, whatever its models are called.
        """
        for price in self._prices.get(f"{ref.provider}:{ref.model}", ()):
            if price.effective_at <= at_ms:
                return price
        provider = self.providers[ref.provider]
        if provider.free:
            return None if ref.model in provider.unpriced_models else FREE
        return self._defaults(provider.kind or provider.name, ref.model, at_ms) if self._defaults else None

    def limits(self, ref: ModelRef) -> Limits:
        """The limits of a model, each by itself: the operator's, else the shipped one, else None."""
        mine = self._limits.get(f"{ref.provider}:{ref.model}", NO_LIMITS)
        if self._default_limits is None or None not in mine:
            return mine
        provider = self.providers[ref.provider]
        theirs = self._default_limits(provider.kind or provider.name, ref.model)
        return Limits(*(their if my is None else my for my, their in zip(mine, theirs, strict=True)))

    def senses(self, ref: ModelRef) -> Senses:
        """What a model takes beside text: as the operator says, else as its kind of provider does."""
        told = self._senses.get(f"{ref.provider}:{ref.model}")
        return self.providers[ref.provider].senses if told is None else told

    def _names(self) -> str:
        return ", ".join(sorted(self.providers)) or "none"


def allows(allowed: tuple[str, ...] | None, ref: ModelRef) -> bool:
    """Whether a list of models lets this one pass. None = any, an empty list = none.

    An entry is `provider:model`, or the beginning of one with `*` behind it: `openai:*`, `openai:gpt-5*`.
    """
    if allowed is None:
        return True
    name = f"{ref.provider}:{ref.model}"
    return any(name.startswith(entry[:-1]) if entry.endswith("*") else name == entry for entry in allowed)
