"""The examples for CI as they stand: the built stub, real pytest, and real coding clients, without any network."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e import npm
from tests.e2e.gateway import gateway_env, plain_python
from tests.e2e.process import Process

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"
# A machine of its own: nothing but loopback, which has to be switched on.
APART = ("unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "apart")
RUN_S = 180.0
CLIENTS = {
    "opencode": ("opencode.sh", "OPENCODE", npm.opencode),
    "claude-code": ("claude-code.sh", "CLAUDE", npm.claude_code),
    "codex": ("codex.sh", "CODEX", npm.codex),
}


@pytest.fixture
def folder(tmp_path: Path, pyz: Path) -> Path:
    """The examples beside the built file, in a folder of their own."""
    copy = tmp_path / "ci"
    shutil.copytree(EXAMPLES, copy)
    (copy / "otari.pyz").symlink_to(pyz)
    return copy


def run(words: list[str | Path], folder: Path, **env: str) -> tuple[int, str, str]:
    """A command in `folder`, apart from every network: exit code, what it said, what it complained about."""
    around: Mapping[str, str] = {**gateway_env(folder.parent), "TMPDIR": str(folder.parent), **env}
    with Process("run", [*APART, *words], folder.parent, around, cwd=folder) as process:
        code = process.wait(RUN_S)
        return code, process.out.read_text(), process.err.read_text()


def stub(*words: str | Path) -> list[str | Path]:
    return [plain_python(), "otari.pyz", "stub", *words]


def test_pytest_in_one_command(folder: Path) -> None:
    code, out, err = run(
        [*stub("--script", "stub.yaml", "--report", "stub.xml", "--"), *pytest_words("--noconftest")], folder
    )
    assert code == 0, out + err
    assert "2 passed" in out
    assert 'failures="0"' in (folder / "stub.xml").read_text()


def test_pytest_with_the_conftest(folder: Path) -> None:
    code, out, err = run(pytest_words(), folder)
    assert code == 0, out + err
    assert "2 passed" in out


def test_a_test_that_asks_what_the_script_does_not_know_fails(folder: Path) -> None:
    (folder / "test_more.py").write_text(
        "import app\n\ndef test_more():\n    app.complete([{'role': 'user', 'content': 'x'}])\n"
    )
    code, out, err = run(pytest_words(), folder)
    assert code == 1
    assert "2 passed" in out
    assert "miss in session test_more: The stub's script has no reply for this request" in out + err


def pytest_words(*more: str) -> list[str | Path]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *more]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_coding_client_follows_the_script(folder: Path, client: str) -> None:
    program, variable, executable = CLIENTS[client]
    words = [*stub("--script", "coding.yaml", "--", f"./{program}"), "write a greeting to greeting.txt"]
    code, out, err = run(words, folder, **{variable: str(executable())}, **home(folder))
    assert code == 0, out + err
    assert (folder / "greeting.txt").read_text() == "Hello\n"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_coding_client_without_a_rule_ends_red_and_says_which(folder: Path, client: str) -> None:
    program, variable, executable = CLIENTS[client]
    words = [*stub("--script", "coding.yaml", "--", f"./{program}"), "write a farewell to farewell.txt"]
    code, out, err = run(words, folder, **{variable: str(executable())}, **home(folder))
    assert code != 0, out + err
    assert f"the nearest rule is '{client}'" in err
    assert "A rule that answers it:" in out + err
    assert "write a farewell to farewell.txt" in (out + err).partition("A rule that answers it:")[2]
    assert not (folder / "farewell.txt").exists()


def home(folder: Path) -> dict[str, str]:
    """A home of its own, in which opencode does not fetch its plug-in package."""
    place = folder.parent / ".config" / "opencode"
    (place / "node_modules").mkdir(parents=True)
    lock = (
        '{"name": "opencode", "lockfileVersion": 3, "requires": true, "packages": {"": {"dependencies": {"%s": "%s"}}}}'
    )
    (place / "package-lock.json").write_text(lock % ("@opencode-ai/plugin", npm.OPENCODE_VERSION))
    return {"HOME": str(folder.parent), "PATH": os.environ["PATH"]}
