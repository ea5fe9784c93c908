"""A whole stub script: its defaults and rules, and the strict reading of one.

The caller has parsed the files already (only `otari.config` reads YAML). All problems are told at once, each
with its place and what was probably meant: a script that is half understood would make tests pass for the
wrong reason.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from otari.upstreams.stub.answers import read_answer
from otari.upstreams.stub.conditions import groups_of, read_when
from otari.upstreams.stub.defaults import CLOCK, Defaults, read_defaults
from otari.upstreams.stub.fields import Fields, Problems, fields_of
from otari.upstreams.stub.rules import Answer, Expectation, Fault, Limits, Rule, When
from otari.upstreams.stub.sections import (
    note_unknown_rules,
    read_expectations,
    read_faults,
    read_id,
    read_limits,
)
from otari.upstreams.stub.wishes import WISHES, check_surface, read_wish

__all__ = ["CLOCK", "VERSION", "Defaults", "Script", "ScriptError", "Source", "read_script", "read_scripts"]

VERSION = 1
# What answers without a rule.
UNSCRIPTED = (
    *("echo", "fallback-ok", "fallback-echo", "fallback-lorem"),
    *("any-embeddings", "any-rerank", "any-moderations", "any-images", "any-speech", "any-transcriptions"),
)


class ScriptError(Exception):
    """A script can not be used. `problems` holds one line for each thing that is wrong, with its place."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Source(NamedTuple):
    """One file: what stands in it as plain values, its name, and the line of every place in it (`rules[0].when`)."""

    doc: object
    name: str
    lines: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Script:
    """Rules in the order in which they are tried; the first that fits wins.

    `expect` is what must have been asked by the end of the run. `places` says where each rule was written, by its id.
    """

    defaults: Defaults = field(default_factory=Defaults)
    rules: tuple[Rule, ...] = ()
    faults: tuple[Fault, ...] = ()
    limits: Limits | None = None
    expect: tuple[Expectation, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict, compare=False)


def read_script(doc: object, source: str) -> Script:
    """The script in the parsed document `doc`; `source` (a file name) stands in front of every problem.

    Raises ScriptError with all problems: a missing or unknown version, unknown keys, values of the wrong
    form, bad regular expressions, templates that nothing fills, ids that are used twice.
    """
    return read_scripts([Source(doc, source)])


def read_scripts(sources: Iterable[Source]) -> Script:
    """Several files as one script, their rules one after the other. What a later one says of `defaults` counts.

    Raises ScriptError as `read_script` does.
    """
    reader = _Reader()
    for source in sources:
        reader.read(source)
    return reader.script()


class _Reader:
    """Reads files one after the other."""

    def __init__(self) -> None:
        self._problems: list[Problems] = []
        self._defaults: dict[str, object] = {}
        self._rules: list[Rule] = []
        self._faults: list[Fault] = []
        self._expect: list[tuple[Problems, tuple[Expectation, ...]]] = []
        self._limits: Limits | None = None
        self._ids: dict[str, tuple[Problems, str]] = {}  # the file and the place in it
        self._places: dict[str, str] = {}
        self._many = 0

    def read(self, source: Source) -> None:
        problems = Problems(source.name, source.lines)
        self._problems.append(problems)
        self._many += 1
        fields = fields_of(source.doc, "", problems)
        if fields is None:
            return
        _read_version(fields)
        told = fields.left.get("defaults")
        if isinstance(told, dict):
            self._defaults |= told
        inner = fields.fields("defaults")
        if inner is not None:
            read_defaults(inner)  # for its problems: what counts is read when all files have spoken
        fields.take("include")  # whoever parsed the file has followed it
        fields.fields("recorded")  # of a recording: when and of whom, for people
        self._rules += self._read_rules(fields)
        for path, fault in read_faults(fields, self._prefix(problems)):
            self._claim(fault.id, path, problems)
            self._faults.append(fault)
        limits = read_limits(fields)
        if limits is not None and self._limits is not None:
            fields.note("limits", "another script has limits already; they can stand in one only")
        self._limits = self._limits or limits
        self._expect.append((problems, tuple(read_expectations(fields))))
        fields.done(["include", "recorded"])

    def script(self) -> Script:
        for problems, expect in self._expect:
            note_unknown_rules(expect, {*self._ids, *UNSCRIPTED}, problems)
        found = tuple(line for problems in self._problems for line in problems.found)
        if found:
            raise ScriptError(found)
        defaults = read_defaults(Fields(cast("Mapping[object, object]", self._defaults), "defaults", Problems("")))
        expected = tuple(expectation for _, expect in self._expect for expectation in expect)
        return Script(defaults, tuple(self._rules), tuple(self._faults), self._limits, expected, self._places)

    def _prefix(self, problems: Problems) -> str:
        """What stands in front of the names of what has none: the file, unless it is the first one."""
        return "" if self._many == 1 else f"{problems.source}:"

    def _read_rules(self, fields: Fields) -> Iterator[Rule]:
        for path, value in fields.items("rules"):
            inner = fields_of(value, path, fields.problems)
            if inner is not None:
                rule = read_rule(inner, self._prefix(fields.problems) + path)
                self._claim(rule.id, path, fields.problems)
                yield rule

    def _claim(self, name: str, path: str, problems: Problems) -> None:
        """Note an id that is taken."""
        if name in self._ids:
            file, first = self._ids[name]
            where = first if file is problems else file.place(first)
            problems.note(f"{path}.id", f"{name!r} is the id of {where} already")
        else:
            self._ids[name] = (problems, path)
            self._places[name] = problems.place(path)


def read_rule(fields: Fields, name: str) -> Rule:
    """One rule; `name` is its id when it has none of its own."""
    rule_id = read_id(fields)
    when = When()
    if fields.has("when"):
        when = read_when(fields.take("when"), fields.at("when"), fields.problems)
    stepped, in_sequence = fields.has("steps"), fields.has("replies")
    after = fields.word("after", ("last", "loop", "miss"))
    if after is not None and not in_sequence:
        fields.note("after", "says what comes after the last of `replies`, and there are none")
    aside = fields.flag("aside") or False
    fields.take("seen")  # of a recording, for people
    rule = Rule(
        rule_id or name,
        when,
        _read_answers(fields, when),
        stepped,
        (after or "miss") if in_sequence else "",  # type: ignore[arg-type]  # one of the words above
        aside,
    )
    check_surface(fields, when, rule.answers)
    fields.done(["when", "reply", "replies", "steps", *WISHES])
    return rule


def _read_version(fields: Fields) -> None:
    if not fields.has("stub"):
        fields.take("stub")
        fields.note("stub", f"is missing; a script begins with `stub: {VERSION}`")
        return
    version = fields.take("stub")
    if version != VERSION or isinstance(version, bool | float):
        fields.note("stub", f"version {version!r} is not known; this is version {VERSION}")


def _read_answers(fields: Fields, when: When) -> tuple[Answer, ...]:
    problems, groups = fields.problems, groups_of(when)
    forms = [name for name in ("reply", "replies", "steps", *WISHES) if fields.has(name)]
    if len(forms) != 1:
        for name in forms:
            fields.take(name)
        told = f"has {' and '.join(forms)}" if forms else "has none"
        problems.note(fields.path, f"needs exactly one of reply, replies and steps; it {told}")
        return ()
    if forms[0] in WISHES:
        return (read_wish(fields, forms[0], when, groups),)
    if forms == ["reply"]:
        return (read_answer(fields.take("reply"), fields.at("reply"), problems, groups, step=False),)
    answers = fields.items(forms[0])
    if not answers:
        problems.note(fields.at(forms[0]), "must be a list of at least one answer")
    return tuple(read_answer(value, path, problems, groups, step=True) for path, value in answers)
