"""Ctrl-C while libraries are loaded: it ends the process, by the signal itself."""

import signal
import subprocess
import sys

import pytest

WITHIN = """
import os, signal
from otari.interrupts import ending_at_once
signal.signal(signal.SIGINT, {handler})
with ending_at_once():
    os.kill(os.getpid(), signal.SIGINT) if {strikes} == "within" else None
os.kill(os.getpid(), signal.SIGINT) if {strikes} == "behind" else None
print("went on")
"""


USUAL = "signal.default_int_handler"


def run(strikes: str, handler: str = USUAL) -> subprocess.CompletedProcess[bytes]:
    code = WITHIN.format(strikes=repr(strikes), handler=handler)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)


def test_it_ends_the_process_at_once_and_says_nothing() -> None:
    ended = run("within")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


def test_behind_it_an_interrupt_is_an_exception_again() -> None:
    ended = run("behind")
    assert ended.stdout == b""
    assert b"KeyboardInterrupt" in ended.stderr


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda number, frame: None"])
def test_who_does_not_want_to_hear_of_it_does_not(handler: str) -> None:
    """Shells start jobs in the background so."""
    ended = run("within", handler)
    assert (ended.returncode, ended.stdout) == (0, b"went on\n")
