"""What can be called and what it costs: selectors, providers, prices.

The catalog is built once from the configuration and read on the hot path, so every look-up is a dict look-up. Prices
of the database are laid over it by the store; the newest price that is effective at the asked time wins.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.secret import Secret


class ModelRef(NamedTuple):
    """A model of a configured provider. Written `provider:model`; the model part may itself hold `:` and `/`."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds allowed for opening a connection, and for silence of a provider that is connected."""

    connect_s: float = 10.0
    silence_s: float = 600.0


PATIENT = Timeouts()


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured upstream.

    `via` names the upstream implementation ("live", "stub"). `speaks` are dialect names, best first. `auth` says how
    the secret travels: "bearer", "x-api-key", "api-key" or "none". `paths` maps an operation ("chat") to the path that
    follows `base_url`. `headers` are the operator's own extra headers. `models` are the names to list; any other model
    name may still be asked for. `stream_usage` is False for servers that refuse `stream_options`. `usage_source` is
    what rows say where its token numbers come from.
    """

    name: str
    via: str
    base_url: str = ""
    secret: Secret | None = None
    speaks: tuple[str, ...] = ("openai-chat",)
    auth: str = "bearer"
    paths: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[tuple[str, Secret], ...] = ()
    models: tuple[str, ...] = ()
    timeouts: Timeouts = PATIENT
    stream_usage: bool = True
    free: bool = False
    unpriced_models: tuple[str, ...] = ()
    usage_source: Literal["provider", "stub"] = "provider"


@dataclass(frozen=True, slots=True)
class Price:
    """Rates in pico-USD per token (= micro-USD per million tokens); None = that meter has no rate of its own.

    A missing cache rate means the input rate, never free. `source` is "config", "api", "default" or "none" (a zero
    price that nobody configured: the stub and local servers). `effective_at` is in epoch milliseconds, UTC.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    source: str = "config"
    effective_at: int = 0


FREE = Price(0, 0, source="none")


class Catalog:
    """Providers, aliases and prices, by name."""

    def __init__(
        self,
        providers: Iterable[Provider],
        aliases: Mapping[str, tuple[str, ...]] | None = None,
        prices: Mapping[str, tuple[Price, ...]] | None = None,
    ) -> None:
        self.providers = {p.name: p for p in providers}
        self.aliases = dict(aliases or {})
        self._prices: dict[str, tuple[Price, ...]] = {}
        for key, history in (prices or {}).items():
            self.set_prices(key, history)

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
        if cut < 0 or cut == len(selector) - 1:
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
        """The price in force at `at_ms` (epoch milliseconds); None when nobody set one and the provider is not free."""
        for price in self._prices.get(f"{ref.provider}:{ref.model}", ()):
            if price.effective_at <= at_ms:
                return price
        provider = self.providers[ref.provider]
        if provider.free and ref.model not in provider.unpriced_models:
            return FREE
        return None

    def _names(self) -> str:
        return ", ".join(sorted(self.providers)) or "none"


def no_price(selector: str) -> OtariError:
    """402: the operator asked that unpriced models are refused."""
    return OtariError(
        Kind.UNPRICED,
        f"No pricing configured for model '{selector}'. Set a price under `pricing:` in the configuration,"
        " or set `require_pricing: false` to serve unpriced models without a cost.",
        param="model",
        code="model_not_priced",
    )
