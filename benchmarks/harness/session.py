"""One run: the tools, the mock and every target that scenarios ask for, in a folder of its own."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import scenarios
from harness.counts import measure_counts
from harness.gateway import Durability, Gateway
from harness.load import SOURCES, Target, Tools, build_tools
from harness.machine import Cores, choose_cores, fdatasync_p50_ms, pinned
from harness.processes import BenchmarkError, free_port, serving
from harness.report import Figure, Progress
from harness.startup import measure_start

BUILD = SOURCES.parent / ".build"
YARDSTICK = SOURCES.parent / "yardstick.py"

LOADED = {
    "requests": scenarios.measure_requests,
    "firehose": scenarios.measure_firehose,
    "translated": scenarios.measure_translated,
    "first-token": scenarios.measure_first_token,
    "counts": measure_counts,
}
SCENARIOS = (*LOADED, "start")


class Session:
    """Everything that one run starts, in a folder that is removed at its end."""

    def __init__(self, folder: Path, file: Path, effort: scenarios.Effort, progress: Progress) -> None:
        self.folder = folder
        self.file = file
        self.effort = effort
        self.progress = progress
        self.cores: Cores = choose_cores()
        self.tools: Tools = build_tools(BUILD, folder)

    def measure(self, names: Sequence[str]) -> list[Figure]:
        """Run these scenarios in order, this program and the load on a core apart from what is measured."""
        figures: list[Figure] = []
        with pinned(self.cores.load), self.mock() as mock_port:
            bench = self.bench(mock_port)
            for name in names:
                self.progress.scenario(name, f"{self.effort.rounds} rounds")
                if name == "start":
                    gateway = self._gateway_at(mock_port, "full")
                    figures += measure_start(gateway, gateway.folder, self.effort.rounds, self.progress)
                else:
                    figures += LOADED[name](bench)
        return figures

    def bench(self, mock_port: int) -> scenarios.Bench:
        """What load scenarios get: the tools, and how to start each target in front of this mock."""
        return scenarios.Bench(
            tools=self.tools,
            effort=self.effort,
            progress=self.progress,
            direct=Target("direct", mock_port),
            yardstick=lambda stream: self.yardstick(mock_port, stream),
            gateway=lambda durability: self._gateway_at(mock_port, durability).target(),
            sync_ms=lambda: fdatasync_p50_ms(self.folder),
        )

    @contextlib.contextmanager
    def mock(self) -> Iterator[int]:
        """The mock provider; its port comes back."""
        port = free_port()
        log = self.folder / "mock.log"
        with serving("mock", [self.tools.mock, str(port)], port=port, core=self.cores.load, log=log):
            yield port

    @contextlib.contextmanager
    def yardstick(self, mock_port: int, stream: str) -> Iterator[Target]:
        """The bare proxy in front of the mock."""
        port = free_port()
        command: list[str | Path] = [sys.executable, YARDSTICK, "--port", str(port)]
        command += ["--upstream", f"http://127.0.0.1:{mock_port}", "--stream", stream]
        name = "yardstick" if stream == "raw" else f"yardstick, {stream}"
        log = self.folder / f"yardstick-{stream}.log"
        with serving(name, command, port=port, core=self.cores.target, log=log) as server:
            yield Target(name, port, server)

    def _gateway_at(self, mock_port: int, durability: Durability) -> Gateway:
        if not self.file.is_file():
            raise BenchmarkError(f"there is no {self.file}: build it with `make build`")
        folder = Path(tempfile.mkdtemp(prefix=f"otari-{durability}-", dir=self.folder))
        return Gateway(self.file.resolve(), folder, mock_port, self.cores, durability)
