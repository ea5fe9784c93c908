"""A vendor of batches as a process of its own."""

import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.process import Process, bare_env, port_in, until

VENDOR_KEY = "sk-canary-7be0d4c29f1a4d58"  # must not appear in anything that a gateway writes

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 20.0


class BatchVendor(Process):
    """`python -m tests.vendors` in `folder`; see `tests/vendors/halting.py`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port_file = folder / "vendor.port"
        self.port = 0
        command: list[str | Path] = [sys.executable, "-m", "tests.vendors", "--port-file", self._port_file]
        super().__init__("vendor", command, folder, bare_env(folder), cwd=_ROOT)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._port_file.unlink(missing_ok=True)
        super().start()
        self.port = port_in(self._port_file, self)

    def settings(self, **more: object) -> Mapping[str, Any]:
        """Its entry under `providers` in a gateway's configuration."""
        address = f"http://127.0.0.1:{self.port}/v1"
        return {"type": "openai", "api_key": VENDOR_KEY, "api_base": address, "batches": True, **more}

    def told(self) -> dict[str, Any]:
        """What has come to it: `halted`, `jobs`, `lists`."""
        told: dict[str, Any] = self._ask(None)
        return told

    def control(self, halt: str = "", *, end: bool = False) -> None:
        """Halt at a place (whatever halts already goes on), or let all jobs end."""
        self._ask(orjson.dumps({"halt": halt, "end": end}))

    def wait_halted(self, place: str) -> None:
        """Wait until a request halts there."""
        until(lambda: self.told()["halted"] == place, f"the vendor to halt at {place}", _PATIENCE_S)

    def _ask(self, body: bytes | None) -> Any:
        headers = {"Authorization": "Bearer control", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/control", body, headers)
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            return orjson.loads(answer.read())
