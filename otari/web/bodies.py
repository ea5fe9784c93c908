"""What the management routes read: bodies and query parameters, with their limits.

A field that a change does not name stays as it is; an explicit null clears it. Fields of features that do not exist
here may be sent as null (client libraries send every field), and nothing else.
"""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from otari.web import values


def _decimal(most: int, places: int) -> dict[str, Any]:
    """The schema of an amount, as number or text: from 0 to `most` (a digit and zeros), exact to so many places."""
    zeros = len(str(most)) - 1
    lead = f"[0-{most // 10**zeros - 1}]?" if most > 10**zeros else ""
    text = rf"^{lead}[0-9]{{1,{zeros}}}(\.[0-9]{{1,{places}}})?$"
    return {"minimum": 0, "maximum": most, "multipleOf": 10**-places, "pattern": text}


Name = Annotated[str, Meta(min_length=1, max_length=255)]
Label = Annotated[str, Meta(max_length=255)]
Models = Annotated[list[Annotated[str, Meta(min_length=1, max_length=512)]], Meta(max_length=1_000)]
Seconds = Annotated[int, Meta(ge=1, le=315_360_000)]  # ten years
Alignment = Literal["calendar_day", "calendar_week", "calendar_month"]
Translation = Literal["lenient", "strict"]
Unit = Literal["token", "image", "request", "second", "character"]
_TIMES = [
    {"format": "date-time", "pattern": "^(19[7-9]|[2-9])"},
    {"format": "date", "pattern": "^(19[7-9]|[2-9])"},
    {"pattern": "^([0-9]{1,11}|1[0-9]{11}|2[0-4][0-9]{10})(\\.[0-9]{1,6})?$"},
]
Moment = Annotated[
    str,
    Meta(
        max_length=64,
        description="ISO 8601 (UTC without an offset), or epoch seconds.",
        extra={"read": values.epoch_ms},
        extra_json_schema={"anyOf": _TIMES},
    ),
]
Metadata = Annotated[
    dict[str, Any],
    Meta(
        description="An object of your own. Whole numbers of more than 64 bits are kept as floats.",
        extra={"read": values.metadata_text},
    ),
]
ModelKey = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=512,
        extra={"read": values.model_key},
        extra_json_schema={"pattern": "^[^:/].*[:/]."},
    ),
]
Usd = Annotated[Decimal, Meta(extra={"read": values.nano_usd}, extra_json_schema=_decimal(9_000_000_000, 9))]
PerMillion = Annotated[
    Decimal, Meta(extra={"read": values.pico_per_token}, extra_json_schema=_decimal(1_000_000_000, 6))
]
Each = Annotated[Decimal, Meta(extra={"read": values.pico_each}, extra_json_schema=_decimal(1_000, 12))]


class NewKey(Struct, forbid_unknown_fields=True, kw_only=True):
    """A key to make. Without a user it gets one of its own."""

    key_name: Label | None = None
    user_id: Name | None = None
    expires_at: Moment | None = None
    metadata: Metadata | None = None
    allowed_models: Models | None = None
    exclude_from_budget: bool | None = None
    reject_user_mismatch: bool | None = None
    translation: Translation | None = None
    budget_id: Name | None = None
    capture_agent_telemetry: None = None
    workspace_id: None = None


class KeyChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of a key."""

    key_name: Label | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    allowed_models: Models | UnsetType | None = UNSET
    exclude_from_budget: bool | UnsetType = UNSET
    reject_user_mismatch: bool | UnsetType | None = UNSET
    translation: Translation | UnsetType | None = UNSET
    budget_id: Name | UnsetType | None = UNSET
    capture_agent_telemetry: UnsetType | None = UNSET
    workspace_id: UnsetType | None = UNSET


class NewUser(Struct, forbid_unknown_fields=True, kw_only=True):
    """A user to make, or to bring back after a removal."""

    user_id: Name
    alias: Label | None = None
    budget_id: Name | None = None
    blocked: bool | None = None
    metadata: Metadata | None = None
    allowed_models: Models | None = None


class UserChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of a user."""

    alias: Label | UnsetType | None = UNSET
    budget_id: Name | UnsetType | None = UNSET
    blocked: bool | UnsetType = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    allowed_models: Models | UnsetType | None = UNSET


_ONE_PERIOD = {
    "not": {
        "properties": {"budget_duration_sec": {"type": "integer"}, "reset_alignment": {"type": "string"}},
        "required": ["budget_duration_sec", "reset_alignment"],
    }
}


class NewBudget(Struct, forbid_unknown_fields=True, kw_only=True):
    """A budget to make. Without `max_budget` it has no cap; without a period it never starts over.

    It has `budget_duration_sec` or `reset_alignment`, not both.
    """

    more_schema: ClassVar[dict[str, Any]] = _ONE_PERIOD

    max_budget: Usd | None = None
    budget_duration_sec: Seconds | None = None
    name: Label | None = None
    reset_alignment: Alignment | None = None
    token_limit: None = None
    request_limit: None = None
    organization_id: None = None


class BudgetChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of a budget."""

    more_schema: ClassVar[dict[str, Any]] = _ONE_PERIOD

    max_budget: Usd | UnsetType | None = UNSET
    budget_duration_sec: Seconds | UnsetType | None = UNSET
    name: Label | UnsetType | None = UNSET
    reset_alignment: Alignment | UnsetType | None = UNSET
    token_limit: UnsetType | None = UNSET
    request_limit: UnsetType | None = UNSET
    organization_id: UnsetType | None = UNSET


class PriceTier(Struct, forbid_unknown_fields=True, kw_only=True):
    """Other rates for long prompts, in USD per million tokens."""

    min_input_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    input_price_per_million: PerMillion | None = None
    output_price_per_million: PerMillion | None = None
    cache_read_price_per_million: PerMillion | None = None
    cache_write_price_per_million: PerMillion | None = None
    cache_write_1h_price_per_million: PerMillion | None = None
    reasoning_price_per_million: PerMillion | None = None


class NewPrice(Struct, forbid_unknown_fields=True, kw_only=True):
    """A price to set: USD per million tokens, and USD each for what is not counted in tokens."""

    model_key: ModelKey
    input_price_per_million: PerMillion
    output_price_per_million: PerMillion
    cache_read_price_per_million: PerMillion | None = None
    cache_write_price_per_million: PerMillion | None = None
    cache_write_1h_price_per_million: PerMillion | None = None
    reasoning_price_per_million: PerMillion | None = None
    price_per_request: Each | None = None
    price_per_image: Each | None = None
    price_per_second: Each | None = None
    price_per_character: Each | None = None
    unit: Literal[Unit, "tokens"] | None = None  # the other word is what client libraries say
    pricing_tiers: Annotated[list[PriceTier], Meta(max_length=16)] | None = None
    effective_at: Moment | None = None


class Page(Struct, kw_only=True):
    """Which part of a list: `skip` and `limit`, or what comes after the item `after`."""

    skip: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: Annotated[str, Meta(max_length=1_024)] | None = None


class ModelQuery(Struct, kw_only=True):
    """Which models: those of one provider (`otari`: the aliases); without it all."""

    provider: Label | None = None


class ModelPage(ModelQuery, kw_only=True):
    """The same, page by page: only for clients that send `anthropic-version`; for all others the list is whole."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    after_id: Annotated[str, Meta(max_length=512)] | None = None
    before_id: Annotated[str, Meta(max_length=512)] | None = None


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
