"""What `/v1/pricing` answers: USD per million tokens, and USD each for what is not counted in tokens."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from otari.web.answers.terms import Amount, Time
from otari.web.bodies import Unit


class PriceTierInForce(Struct, kw_only=True):
    """Other rates for prompts of so many tokens; a rate that is not there stays."""

    min_input_tokens: Annotated[int, Meta(ge=1)]
    input_price_per_million: Amount | UnsetType = UNSET
    output_price_per_million: Amount | UnsetType = UNSET
    cache_read_price_per_million: Amount | UnsetType = UNSET
    cache_write_price_per_million: Amount | UnsetType = UNSET
    cache_write_1h_price_per_million: Amount | UnsetType = UNSET
    reasoning_price_per_million: Amount | UnsetType = UNSET


class Price(Struct, kw_only=True):
    """What a model costs from a time on."""

    model_key: Annotated[str, Meta(description="`provider:model`.")]
    effective_at: Time
    input_price_per_million: Amount
    output_price_per_million: Amount
    cache_read_price_per_million: Annotated[Amount | None, Meta(description="null: as input.")]
    cache_write_price_per_million: Annotated[Amount | None, Meta(description="null: as input.")]
    cache_write_1h_price_per_million: Annotated[Amount | None, Meta(description="null: as another cache write.")]
    reasoning_price_per_million: Annotated[Amount | None, Meta(description="null: as output.")]
    price_per_request: Amount | None
    price_per_image: Amount | None
    price_per_second: Amount | None
    price_per_character: Amount | None
    unit: Unit
    pricing_tiers: Sequence[PriceTierInForce]
    origin: Annotated[Literal["config", "api", "default"], Meta(description="Who set it.")]
    created_at: Time
    updated_at: Time
