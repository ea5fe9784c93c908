"""The built gateway as a process: a folder with its configuration and ledger, start, stop, kill, start again."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import orjson

from tests.e2e.ledger import Ledger
from tests.e2e.process import START_S, STOP_S, Process, bare_env, port_in, until

MASTER_KEY = "e2e-only-7f3a91c2d4b65e08"  # also a canary: it must not appear in anything that is written

_KEY_LINE = re.compile(rb"^gw-[\w-]+$", re.MULTILINE)


def plain_python() -> Path:
    """The interpreter outside any virtual environment: the built file must bring its libraries along."""
    inside = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return inside if inside.exists() else Path(sys.executable)


def cache_home() -> Path:
    """Where the end-to-end tests keep what is worth keeping between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otari-e2e"


def gateway_env(home: Path) -> dict[str, str]:
    """A bare environment with one place, shared by all gateways of the tests, for the unpacked libraries."""
    unpacked = cache_home() / "unpacked"
    unpacked.mkdir(parents=True, exist_ok=True, mode=0o700)
    return bare_env(home, OTARI_CACHE_DIR=str(unpacked))


class Gateway(Process):
    """`otari.pyz serve` in `folder`. `config` is added to (and wins over) a loopback configuration with its own ledger.

    As a context manager it is started, and killed at the end if it still runs; `stop` ends it in order. The ledger
    and the key stay the same over all starts.
    """

    def __init__(self, pyz: Path, folder: Path, config: Mapping[str, Any], *, name: str = "otari") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "otari.db"
        self.ledger = Ledger(self.database)
        self.config_path = folder / "otari.yaml"
        self._port_file = folder / "port"
        self.port = 0
        self.key = ""
        self.write_config(config)
        command: list[str | Path] = [
            plain_python(),
            pyz,
            "serve",
            "--config",
            self.config_path,
            "--port-file",
            self._port_file,
        ]
        super().__init__(name, command, folder, gateway_env(folder))

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replace the configuration; it counts from the next start."""
        whole = {
            "host": "127.0.0.1",
            "port": 0,
            "database_url": f"sqlite:///{self.database}",  # the path begins with a slash of its own: four in all
            "master_key": MASTER_KEY,
            **config,
        }
        self.config_path.write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))  # JSON is YAML
        self.config_path.chmod(0o600)

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout_s: float = START_S) -> None:
        """Start it and wait until it answers; the first start tells the API key."""
        self._port_file.unlink(missing_ok=True)
        self.launch()
        self.port = port_in(self._port_file, self, timeout_s)
        if not self.key:
            found = until(lambda: _KEY_LINE.search(self.out.read_bytes()), "the first API key on stdout", timeout_s)
            self.key = found.group().decode()

    def launch(self) -> None:
        """Start it without waiting for anything: for starts that are meant to fail."""
        super().start()

    def restart(self) -> Self:
        """Start again on the same folder after a stop or kill."""
        self.start()
        return self

    def wait_quiet(self, timeout_s: float = STOP_S) -> Ledger:
        """Wait until nothing is under way any more; the ledger comes back."""
        until(self.ledger.is_quiet, "the ledger to have no open row and no hold", timeout_s)
        return self.ledger


def stub(script: Mapping[str, Any], folder: Path, name: str = "stub") -> dict[str, Any]:
    """The `providers` entry of a stub that answers by `script`, which is written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.stub.yaml"
    path.write_bytes(orjson.dumps({"stub": 1, **script}, option=orjson.OPT_INDENT_2))
    return {name: {"type": "stub", "script": str(path)}}
