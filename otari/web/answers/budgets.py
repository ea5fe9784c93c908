"""What `/v1/budgets` answers."""

from typing import Annotated

from msgspec import Meta, Struct

from otari.web.answers.terms import Absent, Amount, Count, Time
from otari.web.bodies import Alignment


class Budget(Struct, kw_only=True):
    """A cap, and what stands under it."""

    budget_id: str
    name: str | None
    max_budget: Annotated[Amount | None, Meta(description="For each user or key under it. null: no cap.")]
    budget_duration_sec: Annotated[int, Meta(ge=1)] | None
    reset_alignment: Alignment | None
    created_at: Time
    updated_at: Time
    user_count: Annotated[Count, Meta(description="How many users are under it.")]
    total_spend: Annotated[Amount, Meta(description="Of all users and keys under it, in their periods.")]
    total_reserved: Annotated[Amount, Meta(description="Held for what is under way.")]
    token_limit: Absent
    request_limit: Absent
    organization_id: Absent


class BudgetReset(Struct, kw_only=True):
    """A user or a key starting over."""

    id: Annotated[int, Meta(ge=1, description="Its place in the history: what to send as `after`.")]
    user_id: str
    key_id: Annotated[str | None, Meta(description="null: the user's own account.")]
    budget_id: str | None
    previous_spend: Annotated[Amount, Meta(description="What the period that ended had cost.")]
    reset_at: Time
    next_reset_at: Time | None
