"""What can be called, what it costs and how much it takes: selectors, providers, prices, limits.

The catalog is built once from the configuration and read on the hot path, so every look-up is a dict look-up. Prices
of the database are laid over it by the store; the newest price that is effective at the asked time wins. Where there is
none, the shipped default prices may be asked. `Catalog.limits` gives the `Limits` of a model, `NO_LIMITS` when nobody
knows any.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeVar

from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.secret import Secret

R = TypeVar("R", int, int | None)
Unit = Literal["token", "image", "request", "second", "character"]


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


class Senses(NamedTuple):
    """What a model takes beside text: pictures, and documents (PDF) as they are."""

    images: bool = True
    documents: bool = True


ALL_SENSES = Senses()  # also of a model that nobody knows: its provider will say


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds allowed for opening a connection, and for silence of a provider that is connected."""

    connect_s: float = 10.0
    silence_s: float = 600.0


PATIENT = Timeouts()


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a server wants the Chat Completions requests that are translated for it: servers of that dialect differ.

    A request that its client wrote in the dialect is never touched by them. The defaults are for servers that nobody
    knows: what most of them take, and nothing that a strict one refuses.

    Conversation: `later_system` is what becomes of system messages that do not stand at the beginning: "keep" them,
    "merge" them into the first one, or "demote" them to a marked text of the user; where it is not "keep", neighbours
    of one role are joined too. `developer_role`: the server knows that role. `content_null`: an assistant's message
    with nothing but calls has the content null, else "". `reasoning_replay`: every assistant's message with calls must
    hold its reasoning. `user_after_tools`: a user's message may follow tool results directly. `split_calls`: only one
    call in a message. `tool_ids`: "any" of up to 40 characters, or the "nine" letters and digits of Mistral.

    Keys: `max_tokens_key` and `seed_key` are what limit and seed are called. `cache_marks`: `cache_control` may stand
    on parts and tools. `top_k`: the server knows it. `openai_keys`: it knows what OpenAI has added for itself
    (refusals, file ids, cache keys, `verbosity`, …). `signatures`: thought signatures travel in `extra_content`: of
    "calls" (Google), of "all" thinking (a gateway like this one), or not at all.

    Powers: `reasoning` is how it is told to think: "effort" (`reasoning_effort`), "object" (`reasoning`), "switch"
    (`thinking.type`), "enable" (`enable_thinking`) or not at all; `efforts` are the words that it takes. `shapes` and
    `tool_choices` are what it enforces.
    """

    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed_key: Literal["seed", "random_seed"] = "seed"
    later_system: Literal["keep", "merge", "demote"] = "demote"
    developer_role: bool = False
    content_null: bool = True
    cache_marks: bool = False
    top_k: bool = False
    openai_keys: bool = False
    reasoning: Literal["effort", "object", "switch", "enable", "none"] = "effort"
    efforts: tuple[str, ...] = ("low", "medium", "high")
    reasoning_replay: bool = False
    signatures: Literal["none", "calls", "all"] = "none"
    shapes: tuple[str, ...] = ("json_object", "json_schema")
    tool_choices: tuple[str, ...] = ("auto", "none", "required", "named")
    tool_ids: Literal["any", "nine"] = "any"
    user_after_tools: bool = True
    split_calls: bool = False


NO_QUIRKS = Quirks()


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured upstream.

    `via` names the upstream implementation ("live", "stub"). `speaks` are dialect names, best first. `auth` says how
    the secret travels: "bearer", "x-api-key", "api-key", "x-goog-api-key" or "none"; `auths` says it for single
    dialects. `paths` maps a dialect, or another operation, to the path that follows `base_url`, where it is not the
    common one. `operations` are what it does beside conversations, each with the flavour of its wire ("rerank":
    "cohere"). `batch_discount_percent` is how much less a request costs in a batch that it carries out. `headers` are
    the operator's own extra headers. `models` are the names to list; any other model name may still be asked for.
    `stream_usage` is False for servers that refuse `stream_options`. `usage_source` is what rows say where its token
    numbers come from. `kind` is the provider type ("openai"), which shipped prices go by.
    `strict`: what can not be translated without loss is refused. `quirks` say how it wants what is translated for it.
    `senses` are what its models take beside text, as far as that is said of the provider.
    """

    name: str
    via: str
    base_url: str = ""
    secret: Secret | None = None
    speaks: tuple[str, ...] = ("openai-chat",)
    auth: str = "bearer"
    auths: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    operations: Mapping[str, str] = field(default_factory=dict)
    batch_discount_percent: int = 0
    headers: tuple[tuple[str, Secret], ...] = ()
    models: tuple[str, ...] = ()
    timeouts: Timeouts = PATIENT
    stream_usage: bool = True
    free: bool = False
    unpriced_models: tuple[str, ...] = ()
    usage_source: Literal["provider", "stub"] = "provider"
    kind: str = ""
    strict: bool = False
    quirks: Quirks = NO_QUIRKS
    senses: Senses = ALL_SENSES


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


def no_price(selector: str) -> OtariError:
    """402: the operator asked that unpriced models are refused."""
    return OtariError(
        Kind.UNPRICED,
        f"No pricing configured for model '{selector}'. Set a price under `pricing:` in the configuration,"
        " or set `require_pricing: false` to serve unpriced models without a cost.",
        param="model",
        code="model_not_priced",
    )
