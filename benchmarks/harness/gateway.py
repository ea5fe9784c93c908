"""The gateway under test: its configuration, its key, a budget in force, its ledger afterwards."""

import contextlib
import json
import os
import re
import secrets
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.load import Target
from harness.machine import Cores
from harness.processes import BenchmarkError, Server, free_port, serving

Durability = Literal["full", "normal"]

# The models of the mock that scenarios ask for; their names tell it what to answer.
WHOLE = "mock-d0"
FIREHOSE_CHUNKS = 2000
FIREHOSE = f"mock-n{FIREHOSE_CHUNKS}-i0"
PACED = "mock-d0-n20-i5"

# The mock under two names: as a provider that speaks Chat Completions, and as one that speaks Messages.
_PROVIDERS = {"mock": ("openai", "chat"), "mock-messages": ("anthropic", "messages")}
_PRICE = {"input_price_per_million": 1.0, "output_price_per_million": 2.0}
_BUDGET_ID = "benchmark"
_BUDGET_NANO_USD = 10**15  # a million dollars: in force on every request, never reached
_KEY_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """How to start a gateway in a folder of its own, in front of the mock."""

    file: Path
    folder: Path
    mock_port: int
    cores: Cores
    durability: Durability = "full"

    @property
    def database(self) -> Path:
        """Where its ledger is."""
        return self.folder / "otari.db"

    @property
    def command(self) -> list[str | Path]:
        """The interpreter without any virtual environment: the file has to bring its libraries along."""
        return [_plain_python(), self.file]

    def env(self, cache: Path | None = None) -> dict[str, str]:
        """A bare environment: no provider keys of the caller, and a cache folder of the run's own."""
        cache = cache or self.folder.parent / "cache"
        return {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": str(cache),
            "PYTHONUNBUFFERED": "1",
            "LC_ALL": "C.UTF-8",
        }

    @contextlib.contextmanager
    def process(self, cache: Path | None = None) -> Iterator[Server]:
        """The gateway as a process, healthy."""
        port = free_port()
        config = self._write_config(port)
        with serving(
            f"otari, durability {self.durability}",
            [*self.command, "--config", config],
            port=port,
            core=self.cores.target,
            log=self.folder / "otari.log",
            env=self.env(cache),
            cwd=self.folder,
        ) as server:
            yield server

    @contextlib.contextmanager
    def target(self) -> Iterator[Target]:
        """The gateway with a key whose user has a budget, as a target of load.

        Afterwards its ledger is checked: a gateway that lost rows would have been cheaper than it is.
        Raises BenchmarkError when the ledger does not hold exactly one settled row per answer.
        """
        with self.process() as first:
            key = _printed_key(first)
        _give_budget(self.database)
        with self.process() as server:
            target = Target(
                f"gateway, {self.durability}",
                server.port,
                server,
                headers=(f"Authorization: Bearer {key}",),
                routes=True,
            )
            yield target
        check_ledger(self.database, target.answered)

    def _write_config(self, port: int) -> Path:
        config = {
            "host": "127.0.0.1",
            "port": port,
            "database_url": f"sqlite:///{self.database}",  # with the path's own slash: four
            "durability": self.durability,
            "master_key": secrets.token_hex(32),
            "providers": {
                name: {
                    "type": kind,
                    "dialects": [dialect],
                    "api_key": "up",
                    "api_base": f"http://127.0.0.1:{self.mock_port}/v1",
                }
                for name, (kind, dialect) in _PROVIDERS.items()
            },
            "pricing": {f"{name}:{model}": _PRICE for name in _PROVIDERS for model in (WHOLE, FIREHOSE, PACED)},
            "require_pricing": True,
        }
        path = self.folder / "otari.yaml"
        path.write_text(json.dumps(config, indent=2))  # JSON is YAML
        path.chmod(0o600)
        return path


def _plain_python() -> Path:
    inside = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return inside if inside.exists() else Path(sys.executable)


def _printed_key(server: Server) -> str:
    """The virtual key that a gateway without keys makes and prints, alone on a line."""
    deadline = time.monotonic() + _KEY_TIMEOUT_S
    while time.monotonic() < deadline:
        found = re.search(r"^gw-[\w-]+$", server.log.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found.group()
        time.sleep(0.01)
    raise BenchmarkError(f"{server.name} printed no key of its own:\n{server.log_tail()}")


def _give_budget(database: Path) -> None:
    """Put every user under one budget. Not while a gateway runs: the ledger is its own."""
    with contextlib.closing(sqlite3.connect(database)) as ledger, ledger:
        ledger.execute(
            "INSERT INTO budgets (budget_id, max_nano, created_at_ms, updated_at_ms) VALUES (?, ?, 0, 0)",
            (_BUDGET_ID, _BUDGET_NANO_USD),
        )
        changed = ledger.execute("UPDATE users SET budget_id = ?", (_BUDGET_ID,)).rowcount
    if not changed:
        raise BenchmarkError("the ledger has no user to put under a budget")


def check_ledger(database: Path, answered: int) -> None:
    """Compare the ledger of a gateway that has ended with the answers that load received from it.

    Raises BenchmarkError unless there is one settled row per answer, each with a cost, and their sum is what the
    users spent.
    """
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as ledger:
        settled, cost_nano = ledger.execute(
            "SELECT count(*), coalesce(sum(cost_nano), 0) FROM usage"
            " WHERE state = 'settled' AND status = 'success' AND cost_nano > 0"
        ).fetchone()
        rows, spend_nano = ledger.execute(
            "SELECT (SELECT count(*) FROM usage), (SELECT sum(spend_nano) FROM users)"
        ).fetchone()
    if (rows, settled, spend_nano) != (answered, answered, cost_nano):
        raise BenchmarkError(
            f"the ledger does not agree: {answered} answers, {rows} rows, {settled} of them settled with a "
            f"cost; rows cost {cost_nano} nano-USD, users spent {spend_nano}"
        )
