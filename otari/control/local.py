"""The standalone control plane: keys, budgets and prices of our own database decide, and its ledger accounts."""

import asyncio
import hmac
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Self

from otari.control import charge
from otari.control.charge import Ticket
from otari.control.payer import charged_user
from otari.domain import money
from otari.domain.access import WRONG_KEY, Credential, Principal, key_digest
from otari.domain.catalog import Catalog, ModelRef, allows
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.ports import Admission, Ask, Attempt, Condition, FailedAttempt, Outcome, attempt_to
from otari.domain.price import Price, no_price
from otari.domain.secret import Secret
from otari.store import first_run, ledger, prices
from otari.store.db import Database
from otari.store.faults import unavailable
from otari.store.key_book import KeyBook
from otari.store.keys import Key
from otari.store.ledger import Hold, Refused, Settlement
from otari.store.price_book import PriceBook
from otari.store.recovery import OnCrash, Recovery, last_stamp, recover
from otari.store.user_book import UserBook

SELECTOR_MAX_CHARACTERS = 512
ATTEMPTS_MAX = 1024  # clients choose the names of models: what is remembered of them must be bounded
PriceOf = Callable[[ModelRef, int], Price | None]  # of a model, at a time in epoch milliseconds
_NEVER_PRICED_BY_TOKEN = frozenset({"moderations", "speech", "transcriptions"})  # so there may be no price to ask for
_MASTER = Principal(user_id=None, key_id=None, is_master=True)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided. `default_output_tokens` is held for where neither client nor model sets a limit."""

    require_pricing: bool = True
    default_output_tokens: int = 1024
    rejects_user_mismatch: bool = True
    on_crash: OnCrash = "hold"


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What a start brought: keys to be shown this once (None when there were some), and what was recovered."""

    master_key: Secret | None
    bootstrap_key: Secret | None
    recovery: Recovery


class LocalControl:
    """A ControlPlane. Everything that a request must know is in memory; only its money goes through the disk."""

    def __init__(
        self,
        db: Database,
        catalog: Catalog,
        keys: KeyBook,
        users: UserBook,
        price_book: PriceBook,
        rules: Rules,
        now_ms: Callable[[], int],
        *,
        master_digest: bytes,
        last_stamp_ms: int,
    ) -> None:
        """For `start`. `last_stamp_ms` is the newest stamp in the ledger."""
        self.keys = keys
        self.users = users
        self.prices = price_book
        self._db = db
        self._catalog = catalog
        self._rules = rules
        self._now_ms = now_ms
        self._master_digest = master_digest
        self._last_stamp_ms = last_stamp_ms
        self._attempts: dict[ModelRef, Attempt] = {}
        self.on_settled: Callable[[Settlement], object] | None = None  # hears the end of every row
        # Keeps what an outcome brings along, in the transaction that settles it.
        self.keeper: Callable[[sqlite3.Connection, object, Settlement], object] | None = None

    @classmethod
    async def start(
        cls,
        db: Database,
        catalog: Catalog,
        rules: Rules,
        now_ms: Callable[[], int],
        *,
        master_key: Secret | None,
        bootstrap: bool = True,
        configured_prices: Mapping[str, tuple[Price, ...]] | None = None,
    ) -> tuple[Self, FirstRun]:
        """Recover what a crash left open, make sure that there are keys, bring prices together, read the keys.

        `master_key` None: the one of the first start counts, and is minted then. `configured_prices` by
        `provider:model` are written down; then the prices of the database are laid over the catalog. `now_ms` is the
        clock, in epoch milliseconds. Raises OtariError(UNAVAILABLE).
        """

        def op(conn: sqlite3.Connection) -> tuple[Recovery, bytes, Secret | None, Secret | None, int]:
            recovery = recover(conn, rules.on_crash, now_ms())
            if master_key is None:
                digest, minted = first_run.master_key(conn)
            else:
                digest, minted = key_digest(master_key.reveal()), None
            first = first_run.bootstrap(conn, now_ms()) if bootstrap else None
            prices.adopt(conn, configured_prices or {}, now_ms())
            return recovery, digest, minted, None if first is None else first[1], last_stamp(conn)

        recovery, digest, minted, first_key, last_stamp_ms = await db.write(op)
        keys = KeyBook(db, now_ms)
        users = UserBook(db, keys, now_ms)
        price_book = PriceBook(db, catalog, now_ms)
        for book in (keys, users, price_book):
            await book.load()
        control = cls(
            db, catalog, keys, users, price_book, rules, now_ms, master_digest=digest, last_stamp_ms=last_stamp_ms
        )
        return control, FirstRun(minted, first_key, recovery)

    async def close(self) -> None:
        """Nothing is under way here that the database does not know."""

    # ---- changes that others wrote ----

    async def prices_changed(self, model_key: str) -> None:
        """Take in the prices of a model as they stand in the database."""
        await self.prices.refresh(model_key)

    async def users_changed(self, user_id: str) -> None:
        """Take in a user, and its keys, as they stand in the database."""
        await self.users.refresh(user_id)

    # ---- who ----

    async def identify(self, credential: Credential | None) -> Principal:
        """Who is asking; the master key is tried first. Raises OtariError(UNAUTHENTICATED)."""
        if credential is None:
            raise _unauthenticated("Missing Otari-Key, Authorization, or x-api-key header")
        if credential.token is None:
            raise OtariError(Kind.UNAUTHENTICATED, "Invalid header format. Expected 'Bearer <token>'")
        # Digests are compared, never tokens: their bytes tell nothing about the token that was tried.
        digest = key_digest(credential.token.reveal())
        if hmac.compare_digest(digest, self._master_digest):
            return _MASTER
        return self._judged(self.keys.find(digest))

    def principal_of(self, user_id: str, key_id: str | None) -> Principal:
        """Who a key stands for that was shown earlier; without one, the user whom the master key named then.

        Raises OtariError(UNAUTHENTICATED) when the key is not good any more.
        """
        if key_id is None:
            return Principal(user_id, None, rejects_user_mismatch=False)
        return self._judged(self.keys.find_by_id(key_id))

    def _judged(self, key: Key | None) -> Principal:
        if key is None:
            raise _unauthenticated("Invalid API key")
        if not key.is_active:
            raise _unauthenticated("API key is inactive")
        if key.expires_at_ms is not None and key.expires_at_ms <= self._now_ms():
            raise _unauthenticated("API key has expired")
        return self._principal(key)

    def _principal(self, key: Key) -> Principal:
        rejects = key.rejects_user_mismatch
        return Principal(
            key.user_id,
            key.key_id,
            rejects_user_mismatch=self._rules.rejects_user_mismatch if rejects is None else rejects,
            strict=key.translation == "strict",
        )

    # ---- admission ----

    async def admit(self, principal: Principal, ask: Ask) -> Admission:
        """See ControlPlane.admit. The refusals come in this order: user field, model, user, budget, price.

        A model that the key or the user may not use is refused before its budget is looked at.
        """
        user_id = charged_user(principal, ask)
        if len(ask.selector) > SELECTOR_MAX_CHARACTERS:
            raise invalid(f"The model name is longer than {SELECTOR_MAX_CHARACTERS} characters", param="model")
        refs = self._catalog.targets(ask.selector)
        key = self._key(principal)
        self._check_allowed(refs, key, user_id)
        ticket = self._ticket(key, ask, user_id, refs)
        hold = ticket.hold
        if None in ticket.prices and self._must_be_priced(ask):
            refused = await self._db.write(lambda conn: ledger.check(conn, hold))
            raise no_price(ask.selector) if refused is None else _refusal(refused, hold)
        try:
            refused = await self._db.write(lambda conn: ledger.hold(conn, hold))
        except asyncio.CancelledError:
            self._withdraw(ticket)
            raise
        if refused is not None:
            raise _refusal(refused, hold)
        return Admission(ask.request_id, principal, ticket.attempts, ticket, prices=ticket.prices)

    def _key(self, principal: Principal) -> Key | None:
        """The key of the request as it stands now; None for the master key."""
        if principal.key_id is None:
            return None
        key = self.keys.find_by_id(principal.key_id)
        if key is None:  # deleted since it was identified
            raise _unauthenticated("Invalid API key")
        return key

    def _check_allowed(self, refs: tuple[ModelRef, ...], key: Key | None, user_id: str) -> None:
        """Every model that may be tried must be on the key's list and on the user's."""
        lists = (("API key", None if key is None else key.allowed_models), ("user", self.users.allowed(user_id)))
        for owner, allowed in lists:
            if allowed is None:
                continue
            refused = next((ref for ref in refs if not allows(allowed, ref)), None)
            if refused is not None:
                raise OtariError(
                    Kind.FORBIDDEN,
                    f"Model '{refused}' is not among the allowed models of this {owner}",
                    param="model",
                    code="model_not_allowed",
                )

    def weigh(self, principal: Principal, ask: Ask, price_of: PriceOf) -> Ticket:
        """What a request would hold at such prices; nothing is held. For those that are asked for as a part of others.

        Raises as `admit` does, but for what only the accounts can tell.
        """
        user_id = charged_user(principal, ask)
        refs = self._catalog.targets(ask.selector)
        key = self._key(principal)
        self._check_allowed(refs, key, user_id)
        ticket = self._ticket(key, ask, user_id, refs, price_of)
        if None in ticket.prices and self._must_be_priced(ask):
            raise no_price(ask.selector)
        return ticket

    async def take(self, hold: Hold, then: Callable[[sqlite3.Connection], object]) -> None:
        """Hold what was weighed, and do something in the same transaction. Raises the accounts' refusals."""

        def op(conn: sqlite3.Connection) -> Refused | None:
            refused = ledger.hold(conn, hold)
            if refused is None:
                then(conn)
            return refused

        refused = await self._db.write(op)
        if refused is not None:
            raise _refusal(refused, hold)

    def attempts(self, selector: str) -> tuple[Attempt, ...]:
        """What is tried for a selector. Raises OtariError(INVALID)."""
        return tuple([self._attempt(ref) for ref in self._catalog.targets(selector)])

    def stamp(self) -> int:
        """The time for a row that is written now."""
        return self._stamp()

    def _ticket(
        self, key: Key | None, ask: Ask, user_id: str, refs: tuple[ModelRef, ...], price_of: PriceOf | None = None
    ) -> Ticket:
        now_ms = self._stamp()
        price_of = price_of or self._catalog.price
        in_force = tuple([price_of(ref, now_ms) for ref in refs])
        bounds = [self._output_bound(ask, ref) for ref in refs]
        default = self._rules.default_output_tokens
        outputs = [(default if bound is None else bound) * ask.choices for bound in bounds]
        hold_nano, prompt_nano = _dearest(in_force, ask, outputs)
        hold = Hold(
            ask.request_id,
            user_id,
            None if key is None else key.key_id,
            None if key is None else key.key_name,
            ask.endpoint,
            ask.selector,
            refs[0].provider,
            refs[0].model,
            ask.stream,
            hold_nano,
            prompt_nano,
            None in bounds,
            key is None or not key.exclude_from_budget,
            key is not None and key.budget_id is not None,
            *charge.rates(in_force[0], ask.prompt_tokens),
            now_ms,
        )
        return Ticket(hold, tuple([self._attempt(ref) for ref in refs]), in_force)

    def _output_bound(self, ask: Ask, ref: ModelRef) -> int | None:
        """The most that one answer of a model can have: the client's limit, else the model's own; None = unknown."""
        return self._catalog.limits(ref).output if ask.output_tokens is None else ask.output_tokens

    def _attempt(self, ref: ModelRef) -> Attempt:
        """The attempt for a model: the same object every time, as long as not too many models are asked for."""
        attempt = self._attempts.get(ref)
        if attempt is None:
            if len(self._attempts) >= ATTEMPTS_MAX:
                self._attempts.clear()
            attempt = self._attempts[ref] = attempt_to(self._catalog.providers[ref.provider], ref.model)
        return attempt

    def _must_be_priced(self, ask: Ask) -> bool:
        return self._rules.require_pricing and ask.operation not in _NEVER_PRICED_BY_TOKEN

    def _withdraw(self, ticket: Ticket) -> None:
        """Behind the hold that is already queued: whether it lands or not, nothing stays held."""
        held, end = ticket.hold, charge.withdrawn(ticket, self._stamp())

        def op(conn: sqlite3.Connection) -> None:
            ledger.settle(conn, held, end)

        self._db.write_until_kept(op)

    async def recognise(self, principal: Principal, selector: str) -> ModelRef:
        """See ControlPlane.recognise. Whoever has a key may ask; what it may use is looked at when it is used."""
        return self._catalog.targets(selector)[0]

    # ---- attempts ----

    async def moved_on(self, failed: FailedAttempt, attempt: Attempt, admission: Admission) -> None:
        """See ControlPlane.moved_on: the settlement tells of all attempts, so there is nothing to note."""

    def verdict(self, failed: tuple[FailedAttempt, ...], last: OtariError) -> OtariError:
        """See ControlPlane.verdict: what the last one said, whose status tells most."""
        return last

    # ---- settlement ----

    def settle(self, admission: Admission, outcome: Outcome) -> Awaitable[None]:
        """See ControlPlane.settle. When the disk is full the row waits in memory, and the result is there at once."""
        ticket = admission.ticket
        assert isinstance(ticket, Ticket)  # our own, from `admit`
        held = ticket.hold
        end = charge.settlement(ticket, outcome, self._stamp())
        if self.on_settled is not None:
            self.on_settled(end)
        absorbed = charge.absorbed(outcome.failed) if outcome.failed else ()
        key_used = held.key_id is not None and self.keys.used(held.key_id, end.settled_at_ms)
        keepsake, keeper = outcome.keepsake, self.keeper

        def op(conn: sqlite3.Connection) -> None:
            if not ledger.settle(conn, held, end, absorbed, key_used):
                log.error("request %s was settled a second time; the first settlement stands", held.id)
            elif keepsake is not None and keeper is not None:
                keeper(conn, keepsake, end)

        return self._db.write_until_kept(op)

    async def standing(self) -> Mapping[str, str]:
        """See ControlPlane.standing."""
        return {}

    async def health(self) -> Condition:
        """See ControlPlane.health."""
        if not self._db.healthy:
            return Condition({"database": "unavailable"}, unavailable())
        return Condition({"database": "connected"})

    def _stamp(self) -> int:
        """Now, but never before the last stamp: rows keep their order when the clock is set back."""
        self._last_stamp_ms = max(self._last_stamp_ms, self._now_ms())
        return self._last_stamp_ms


def _dearest(in_force: tuple[Price | None, ...], ask: Ask, outputs: list[int]) -> tuple[int, int]:
    """What to hold in nano-USD: the dearest of all attempts, and the prompt's part of it.

    `outputs` bounds what each of them may write, in tokens.
    """
    prompt_tokens, quantity = ask.prompt_tokens, ask.quantity
    hold = prompt = 0
    for price, output_tokens in zip(in_force, outputs, strict=True):
        if price is None:
            continue
        whole = money.dearest(prompt_tokens, output_tokens, price, quantity)
        if whole > hold:
            hold, prompt = whole, money.dearest(prompt_tokens, 0, price, quantity)
        elif not hold and not price.is_free:
            hold = 1  # what has a price asks the budget, however little it wants
    return min(hold, money.MAX_NANO_USD), min(prompt, money.MAX_NANO_USD)


def _unauthenticated(message: str) -> OtariError:
    return OtariError(Kind.UNAUTHENTICATED, message, code=WRONG_KEY)


def _refusal(refused: Refused, hold: Hold) -> OtariError:
    user_id = hold.user_id
    match refused:
        case Refused.NO_USER:
            return OtariError(Kind.NOT_FOUND, f"User '{user_id}' not found", code="user_not_found")
        case Refused.BLOCKED:
            return OtariError(Kind.FORBIDDEN, f"User '{user_id}' is blocked", code="user_blocked")
        case Refused.OVER_BUDGET:
            return OtariError(Kind.BUDGET, f"User '{user_id}' has exceeded budget limit", code="insufficient_quota")
        case Refused.NO_KEY:
            return _unauthenticated("Invalid API key")
        case Refused.KEY_OVER_BUDGET:
            name = hold.key_name or hold.key_id
            return OtariError(Kind.BUDGET, f"API key '{name}' has exceeded budget limit", code="insufficient_quota")
        case Refused.KNOWN_ID:
            return OtariError(Kind.CONFLICT, "The request id was used before", code="request_id_used")
