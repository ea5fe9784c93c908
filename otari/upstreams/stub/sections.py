"""Reading what stands beside the rules of a script: faults, limits, and what must have been asked by the end."""

from collections.abc import Iterator
from typing import Literal, cast

from otari.upstreams.stub.answers import read_refusal
from otari.upstreams.stub.blocks import BlockReader
from otari.upstreams.stub.conditions import read_headers, read_patterns, read_texts, read_when
from otari.upstreams.stub.fields import Fields, Problems, fields_of
from otari.upstreams.stub.rules import Cut, Expectation, Fault, Limits, When


def read_faults(fields: Fields, prefix: str = "") -> Iterator[tuple[str, Fault]]:
    """The list under `faults`, each with its place, which is its name behind `prefix` when it has none."""
    for path, value in fields.items("faults"):
        inner = fields_of(value, path, fields.problems)
        if inner is not None:
            yield path, _read_fault(inner, prefix + path)


def _read_fault(fields: Fields, name: str) -> Fault:
    fault_id = read_id(fields) or name
    when = When()
    if fields.has("when"):
        when = read_when(fields.take("when"), fields.at("when"), fields.problems)
    at = fields.word("at", ("upstream", "client")) or "upstream"
    times, every, share = fields.whole("times", 1), fields.whole("every", 1), fields.number("p", most=1.0)
    does = _read_do(fields, at)
    fault = Fault(
        fault_id,
        when,
        cast(Literal["upstream", "client"], at),
        times,
        every,
        share,
        does.delay_s,
        does.refusal,
        does.cut,
        does.after,
    )
    fields.done(["do", "when"])
    return fault


def _read_do(fields: Fields, at: str) -> Fault:
    """What a fault does, as a fault with nothing else."""
    nothing = Fault("", When())
    if not fields.has("do"):
        fields.take("do")
        fields.note("do", "is missing: what goes wrong, as {error: 429}, {delay: 2s} or {cut: reset}")
        return nothing
    inner = fields.fields("do")
    if inner is None:
        return nothing
    if not any(inner.has(key) for key in ("error", "delay", "cut")):
        inner.problems.note(inner.path, "does nothing; give error, delay or cut")
    if inner.has("error") and inner.has("cut"):
        inner.note("cut", "can not stand beside error; an error is the whole answer")
    reader = BlockReader(inner.problems, frozenset())
    delay_s = inner.duration("delay") or 0.0
    refusal = read_refusal(inner, reader) if inner.has("error") else None
    cut = _read_cut(inner, reader, at)
    after = inner.number("after", most=1.0)
    if after is not None and cut is None:
        inner.note("after", "belongs to a cut: the share of the answer that is sent before it")
    if after is not None and at == "client":
        inner.note("after", "is for cuts at the upstream; at the client an answer is cut in its middle")
    inner.done(["error", "cut"])
    return Fault("", When(), delay_s=delay_s, refusal=refusal, cut=cut, after=0.5 if after is None else after)


def _read_cut(fields: Fields, reader: BlockReader, at: str) -> Cut | None:
    if not fields.has("cut"):
        return None
    path = fields.at("cut")
    cut = reader.cut(fields.take("cut"), path)
    if cut is not None and cut.kind == "error" and at == "client":
        reader.problems.note(path, "at the client must be reset, eof, hang or garbage; an error there is {error: …}")
    return cut


def read_limits(fields: Fields) -> Limits | None:
    """The limits under `limits`, or None."""
    inner = fields.fields("limits")
    if inner is None:
        return None
    scope = inner.word("scope", ("key", "session", "all")) or "key"
    limits = Limits(inner.whole("rpm", 1), inner.whole("tpm", 1), cast(Literal["key", "session", "all"], scope))
    if limits.rpm is None and limits.tpm is None:
        inner.problems.note(inner.path, "limits nothing; give rpm, tpm or both")
    inner.done()
    return limits


def read_expectations(fields: Fields, name: str = "expect") -> Iterator[Expectation]:
    """The list under `name` of what must have been asked."""
    for path, value in fields.items(name):
        inner = fields_of(value, path, fields.problems)
        if inner is not None:
            yield _read_expectation(inner)


def _read_expectation(fields: Fields) -> Expectation:
    count, least, most = (fields.whole(name) for name in ("count", "min", "max"))
    if count is not None and (least is not None or most is not None):
        fields.note("count", "can not stand beside min or max")
    if least is not None and most is not None and least > most:
        fields.note("max", "is less than min")
    expectation = Expectation(
        rule=fields.text("rule") or "",
        model=tuple(read_texts(fields, "model")),
        user=read_patterns(fields, "user"),
        tools=tuple(read_texts(fields, "tools")),
        headers=read_headers(fields, "header"),
        session=tuple(read_texts(fields, "session")),
        least=count if count is not None else (0 if most is not None else 1) if least is None else least,
        most=count if count is not None else most,
    )
    fields.done()
    return expectation


def read_id(fields: Fields) -> str | None:
    """The id of a rule or fault, which stands in a header and in errors."""
    found = fields.text("id")
    if found is not None and not (found and found.isascii() and found.isprintable()):
        fields.note("id", "must be printable ASCII: it stands in a header and in errors")
    return found


def note_unknown_rules(expect: tuple[Expectation, ...], known: set[str], problems: Problems) -> None:
    """Note every expectation that names a rule which is not there."""
    for number, expectation in enumerate(expect):
        if expectation.rule and expectation.rule not in known:
            names = ", ".join(sorted(known)[:20]) or "none"
            problems.note(f"expect[{number}].rule", f"{expectation.rule!r} is the id of no rule; known: {names}")
