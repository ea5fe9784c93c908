"""The keys of the configuration, their types, limits and defaults. `docs/configuration.md` says what they mean."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from otari.domain.secret import Secret

Seconds = Annotated[float, Meta(ge=0.001, le=86_400)]
Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]
RequestsPerMinute = Annotated[int, Meta(ge=1, le=1_000_000)]
TokensPerMinute = Annotated[int, Meta(ge=1, le=1_000_000_000)]
DialectWord = Literal["chat", "messages", "responses", "gemini"]
OperationWord = Literal["embeddings", "moderations", "rerank", "images", "transcriptions", "speech", "batches"]


class ClientArgs(Struct, frozen=True, kw_only=True):
    """How the provider is called: headers of the operator's own, and how long its silence is borne."""

    custom_headers: Mapping[str, Secret] = {}
    timeout: Seconds | None = None


class QuirkSettings(Struct, frozen=True, kw_only=True):
    """How a server differs from common chat completions; `otari.domain.provider.Quirks` says what each means.

    None means: as the shipped type says, and where it says nothing, as for a server that nobody knows.
    """

    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = None
    seed_key: Literal["seed", "random_seed"] | None = None
    later_system: Literal["keep", "merge", "demote"] | None = None
    developer_role: bool | None = None
    content_null: bool | None = None
    cache_marks: bool | None = None
    top_k: bool | None = None
    openai_keys: bool | None = None
    reasoning: Literal["effort", "object", "switch", "enable", "none"] | None = None
    efforts: tuple[Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"], ...] | None = None
    reasoning_replay: bool | None = None
    signatures: Literal["none", "calls", "all"] | None = None
    shapes: tuple[Literal["json_object", "json_schema"], ...] | None = None
    tool_choices: tuple[Literal["auto", "none", "required", "named"], ...] | None = None
    tool_ids: Literal["any", "nine"] | None = None
    user_after_tools: bool | None = None
    split_calls: bool | None = None


class ProviderSettings(Struct, frozen=True, kw_only=True):
    """One entry of `providers`. None means: as the shipped type says."""

    type: str | None = None
    api_key: Secret | None = None
    api_base: str | None = None
    client_args: ClientArgs = ClientArgs()
    models: tuple[str, ...] = ()
    dialects: tuple[DialectWord, ...] | None = None
    connect_timeout_s: Seconds = 10.0
    silence_timeout_s: Seconds | None = None
    script: str | None = None
    unpriced_models: tuple[str, ...] = ()
    stream_usage: bool | None = None
    quirks: QuirkSettings = QuirkSettings()
    translation: Literal["lenient", "strict"] = "lenient"
    batches: bool | None = None
    batch_discount_percent: Annotated[int, Meta(ge=0, le=100)] | None = None


class PlatformSettings(Struct, frozen=True, kw_only=True):
    """`platform`: the control plane of otari.ai, used when there is a token for it. Times in milliseconds."""

    base_url: str = "https://api.otari.ai/api/v1"
    health_path: str = "/utils/health-check/"
    resolve_timeout_ms: Milliseconds = 5_000
    usage_timeout_ms: Milliseconds = 5_000
    usage_inline_timeout_ms: Annotated[int, Meta(ge=0, le=60_000)] = 1_500
    streaming_first_chunk_timeout_ms: Milliseconds = 2_000
    streaming_final_attempt_extra_timeout_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 0
    allow_private_hosts: bool = False


class TierSettings(Struct, frozen=True, kw_only=True):
    """One entry of `pricing_tiers`: the rates for requests with so much input."""

    min_input_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    input_price_per_million: Decimal | None = None
    output_price_per_million: Decimal | None = None
    cache_read_price_per_million: Decimal | None = None
    cache_write_price_per_million: Decimal | None = None
    cache_write_1h_price_per_million: Decimal | None = None
    reasoning_price_per_million: Decimal | None = None


class PriceSettings(Struct, frozen=True, kw_only=True):
    """One entry of `pricing`: exact USD per million tokens, and per request, image, second or character."""

    input_price_per_million: Decimal
    output_price_per_million: Decimal
    cache_read_price_per_million: Decimal | None = None
    cache_write_price_per_million: Decimal | None = None
    cache_write_1h_price_per_million: Decimal | None = None
    reasoning_price_per_million: Decimal | None = None
    price_per_request: Decimal | None = None
    price_per_image: Decimal | None = None
    price_per_second: Decimal | None = None
    price_per_character: Decimal | None = None
    pricing_tiers: tuple[TierSettings, ...] = ()
    effective_at: datetime | None = None


class LimitSettings(Struct, frozen=True, kw_only=True):
    """One entry of `model_limits`, in tokens. None means: as shipped, if that is known."""

    context_window: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None


class CapabilitySettings(Struct, frozen=True, kw_only=True):
    """One entry of `model_capabilities`: what a model takes beside text."""

    supports_image: bool = False
    supports_pdf: bool = False


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration, checked. Keys of pricing and limits are written `provider:model`.

    With an `ai_token` the gateway is connected to the control plane of `platform`.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    allowed_hosts: tuple[str, ...] = ()
    database_url: str = "sqlite:///./otari.db"
    durability: Literal["full", "normal"] = "full"
    on_crash: Literal["hold", "prompt_only", "release"] = "hold"
    mode: Literal["standalone", "connected", "hybrid", "platform"] | None = None
    ai_token: Secret | None = None
    platform: PlatformSettings = PlatformSettings()
    master_key: Secret | None = None
    bootstrap_api_key: bool = True
    require_pricing: bool = True
    default_pricing: bool = False
    reject_user_mismatch: bool = True
    budget_estimate_default_output_tokens: Annotated[int, Meta(ge=0, le=10_000_000)] = 1024
    tokenizer: Literal["approx", "o200k_base", "cl100k_base"] = "approx"
    streaming_keepalive_interval_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 15_000
    shutdown_timeout_s: Annotated[float, Meta(ge=0, le=3_600)] = 30.0
    json_max_bytes: Annotated[int, Meta(ge=1_024, le=1_073_741_824)] = 33_554_432
    rate_limit_rpm: RequestsPerMinute | None = None
    rate_limit_tpm: TokensPerMinute | None = None
    key_rate_limit_rpm: RequestsPerMinute | None = None
    key_rate_limit_tpm: TokensPerMinute | None = None
    idempotency_hours: Annotated[int, Meta(ge=1, le=720)] = 24
    files_enabled: bool = True
    files_dir: str | None = None
    files_max_bytes: Annotated[int, Meta(ge=1, le=1_099_511_627_776)] = 536_870_912
    files_max_count: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000
    files_max_user_bytes: Annotated[int, Meta(ge=1, le=1_125_899_906_842_624)] = 10_737_418_240
    files_retention_hours: Annotated[int, Meta(ge=1, le=876_000)] | None = None
    batch_concurrency: Annotated[int, Meta(ge=1, le=1_000)] = 8
    file_understanding_enabled: bool = True
    vision_strategy: Literal["describe", "off"] = "describe"
    vision_describe_model: str | None = None
    vision_describe_max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024
    enable_docs: bool = True
    enable_stub_control: bool = False
    enable_metrics: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    providers: Mapping[str, ProviderSettings] = {}
    aliases: Mapping[str, tuple[str, ...]] = {}
    pricing: Mapping[str, PriceSettings] = {}
    model_limits: Mapping[str, LimitSettings] = {}
    model_capabilities: Mapping[str, CapabilitySettings] = {}


# Keys of the original product that change nothing here: its database pool, its writers, its migrations switch.
WITHOUT_MEANING = (
    "auto_migrate",
    "budget_strategy",
    "db_max_overflow",
    "db_pool_recycle",
    "db_pool_size",
    "db_pool_timeout",
    "log_writer_strategy",
)

# Keys of the original product that are called otherwise here, or have only one value.
OLDER_KEYS = ("files_backend", "files_local_dir")

# Keys of the original product whose features do not exist here yet.
NOT_SUPPORTED = (
    "cors_allow_origins",
    "model_cache_ttl_seconds",
    "model_discovery",
    "routing",
    "search_tools",
    "stream_missing_usage_policy",
)
