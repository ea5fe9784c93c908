"""The stub beside another mock server, both asked for the same answer: time to be there, memory, requests a second."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.load import Load, Target, Tools
from harness.machine import Cores, pinned
from harness.processes import BenchmarkError, Server, free_port, serving
from harness.report import Figure, Progress

OTHER = "@copilotkit/aimock"
OTHER_VERSION = "1.43.0"
ANSWER = "Hello! How can I help you today?"
_WARM_UP_S, _IDLE_S = 1.0, 0.5
_INSTALL_S = 300.0
_NOTHING = "an empty program"
_SCRIPT = f'stub: 1\nrules:\n- {{id: any, when: {{user: capital}}, reply: "{ANSWER}"}}\n'
_FIXTURES = f'{{"fixtures": [{{"match": {{"userMessage": "capital"}}, "response": {{"content": "{ANSWER}"}}}}]}}\n'


@dataclass(frozen=True, slots=True)
class MockServer:
    """A mock server: `command` holds PORT where its port belongs. Logs are off, as in a job that goes well.

    `nothing` runs an empty program in the language that it is written in.
    """

    name: str
    command: Sequence[str | Path]
    nothing: Sequence[str | Path]
    folder: Path
    core: int | None

    def nothing_s(self) -> float:
        """How many seconds the empty program takes: what no server in this language can be faster than."""
        began = time.perf_counter()
        with pinned(self.core):
            subprocess.run(self.nothing, env=self._environ(), cwd=self.folder, check=True)
        return time.perf_counter() - began

    def _environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache")}

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[Server, float]]:
        """The process, healthy, and how many seconds that took."""
        port = free_port()
        words = [str(port) if word == "PORT" else word for word in self.command]
        environ = self._environ()
        log = self.folder / "server.log"
        began = time.perf_counter()
        with serving(self.name, words, port=port, core=self.core, log=log, env=environ, cwd=self.folder) as server:
            yield server, time.perf_counter() - began


def both(pyz: Path, python: Path, folder: Path, cores: Cores) -> tuple[MockServer, MockServer]:
    """The stub of the built file, and the other one, installed into `folder`'s neighbour. Raises BenchmarkError."""
    mine, other = folder / "otari", folder / "other"
    for place in (mine, other):
        place.mkdir()
    (mine / "stub.yaml").write_text(_SCRIPT)
    (other / "fixtures.json").write_text(_FIXTURES)
    ours: list[str | Path] = [python, pyz, "stub", "--script", "stub.yaml", "--port", "PORT"]
    theirs: list[str | Path] = [
        "node",
        _installed(folder.parent),
        "-p",
        "PORT",
        "-f",
        "fixtures.json",
        "--log-level",
        "silent",
    ]
    return (
        MockServer("otari stub", ours, [python, "-c", "pass"], mine, cores.target),
        MockServer("aimock", theirs, ["node", "-e", ""], other, cores.target),
    )


def measure(
    servers: Sequence[MockServer], tools: Tools, rounds: int, seconds: float, progress: Progress
) -> list[Figure]:
    """All figures of both, and their ratios; they take turns round by round."""
    names = (_NOTHING, "ready", "memory idle (RSS)", "64 connections", "1 connection")
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            progress.step(f"round {number + 1} of {rounds}: {server.name}")
            for name, value in zip(names, _figures(server, tools, seconds), strict=True):
                found.setdefault((server.name, name), []).append(value)
    return [figure for name in names for figure in _compared(name, servers, found)]


def _figures(server: MockServer, tools: Tools, seconds: float) -> tuple[float, ...]:
    with server.running():
        pass  # once, so that everything is unpacked and in the cache of files
    with server.running() as (process, ready_s):
        time.sleep(_IDLE_S)
        idle_mb = process.rss_mb()
        target = Target(server.name, process.port, process, headers=("Authorization: Bearer sk-test",))
        return (
            server.nothing_s(),
            ready_s,
            idle_mb,
            *(_rate(target, tools, connections, seconds) for connections in (64, 1)),
        )


def _rate(target: Target, tools: Tools, connections: int, seconds: float) -> float:
    """Answers per second, after a moment to get warm."""
    tools.run(target, Load("gpt-x", connections, _WARM_UP_S))
    return tools.run(target, Load("gpt-x", connections, seconds)).answers_per_s


def _compared(name: str, servers: Sequence[MockServer], found: dict[tuple[str, str], list[float]]) -> Iterator[Figure]:
    """Both and, round by round, ours as a multiple of the other."""
    unit = {_NOTHING: "s", "ready": "s", "memory idle (RSS)": "MB"}.get(name, "/s")
    mine, theirs = (found[server.name, name] for server in servers)
    for server in servers:
        yield Figure(name, server.name, unit, found[server.name, name])
    yield Figure(
        name, f"{servers[0].name} / {servers[1].name}", "x", [a / b for a, b in zip(mine, theirs, strict=True)]
    )


def _installed(cache: Path) -> Path:
    """The other server's program, fetched once. Raises BenchmarkError."""
    folder = cache / f"aimock-{OTHER_VERSION}"
    program = folder / "node_modules" / OTHER / "dist" / "cli.js"
    if not program.exists():
        if shutil.which("npm") is None:
            raise BenchmarkError(f"npm is missing, which brings {OTHER}")
        folder.mkdir(parents=True, exist_ok=True)
        words = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", f"{OTHER}@{OTHER_VERSION}"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
        if done.returncode or not program.exists():
            raise BenchmarkError(f"{OTHER} could not be installed:\n{done.stderr[-1000:]}")
    return program
