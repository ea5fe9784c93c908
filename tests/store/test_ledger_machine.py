"""The ledger against a model of plain integers, driven by random histories that shrink to the shortest one.

`OTARI_SEEDS=2000` runs as many.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otari.domain.periods import Alignment
from otari.store.recovery import OnCrash
from tests.store.world import BUDGETS, KEYS, USERS, World

WHICH = st.integers(0, 1_000)
PERCENT = st.integers(0, 100)
BUDGET = st.sampled_from(BUDGETS)
PERIOD = st.sampled_from(
    ((None, None), (3_600, None), (86_400, None), (None, "calendar_day"), (None, "calendar_month"))
)


class LedgerMachine(RuleBasedStateMachine):
    """Everything that requests, the operator, the clock and a crash do; after each step all balances are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def teardown(self) -> None:
        self.world.conn.close()

    @rule(
        user_id=st.sampled_from(USERS),
        key_id=st.none() | st.sampled_from(KEYS),
        prompt=st.integers(0, 400),
        output=st.integers(0, 400),
    )
    def hold(self, user_id: str, key_id: str | None, prompt: int, output: int) -> None:
        self.world.hold(user_id, key_id, prompt, output)

    @precondition(lambda self: self.world.under_way)
    @rule(which=WHICH, used=PERCENT, cached=PERCENT, reasoned=PERCENT)
    def settle(self, which: int, used: int, cached: int, reasoned: int) -> None:
        self.world.settle(which, used, cached, reasoned)

    @precondition(lambda self: self.world.under_way)
    @rule(which=WHICH, surplus=st.integers(1, 10**6))
    def settle_above_the_hold(self, which: int, surplus: int) -> None:
        self.world.settle_above(which, surplus)

    @precondition(lambda self: self.world.under_way)
    @rule(which=WHICH)
    def release(self, which: int) -> None:
        self.world.release(which)

    @precondition(lambda self: self.world.finished)
    @rule(which=WHICH)
    def settle_again(self, which: int) -> None:
        self.world.settle_again(which)

    @rule(on_crash=st.sampled_from(("hold", "prompt_only", "release")))
    def crash(self, on_crash: OnCrash) -> None:
        self.world.crash(on_crash)

    @rule(user_id=st.sampled_from(USERS), prompt=st.integers(0, 400), output=st.integers(0, 400))
    def lose(self, user_id: str, prompt: int, output: int) -> None:
        self.world.lose(user_id, prompt, output)

    @rule(user_id=st.sampled_from(USERS))
    def remove(self, user_id: str) -> None:
        self.world.remove(user_id)

    @rule(user_id=st.sampled_from(USERS), name=st.none() | BUDGET)
    def bring_back(self, user_id: str, name: str | None) -> None:
        self.world.bring_back(user_id, name)

    @rule(name=st.sampled_from(KEYS))
    def replace_key(self, name: str) -> None:
        self.world.replace_key(name)

    @rule(minutes=st.integers(-2_000, 60_000))
    def time_passes(self, minutes: int) -> None:
        self.world.pass_time(minutes)

    @rule(rate=st.integers(0, 10**7), dearer_from=st.integers(1, 400))
    def price_changes(self, rate: int, dearer_from: int) -> None:
        self.world.set_price(rate, dearer_from)

    @rule(user_id=st.sampled_from(USERS), blocked=st.booleans())
    def block(self, user_id: str, blocked: bool) -> None:
        self.world.block(user_id, blocked)

    @rule(user_id=st.sampled_from(USERS), name=st.none() | BUDGET)
    def assign(self, user_id: str, name: str | None) -> None:
        self.world.assign(user_id, name)

    @rule(key_id=st.sampled_from(KEYS), name=st.none() | BUDGET)
    def assign_key(self, key_id: str, name: str | None) -> None:
        self.world.assign_key(key_id, name)

    @rule(key_id=st.sampled_from(KEYS), excluded=st.booleans(), active=st.booleans())
    def change_key(self, key_id: str, excluded: bool, active: bool) -> None:
        self.world.change_key(key_id, excluded, active)

    @rule(name=BUDGET, max_nano=st.none() | st.integers(0, 2_000_000))
    def cap_changes(self, name: str, max_nano: int | None) -> None:
        self.world.set_cap(name, max_nano)

    @rule(name=BUDGET, period=PERIOD)
    def period_changes(self, name: str, period: tuple[int | None, Alignment | None]) -> None:
        self.world.set_period(name, *period)

    @invariant()
    def balances_agree(self) -> None:
        self.world.check_balances()
        self.world.check_books()


LedgerMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("OTARI_SEEDS", "60")),
    stateful_step_count=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLedger = LedgerMachine.TestCase
