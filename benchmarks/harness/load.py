"""The load generator and the mock provider: compiling them, and one bounded run of load."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.processes import BenchmarkError, Server

SOURCES = Path(__file__).resolve().parent.parent / "src"
COMPILER = ("gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra")
_GRACE_S = 20.0
_STREAM_MAX_S = 60.0

Wire = Literal["chat", "messages", "responses"]
_PATHS: dict[Wire, str] = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
}

# About a kilobyte, as short questions with a system prompt are.
_SYSTEM_PROMPT = "Answer briefly, name your sources, and say so when you do not know. " * 12
_QUESTION = "What is the capital of France?"


@dataclass(slots=True)
class Target:
    """Something that load can be sent to. `answered` counts every request that it answered in this run.

    `routes`: it chooses providers, so that models are asked for as `provider:model`.
    """

    name: str
    port: int
    server: Server | None = None  # None: the mock itself, whose cost is not looked at
    headers: Sequence[str] = ()
    routes: bool = False
    answered: int = field(default=0)

    def cpu_s(self) -> float:
        """CPU seconds of the process so far."""
        return self.server.cpu_s() if self.server else 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: requests for a model of the mock, over so many connections at once.

    Either for `seconds`, one whole answer after another, or `streams` streams in all. `wire` is the dialect of the
    request, `provider` whom a target that routes shall ask.
    """

    model: str
    connections: int
    seconds: float = 0.0
    streams: int = 0
    wire: Wire = "chat"
    provider: str = "mock"

    @property
    def path(self) -> str:
        """Where requests of this dialect go."""
        return _PATHS[self.wire]

    def body(self, target: Target) -> bytes:
        """The request, with the model's name as the target wants it."""
        doc = _question(self.wire) | {"model": f"{self.provider}:{self.model}" if target.routes else self.model}
        if self.streams:
            doc["stream"] = True
            if self.wire == "chat":
                doc["stream_options"] = {"include_usage": True}
        return json.dumps(doc).encode()


def _question(wire: Wire) -> dict[str, Any]:
    """The same short question in each dialect."""
    asked = {"role": "user", "content": _QUESTION}
    match wire:
        case "chat":
            return {"messages": [{"role": "system", "content": _SYSTEM_PROMPT}, asked], "max_tokens": 1024}
        case "messages":
            return {"system": _SYSTEM_PROMPT, "messages": [asked], "max_tokens": 1024}
        case "responses":
            return {"instructions": _SYSTEM_PROMPT, "input": [asked], "max_output_tokens": 1024, "store": False}


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of load saw; times are medians over its answers."""

    answers: int
    chunks: int
    answers_per_s: float
    latency_us: float
    first_token_us: float


@dataclass(frozen=True, slots=True)
class Tools:
    """The compiled programs, and a folder for request bodies."""

    loadgen: Path
    mock: Path
    folder: Path

    def run(self, target: Target, load: Load) -> Result:
        """Send this load and wait for the end of it.

        Raises BenchmarkError when anything but a whole 2xx answer came back: failures are cheap to serve,
        figures with failures among them would flatter.
        """
        body = self.folder / "body.json"
        body.write_bytes(load.body(target))
        mode = "streams" if load.streams else "requests"
        limit_s = load.seconds or _STREAM_MAX_S
        command: list[str | Path] = [self.loadgen, mode, "-p", str(target.port), "-u", load.path, "-b", body]
        command += ["-c", str(load.connections), "-d", str(limit_s)]
        if load.streams:
            command += ["-n", str(load.streams)]
        for header in target.headers:
            command += ["-H", header]
        done = subprocess.run(command, capture_output=True, timeout=limit_s + _GRACE_S, check=False)
        if done.returncode:
            raise BenchmarkError(f"the load generator failed: {done.stderr.decode(errors='replace')}")
        result = _read_result(target, json.loads(done.stdout))
        if load.streams and result.answers != load.streams:
            raise BenchmarkError(f"{target.name} finished {result.answers} of {load.streams} streams")
        target.answered += result.answers
        return result


def _read_result(target: Target, doc: dict[str, Any]) -> Result:
    failures = doc["non_2xx"] + doc["errors"] + doc["unfinished"]
    if failures or not doc["ok"]:
        log = f"\n{target.server.log_tail()}" if target.server else ""
        raise BenchmarkError(
            f"{target.name}: {doc['ok']} answers, {doc['non_2xx']} not 2xx (first {doc['first_bad_status']}: "
            f"{doc['bad_body']}), {doc['errors']} broken, {doc['unfinished']} unfinished{log}"
        )
    return Result(
        answers=doc["ok"],
        chunks=doc.get("chunks", 0),
        answers_per_s=doc["per_second"],
        latency_us=doc.get("latency_us", {}).get("p50", 0.0),
        first_token_us=doc.get("first_token_us", {}).get("p50", 0.0),
    )


def build_tools(build: Path, folder: Path) -> Tools:
    """Compile what is older than its source.

    Raises BenchmarkError when there is no gcc or it refuses.
    """
    build.mkdir(exist_ok=True)
    return Tools(_compile("loadgen", build), _compile("mock_llm", build), folder)


def _compile(name: str, build: Path) -> Path:
    source, program = SOURCES / f"{name}.c", build / name
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    try:
        done = subprocess.run([*COMPILER, "-o", program, source], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BenchmarkError("gcc is needed to build the load generator: install the package gcc") from None
    if done.returncode:
        raise BenchmarkError(f"gcc refused {source.name}:\n{done.stderr}")
    return program
