"""Real coding clients: recorded against a provider that then stops, and answered again without any network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from tests.e2e.gateway import gateway_env, plain_python
from tests.e2e.process import Process, port_in
from tests.e2e.test_stub_examples import APART, CLIENTS, EXAMPLES, RUN_S, folder, home, stub

__all__ = ["folder"]  # the fixture

DIALECTS = {"opencode": "chat", "claude-code": "messages", "codex": "responses"}
TASK = "write a greeting to greeting.txt"


@contextmanager
def provider(ci: Path, dialect: str) -> Iterator[None]:
    """The script as a provider of its own, and the configuration that names it."""
    place = ci.parent / "far"
    place.mkdir()
    script, port_file = EXAMPLES / "coding.yaml", place / "port"
    words: list[str | Path] = [
        plain_python(),
        str(ci / "otari.pyz"),
        *("stub", "--script", script, "--port-file", port_file),
    ]
    with Process("far", words, place, gateway_env(place)) as running:
        far = {
            "type": "openai_compatible",
            "api_base": f"http://127.0.0.1:{port_in(port_file, running)}/v1",
            "api_key": "sk-far-0123456789",
            "dialects": [dialect],
        }
        config = {"providers": {"far": far}, "aliases": {"scripted": "far:scripted"}, "require_pricing": False}
        (ci / "otari.yaml").write_bytes(orjson.dumps(config))
        (ci / "otari.yaml").chmod(0o600)
        yield
        assert running.stop() == 0


def run(name: str, words: list[str | Path], ci: Path, env: Mapping[str, str]) -> tuple[int, str]:
    around = {**gateway_env(ci.parent), "TMPDIR": str(ci.parent), **env}
    with Process(name, words, ci.parent, around, cwd=ci) as process:
        return process.wait(RUN_S), process.tail()


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_coding_client_heard_it_hears_again(folder: Path, client: str) -> None:
    program, variable, executable = CLIENTS[client]
    env = {variable: str(executable()), **home(folder)}
    made, command = folder / "greeting.txt", ["--", f"./{program}", TASK]
    recording = ("--config", "otari.yaml", "--mode", "record", "--allow-record-in-ci")
    with provider(folder, DIALECTS[client]):
        code, told = run("record", stub("--cassettes", "tapes", *recording, *command), folder, env)
        assert code == 0, told
    assert made.read_text() == "Hello\n"
    made.unlink()
    before = (folder / "tapes" / "default.yaml").read_bytes()
    code, told = run("replay", [*APART, *stub("--cassettes", "tapes", *command)], folder, env)
    assert code == 0, told
    assert made.read_text() == "Hello\n"
    assert (folder / "tapes" / "default.yaml").read_bytes() == before
