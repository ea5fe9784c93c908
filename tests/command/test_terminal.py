"""The whole command line in a process of its own: on a terminal, on a pipe, on a pipe that nobody reads."""

import os
import pty
import subprocess
import sys

import pytest

from tests.command.ground import Desk, furnish

OTARI = [sys.executable, "-m", "otari"]


@pytest.fixture(autouse=True)
def _ledger(desk: Desk) -> None:
    desk.write(furnish)


def on_a_terminal(desk: Desk, *words: str, **environ: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    surroundings = {**os.environ, **desk.environ, "TERM": "xterm", "PYTHONUTF8": "1", **environ}
    with subprocess.Popen([*OTARI, *words], stdout=theirs, stderr=theirs, env=surroundings) as process:
        os.close(theirs)
        received = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # how Linux tells that the other side is closed
                break
            if not piece:
                break
            received += piece
    os.close(ours)
    assert process.returncode == 0
    return received.decode().replace("\r\n", "\n")


def test_a_terminal_gets_a_table_with_colours_in_its_width(desk: Desk) -> None:
    text = on_a_terminal(desk, "users", COLUMNS="100")
    head, alice, *_, zone = text.splitlines()
    assert head.startswith("\x1b[1mid ")
    assert "\x1b[32mactive\x1b[0m" in alice
    assert zone == "\x1b[2mtimes: UTC\x1b[0m"


def test_no_color_is_obeyed(desk: Desk) -> None:
    text = on_a_terminal(desk, "users", COLUMNS="120", NO_COLOR="1")
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_a_pipe_gets_fields(desk: Desk) -> None:
    done = subprocess.run(
        [*OTARI, "users"], capture_output=True, text=True, env={**os.environ, **desk.environ}, check=True
    )
    assert done.stdout.splitlines()[0].split("\t")[:3] == ["alice", "Alice", "active"]


def test_names_survive_an_old_locale(desk: Desk) -> None:
    environ = {**os.environ, **desk.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*OTARI, "users"], capture_output=True, env=environ, check=True)
    assert b"bob/\\xfc\t" in done.stdout


def test_a_reader_who_has_seen_enough_sees_no_traceback(desk: Desk) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*OTARI, "users"], stdout=writing, stderr=subprocess.PIPE, env={**os.environ, **desk.environ})
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
