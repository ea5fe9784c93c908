"""A ledger beside a model of plain integers: whatever is done is done to both, and both must say the same.

The world has three users, four keys and five budgets. The model (`model.py`) knows no SQL.
"""

import itertools
import sqlite3

from otari.domain import money
from otari.domain.chat import Usage
from otari.domain.periods import Alignment
from otari.domain.price import Price, Tier
from otari.store import accounts, budgets, keys, ledger, recovery
from otari.store.ledger import Absorbed, Hold, Refused
from otari.store.recovery import OnCrash
from tests.store.ground import NOON, assert_books_agree, end, hold_row, in_memory, released
from tests.store.model import Account, Cap, Person, Request, Token, boundary

USERS = ("alice", "bob", "carol")
KEYS = ("laptop", "server", "spare", "guest")
OWNERS = {"laptop": "alice", "server": "alice", "spare": "bob", "guest": "carol"}
BUDGETS = ("small", "daily", "weekly", "monthly", "hourly")
_PERIODS: dict[str, tuple[int | None, Alignment | None]] = {
    "small": (None, None),
    "daily": (None, "calendar_day"),
    "weekly": (None, "calendar_week"),
    "monthly": (None, "calendar_month"),
    "hourly": (3_600, None),
}
_ABSORBED = Absorbed("stub", "large", 503, "busy", 20)
_LATE_MS = 10**12  # settlements are stamped far behind any clock of the world


class World:
    """The ledger and its model. Every method does one thing to both and compares what they say."""

    def __init__(self) -> None:
        self.conn: sqlite3.Connection = in_memory()
        self.now_ms = NOON
        self.price = Price(1_000_000, 3_000_000)
        self.caps: dict[str, Cap] = {}
        self.users: dict[str, Person] = {}
        self.keys: dict[str, Token] = {}
        self.under_way: list[Request] = []
        self.finished: list[Hold] = []
        self.charged = 0
        self._numbers = itertools.count(1)
        for name in BUDGETS:
            seconds, alignment = _PERIODS[name]
            budget = budgets.add_budget(
                self.conn,
                name=name,
                max_nano=500_000,
                duration_s=seconds,
                reset_alignment=alignment,
                now_ms=NOON,
            )
            self.caps[name] = Cap(budget.budget_id, 500_000, (seconds, alignment))
        for user_id in USERS:
            accounts.add_user(self.conn, user_id, now_ms=NOON)
            self.users[user_id] = Person()
        for name in KEYS:
            self._issue(name)

    # ---- requests ----

    def hold(self, user_id: str, name: str | None, prompt: int, output: int) -> None:
        """Ask for a request of at most so many tokens, with a key or (None) the master key."""
        key = None if name is None else self.keys[name]
        row = self._row(user_id if name is None else OWNERS[name], key, prompt, output)
        expected = self._refusal(row, key)
        assert ledger.hold(self.conn, row) is expected
        if expected is not None:
            return
        request = Request(row, self.price, prompt, output, self._accounts(row, key))
        for account in request.accounts:
            account.open[row.id] = row.hold_nano
            assert not row.hold_nano or account.has_room(0)  # nothing is admitted beyond a cap
        self.under_way.append(request)

    def _row(self, user_id: str, key: Token | None, prompt: int, output: int) -> Hold:
        return hold_row(
            f"r{next(self._numbers)}",
            user_id,
            money.dearest(prompt, output, self.price),
            key_id=None if key is None else key.key_id,
            counts_toward_budget=key is None or not key.excluded,
            counts_toward_key=key is not None and key.cap is not None,
            created_at_ms=self.now_ms,
            hold_prompt_nano=money.dearest(prompt, 0, self.price),
        )

    def _refusal(self, row: Hold, key: Token | None) -> Refused | None:
        user = self.users[row.user_id]
        if user.deleted:
            return Refused.NO_USER
        if user.blocked:
            return Refused.BLOCKED
        user.start_over(self.now_ms)
        if row.hold_nano and row.counts_toward_budget and not user.has_room(row.hold_nano):
            return Refused.OVER_BUDGET
        if row.hold_nano and row.counts_toward_key and key is not None:
            if not key.active:
                return Refused.NO_KEY
            key.start_over(self.now_ms)
            if not key.has_room(row.hold_nano):
                return Refused.KEY_OVER_BUDGET
        return None

    def _accounts(self, row: Hold, key: Token | None) -> list[Account]:
        mine: list[Account] = [self.users[row.user_id]] if row.counts_toward_budget else []
        return [*mine, key] if row.counts_toward_key and key is not None else mine

    def settle(self, which: int, usage_percent: int, cached_percent: int, reasoned_percent: int) -> None:
        """End a request within its limits: the hold is always enough."""
        request = self.under_way.pop(which % len(self.under_way))
        read, written = request.prompt * usage_percent // 100, request.output * usage_percent // 100
        cached, reasoned = read * cached_percent // 100, written * reasoned_percent // 100
        usage = Usage(read, written, cached // 2, cached - cached // 2, cached // 4, reasoned)
        cost = money.cost(usage, request.price)
        assert cost <= request.row.hold_nano
        self._end(request, cost)

    def settle_above(self, which: int, surplus: int) -> None:
        """End a request for more than its hold: the truth is charged."""
        request = self.under_way.pop(which % len(self.under_way))
        self._end(request, request.row.hold_nano + surplus)

    def _end(self, request: Request, cost: int) -> None:
        absorbed = (_ABSORBED,) * (cost % 3)
        assert ledger.settle(self.conn, request.row, end(cost, settled_at_ms=self.now_ms + _LATE_MS), absorbed)
        self._close(request, cost)

    def _close(self, request: Request, cost: int) -> None:
        for account in request.accounts:
            del account.open[request.row.id]
            account.spend += cost
        self.charged += cost
        self.finished.append(request.row)

    def release(self, which: int) -> None:
        """End a request for which no provider worked."""
        request = self.under_way.pop(which % len(self.under_way))
        assert ledger.settle(self.conn, request.row, released(settled_at_ms=self.now_ms + _LATE_MS))
        self._close(request, 0)

    def settle_again(self, which: int) -> None:
        """A second settlement of an ended request changes nothing."""
        assert not ledger.settle(self.conn, self.finished[which % len(self.finished)], end(12_345))

    def lose(self, user_id: str, prompt: int, output: int) -> None:
        """The process dies before a commit: of all that was done since the last one, nothing stays."""
        self.conn.execute("BEGIN IMMEDIATE")
        ledger.hold(self.conn, self._row(user_id, None, prompt, output))
        for request in self.under_way[:2]:
            assert ledger.settle(self.conn, request.row, end(5, settled_at_ms=self.now_ms + _LATE_MS))
        recovery.recover(self.conn, "hold", self.now_ms)
        self.conn.execute("ROLLBACK")

    def crash(self, on_crash: OnCrash) -> None:
        """The process is gone; the next start recovers, and the one after it finds nothing to recover."""
        costs = [_recovered(request.row, on_crash) for request in self.under_way]
        assert recovery.recover(self.conn, on_crash, self.now_ms) == (len(costs), sum(costs))
        assert recovery.recover(self.conn, on_crash, self.now_ms) == (0, 0)
        for request, cost in zip(self.under_way, costs, strict=True):
            self._close(request, cost)
        self.under_way.clear()

    # ---- the operator and the clock ----

    def pass_time(self, minutes: int) -> None:
        """The clock goes on, or is set back."""
        self.now_ms += minutes * 60_000

    def set_price(self, rate: int, dearer_from: int) -> None:
        """Another price, with a tier for long prompts."""
        tier = Tier(dearer_from, rate * 2, rate * 5, cache_write_1h=rate * 4)
        self.price = Price(
            rate,
            3 * rate,
            cache_read=rate // 10,
            cache_write=rate + rate // 4,
            reasoning=rate * 4,
            request_pico=rate % 7,
            tiers=(tier,),
        )

    def remove(self, user_id: str) -> None:
        """Delete a user, with requests of it under way; its keys are not let in any more."""
        if self.users[user_id].deleted:
            return
        accounts.remove_user(self.conn, user_id, self.now_ms)
        self.users[user_id].deleted = True
        for name, owner in OWNERS.items():
            if owner == user_id:
                self.keys[name].active = False

    def bring_back(self, user_id: str, name: str | None) -> None:
        """A deleted user comes back with nothing spent; what it holds stays held."""
        user = self.users[user_id]
        if not user.deleted:
            return
        cap = None if name is None else self.caps[name]
        budget_id = None if cap is None else cap.budget_id
        accounts.add_user(self.conn, user_id, budget_id=budget_id, now_ms=self.now_ms)
        user.before += user.spend
        user.spend, user.blocked, user.deleted = 0, False, False
        user.cap, user.next_ms = cap, boundary(cap, self.now_ms)

    def replace_key(self, name: str) -> None:
        """Delete a key, with requests of it under way, and make another one."""
        keys.remove_key(self.conn, self.keys[name].key_id)
        self._issue(name)

    def _issue(self, name: str) -> None:
        key_id = f"{name}-{next(self._numbers)}"
        keys.add_key(self.conn, keys.issue(OWNERS[name], key_id=key_id, now_ms=self.now_ms)[0])
        self.keys[name] = Token(key_id=key_id)

    def block(self, user_id: str, blocked: bool) -> None:
        """Block a user, or let it ask again."""
        if self.users[user_id].deleted:
            return
        accounts.change_user(self.conn, user_id, {"blocked": blocked}, self.now_ms)
        self.users[user_id].blocked = blocked

    def assign(self, user_id: str, name: str | None) -> None:
        """Put a user under a budget, or under none."""
        if self.users[user_id].deleted:
            return
        cap = None if name is None else self.caps[name]
        accounts.change_user(self.conn, user_id, {"budget_id": cap and cap.budget_id}, self.now_ms)
        self._put_under(self.users[user_id], cap)

    def assign_key(self, key: str, name: str | None) -> None:
        """Put a key under a budget of its own, or under none."""
        cap = None if name is None else self.caps[name]
        keys.change_key(self.conn, self.keys[key].key_id, {"budget_id": cap and cap.budget_id}, self.now_ms)
        self._put_under(self.keys[key], cap)

    def _put_under(self, account: Account, cap: Cap | None) -> None:
        if account.cap is not cap:
            account.cap = cap
            account.next_ms = boundary(cap, self.now_ms)

    def change_key(self, name: str, excluded: bool, active: bool) -> None:
        """Spare the user's account or not; revoke a key or not."""
        key = self.keys[name]
        keys.change_key(self.conn, key.key_id, {"exclude_from_budget": excluded, "is_active": active}, self.now_ms)
        key.excluded, key.active = excluded, active

    def set_cap(self, name: str, max_nano: int | None) -> None:
        """Another cap for all accounts under a budget."""
        budgets.change_budget(self.conn, self.caps[name].budget_id, {"max_nano": max_nano}, self.now_ms)
        self.caps[name].max_nano = max_nano

    def set_period(self, name: str, seconds: int | None, alignment: Alignment | None) -> None:
        """Another period: accounts keep their boundary, those without one begin now."""
        cap = self.caps[name]
        changes = {"duration_s": seconds, "reset_alignment": alignment}
        budgets.change_budget(self.conn, cap.budget_id, changes, self.now_ms)
        cap.period = (seconds, alignment)
        for account in (*self.users.values(), *self.keys.values()):
            if account.cap is cap and account.next_ms is None:
                account.next_ms = boundary(cap, self.now_ms)

    # ---- what must be true ----

    def check_balances(self) -> None:
        """Every account says what the model says."""
        for user_id, person in self.users.items():
            user = accounts.find_user(self.conn, user_id)
            assert user is not None
            assert (user.spend_nano, user.reserved_nano) == (person.spend, sum(person.open.values())), user_id
            assert (user.next_reset_at_ms, user.deleted_at_ms is None) == (person.next_ms, not person.deleted), user_id
        tokens = {k.key_id: k for k in keys.list_keys(self.conn)}
        assert tokens.keys() == {token.key_id for token in self.keys.values()}
        for name, token in self.keys.items():
            key = tokens[token.key_id]
            assert (key.spend_nano, key.reserved_nano) == (token.spend, sum(token.open.values())), name
            assert key.next_reset_at_ms == token.next_ms, name

    def check_books(self) -> None:
        """Every account is the sum of its rows, and all rows together are what was charged."""
        assert_books_agree(self.conn)
        assert self.conn.execute("SELECT coalesce(sum(cost_nano), 0) FROM usage").fetchone()[0] == self.charged


def _recovered(row: Hold, on_crash: OnCrash) -> int:
    return {"hold": row.hold_nano, "prompt_only": row.hold_prompt_nano, "release": 0}[on_crash]
