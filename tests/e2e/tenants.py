"""Users and keys with budgets that are met and that start over while a test runs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from tests.e2e.gateway import MASTER_KEY, Gateway
from tests.e2e.wire import exchange, request


class Budget(NamedTuple):
    """So much in every period."""

    nano: int
    period_s: int


class Tenant(NamedTuple):
    """A key of a user, with a budget of its own or without. `spares_user`: the user's budget does not count it."""

    user_id: str
    budget: Budget | None = None
    spares_user: bool = False


# Users whose own budget is short, users whose keys' budgets are, both, and neither.
USERS: Mapping[str, Budget | None] = {
    "ann": Budget(8_000_000, 1),
    "ben": Budget(40_000_000, 2),
    "cleo": None,
}
TENANTS = (
    Tenant("ann"),
    Tenant("ann", Budget(6_000_000, 2)),
    Tenant("ann", Budget(5_000_000, 1), spares_user=True),
    Tenant("ben", Budget(9_000_000, 1)),
    Tenant("ben", Budget(30_000_000, 3)),
    Tenant("cleo"),
    Tenant("cleo", Budget(7_000_000, 1)),
    Tenant("cleo"),
)


def move_in(gateway: Gateway) -> tuple[str, ...]:
    """Make all of them on a running gateway; the tokens of TENANTS come back."""
    for user_id, budget in USERS.items():
        _made(gateway, "/v1/users", {"user_id": user_id, "budget_id": _budget(gateway, budget)})
    return tuple(_token(gateway, tenant) for tenant in TENANTS)


def _token(gateway: Gateway, tenant: Tenant) -> str:
    facts = {
        "user_id": tenant.user_id,
        "budget_id": _budget(gateway, tenant.budget),
        "exclude_from_budget": tenant.spares_user,
    }
    return str(_made(gateway, "/v1/keys", facts)["key"])


def _budget(gateway: Gateway, budget: Budget | None) -> str | None:
    if budget is None:
        return None
    facts = {"max_budget": budget.nano / 1e9, "budget_duration_sec": budget.period_s}
    return str(_made(gateway, "/v1/budgets", facts)["budget_id"])


def _made(gateway: Gateway, path: str, facts: Mapping[str, object]) -> Any:
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    answer = exchange(gateway.port, request("POST", path, headers, orjson.dumps(facts)))
    assert answer.status == 200, answer.raw
    return orjson.loads(answer.body)
