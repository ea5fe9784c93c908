"""The scripted platform as a process of its own, and gateways that are connected to it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.gateway import Gateway
from tests.e2e.process import Process, bare_env, port_in

GATEWAY_TOKEN = "gw_canary-4c1f0b7a9d2e8653"  # it, and the next one, must not appear in anything that a gateway writes
USER_TOKEN = "tk_canary-b37e5a1904fc62d8"

_ROOT = Path(__file__).parents[2]

Document = dict[str, Any]


class Platform(Process):
    """`python -m tests.scripted.platform` in `folder`: every model that is asked for is served at `api_base`.

    `options` are words for its command line.
    """

    def __init__(self, folder: Path, api_base: str, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = folder / "platform.journal"
        self._port_file = folder / "platform.port"
        self.port = 0
        command: list[str | Path] = [sys.executable, "-m", "tests.scripted.platform", "--api-base", api_base]
        command += ["--port-file", self._port_file, "--journal", self._journal, *options]
        super().__init__("platform", command, folder, bare_env(folder), cwd=_ROOT)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._port_file.unlink(missing_ok=True)
        super().start()
        self.port = port_in(self._port_file, self)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The configuration of a gateway that is connected to it."""
        base = f"http://127.0.0.1:{self.port}/api/v1"
        return {"ai_token": GATEWAY_TOKEN, "platform": {"base_url": base, "allow_private_hosts": True}}

    def offered(self) -> set[str]:
        """The ids of all attempts that it named."""
        return {name for call in self._calls() for name in call["attempts"]}

    def reports(self) -> list[Document]:
        """Every report that it received, in order, repeated ones too."""
        return [call["doc"] for call in self._calls() if call["path"].endswith("/usage")]

    def _calls(self) -> list[Document]:
        if not self._journal.exists():
            return []
        whole = self._journal.read_bytes().rpartition(b"\n")[0]  # the last line may be on its way
        return [orjson.loads(line) for line in whole.splitlines()]


class ConnectedGateway(Gateway):
    """`otari.pyz serve` connected to `platform`. Its clients' key is a user token; it mints none of its own."""

    def __init__(self, pyz: Path, folder: Path, platform: Platform, **more: object) -> None:
        super().__init__(pyz, folder, {**platform.settings, **more})
        self.key = USER_TOKEN

    def kept(self) -> list[Document]:
        """The reports on its disk."""
        return self.ledger.ask("SELECT * FROM reports ORDER BY seq")
