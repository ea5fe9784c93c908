"""A stub that serves as a process of its own, for as long as a test needs it."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from otari.ready import wait_ready
from tests.stub.command import TIMEOUT_S, script_in, stub

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(folder: Path, rules: Mapping[str, object], *words: str, name: str = "far") -> Iterator[str]:
    """Its address, without a path. It is stopped at the end."""
    port_file = folder / f"{name}.port"
    port_file.unlink(missing_ok=True)
    script = script_in(folder, rules, f"{name}.json")
    command = stub("--script", script, "--port-file", port_file, *words)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            assert wait_ready(["--port-file", str(port_file), "--timeout", "30"]) == 0
            yield f"http://127.0.0.1:{port_file.read_text().strip()}"
        finally:
            running.terminate()
            running.wait(TIMEOUT_S)
