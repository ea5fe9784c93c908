"""`otari stub -- CMD`: what the command finds, how it ends, and what is left behind."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from otari.ready import wait_ready
from tests.stub.command import ASK, RULES, TIMEOUT_S, asking, run, script_in, stub

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def test_a_command_finds_the_stub_and_ends_the_run(tmp_path: Path) -> None:
    done = run(stub("--script", script_in(tmp_path), "--", *asking("hello")), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello from default\n", "")
    assert list((tmp_path / "tmp").iterdir()) == []  # the ledger is gone


def test_a_command_finds_no_key_of_a_real_provider(tmp_path: Path) -> None:
    keys = dict.fromkeys(("OPENAI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OTARI_AI_TOKEN"), "real")
    done = run(stub("--script", script_in(tmp_path), "--", sys.executable, "-c", SHOW), tmp_path, **keys, KEPT="yes")
    found = orjson.loads(done.stdout)
    assert "real" not in found.values()
    assert found["KEPT"] == "yes"
    url = found["OTARI_URL"]
    assert url.startswith("http://127.0.0.1:")
    assert {name: found[name] for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL")} == {
        "OPENAI_BASE_URL": f"{url}/v1",
        "ANTHROPIC_BASE_URL": url,
    }
    assert {found[f"{name}_KEY"] for name in ("OPENAI_API", "ANTHROPIC_API", "OTARI")} == {"sk-stub-default"}


def test_a_proxy_is_not_asked_for_the_stub(tmp_path: Path) -> None:
    proxy = {
        "http_proxy": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "no_proxy": "a.example",
        "NO_PROXY": "",
    }
    done = run(stub("--script", script_in(tmp_path), "--", *asking("hello")), tmp_path, **proxy)
    assert (done.returncode, done.stdout) == (0, "Hello from default\n")
    found = orjson.loads(
        run(stub("--script", script_in(tmp_path), "--", sys.executable, "-c", SHOW), tmp_path, **proxy).stdout
    )
    assert found["no_proxy"] == "a.example,127.0.0.1,localhost,::1"
    assert found["NO_PROXY"] == "127.0.0.1,localhost,::1"


@pytest.mark.parametrize("around", [{}, {"SSL_CERT_FILE": "/mine.pem"}, {"SSL_CERT_DIR": "/a", "SSL_CERT_FILE": "/b"}])
def test_certificates_are_where_they_were_for_the_command(tmp_path: Path, around: dict[str, str]) -> None:
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    bare = ("env", *(word for name in names if name not in around for word in ("-u", name)))
    words = [*bare, *stub("--script", script_in(tmp_path), "--", sys.executable, "-c", SHOW)]
    found = orjson.loads(run(words, tmp_path, **around).stdout)
    assert {name: found[name] for name in names if name in found} == around


def test_a_run_tells_of_rules_that_can_never_answer(tmp_path: Path) -> None:
    rules = {"stub": 1, "rules": [{"id": "all", "reply": "x"}, {"id": "late", "when": {"user": "a"}, "reply": "y"}]}
    done = run(stub("--script", script_in(tmp_path, rules), "--", "true"), tmp_path)
    assert done.returncode == 0
    assert done.stderr.endswith("rule 'late' can never answer: 'all' fits all that it fits\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("code", [0, 1, 7])
def test_the_exit_code_is_that_of_the_command(tmp_path: Path, code: int) -> None:
    done = run(stub("--script", script_in(tmp_path), "--", "sh", "-c", f"exit {code}"), tmp_path)
    assert done.returncode == code


@pytest.mark.parametrize(("text", "flag", "code"), [("bye", "", 3), ("bye", "--lenient", 0), ("hello", "", 0)])
def test_a_miss_makes_a_good_run_end_with_3(tmp_path: Path, text: str, flag: str, code: int) -> None:
    done = run(stub("--script", script_in(tmp_path), *flag.split(), "--", *asking(text)), tmp_path)
    assert done.returncode == code
    assert ("miss in session default" in done.stderr) is (code == 3)


def test_a_command_that_failed_keeps_its_code_after_a_miss(tmp_path: Path) -> None:
    shell = f"{sys.executable} -c '{ASK.replace(chr(39), chr(34))}' bye; exit 9"
    done = run(stub("--script", script_in(tmp_path), "--", "sh", "-c", shell), tmp_path)
    assert done.returncode == 9


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (["no-such-command"], 127, "otari: command not found: no-such-command\n"),
        (["./plain.txt"], 126, "otari: ./plain.txt can not be run: Permission denied\n"),
        (["sh", "-c", "kill -9 $$"], 137, ""),
    ],
)
def test_a_command_that_can_not_be_run(tmp_path: Path, command: list[str], code: int, told: str) -> None:
    (tmp_path / "plain.txt").write_text("no program")
    done = run(stub("--script", script_in(tmp_path), "--", *command), tmp_path)
    assert (done.returncode, done.stderr) == (code, told)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_go_on_to_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """The command says when it listens, and ends with a code of its own when the signal comes."""
    program = (
        f"import signal, sys; signal.signal({int(number)}, lambda *_: sys.exit(42));"
        " print('ready', flush=True); signal.pause()"
    )
    words = stub("--script", script_in(tmp_path), "--", sys.executable, "-c", program)
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        os.kill(running.pid, number)
        assert running.wait(TIMEOUT_S) == 42


def test_without_a_command_it_serves_until_a_signal_comes(tmp_path: Path) -> None:
    port_file, env_file = tmp_path / "port", tmp_path / "env"
    words = stub("--script", script_in(tmp_path), "--port-file", port_file, "--env-file", env_file)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert wait_ready(["--port-file", str(port_file), "--timeout", "30"]) == 0
        assert env_file.stat().st_mode & 0o777 == 0o600  # the master key is in it
        told = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
        assert told["OPENAI_BASE_URL"] == f"http://127.0.0.1:{port_file.read_text().strip()}/v1"
        asked = run(asking("hello"), tmp_path, **told)
        assert asked.stdout == "Hello from default\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(TIMEOUT_S) == 0
        assert running.stdout is not None
        assert "stub serves http://127.0.0.1:" in running.stdout.read()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--script", "gone.yaml"], "otari: gone.yaml: no such file\n"),
        (["--script", "bad.yaml"], "otari: bad.yaml: stub: is missing; a script begins with `stub: 1`\n"),
        (
            ["--port-file", "no/folder/port"],
            "otari: no/folder/port can not be written: No such file or directory\n",
        ),
        (["--config", "gone.yaml"], "otari: gone.yaml: no such file\n"),
    ],
)
def test_what_can_not_be_served_is_one_line_and_2(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "bad.yaml").write_text("rules: []\n")
    done = run(stub(*words, "--", "true"), tmp_path)
    assert (done.returncode, done.stderr) == (2, told)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_port_that_is_taken_is_one_line_and_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(stub("--port", str(port)), tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"otari: 127.0.0.1:{port} can not be listened on: Address already in use\n"


def test_an_ordinary_configuration_is_played_without_its_keys(tmp_path: Path) -> None:
    config = {
        "providers": {"openai": {"api_key": "${OPENAI_KEY_OF_TEAM}"}, "groq": {}},
        "aliases": {"gpt-x": ["openai:first", "groq:second"]},
    }
    (tmp_path / "otari.yaml").write_bytes(orjson.dumps(config))
    rules = {**RULES, "rules": [{"when": {"model": "first"}, "reply": {"error": 500}}, {"reply": "I am ${model}"}]}
    words = stub("--config", "otari.yaml", "--script", script_in(tmp_path, rules), "--", *asking("hello"))
    done = run(words, tmp_path)
    assert (done.returncode, done.stdout) == (0, "I am second\n"), done.stderr


def test_help_behind_the_dashes_is_the_commands_own(tmp_path: Path) -> None:
    done = run(stub("--script", script_in(tmp_path), "--", sys.executable, "--help"), tmp_path)
    assert done.stdout.startswith("usage: ")
    assert "otari" not in done.stdout.splitlines()[0]
    assert run(stub("--help"), tmp_path).stdout.startswith("otari.pyz stub - ")
