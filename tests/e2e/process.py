"""A process of a test: a bare environment, output in files, every wait bounded, ended whatever happens."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

START_S = 30.0  # a first start unpacks the libraries, on a machine that may be busy with other tests
STOP_S = 40.0  # longer than the gateway's own limit for draining
_LOOK_S = 0.01
_TAIL = 2000


def until(look: Callable[[], T | None], what: str, timeout_s: float) -> T:
    """Call `look` until it gives something true, and return that. Raises AssertionError naming `what` otherwise."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(_LOOK_S)


def bare_env(home: Path, **more: str) -> dict[str, str]:
    """An environment that holds no key, proxy or setting of whoever runs the tests."""
    return {"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb", **more}


class Process:
    """One process at a time, restartable; stdout and stderr of all its runs are in `out` and `err`."""

    def __init__(
        self, name: str, command: Sequence[str | Path], folder: Path, env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        self._env = dict(env)
        self._cwd = cwd or folder
        self._running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id of the current run."""
        assert self._running is not None, f"{self.name} does not run"
        return self._running.pid

    @property
    def alive(self) -> bool:
        """Whether it runs right now."""
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        """Start it, in a process group of its own."""
        assert not self.alive, f"{self.name} runs already"
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self._running = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait for its end; the exit code comes back (negative: a signal). Kills it and fails when it takes longer."""
        assert self._running is not None, f"{self.name} was never started"
        try:
            return self._running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout_s:g} s:\n{self.tail()}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process and no other."""
        assert self.alive, f"{self.name} has ended:\n{self.tail()}"
        os.kill(self.pid, number)

    def stop(self, timeout_s: float = STOP_S) -> int:
        """SIGTERM, then wait for the end; the exit code comes back."""
        self.send(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL to whatever is left of its process group. Does nothing when it never ran."""
        running, self._running = self._running, None
        if running is None:
            return
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait(STOP_S)

    def tail(self) -> str:
        """The end of what it wrote, for failure messages."""
        parts = [f"--- {path.name}\n{_end_of(path)}" for path in (self.out, self.err)]
        return "\n".join(parts)

    def written(self) -> bytes:
        """Every byte it wrote to stdout and stderr so far."""
        return b"".join(path.read_bytes() for path in (self.out, self.err) if path.exists())


def _end_of(path: Path) -> str:
    return path.read_bytes()[-_TAIL:].decode(errors="replace") if path.exists() else "(nothing)"


def port_in(path: Path, process: Process, timeout_s: float = START_S) -> int:
    """The port that `process` writes into the file at `path` once it answers; fails at once when it ends instead."""

    def look() -> int | None:
        if path.exists():
            return int(path.read_text())
        assert process.alive, f"{process.name} ended while starting:\n{process.tail()}"
        return None

    try:
        return until(look, f"{process.name} to write its port", timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{process.tail()}") from None
