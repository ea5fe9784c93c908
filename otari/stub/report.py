"""How a run went, written for machines: the whole as JSON, or what can fail as JUnit, which CI servers show."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson

from otari.domain.redaction import Redactor
from otari.serving import write_whole

Doc = dict[str, Any]
SUITE = "otari stub"


def claim(path: str) -> None:
    """Make sure that a report can be written there, before a long run; one of an earlier run is removed.

    Raises OSError.
    """
    write_whole(Path(path), "")
    Path(path).unlink()


def write_report(path: str, report: Doc, redactor: Redactor) -> None:
    """Write the report in the format that the name asks for: without secrets, for it is kept where many look.

    Raises OSError.
    """
    report = _cleaned(report, redactor)
    text = junit(report) if path.endswith(".xml") else orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n"
    write_whole(Path(path), text)


def junit(report: Doc) -> str:
    """A test case for each session, for each expectation, and for each rule that nobody needed (skipped)."""
    cases = [*_sessions(report), *_expectations(report), *_unused(report)]
    failures = sum("<failure" in case for case in cases)
    skipped = sum("<skipped" in case for case in cases)
    head = f'name="{SUITE}" tests="{len(cases)}" failures="{failures}" errors="0" skipped="{skipped}"'
    body = "".join(f"    {case}\n" for case in cases)
    suite = f"  <testsuite {head}>\n{body}  </testsuite>\n"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n{suite}</testsuites>\n'


def _cleaned(value: Any, redactor: Redactor) -> Any:
    """A JSON value in which no text holds a secret."""
    match value:
        case str():
            return redactor.clean(value)
        case list():
            return [_cleaned(item, redactor) for item in value]
        case dict():
            return {redactor.clean(key): _cleaned(item, redactor) for key, item in value.items()}
    return value


def _sessions(report: Doc) -> Iterator[str]:
    missed: dict[str, list[Doc]] = {}
    for entry in report["misses"]["first"]:
        missed.setdefault(entry["session"], []).append(entry)
    counts = {each["session"]: each["misses"] for each in report["sessions"]}
    for name in sorted(counts.keys() | missed.keys()):
        told = [f"{entry['surface']} {entry['model']}: {entry['user'][:200]!r}" for entry in missed.get(name, ())]
        count = max(counts.get(name, 0), len(told))  # only the first misses of a run are listed
        yield _case("sessions", name, f"{count} requests without a reply" if count else "", "\n".join(told))


def _expectations(report: Doc) -> Iterator[str]:
    for each in report["expected"]:
        yield _case("expected", each["expected"], "" if each["met"] else f"seen {each['seen']}")


def _unused(report: Doc) -> Iterator[str]:
    for kind, names in report["unused"].items():
        for name in names:
            yield f'<testcase classname="{SUITE}.unused" name={_quoted(f"{kind}: {name}")}><skipped/></testcase>'


def _case(kind: str, name: str, failure: str, details: str = "") -> str:
    begin = f'<testcase classname="{SUITE}.{kind}" name={_quoted(name)}'
    if not failure:
        return f"{begin}/>"
    return f"{begin}><failure message={_quoted(failure)}>{escape(_printable(details))}</failure></testcase>"


def _quoted(text: str) -> str:
    return quoteattr(_printable(text))


def _printable(text: str) -> str:
    """`text` without the control characters that XML can not hold at all."""
    return "".join(char if char >= " " or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
