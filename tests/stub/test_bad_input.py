"""What can not be done: one line that names the place, exit code 2, no command that runs, and nothing left behind."""

import gc
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from otari.serving import write_whole
from otari.stub.verb import run_words
from tests.stub.command import TIMEOUT_S, run, stub

GOOD = "stub: 1\nrules: [{id: hi, when: {user: hello}, reply: Hi}]\n"
RECORD = ("--mode", "record", "--allow-record-in-ci")


@dataclass(frozen=True)
class Case:
    """`files` by name, the words behind `stub`, and a part of the one line that is told."""

    name: str
    words: Sequence[str]
    told: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)


def script(name: str, text: str | bytes, told: str, **more: str) -> Case:
    return Case(name, ("--script", "s.yaml"), told, {"s.yaml": text, **{f"{key}.yaml": t for key, t in more.items()}})


def tapes(name: str, told: str, *words: str, **files: str) -> Case:
    named = {f"tapes/{key.replace('_', '.')}": text for key, text in files.items()}
    return Case(name, ("--cassettes", "tapes", *words), told, named)


CASES = (
    script("broken-yaml", "stub: 1\nrules: [\n", "s.yaml, line 3: not valid YAML"),
    script("not-text", b"\xff\xfe\x00", "s.yaml, line 1: not UTF-8 text"),
    script("nothing", "", "s.yaml: must be a map, not nothing"),
    script("too-large", "a" * 1_100_000, "s.yaml: larger than 1024 KiB"),
    script("another-version", "stub: 2\nrules: []\n", "s.yaml, line 1: stub: version 2 is not known"),
    script("unknown-key", GOOD.replace("when", "wen"), "rules[0].wen: unknown key; did you mean 'when'?"),
    script("yaml-trap", "stub: 1\nrules: [{on: {user: x}, reply: y}]\n", "rules[0].on: unknown key; did you mean"),
    script("two-ids", "stub: 1\nrules: [{id: a, reply: x}, {id: a, reply: y}]\n", "'a' is the id of rules[0] already"),
    script("bad-regex", GOOD.replace("hello", '"/(/"'), "rules[0].when.user: is not a regular expression"),
    script("bad-fault", GOOD + 'faults: [{when: {user: "/[/"}, do: {error: 500}}]\n', "faults[0].when.user: is not a"),
    script("circle", "stub: 1\ninclude: [t.yaml]\n", "include goes round in a circle: s.yaml → t.yaml → s.yaml",
           t="stub: 1\ninclude: [s.yaml]\n"),
    script("include-gone", "stub: 1\ninclude: [gone.yaml]\n", "gone.yaml: no such file (included by s.yaml)"),
    script("id-elsewhere", "stub: 1\ninclude: [t.yaml]\nrules: [{id: hi, reply: x}]\n", "of t.yaml, line 2", t=GOOD),
    Case("no-script", ("--script", "gone.yaml"), "gone.yaml: no such file"),
    Case("no-script-in-folder", ("--script", "empty"), "empty: no script in this folder", {"empty/a.txt": ""}),
    Case("below-a-file", ("--script", "s.yaml/x.yaml"), "s.yaml/x.yaml: can not be read", {"s.yaml": GOOD}),
    Case("no-config", ("--config", "gone.yaml"), "gone.yaml: no such file"),
    Case("broken-config", ("--config", "o.yaml"), "o.yaml, line 2: not valid YAML", {"o.yaml": "{"}),
    Case("nobody's-host", ("--host", "no-such-host.invalid"), "no-such-host.invalid:0 can not be listened on: "),
    Case("foreign-host", ("--host", "203.0.113.1"), "can not be listened on: Cannot assign requested address"),
    Case("port-file", ("--port-file", "no/port"), "no/port can not be written: No such file or directory"),
    Case("port-folder", ("--port-file", "here"), "here can not be written: Is a directory", {"here/a": ""}),
    Case("env-file", ("--env-file", "no/env"), "no/env can not be written: No such file or directory"),
    Case("report", ("--report", "no/r.json"), "no/r.json can not be written: No such file or directory"),
    Case("report-folder", ("--report", "r.xml"), "r.xml can not be written: Is a directory", {"r.xml/a": ""}),
    tapes("no-tapes", "tapes: can not be read (No such file or directory)"),
    Case("tapes-a-file", ("--cassettes", "tapes"), "tapes: can not be read (Not a directory)", {"tapes": ""}),
    Case("record-a-file", ("--cassettes", "tapes", *RECORD), "tapes: can not be recorded into", {"tapes": ""}),
    tapes("tapes-broken", "one.yaml, line 3: not valid YAML", one_yaml="stub: 1\nrules: [\n"),
    tapes("tapes-of-another-version", "one.yaml, line 1: stub: version 9 is not", one_yaml="stub: 9\nrules: []\n"),
    tapes("record-to-another-version", "stub: version 9 is not", *RECORD, one_yaml="stub: 9\nrules: []\n"),
    tapes("tapes-with-faults", "one.yaml: a recording has no faults", one_yaml="stub: 1\nfaults: []\n"),
    tapes("tapes-of-another-tool", "unknown key", one_yaml="stub: 1\ninteractions: []\n"),
    tapes("bytes-broken", "one.jsonl: line 1 is not a recorded answer", one_yaml=GOOD, one_jsonl="{}\n"),
)  # fmt: skip


def lay_out(folder: Path, case: Case) -> None:
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def found_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")} - {Path("tmp")}


def is_one_line(err: str, told: str) -> bool:
    return told in err and err.startswith("otari: ") and err.count("\n") == 1


def refuses(folder: Path, words: Sequence[str], told: str) -> None:
    """Run it as a process, and see that nothing has happened but one line."""
    before = found_in(folder)
    done = run(stub(*words, "--", "touch", "ran"), folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert is_one_line(done.stderr, told), done.stderr
    assert found_in(folder) == before


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to be in; temporary files come into it, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield tmp_path
    gc.enable()  # the verb leaves that to the gateway, which is not reached


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_can_not_be_done_is_one_line(folder: Path, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    lay_out(folder, case)
    before = found_in(folder)
    code = run_words([*case.words, "--", "touch", "ran"])
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert is_one_line(told.err, case.told), told.err
    assert found_in(folder) == before


@pytest.fixture
def powerless() -> Sequence[str]:
    """What a command stands behind so that closed files are closed to it: root needs a user namespace for that."""
    if os.geteuid() != 0:
        return ()
    words = ("unshare", "--user")
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("root, and no user namespaces here: nothing is closed to us")
    return words


@pytest.mark.parametrize(
    ("words", "closed"),
    [
        (("--script", "closed"), "closed"),
        (("--script", "closed/s.yaml"), "closed/s.yaml"),
        (("--cassettes", "closed", *RECORD), "closed"),
        (("--script", "closed/s.yaml", "--port-file", "closed/port"), "closed/port"),
    ],
)
def test_what_may_not_be_read_or_written_is_one_line(
    tmp_path: Path, words: Sequence[str], closed: str, powerless: Sequence[str]
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "s.yaml").write_text(GOOD)
    path = folder if closed == "closed" or closed.endswith("port") else tmp_path / closed
    path.chmod(0o500 if closed.endswith("port") else 0)
    try:
        done = run([*powerless, *stub(*words, "--", "touch", "ran")], tmp_path)
    finally:
        path.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert closed in done.stderr
    assert "Permission denied" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ran").exists()
    assert [each.name for each in folder.iterdir()] == ["s.yaml"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.yaml")
    refuses(tmp_path, ("--script", "s.yaml"), "s.yaml: not a regular file")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ("--script", "s.yaml", "--port", str(port), "--port-file", "port", "--env-file", "env")
        refuses(tmp_path, words, f"127.0.0.1:{port} can not be listened on: Address already in use")


def test_a_second_recorder_on_one_folder(tmp_path: Path) -> None:
    words = stub("--cassettes", "tapes", *RECORD, "--", sys.executable, "-c", "print(1, flush=True); input()")
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        words, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "1\n"
        refuses(tmp_path, ("--cassettes", "tapes", *RECORD), "tapes: somebody else is recording into this folder")
        first.communicate("\n", timeout=TIMEOUT_S)
        assert first.returncode == 0
    assert run(stub("--cassettes", "tapes", *RECORD, "--", "true"), tmp_path).returncode == 0  # it is free again


def test_all_that_is_wrong_with_a_script_is_told_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("stub: 1\nrules:\n- {id: a, reply: {sya: x}}\n- {id: a, wen: {}, reply: y}\n")
    done = run(stub("--script", "s.yaml", "--", "touch", "ran"), tmp_path)
    assert done.returncode == 2
    assert all(line.startswith("otari: s.yaml, line ") for line in done.stderr.splitlines())
    assert done.stderr.count("\n") == 4


@pytest.mark.parametrize("fails", ["write", "replace"])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """Whoever looks sees what was there before, or the new text, but never half of it."""
    path = tmp_path / "port"
    path.write_text("before\n")
    seen: list[str] = []

    def looking(do: Callable[..., object]) -> Callable[..., object]:
        def done(*words: object) -> object:
            seen.append(path.read_text())
            return do(*words)

        return done

    monkeypatch.setattr(os, "replace", looking(os.replace))
    write_whole(path, "after\n")
    assert (seen, path.read_text()) == (["before\n"], "after\n")

    def broken(*words: object) -> None:
        raise OSError(28, "No space left on device", "elsewhere")

    if fails == "write":
        make = os.open

        def full(name: str, flags: int, mode: int) -> int:
            os.close(make(name, flags, mode))
            return make("/dev/full", os.O_WRONLY)

        monkeypatch.setattr(os, "open", full)
    else:
        monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="No space left") as told:
        write_whole(path, "never\n")
    assert told.value.filename == str(path)
    assert [each.name for each in tmp_path.iterdir()] == ["port"]
    assert path.read_text() == "after\n"


def test_a_file_is_written_in_any_locale_and_for_those_alone_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "told"
    (tmp_path / "told.new").touch(0o666)  # of a run that was killed
    program = (
        "import sys; from pathlib import Path; from otari.serving import write_whole;"
        " write_whole(Path(sys.argv[1]), chr(233), 0o600)"
    )
    around = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", program, str(path)], env=around, check=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == ("é".encode(), 0o600)
