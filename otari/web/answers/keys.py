"""What `/v1/keys` answers."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from otari.web.answers.terms import Absent, Amount, Time


class Key(Struct, kw_only=True):
    """A virtual key, without its token."""

    id: str
    key_name: str | None
    user_id: Annotated[str, Meta(description="Who pays.")]
    created_at: Time
    updated_at: Time
    last_used_at: Annotated[Time | None, Meta(description="Written at most every five minutes.")]
    expires_at: Annotated[Time | None, Meta(description="null: never.")]
    is_active: bool
    metadata: Mapping[str, Any]
    key_prefix: Annotated[str, Meta(description="How the token begins.")]
    key_suffix: Annotated[str, Meta(description="How the token ends.")]
    allowed_models: Annotated[Sequence[str] | None, Meta(description="null: those of the user.")]
    reject_user_mismatch: Annotated[bool | None, Meta(description="null: as configured for all keys.")]
    translation: Annotated[
        Literal["lenient", "strict"] | None,
        Meta(description="strict: what can not be translated without loss is refused. null: as the provider says."),
    ]
    exclude_from_budget: Annotated[bool, Meta(description="true: the user is not charged.")]
    budget_id: Annotated[str | None, Meta(description="A cap of the key's own, beside the user's.")]
    spend: Annotated[Amount, Meta(description="In this period, while the key has a budget of its own.")]
    reserved: Annotated[Amount, Meta(description="Held for what is under way.")]
    budget_started_at: Time | None
    next_budget_reset_at: Time | None
    capture_agent_telemetry: Absent
    workspace_id: Annotated[UUID, Meta(description="Always zeros: there are no workspaces here.")]


class KeyWithToken(Key, kw_only=True):
    """A key that was just made or rotated."""

    key: Annotated[str, Meta(description="The token. It is shown now and never again.", pattern="^gw-[A-Za-z0-9_-]+$")]
