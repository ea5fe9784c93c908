"""What `/v1/users` answers."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from otari.web.answers.terms import Amount, Time

NotCounted = Annotated[Literal[0], Meta(description="Not counted here.")]


class User(Struct, kw_only=True):
    """Who pays."""

    user_id: str
    alias: str | None
    spend: Annotated[Amount, Meta(description="In this period of the budget.")]
    reserved: Annotated[Amount, Meta(description="Held for what is under way.")]
    budget_id: str | None
    budget_started_at: Time | None
    next_budget_reset_at: Annotated[Time | None, Meta(description="null: it never starts over.")]
    blocked: bool
    created_at: Time
    updated_at: Time
    metadata: Mapping[str, Any]
    allowed_models: Annotated[Sequence[str] | None, Meta(description="null: any model.")]
    current_requests: NotCounted
    current_tokens: NotCounted
    reserved_requests: NotCounted
    reserved_tokens: NotCounted
