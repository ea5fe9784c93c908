"""Recording, replaying and drift on the command line, against a provider that is stopped in between."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from tests.stub.command import asking, run, stub
from tests.stub.serving import serving


@contextmanager
def provider(folder: Path, answer: object, dialect: str = "chat") -> Iterator[None]:
    """A provider that always says this, and the configuration that names it: a stub, as a process of its own."""
    with serving(folder, {"stub": 1, "rules": [{"id": "any", "reply": answer}]}) as url:
        far = {
            "type": "openai_compatible",
            "api_base": f"{url}/v1",
            "api_key": "sk-far-0123456789",
            "dialects": [dialect],
        }
        config = {"providers": {"far": far}, "aliases": {"gpt-x": "far:gpt-x"}, "require_pricing": False}
        (folder / "otari.yaml").write_bytes(orjson.dumps(config))
        (folder / "otari.yaml").chmod(0o600)
        yield


def test_record_stop_replay_and_look_for_drift(tmp_path: Path) -> None:
    taped = ("--cassettes", "tapes")
    with provider(tmp_path, "Hello from far"):
        recording = stub(
            "--config", "otari.yaml", *taped, "--mode", "record", "--allow-record-in-ci", "--", *asking("hi")
        )
        done = run(recording, tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "Hello from far\n", "")
        same = run(stub("drift", "tapes", "-c", "otari.yaml"), tmp_path)
        assert (same.returncode, same.stderr) == (0, "")
        assert same.stdout == "default.yaml: recorded 0 days ago\n  001-hi: same shape\n"
    again = run(stub(*taped, "--", *asking("hi")), tmp_path)
    assert (again.returncode, again.stdout) == (0, "Hello from far\n")
    other = run(stub(*taped, "--", *asking("ho")), tmp_path)
    assert (other.returncode, other.stdout) == (3, "400\n")
    gone = run(stub("drift", "tapes", "-c", "otari.yaml"), tmp_path)
    assert gone.returncode == 0
    assert "001-hi: could not check: " in gone.stdout
    checked = run(stub("check", "tapes"), tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "1 rules: in order\n")


# Asks for a stream and prints the very bytes that come.
STREAM = """
import json, os, sys, urllib.request
body = {"model": "gpt-x", "stream": True, "max_tokens": 99, **json.loads(sys.argv[2])}
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/" + sys.argv[1], json.dumps(body).encode(),
    {"Authorization": "Bearer sk-stub-one", "Content-Type": "application/json"})
sys.stdout.write(urllib.request.urlopen(request).read().decode())
"""
MESSAGES = {"messages": [{"role": "user", "content": "go on"}]}
INPUT = {"input": "go on", "max_tokens": None}
SAYS = {
    "think": "Hm.",
    "say": "Let me look, 日本 ✓\n\n```sh\nls\n```",
    "call": {"ls": {"path": "/tmp", "deep": [1, None]}},
}


@pytest.mark.parametrize(
    ("dialect", "path", "asked"),
    [
        ("chat", "chat/completions", {**MESSAGES, "stream_options": {"include_usage": True}}),
        ("messages", "messages", MESSAGES),
        ("responses", "responses", INPUT),
    ],
)
def test_a_stream_is_given_again_byte_for_byte(tmp_path: Path, dialect: str, path: str, asked: object) -> None:
    client = [sys.executable, "-c", STREAM, path, orjson.dumps(asked).decode()]
    with provider(tmp_path, SAYS, dialect):
        record = ("--config", "otari.yaml", "--cassettes", "tapes", "--mode", "record", "--allow-record-in-ci")
        first = run(stub(*record, "--", *client), tmp_path)
        assert (first.returncode, first.stderr) == (0, "")
    again = run(stub("--cassettes", "tapes", "--", *client), tmp_path)  # the provider has stopped
    assert (again.returncode, again.stderr) == (0, "")
    assert first.stdout.count("data: ") > 5
    assert again.stdout == first.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--mode", "record", "--", "true"], "name their folder with --cassettes"),
        (["--cassettes", "none", "--", "true"], "none: can not be read (No such file or directory)"),
        (["--cassettes", "tapes", "--mode", "sing", "--", "true"], "argument --mode: invalid choice: 'sing'"),
        (["drift", "none"], "none: can not be read (No such file or directory)"),
        (["drift"], "the following arguments are required: folder"),
    ],
)
def test_what_can_not_be_done_is_one_line_and_2(tmp_path: Path, words: list[str], told: str) -> None:
    done = run(stub(*words), tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_job_does_not_record(tmp_path: Path) -> None:
    done = run(stub("--cassettes", "tapes", "--mode", "record", "--", sys.executable, "-V"), tmp_path, CI="true")
    assert (done.returncode, done.stdout) == (2, "")
    assert "CI is set" in done.stderr
    assert not (tmp_path / "tapes").exists()


@pytest.mark.parametrize(("signal", "code"), [("INT", 130), ("TERM", 143)])
def test_a_run_that_was_interrupted_loses_no_recording(tmp_path: Path, signal: str, code: int) -> None:
    """What it had no time to ask again is still there."""
    words = ("--config", "otari.yaml", "--cassettes", "tapes", "--allow-record-in-ci")
    shell = " && ".join(shlex.join(asking(text)) for text in ("one", "two"))
    with provider(tmp_path, "first"):
        assert run(stub(*words, "--mode", "record", "--", "sh", "-c", shell), tmp_path).returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "tapes").iterdir()}
    with provider(tmp_path, "second"):
        cut = f"{shlex.join(asking('one'))}; kill -{signal} $PPID; exec sleep 30"
        broken = run(stub(*words, "--mode", "rerecord", "--", "sh", "-c", cut), tmp_path)
        assert (broken.returncode, broken.stdout) == (code, "second\n")
        assert broken.stderr == "otari: nothing was recorded anew: the run was interrupted\n"
        assert {path.name: path.read_bytes() for path in (tmp_path / "tapes").iterdir()} == before
        assert run(stub(*words, "--mode", "rerecord", "--", "sh", "-c", shell), tmp_path).returncode == 0
    assert b"say: first" not in (tmp_path / "tapes" / "default.yaml").read_bytes()
