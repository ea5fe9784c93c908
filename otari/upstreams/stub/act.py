"""One request being answered by the stub: what is decided, counted and noted, in this order.

A chat request and a single-shot call differ in what they look like to a script and in what an answer is made of; the
two kinds of `Act` know that (`chat_act.py`, `single_act.py`).
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from otari.dialects.dialect import Dialect
from otari.domain.errors import OtariError
from otari.domain.ports import Attempt, Call
from otari.domain.tokens import Counter
from otari.upstreams.status import refused
from otari.upstreams.stub import faults, misses
from otari.upstreams.stub.dice import Identity
from otari.upstreams.stub.differs import closest
from otari.upstreams.stub.frames import Move, failure_message
from otari.upstreams.stub.matching import Match, Miss, find
from otari.upstreams.stub.meter import Meter
from otari.upstreams.stub.patience import TooSlow
from otari.upstreams.stub.rules import Cut, ErrorReply, Rule
from otari.upstreams.stub.scene import Scene
from otari.upstreams.stub.script import Script
from otari.upstreams.stub.sessions import Entry, Result, Session, Sessions
from otari.upstreams.stub.under_way import RULE_HEADER, Sleep, StubReply

CALL_HEADER = "x-stub-call"

log = logging.getLogger("otari.stub")


@dataclass(frozen=True, slots=True)
class Props:
    """What all acts of one stub share. `created` gives the time of answers, in seconds since the epoch."""

    script: Script
    sessions: Sessions
    dialects: Mapping[str, Dialect]
    counter: Counter
    meter: Meter | None
    sleep: Sleep
    created: Callable[[], int]


class Act(ABC):
    """One request. `body` is what is kept of it in the journal."""

    def __init__(self, props: Props, attempt: Attempt, call: Call, scene: Scene, body: bytes) -> None:
        self.props = props
        self.attempt = attempt
        self.call = call
        self.scene = scene
        self._body = body
        self.session: Session = props.sessions.get(scene.came.session)
        self.cut: Cut | None = None  # what a fault does to the answer, and when so much of it has been sent
        self.after = 0.5
        self._number = 0
        self._struck = ""  # the fault that hit it
        self._delay_s = 0.0

    @abstractmethod
    def find(self) -> Match | Miss:
        """The answer, or why there is none. Raises TooSlow."""

    @abstractmethod
    def moves(self, found: Match, identity: Identity) -> tuple[str, Iterable[Move]]:
        """The media type of an answer, and what is sent and happens. Raises OtariError."""

    @abstractmethod
    def filled(self, text: str, found: Match, identity: Identity) -> str:
        """A text with its templates filled."""

    def play(self) -> tuple[StubReply | OtariError, float]:
        """What is answered, or raised instead, and how many seconds pass before."""
        try:
            return self._play(), self._delay_s
        except OtariError as error:
            return error, self._delay_s
        except TooSlow as problem:
            self._note("miss", "", 400)
            told = misses.too_slow(problem.pattern)
            log.warning("miss in session %s: %s", self.session.name, told.message)
            return told, 0.0

    def found_in(self, rules: Iterable[Rule]) -> Match | Miss:
        """What `rules`, behind those of the session, have for this request."""
        session = self.session
        listed = chain(session.rules, rules) if session.rules else rules
        forms = self.props.script.defaults.normalize
        return find(listed, self.scene, lambda rule: session.counted(f"replies {rule}"), forms)

    def _play(self) -> StubReply:
        props, scene, session, defaults = self.props, self.scene, self.session, self.props.script.defaults
        found = self.find()
        if not (isinstance(found, Match) and found.aside):
            session.calls += 1
            self._number = session.calls
            self._label(CALL_HEADER, str(self._number))
            self._within_limits()
            self._strike()
        if isinstance(found, Miss):
            raise self._missed(found)
        answer = found.answer
        self._label(RULE_HEADER, found.rule)
        for name, value in answer.headers.items():
            self._label(name, value)
        session.count(f"replies {found.rule}")
        identity = Identity(defaults.seed, found.rule, found.step, scene.body, session.name)
        identity = identity.again(session.count(identity.key))
        if answer.refusal is not None:
            self._note("answered", found.rule, answer.refusal.status, found)
            message = answer.refusal.message
            told = None if message is None else self.filled(message, found, identity)
            raise refusal_of(answer.refusal, self.attempt.provider, told)
        content_type, moves = self.moves(found, identity)
        self._note("answered" if self.cut is None else "fault", found.rule, answer.status, found)
        return StubReply(self.attempt, found.rule, answer, content_type, moves, props.sleep)

    def _within_limits(self) -> None:
        if self.props.meter is None:
            return
        try:
            for name, value in self.props.meter.enter(self.scene, self.attempt.provider).items():
                self._label(name, value)
        except OtariError:
            self._note("limited", "", 429)
            raise

    def _strike(self) -> None:
        """Let the faults that are due hit this request. Raises the error that one before us means."""
        script, session = self.props.script, self.session
        listed = (*session.faults, *script.faults)
        if not listed:
            return
        defaults = script.defaults
        here, there = faults.due(listed, self.scene, session, defaults.seed, defaults.normalize)
        if there is not None and self.scene.came.damage is not None:
            self._struck = there.id
            self.scene.came.damage(faults.damage(there))
        if here is None:
            return
        self._struck, self._delay_s, self.cut, self.after = here.id, here.delay_s, here.cut, here.after
        refusal = here.refusal
        if refusal is None and here.cut is not None and here.cut.kind == "error" and here.after == 0:
            refusal = ErrorReply(here.cut.status or 500)
        if refusal is not None:
            self._label(RULE_HEADER, here.id)
            self._note("fault", "", refusal.status)
            raise refusal_of(refusal, self.attempt.provider, refusal.message)

    def _missed(self, miss: Miss) -> OtariError:
        error = misses.missed(miss, self.scene)
        near = closest(self.session.rules, self.scene.body, self.call.dialect)
        if near is not None:
            rule, where = near
            miss = Miss(rule.id, (where.place,), rule)
            error = misses.unrecorded(rule.id, where, self.scene)
        self._note("miss", miss.rule, error.status, failed=miss.failed)
        log.warning("miss in session %s: %s", self.session.name, error.detail)
        return error

    def _label(self, name: str, value: str) -> None:
        """A header for the client."""
        self.scene.came.labels[name] = value

    def _note(
        self, result: Result, rule: str, status: int, found: Match | None = None, failed: tuple[str, ...] = ()
    ) -> None:
        scene, came = self.scene, self.scene.came
        self.props.sessions.note(
            Entry(
                session=self.session.name,
                number=self._number,
                result=result,
                rule=rule,
                status=status,
                method=came.method,
                path=came.path,
                surface=scene.surface,
                model=scene.model,
                stream=scene.stream,
                turn=scene.turn,
                step=scene.step,
                user=scene.texts["user"],
                tools=scene.tools,
                aside=found is not None and found.aside,
                headers=came.headers,
                body=self._body,
                fault=self._struck,
                failed=failed,
            )
        )


def refusal_of(refusal: ErrorReply, provider: str, message: str | None) -> OtariError:
    """What a scripted HTTP error means to the gateway: the same as a real provider's."""
    told = failure_message(refusal.status) if message is None else message
    return refused(refusal.status, told, provider=provider, retry_after=refusal.retry_after)
