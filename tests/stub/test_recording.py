"""Recording, replaying and drift on the command line, against a provider that is stopped in between."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from otari.ready import wait_ready
from tests.stub.command import TIMEOUT_S, asking, run, stub

ROOT = Path(__file__).parents[2]


@contextmanager
def provider(folder: Path, answer: str) -> Iterator[None]:
    """A provider that always says this, and the configuration that names it: a stub, as a process of its own."""
    (folder / "far.json").write_bytes(orjson.dumps({"stub": 1, "rules": [{"id": "any", "reply": answer}]}))
    port_file = folder / "far.port"
    port_file.unlink(missing_ok=True)
    words = stub("--script", folder / "far.json", "--port-file", port_file)
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as running:
        try:
            assert wait_ready(["--port-file", str(port_file), "--timeout", "30"]) == 0
            config = {
                "providers": {
                    "far": {
                        "type": "openai_compatible",
                        "api_base": f"http://127.0.0.1:{port_file.read_text().strip()}/v1",
                        "api_key": "sk-far-0123456789",
                    }
                },
                "aliases": {"gpt-x": "far:gpt-x"},
                "require_pricing": False,
            }
            (folder / "otari.yaml").write_bytes(orjson.dumps(config))
            (folder / "otari.yaml").chmod(0o600)
            yield
        finally:
            running.terminate()
            running.wait(TIMEOUT_S)


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
