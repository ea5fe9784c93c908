"""The report of a run: JSON for programs, JUnit for CI servers; and the exit code that goes with it."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import orjson
import pytest

from otari.stub.report import junit
from tests.stub.command import asking, run, script_in, stub

RULES = {
    "stub": 1,
    "rules": [
        {"id": "hi", "when": {"user": "hello"}, "reply": "Hi"},
        {"id": "rare", "when": {"user": "rare"}, "reply": "R"},
    ],
    "expect": [{"rule": "hi", "count": 1}],
}


@pytest.mark.parametrize(
    ("text", "code", "met", "misses"), [("hello", 0, True, 0), ("rare", 4, False, 0), ("x", 3, False, 1)]
)
def test_a_run_leaves_its_report(tmp_path: Path, text: str, code: int, met: bool, misses: int) -> None:
    report = tmp_path / "out.json"
    done = run(stub("--script", script_in(tmp_path, RULES), "--report", report, "--", *asking(text)), tmp_path)
    assert done.returncode == code
    assert ("not as expected: 1 × rule hi: seen 0" in done.stderr) is not met
    told = orjson.loads(report.read_bytes())
    assert [each["met"] for each in told["expected"]] == [met]
    assert told["misses"]["count"] == misses
    assert told["sessions"] == [{"session": "default", "calls": 1, "misses": misses}]
    assert told["unused"]["rules"] == [rule for rule in ("hi", "rare") if {"hi": "hello"}.get(rule, rule) != text]


def test_a_junit_report_fails_where_something_is_wrong(tmp_path: Path) -> None:
    report = tmp_path / "out.xml"
    run(stub("--script", script_in(tmp_path, RULES), "--report", report, "--", *asking("x<&\"'")), tmp_path)
    (suite,) = ElementTree.parse(report).getroot()
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "skipped": "2",
    }
    names = {case.get("name"): {child.tag for child in case} for case in suite}
    assert names == {
        "default": {"failure"},
        "1 × rule hi": {"failure"},
        "rules: hi": {"skipped"},
        "rules: rare": {"skipped"},
    }


def test_every_session_that_missed_fails_though_not_all_misses_are_listed() -> None:
    entry = {"session": "a", "surface": "chat", "model": "m", "user": "hello"}
    sessions = [{"session": name, "calls": 3, "misses": misses} for name, misses in {"a": 2, "b": 3, "c": 0}.items()]
    report = {"sessions": sessions, "misses": {"count": 5, "first": [entry]}, "expected": [], "unused": {}}
    (suite,) = ElementTree.fromstring(junit(report))
    failed = {case.get("name"): [child.get("message") for child in case] for case in suite}
    assert failed == {"a": ["2 requests without a reply"], "b": ["3 requests without a reply"], "c": []}
    assert suite.get("failures") == "2"


@pytest.mark.parametrize("name", ["out.json", "out.xml"])
def test_a_report_holds_no_secret(tmp_path: Path, name: str) -> None:
    """What a client said and nobody answered is in it, so that it can be found; but it is kept where many look."""
    token = "ghp_" + "a1B2c3D4e5" * 4
    run(stub("--script", script_in(tmp_path, RULES), "--report", name, "--", *asking(f"use {token} now")), tmp_path)
    told = (tmp_path / name).read_text()
    assert token not in told
    assert "use *** now" in told


def test_a_report_of_an_earlier_run_does_not_stay_when_this_one_breaks_off(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("old")
    words = stub("--script", script_in(tmp_path, RULES), "--report", "out.json", "--host", "203.0.113.1", "--", "true")
    assert run(words, tmp_path).returncode == 2
    assert not (tmp_path / "out.json").exists()


def test_no_text_can_break_the_xml() -> None:
    entry = {"session": "\x00\x1b<a>", "surface": "chat", "model": "]]>", "user": "\x0b&"}
    report = {"sessions": [], "misses": {"first": [entry]}, "expected": [], "unused": {"rules": ['"<']}}
    assert len(ElementTree.fromstring(junit(report))[0]) == 2


def test_a_report_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    words = stub("--script", script_in(tmp_path, RULES), "--report", "no/folder.json", "--", "touch", "ran")
    done = run(words, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "otari: no/folder.json can not be written: No such file or directory\n"
    assert not (tmp_path / "ran").exists()
