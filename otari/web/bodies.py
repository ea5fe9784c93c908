"""What the management routes read: bodies and query parameters, with their limits.

A field that a change does not name stays as it is; an explicit null clears it. Fields of features that do not exist
here may be sent as null (client libraries send every field), and nothing else.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Label = Annotated[str, Meta(max_length=255)]
Models = Annotated[list[Annotated[str, Meta(min_length=1, max_length=512)]], Meta(max_length=1_000)]
Seconds = Annotated[int, Meta(ge=1, le=315_360_000)]  # ten years
Alignment = Literal["calendar_day", "calendar_week", "calendar_month"]
Moment = Annotated[str, Meta(max_length=64, description="ISO 8601 (UTC without an offset), or epoch seconds.")]


class NewKey(Struct, forbid_unknown_fields=True, kw_only=True):
    """A key to make. Without a user it gets one of its own."""

    key_name: Label | None = None
    user_id: Name | None = None
    expires_at: Moment | None = None
    metadata: dict[str, Any] | None = None
    allowed_models: Models | None = None
    exclude_from_budget: bool | None = None
    reject_user_mismatch: bool | None = None
    budget_id: Name | None = None
    capture_agent_telemetry: None = None
    workspace_id: None = None


class KeyChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of a key."""

    key_name: Label | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    allowed_models: Models | UnsetType | None = UNSET
    exclude_from_budget: bool | UnsetType = UNSET
    reject_user_mismatch: bool | UnsetType | None = UNSET
    budget_id: Name | UnsetType | None = UNSET
    capture_agent_telemetry: UnsetType | None = UNSET
    workspace_id: UnsetType | None = UNSET


class NewUser(Struct, forbid_unknown_fields=True, kw_only=True):
    """A user to make, or to bring back after a removal."""

    user_id: Name
    alias: Label | None = None
    budget_id: Name | None = None
    blocked: bool | None = None
    metadata: dict[str, Any] | None = None
    allowed_models: Models | None = None


class UserChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of a user."""

    alias: Label | UnsetType | None = UNSET
    budget_id: Name | UnsetType | None = UNSET
    blocked: bool | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    allowed_models: Models | UnsetType | None = UNSET


class NewBudget(Struct, forbid_unknown_fields=True, kw_only=True):
    """A budget to make. Without `max_budget` it has no cap; without a period it never starts over."""

    max_budget: Decimal | None = None
    budget_duration_sec: Seconds | None = None
    name: Label | None = None
    reset_alignment: Alignment | None = None
    token_limit: None = None
    request_limit: None = None
    organization_id: None = None


class BudgetChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of a budget."""

    max_budget: Decimal | UnsetType | None = UNSET
    budget_duration_sec: Seconds | UnsetType | None = UNSET
    name: Label | UnsetType | None = UNSET
    reset_alignment: Alignment | UnsetType | None = UNSET
    token_limit: UnsetType | None = UNSET
    request_limit: UnsetType | None = UNSET
    organization_id: UnsetType | None = UNSET


class PriceTier(Struct, forbid_unknown_fields=True, kw_only=True):
    """Other rates for long prompts, in USD per million tokens."""

    min_input_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    input_price_per_million: Decimal | None = None
    output_price_per_million: Decimal | None = None
    cache_read_price_per_million: Decimal | None = None
    cache_write_price_per_million: Decimal | None = None
    cache_write_1h_price_per_million: Decimal | None = None
    reasoning_price_per_million: Decimal | None = None


class NewPrice(Struct, forbid_unknown_fields=True, kw_only=True):
    """A price to set: USD per million tokens, and USD each for what is not counted in tokens."""

    model_key: Annotated[str, Meta(min_length=3, max_length=512)]
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
    unit: Literal["token", "image", "request", "second", "character"] | None = None
    pricing_tiers: Annotated[list[PriceTier], Meta(max_length=16)] | None = None
    effective_at: Moment | None = None


class Page(Struct, kw_only=True):
    """Which part of a list: `skip` and `limit`, or what comes after the item `after`."""

    skip: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: Annotated[str, Meta(max_length=1_024)] | None = None


class UsageQuery(Page, kw_only=True):
    """Which usage: at or after `start_date`, before `end_date`, of one user."""

    start_date: Moment | None = None
    end_date: Moment | None = None
    user_id: Name | None = None


class TotalsQuery(Struct, kw_only=True):
    """What to sum up, and by what."""

    by: Literal["day", "model", "key", "user"] = "day"
    start_date: Moment | None = None
    end_date: Moment | None = None


class AsOf(Struct, kw_only=True):
    """The price in force at that time; now without it."""

    as_of: Moment | None = None


class EffectiveAt(Struct, kw_only=True):
    """The one price that begins then; without it the whole history."""

    effective_at: Moment | None = None
