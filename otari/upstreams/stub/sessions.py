"""What a run of the stub remembers, session by session: what was asked, how often, and which rules came by the way.

Sessions know nothing of each other, so that tests which run at the same time can share one server. Everything here is
bounded: clients choose the names of sessions and the size of requests.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from otari.domain.arrival import DEFAULT_SESSION
from otari.upstreams.stub.rules import Fault, Rule

SESSIONS_MAX = 10_000
ENTRIES_MAX = 1_000  # of one session
ALL_ENTRIES_MAX = 100_000
BODY_MAX_BYTES = 64 * 1024  # that are kept of one request
BODIES_MAX_BYTES = 64 * 1024 * 1024  # that are kept of all
COUNTS_MAX = 10_000  # of one session
MISSED_MAX = 100  # that are told at the end of a run

Result = Literal["answered", "miss", "fault", "limited", "gateway", "recorded"]


@dataclass(slots=True)
class Entry:
    """One request in the journal.

    `number` counts the calls of the session from 1 on; 0 is one that does not count. `rule` is the rule that answered,
    of a miss the nearest one; `fault` is what hit the request on its way. `result` "gateway" is a request that no
    scripted provider has seen, "recorded" one that a real provider was asked.
    """

    session: str
    number: int
    result: Result
    rule: str
    status: int
    method: str = ""
    path: str = ""
    surface: str = ""
    model: str = ""
    stream: bool = False
    turn: int = 0
    step: int = 0
    user: str = ""
    tools: tuple[str, ...] = ()
    aside: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    size: int = 0
    fault: str = ""
    failed: tuple[str, ...] = ()


class Session:
    """One session. `rules` and `faults` are its own, in front of those of the script."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: tuple[Rule, ...] = ()
        self.faults: tuple[Fault, ...] = ()
        self.calls = 0
        self.misses = 0
        self.journal: deque[Entry] = deque(maxlen=ENTRIES_MAX)
        self._counts: OrderedDict[str | bytes, int] = OrderedDict()

    def count(self, what: str | bytes) -> int:
        """How often this was counted before; now once more."""
        before = self._counts.pop(what, 0)
        self._counts[what] = before + 1
        if len(self._counts) > COUNTS_MAX:
            self._counts.popitem(last=False)
        return before

    def counted(self, what: str | bytes) -> int:
        """How often this was counted."""
        return self._counts.get(what, 0)


class Sessions:
    """All sessions of a run, by name. Use it in one event loop.

    `answered` (by rule and fault; those aside too), `misses` and `missed` (the first of them) are of the whole run:
    forgetting a session leaves them.
    """

    def __init__(self, *, keeps: bool = True) -> None:
        """Without `keeps` there is no journal: nobody can ask for it."""
        self._keeps = keeps
        self._entries = 0
        self.answered: Counter[str] = Counter()
        self.misses = 0
        self.missed: list[Entry] = []
        self.on_new: Callable[[Session], object] | None = None  # hears of every session before its first request
        self.on_note: Callable[[Entry], object] | None = None  # hears every entry
        self._all: OrderedDict[str, Session] = OrderedDict()
        self._kept_bytes = 0
        self._news: asyncio.Event | None = None

    def __iter__(self) -> Iterator[Session]:
        """The sessions by name: an order that does not depend on who came first."""
        return iter([self._all[name] for name in sorted(self._all)])

    def get(self, name: str = DEFAULT_SESSION) -> Session:
        """The session of this name, made if there is none. Of too many, the one that was quiet longest is forgotten."""
        session = self._all.get(name)
        if session is None:
            session = self._all[name] = Session(name)
            if self.on_new is not None:
                self.on_new(session)
            if len(self._all) > SESSIONS_MAX:
                self.forget(next(iter(self._all)))
        else:
            self._all.move_to_end(name)
        return session

    def find(self, name: str) -> Session | None:
        """The session of this name, or None."""
        return self._all.get(name)

    def forget(self, name: str) -> bool:
        """Forget all about a session; False when there is none."""
        session = self._all.pop(name, None)
        if session is not None:
            self._kept_bytes -= sum(len(entry.body) for entry in session.journal)
            self._entries -= len(session.journal)
        return session is not None

    def note(self, entry: Entry) -> None:
        """Write an entry into the journal of its session."""
        session = self.get(entry.session)
        if entry.result == "miss":
            session.misses += 1
            self.misses += 1
            self.missed += [entry] if len(self.missed) < MISSED_MAX else []
        for name in (entry.rule if entry.result != "miss" else "", entry.fault):
            if name:
                self.answered[name] += 1
        if self._keeps:
            self._keep(session, entry)
        if self.on_note is not None:
            self.on_note(entry)
        if self._news is not None:
            self._news.set()

    def _keep(self, session: Session, entry: Entry) -> None:
        """Put an entry into the journal, within bounds."""
        entry.size = len(entry.body)
        entry.body = entry.body[:BODY_MAX_BYTES]
        if self._kept_bytes + len(entry.body) > BODIES_MAX_BYTES:
            entry.body = b""
        if len(session.journal) == ENTRIES_MAX or (self._entries >= ALL_ENTRIES_MAX and session.journal):
            self._kept_bytes -= len(session.journal.popleft().body)
            self._entries -= 1
        if self._entries < ALL_ENTRIES_MAX:
            self._kept_bytes += len(entry.body)
            self._entries += 1
            session.journal.append(entry)

    async def wait(self, name: str, calls: int, timeout_s: float) -> int:
        """Wait until a session has had so many calls, or the time is over; how many it has had."""
        try:
            async with asyncio.timeout(timeout_s):
                while (session := self.find(name)) is None or session.calls < calls:
                    self._news = self._news or asyncio.Event()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        found = self.find(name)
        return 0 if found is None else found.calls
