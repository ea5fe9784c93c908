"""The desk of a run: what tests ask about it and tell it while it goes on, and the report at its end."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from otari.domain.arrival import Arrival
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError, invalid
from otari.upstreams.stub.expected import Verdict, judge, matches
from otari.upstreams.stub.fields import Problems, fields_of, kind_of
from otari.upstreams.stub.patience import TooSlow
from otari.upstreams.stub.script import VERSION, Script, ScriptError, read_script
from otari.upstreams.stub.sections import read_expectations
from otari.upstreams.stub.sessions import BODY_MAX_BYTES, Entry, Sessions

WAIT_MAX_S = 300.0
ADDED_MAX = 1_000  # rules, and faults, that may be put in front of one session
_SECRET = ("authorization", "cookie", "key", "secret", "token")  # headers whose names hold one of these are not told
_NOT_NOTED = ("/stub/", "/health", "/v1/health", "/api/v1/health")
_OF_THE_RUN = ("host", "date")  # these are different in every run

log = logging.getLogger("otari.stub")


class Desk:
    """What can be asked and told. `scripts` are those of all scripted providers."""

    def __init__(self, sessions: Sessions, scripts: Iterable[Script]) -> None:
        self.sessions = sessions
        self._scripts = tuple({id(script): script for script in scripts}.values())
        self._expect = tuple(expectation for script in self._scripts for expectation in script.expect)
        self._seen = [0] * len(self._expect)
        sessions.on_note = self._heard

    # ---- asking ----

    def journal(self, session: str | None) -> Doc:
        """What was asked, of one session or of all, by the name of the session and in the order it came."""
        found = [each for each in self.sessions if session in (None, each.name)]
        return {
            "calls": sum(each.calls for each in found),
            "misses": sum(each.misses for each in found),
            "entries": [entry_doc(entry) for each in found for entry in each.journal],
        }

    def unused(self) -> Doc:
        """The rules and faults that have not been used by anybody, without those that answer aside."""
        used = self.sessions.answered
        rules = [rule.id for script in self._scripts for rule in script.rules if not rule.aside and rule.id not in used]
        faults = [fault.id for script in self._scripts for fault in script.faults if fault.id not in used]
        return {"rules": rules, "faults": faults}

    async def wait(self, session: str, calls: int, timeout_s: float) -> Doc:
        """Wait until a session has had so many calls. Raises OtariError(REQUEST_TIMEOUT)."""
        had = await self.sessions.wait(session, calls, min(timeout_s, WAIT_MAX_S))
        if had < calls:
            message = f"Session {session!r} has had {had} of {calls} calls after {timeout_s:g} s"
            raise OtariError(Kind.REQUEST_TIMEOUT, message, code="stub_wait")
        return {"calls": had}

    def verify(self, session: str | None, doc: object) -> Doc:
        """Hold the journal of one session, or of all, against the list `expect`. Raises OtariError(INVALID)."""
        problems = Problems("the body")
        fields = fields_of(doc, "", problems)
        expect = tuple(read_expectations(fields)) if fields is not None else ()
        in_order = fields is not None and fields.flag("order") is True
        if fields is not None:
            if not expect and not problems.found:
                fields.note("expect", "is missing: a list such as [{rule: weather, count: 2}]")
            fields.done()
        _refuse(problems.found)
        entries = [entry for each in self.sessions if session in (None, each.name) for entry in each.journal]
        try:
            verdicts = judge(expect, entries, in_order=in_order)
        except TooSlow as problem:
            raise invalid(f"A pattern in expect takes too long: /{problem.pattern}/", code="stub_script") from None
        return {"met": all(verdict.met for verdict in verdicts), "expected": [verdict.doc() for verdict in verdicts]}

    # ---- telling ----

    def add_rules(self, session: str, doc: object) -> Doc:
        """Put rules in front of those of the script, for one session; the newest first. Raises OtariError(INVALID)."""
        added = _read(doc, "rules").rules
        mine = self.sessions.get(session)
        _refuse_too_many(len(mine.rules) + len(added), "rules")
        named = [replace(rule, id=_name(rule.id, "rules", len(mine.rules))) for rule in added]
        mine.rules = (*named, *mine.rules)
        return {"rules": [rule.id for rule in named]}

    def add_faults(self, session: str, doc: object) -> Doc:
        """Put faults in front of those of the script, for one session. Raises OtariError(INVALID)."""
        added = _read(doc, "faults").faults
        mine = self.sessions.get(session)
        _refuse_too_many(len(mine.faults) + len(added), "faults")
        named = [replace(fault, id=_name(fault.id, "faults", len(mine.faults))) for fault in added]
        mine.faults = (*named, *mine.faults)
        return {"faults": [fault.id for fault in named]}

    def forget(self, session: str | None) -> None:
        """Forget a session with its journal, counters, rules and faults; None: all sessions."""
        for name in [each.name for each in self.sessions] if session is None else [session]:
            self.sessions.forget(name)

    # ---- the end ----

    def verdicts(self) -> list[Verdict]:
        """What the scripts expect of the whole run, and how often it was seen."""
        return [Verdict(expectation, seen) for expectation, seen in zip(self._expect, self._seen, strict=True)]

    def report(self) -> Doc:
        """How the run went."""
        return {
            "stub": VERSION,
            "sessions": [{"session": each.name, "calls": each.calls, "misses": each.misses} for each in self.sessions],
            "misses": {"count": self.sessions.misses, "first": [entry_doc(entry) for entry in self.sessions.missed]},
            "expected": [verdict.doc() for verdict in self.verdicts()],
            "unused": self.unused(),
        }

    def answered(self, came: Arrival, status: int) -> None:
        """Note a request that the gateway answered by itself: a budget is spent, a path is wrong, models are listed."""
        if not came.heard and not came.path.startswith(_NOT_NOTED):
            self.sessions.note(
                Entry(came.session, 0, "gateway", "", status, came.method, came.path, headers=came.headers)
            )

    def _heard(self, entry: Entry) -> None:
        for number, expectation in enumerate(self._expect):
            try:
                self._seen[number] += matches(expectation, entry)
            except TooSlow as problem:
                log.warning("not counted: a pattern in `expect` takes too long: /%s/", problem.pattern)


def entry_doc(entry: Entry) -> Doc:
    """An entry of the journal as plain values: nothing in it is different in every run, and no credential is in it."""
    doc: Doc = {"session": entry.session, "call": entry.number or None, "result": entry.result, "status": entry.status}
    if entry.result == "miss":
        doc |= {"nearest": entry.rule or None, "failed": list(entry.failed)}
    else:
        doc["rule"] = entry.rule or None
    return doc | {
        "fault": entry.fault or None,
        "aside": entry.aside,
        "method": entry.method,
        "path": entry.path,
        "surface": entry.surface or None,
        "model": entry.model or None,
        "stream": entry.stream,
        "turn": entry.turn,
        "step": entry.step,
        "user": entry.user[:BODY_MAX_BYTES],
        "tools": list(entry.tools),
        "headers": _shown(entry.headers),
        "body": _body(entry.body),
        "body_bytes": entry.size,
    }


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    told_of = {name.lower(): value for name, value in headers.items()}
    return {
        name: told_of[name]
        for name in sorted(told_of)
        if name not in _OF_THE_RUN and not any(word in name for word in _SECRET)
    }


def _body(body: bytes) -> Any:
    """A body as the JSON that it is; cut short or broken, as text."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _read(doc: object, name: str) -> Script:
    """A script with nothing but the list `name`, written as `{name: […]}`, as the list alone, or as an item of it."""
    if isinstance(doc, dict) and name not in doc:
        doc = [doc]
    listed = doc if isinstance(doc, list) else doc.get(name) if isinstance(doc, dict) else None
    if not isinstance(listed, list):
        raise invalid(f"The body must hold {name}, as a script has them, not {kind_of(doc)}")
    others = sorted(set(doc) - {name}) if isinstance(doc, dict) else []
    if others:
        raise invalid(f"The body holds {name} and nothing else; not {', '.join(map(str, others))}")
    try:
        return read_script({"stub": VERSION, name: listed}, "the body")
    except ScriptError as error:
        _refuse(error.problems)
        raise


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise invalid("; ".join(problems), code="stub_script")


def _refuse_too_many(count: int, name: str) -> None:
    if count > ADDED_MAX:
        raise invalid(f"A session has room for {ADDED_MAX} {name} of its own")


def _name(given: str, kind: str, before: int) -> str:
    """The id of a rule or fault that was added; without one of its own, its number among those of the session."""
    place = given.removeprefix(f"{kind}[")
    return f"added {kind}[{before + int(place[:-1])}]" if place != given and place[:-1].isdigit() else given
