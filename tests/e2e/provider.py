"""The scripted provider as a process of its own, and the journal it keeps of what it was sent."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.process import Process, bare_env, port_in, until

PROVIDER_KEY = "sk-canary-59d1c07ab3e84f26"  # must not appear in anything that a gateway writes

_ROOT = Path(__file__).parents[2]
_SETTLE_S = 20.0

Line = dict[str, Any]


class Provider(Process):
    """`python -m tests.scripted` in `folder`; the model name says what it does (see `tests/scripted/script.py`)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = folder / "journal"
        self._port_file = folder / "provider.port"
        self.port = 0
        command: list[str | Path] = [sys.executable, "-m", "tests.scripted"]
        command += ["--port-file", self._port_file, "--journal", self._journal]
        super().__init__("provider", command, folder, bare_env(folder), cwd=_ROOT)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._port_file.unlink(missing_ok=True)
        super().start()
        self.port = port_in(self._port_file, self)

    def settings(self, **more: object) -> Mapping[str, Any]:
        """Its entry under `providers` in a gateway's configuration."""
        return {"type": "openai", "api_key": PROVIDER_KEY, "api_base": f"http://127.0.0.1:{self.port}/v1", **more}

    def journal(self) -> list[Line]:
        """Every line so far: `event` start or end, `id`, `number`, and what belongs to it."""
        if not self._journal.exists():
            return []
        return [orjson.loads(line) for line in self._journal.read_bytes().splitlines()]

    def starts(self) -> list[Line]:
        """Every request that arrived, oldest first."""
        return [line for line in self.journal() if line["event"] == "start"]

    def finished(self) -> dict[str, Line]:
        """Waits until no request is being answered; each request's start and end as one, by the gateway's id."""

        def look() -> list[Line] | None:
            lines = self.journal()
            return lines if 2 * sum(line["event"] == "start" for line in lines) == len(lines) else None

        if not self.journal():
            return {}
        whole: dict[str, Line] = {}
        for line in until(look, "the provider to finish all requests", _SETTLE_S):
            whole.setdefault(line["id"], {}).update(line)
        return whole
