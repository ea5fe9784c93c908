"""The ledger against a model of plain integers, driven by random histories."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otari.domain import money
from otari.domain.catalog import Price
from otari.domain.chat import Usage
from otari.store import accounts, ledger
from otari.store.ledger import Hold, OnCrash, Refused
from tests.store.ground import NOON, assert_books_agree, end, hold_row, in_memory, released

USERS = ("alice", "bob", "carol")


@dataclass
class Account:
    """What the model knows of a user."""

    cap: int | None
    period_ms: int | None
    next_reset_ms: int | None
    spend: int = 0
    open: dict[str, int] = field(default_factory=dict)
    blocked: bool = False

    @property
    def reserved(self) -> int:
        return sum(self.open.values())


class LedgerMachine(RuleBasedStateMachine):
    """hold, settle, release, recover, resets, price changes, blocks; after each step all balances are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.conn = in_memory()
        self.now_ms = NOON
        self.price = Price(1_000_000, 3_000_000)
        self.number = 0
        self.held: dict[str, tuple[Hold, Price, int, int]] = {}
        self.finished: list[Hold] = []
        self.charged = 0
        self.accounts: dict[str, Account] = {}
        for user_id, cap, hours in (("alice", 2_000_000, 24), ("bob", 500_000, None), ("carol", None, 1)):
            period_s = None if hours is None else hours * 3_600
            budget = accounts.add_budget(self.conn, max_nano=cap, duration_s=period_s, name=None, now_ms=NOON)
            accounts.add_user(self.conn, user_id, budget_id=budget.budget_id, now_ms=NOON)
            period_ms = None if period_s is None else period_s * 1_000
            self.accounts[user_id] = Account(cap, period_ms, None if period_ms is None else NOON + period_ms)

    def teardown(self) -> None:
        self.conn.close()

    @rule(user_id=st.sampled_from(USERS), prompt=st.integers(0, 400), output=st.integers(0, 400))
    def hold(self, user_id: str, prompt: int, output: int) -> None:
        self.number += 1
        hold_nano = money.dearest(prompt, output, self.price)
        held = hold_row(f"r{self.number}", user_id, hold_nano, created_at_ms=self.now_ms)
        held = held._replace(hold_prompt_nano=money.dearest(prompt, 0, self.price))
        refused = ledger.hold(self.conn, held)
        account = self.accounts[user_id]
        assert refused is self._expected(account, hold_nano)
        if refused is None:
            account.open[held.id] = hold_nano
            self.held[held.id] = (held, self.price, prompt, output)
            if hold_nano and account.cap is not None:
                assert account.spend + account.reserved <= account.cap

    def _expected(self, account: Account, hold_nano: int) -> Refused | None:
        if account.blocked:
            return Refused.BLOCKED
        if account.next_reset_ms is not None and account.period_ms is not None:
            while account.next_reset_ms <= self.now_ms:
                account.spend = 0
                account.next_reset_ms += account.period_ms
        over = account.cap is not None and account.spend + account.reserved + hold_nano > account.cap
        return Refused.OVER_BUDGET if hold_nano and over else None

    @precondition(lambda self: self.held)
    @rule(data=st.data(), share=st.integers(0, 100))
    def settle(self, data: st.DataObject, share: int) -> None:
        held, price, prompt, output = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        cost = money.cost(Usage(input=prompt * share // 100, output=output * share // 100), price)
        assert cost <= held.hold_nano  # within the limits, the hold is enough
        self._finish(held, cost)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), surplus=st.integers(1, 10**6))
    def settle_above_the_hold(self, data: st.DataObject, surplus: int) -> None:
        held, *_ = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        self._finish(held, held.hold_nano + surplus)

    def _finish(self, held: Hold, cost: int) -> None:
        assert ledger.settle(self.conn, held, end(cost, settled_at_ms=self.now_ms + 10**12))
        self.finished.append(held)
        account = self.accounts[held.user_id]
        del account.open[held.id]
        account.spend += cost
        self.charged += cost

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        held, *_ = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        assert ledger.settle(self.conn, held, released(settled_at_ms=self.now_ms + 10**12))
        self.finished.append(held)
        del self.accounts[held.user_id].open[held.id]

    @precondition(lambda self: self.finished)
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        assert not ledger.settle(self.conn, data.draw(st.sampled_from(self.finished)), end(12_345))

    @precondition(lambda self: self.finished)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.finished))
        # At a time before all boundaries, so that the attempt itself starts no period.
        again = held._replace(hold_nano=1, hold_prompt_nano=0, created_at_ms=0)
        assert ledger.hold(self.conn, again) in (Refused.KNOWN_ID, Refused.BLOCKED, Refused.OVER_BUDGET)

    @rule(on_crash=st.sampled_from(("hold", "prompt_only", "release")))
    def crash(self, on_crash: OnCrash) -> None:
        charges = {"hold": "hold_nano", "prompt_only": "hold_prompt_nano"}
        total = 0
        for held, *_ in self.held.values():
            cost = getattr(held, charges[on_crash]) if on_crash in charges else 0
            self.accounts[held.user_id].spend += cost
            self.accounts[held.user_id].open.clear()
            total += cost
            self.finished.append(held)
        assert ledger.recover(self.conn, on_crash, self.now_ms) == (len(self.held), total)
        self.charged += total
        self.held.clear()

    @rule(hours=st.integers(-30, 60))
    def time_passes(self, hours: int) -> None:
        self.now_ms += hours * 3_600_000

    @rule(rate=st.integers(0, 10**7))
    def price_changes(self, rate: int) -> None:
        self.price = Price(rate, 3 * rate, cache_read=rate // 10, cache_write=rate + rate // 4)

    @rule(user_id=st.sampled_from(USERS), blocked=st.booleans())
    def block(self, user_id: str, blocked: bool) -> None:
        accounts.set_blocked(self.conn, user_id, blocked, self.now_ms)
        self.accounts[user_id].blocked = blocked

    @invariant()
    def balances_agree(self) -> None:
        for user_id, account in self.accounts.items():
            user = accounts.get_user(self.conn, user_id)
            assert (user.spend_nano, user.reserved_nano) == (account.spend, account.reserved)
        assert_books_agree(self.conn)
        assert self.conn.execute("SELECT coalesce(sum(cost_nano), 0) FROM usage").fetchone()[0] == self.charged


LedgerMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLedger = LedgerMachine.TestCase
