"""What a model costs: rates, and other rates for long prompts."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

from otari.domain.errors import Kind, OtariError

R = TypeVar("R", int, int | None)
Unit = Literal["token", "image", "request", "second", "character"]


class Tier(NamedTuple):
    """Other rates for long prompts: from `min_input_tokens` of input on, they hold for the whole request.

    The input counts as a whole, cached parts included. None = the rate of the price itself stays.
    """

    min_input_tokens: int
    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Rates in pico-USD per token (= micro-USD per million tokens); None = that meter has no rate of its own.

    A missing cache rate means the input rate (for an hour's cache the cache write rate) and a missing reasoning rate
    the output rate: never free. `source` is "config", "api", "default" or "none" (a zero price that nobody configured:
    the stub and local servers). `effective_at` is in epoch milliseconds, UTC.

    `request_pico` is charged once per request. The rates per image, second and character are in pico-USD too; `unit`
    names what the price is mainly for, so that people read the right figure. `tiers` are for long prompts. A price that
    was read from a settled row has the rates of the tier that applied, and `tier` says which (its smallest input).
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    source: str = "config"
    effective_at: int = 0
    reasoning: int | None = None
    request_pico: int = 0
    image_pico: int = 0
    second_pico: int = 0
    character_pico: int = 0
    unit: Unit = "token"
    tiers: tuple[Tier, ...] = ()
    tier: int | None = None

    def for_input(self, tokens: int) -> "Price":
        """The rates for a request with so much input: those of the highest tier that it reaches lie on top."""
        if not self.tiers:
            return self
        reachable = (tier for tier in self.tiers if tier.min_input_tokens <= tokens)
        reached = max(reachable, key=lambda tier: tier.min_input_tokens, default=None)
        return replace(self, tiers=()) if reached is None else self._with(reached)

    def _with(self, tier: Tier) -> "Price":
        return replace(
            self,
            input=_first(tier.input, self.input),
            output=_first(tier.output, self.output),
            cache_read=_first(tier.cache_read, self.cache_read),
            cache_write=_first(tier.cache_write, self.cache_write),
            cache_write_1h=_first(tier.cache_write_1h, self.cache_write_1h),
            reasoning=_first(tier.reasoning, self.reasoning),
            tiers=(),
            tier=tier.min_input_tokens,
        )

    def less(self, percent: int) -> "Price":
        """The same with all rates so much lower, each rounded up to a whole pico-USD."""
        lowered = {name: _less(getattr(self, name), percent) for name in _RATES}
        tiers = tuple(Tier(tier.min_input_tokens, *(_less(rate, percent) for rate in tier[1:])) for tier in self.tiers)
        return replace(self, tiers=tiers, **lowered) if percent else self

    @property
    def counts_tokens(self) -> bool:
        """Whether a request that reads or writes more tokens can cost more at this price."""
        rates = (self.input, self.output, self.cache_read, self.cache_write, self.cache_write_1h, self.reasoning)
        return any(rates) or any(any(tier[1:]) for tier in self.tiers)

    @property
    def counts_units(self) -> bool:
        """Whether images, seconds or characters cost something at this price."""
        return bool(self.image_pico or self.second_pico or self.character_pico)

    @property
    def is_free(self) -> bool:
        """Whether no request can cost anything at this price."""
        return not (self.request_pico or self.counts_units or self.counts_tokens)


_RATES = (
    *("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning"),
    *("request_pico", "image_pico", "second_pico", "character_pico"),
)


def _less(rate: R, percent: int) -> R:
    return rate if rate is None else -(-rate * (100 - percent) // 100)


def _first(rate: int | None, other: R) -> int | R:
    return other if rate is None else rate


FREE = Price(0, 0, source="none")


def no_price(selector: str) -> OtariError:
    """402: the operator asked that unpriced models are refused."""
    return OtariError(
        Kind.UNPRICED,
        f"No pricing configured for model '{selector}'. Set a price under `pricing:` in the configuration,"
        " or set `require_pricing: false` to serve unpriced models without a cost.",
        param="model",
        code="model_not_priced",
    )
