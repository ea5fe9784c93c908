"""Processes that a run starts, watches and, always, ends. Nothing else is ever signalled."""

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.machine import pinned

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0
_POLL_S = 0.001
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LOG_TAIL_BYTES = 2000


class BenchmarkError(Exception):
    """The run cannot go on, or its figures would mean nothing; the text says what to do."""


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One process that serves HTTP on a loopback port and answers GET /health with 200 once it is ready."""

    def __init__(self, name: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.port = port
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """The process id, of which all threads are counted."""
        return self._process.pid

    def cpu_s(self) -> float:
        """CPU seconds of the whole process so far, user and system, all threads (steps of 10 ms)."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        # The name in parentheses may hold spaces; utime and stime are fields 14 and 15, counted from 1.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def rss_mb(self) -> float:
        """Resident memory in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise BenchmarkError(f"{self.name} is gone:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The end of what it wrote to stdout and stderr."""
        return self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")

    def wait_until_healthy(self) -> None:
        """Poll /health until it answers 200.

        Raises BenchmarkError when the process ends before, or is not ready within START_TIMEOUT_S.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_healthy():
            if self._process.poll() is not None:
                raise BenchmarkError(f"{self.name} ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self.name} was not healthy within {START_TIMEOUT_S:.0f} s:\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_TIMEOUT_S)
        try:
            connection.request("GET", "/health", headers={"Connection": "close"})
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Ask it to end, then insist."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def serving(
    name: str,
    command: Sequence[str | Path],
    *,
    port: int,
    core: int | None,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Server]:
    """Start a server on its core, wait until it is healthy, end it afterwards whatever happens."""
    with log.open("ab") as output, pinned(core):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd
        )
    server = Server(name, port, process, log)
    try:
        server.wait_until_healthy()
        yield server
    finally:
        server.stop()
