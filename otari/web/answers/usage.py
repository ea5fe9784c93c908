"""What `/v1/usage` answers: rows of the ledger, the arithmetic of one, and sums."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from otari.domain.ports import UsageSource
from otari.web.answers.terms import Absent, Amount, Count, Milliseconds, Nano, Pico, Time

Meter = Literal[
    "input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning", "request", "image", "second",
    "character",
]  # fmt: skip


class UsageEntry(Struct, kw_only=True):
    """A request that was admitted, or an attempt of one that gave no answer (`absorbed`)."""

    id: str
    user_id: Annotated[str, Meta(description="Who is charged.")]
    api_key_id: Annotated[str | None, Meta(description="null: the master key.")]
    api_key_name: str | None
    timestamp: Annotated[Time, Meta(description="When it was admitted.")]
    model: str
    provider: str
    endpoint: Annotated[str, Meta(description="The path, without the prefix `/api`.")]
    prompt_tokens: Annotated[Count | None, Meta(description="All of them, cached ones too. null: nobody knows.")]
    completion_tokens: Annotated[Count | None, Meta(description="All of them, reasoning too. null: nobody knows.")]
    total_tokens: Count | None
    cache_read_tokens: Count | None
    cache_write_tokens: Count | None
    cost: Annotated[Amount | None, Meta(description="null: the model had no price.")]
    status: Annotated[Literal["success", "error", "absorbed"] | None, Meta(description="null: it is under way.")]
    status_code: Annotated[int | None, Meta(description="What the client was answered; 499: it had left.")]
    latency_ms: Milliseconds | None
    error_message: str | None
    usage_source: Annotated[UsageSource | None, Meta(description="Who counted the tokens. null: it is under way.")]
    price_source: Annotated[
        Literal["config", "api", "default", "none"], Meta(description="Who set the price. `none`: there was none.")
    ]
    cache_write_1h_tokens: Annotated[Count | None, Meta(description="A part of `cache_write_tokens`.")]
    reasoning_tokens: Count | None
    counts_toward_budget: Annotated[bool, Meta(description="false: the key spares the user's account.")]
    source: Literal["gateway"]
    bulk_editable: Annotated[bool, Meta(description="Always false.")]
    source_label: Absent
    billing_meters: Absent
    pricing_breakdown: Absent


class BillLine(Struct, kw_only=True):
    """One line of a bill: `count` times `rate_pico` is `amount_pico`."""

    meter: Meter
    count: Count
    rate_pico: Annotated[Pico, Meta(description="Pico-USD for each.")]
    amount_pico: Pico


class UsageDetail(UsageEntry, kw_only=True):
    """A row with everything that explains its cost."""

    request_id: Annotated[str, Meta(description="The request that the row belongs to: its own id, unless `absorbed`.")]
    selector: Annotated[str, Meta(description="What the client asked for as `model`.")]
    stream: bool
    state: Annotated[
        Literal["open", "settled", "released", "recovered"],
        Meta(description="`released`: no provider worked. `recovered`: a crash cut it off, its hold was charged."),
    ]
    attempt_position: Annotated[int, Meta(ge=1, description="Which attempt answered or failed last.")]
    quantity: Annotated[Count | None, Meta(description="Images, seconds or characters.")]
    lines: Annotated[Sequence[BillLine], Meta(description="Empty where nothing was counted or priced.")]
    sum_pico_usd: Annotated[Pico | None, Meta(description="The sum of the lines.")]
    rounded_nano_usd: Annotated[Nano | None, Meta(description="That sum, rounded once, half up.")]
    cost_nano_usd: Annotated[Nano | None, Meta(description="What was charged.")]
    hold: Annotated[Amount, Meta(description="What was held before the provider was asked.")]
    hold_prompt: Annotated[Amount, Meta(description="The prompt's part of it.")]
    hold_estimated: Annotated[bool, Meta(description="Nobody had set a limit for the output.")]
    over_hold: Annotated[bool, Meta(description="The truth was more than the hold.")]
    tier_from_input_tokens: Annotated[Count | None, Meta(description="The tier of the price that applied.")]
    flags: Annotated[Sequence[str], Meta(description="`estimated`, `client_gone`, `usage_invalid`, …")]
    dropped: Annotated[Sequence[str], Meta(description="What translation between dialects could not carry, by name.")]
    settled_at: Time | None
    first_byte_ms: Milliseconds | None


class UsageTotal(Struct, kw_only=True):
    """Sums over a day, a model, a key or a user."""

    name: Annotated[str, Meta(description="The day, model, key or user; empty: the master key.")]
    label: Annotated[str | None, Meta(description="What people call the key or the user.")]
    requests: Count
    prompt_tokens: Count
    completion_tokens: Count
    cost: Amount
