"""A whole stub script: its defaults and rules, and the strict reading of one.

The caller has parsed the file already (only `config.py` reads YAML). All problems are told at once, each
with its place and what was probably meant: a script that is half understood would make tests pass for the
wrong reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Literal, cast

from otari.upstreams.stub.answers import read_answer, read_pace
from otari.upstreams.stub.conditions import groups_of, read_when
from otari.upstreams.stub.fields import Fields, Problems, fields_of
from otari.upstreams.stub.rules import Answer, Pace, Rule, When

VERSION = 1
CLOCK = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
Fallback = Literal["ok", "echo", "lorem"]


class ScriptError(Exception):
    """A script can not be used. `problems` holds one line for each thing that is wrong, with its place."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for all rules.

    `strict` makes a request that fits no rule an error; else `fallback` answers it. `clock` is the
    `created` time of every answer, in seconds since the epoch.
    """

    strict: bool = True
    fallback: Fallback = "ok"
    seed: int = 0
    clock: int = CLOCK
    tokens: Literal["approx"] = "approx"
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Script:
    """Rules in the order in which they are tried; the first that fits wins."""

    defaults: Defaults = Defaults()
    rules: tuple[Rule, ...] = ()


def read_script(doc: object, source: str) -> Script:
    """The script in the parsed document `doc`; `source` (a file name) stands in front of every problem.

    Raises ScriptError with all problems: a missing or unknown version, unknown keys, values of the wrong
    form, bad regular expressions, templates that nothing fills, ids that are used twice.
    """
    problems = Problems(source)
    script = Script()
    fields = fields_of(doc, "", problems)
    if fields is not None:
        _read_version(fields)
        script = Script(_read_defaults(fields), tuple(_read_rules(fields)))
        fields.done()
    if problems.found:
        raise ScriptError(tuple(problems.found))
    return script


def _read_version(fields: Fields) -> None:
    if not fields.has("stub"):
        fields.take("stub")
        fields.note("stub", f"is missing; a script begins with `stub: {VERSION}`")
        return
    version = fields.take("stub")
    if version != VERSION or isinstance(version, bool | float):
        fields.note("stub", f"version {version!r} is not known; this is version {VERSION}")


def _read_defaults(fields: Fields) -> Defaults:
    inner = fields.fields("defaults")
    if inner is None:
        return Defaults()
    strict = inner.flag("strict")
    word_fallback = inner.word("fallback", ("ok", "echo", "lorem")) or "ok"
    inner.word("tokens", ("approx",))
    defaults = Defaults(
        strict=True if strict is None else strict,
        fallback=cast(Fallback, word_fallback),
        seed=inner.whole("seed") or 0,
        clock=_read_clock(inner),
        pace=read_pace(inner, "stream"),
    )
    inner.done()
    return defaults


def _read_clock(fields: Fields) -> int:
    """A point in time: YAML gives one as a datetime or date, quoted it comes as text.

    Without a zone it is UTC.
    """
    value = fields.take("clock")
    if value is None:
        return CLOCK
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        fields.note("clock", "must be a point in time such as 2026-01-01T00:00:00Z")
        return CLOCK
    seconds = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if seconds < 0:
        fields.note("clock", "must not be before 1970")
    return max(seconds, 0)


def _read_rules(fields: Fields) -> Iterator[Rule]:
    ids: dict[str, str] = {}
    for path, value in fields.items("rules"):
        inner = fields_of(value, path, fields.problems)
        if inner is None:
            continue
        rule = _read_rule(inner)
        if rule.id in ids:
            inner.note("id", f"{rule.id!r} is the id of {ids[rule.id]} already")
        ids[rule.id] = path
        yield rule


def _read_rule(fields: Fields) -> Rule:
    rule_id = fields.text("id")
    if rule_id is not None and not (rule_id and rule_id.isascii() and rule_id.isprintable()):
        fields.note("id", "must be printable ASCII: it stands in a header and in errors")
    when = When()
    if fields.has("when"):
        when = read_when(fields.take("when"), fields.at("when"), fields.problems)
    stepped = fields.has("steps")
    rule = Rule(rule_id or fields.path, when, _read_answers(fields, when), stepped)
    fields.done(["when", "reply", "steps"])
    return rule


def _read_answers(fields: Fields, when: When) -> tuple[Answer, ...]:
    problems, groups = fields.problems, groups_of(when)
    if fields.has("reply") == fields.has("steps"):
        fields.take("reply")
        fields.take("steps")
        problems.note(fields.path, "needs either reply or steps, and not both")
        return ()
    if fields.has("reply"):
        return (read_answer(fields.take("reply"), fields.at("reply"), problems, groups, step=False),)
    steps = fields.items("steps")
    if not steps:
        problems.note(fields.at("steps"), "must be a list of at least one step")
    return tuple(read_answer(value, path, problems, groups, step=True) for path, value in steps)
