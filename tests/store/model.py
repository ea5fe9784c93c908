"""What the model of the ledger knows: accounts as plain integers, and the boundaries of periods, found one by one."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from otari.domain.periods import Alignment
from otari.domain.price import Price
from otari.store.ledger import Hold


@dataclass
class Cap:
    """A budget, as the model knows it."""

    budget_id: str
    max_nano: int | None
    period: tuple[int | None, Alignment | None]


@dataclass
class Account:
    """What the model knows of a user's or a key's money."""

    cap: Cap | None = None
    next_ms: int | None = None
    spend: int = 0
    before: int = 0  # what was spent in earlier periods
    open: dict[str, int] = field(default_factory=dict)

    def start_over(self, now_ms: int) -> None:
        if self.next_ms is None or self.next_ms > now_ms:
            return
        self.before += self.spend
        self.spend = 0
        while self.next_ms is not None and self.next_ms <= now_ms:
            self.next_ms = boundary(self.cap, self.next_ms)

    def has_room(self, hold_nano: int) -> bool:
        most = self.cap.max_nano if self.cap else None
        return most is None or self.spend + sum(self.open.values()) + hold_nano <= most


@dataclass
class Person(Account):
    """A user. A deleted one keeps its account."""

    blocked: bool = False
    deleted: bool = False


@dataclass
class Token(Account):
    """A key, and the id that it has in the ledger."""

    key_id: str = ""
    excluded: bool = False
    active: bool = True


@dataclass
class Request:
    """An admitted request."""

    row: Hold
    price: Price
    prompt: int
    output: int
    accounts: list[Account]


def boundary(cap: Cap | None, after_ms: int) -> int | None:
    """The end of the period that begins or lies at a moment."""
    if cap is None or cap.period == (None, None):
        return None
    seconds, alignment = cap.period
    if seconds is not None:
        return after_ms + seconds * 1_000
    day = datetime.fromtimestamp(after_ms / 1_000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day += timedelta(days=1)
    while not _begins(day, alignment):
        day += timedelta(days=1)
    return round(day.timestamp() * 1_000)


def _begins(day: datetime, alignment: Alignment | None) -> bool:
    return {"calendar_day": True, "calendar_week": day.weekday() == 0, "calendar_month": day.day == 1}[alignment or ""]
