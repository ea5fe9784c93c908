"""Schemathesis makes requests from the OpenAPI document that the built gateway serves, right ones and wrong ones.

It finds server errors, statuses, headers, content types and bodies that are not documented, wrong requests that are
accepted, right ones that are refused, and methods that should not be there. `schemathesis.toml` says how.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.gateway import MASTER_KEY, Gateway
from tests.e2e.process import bare_env
from tests.e2e.wire import CHAT, chat, exchange, request

EXAMPLES = 8  # for each operation in each phase; the phase that tries every limit has as many as there are limits
RUN_S = 240.0  # it takes about ten; the machine may be busy
CONFIG = Path(__file__).with_name("schemathesis.toml")
PROGRAM = Path(sys.executable).with_name("st")
CALLS = (
    *("/v1/embeddings", "/v1/moderations", "/v1/rerank", "/v2/rerank", "/v1/images/generations"),
    *("/v1/audio/transcriptions", "/v1/audio/speech"),
)
ASKS = (CHAT, "/v1/messages", "/v1/messages/count_tokens", "/v1/responses", *CALLS)
MANAGED = ("/v1/keys", "/v1/users", "/v1/budgets", "/v1/usage")
FILES = "/v1/files"
BATCHES = "/v1/batches"
OPEN = {"/health", "/health/liveness", "/health/readiness", "/openapi.json", "/docs", "/redoc", "/metrics"}
OTHER = "other"  # what no route answers
_COUNTED = re.compile(r'^otari_requests_total\{method="(\w+)",route="([^"]+)",status="(\d)xx"\}', re.MULTILINE)


def gateway(pyz: Path, folder: Path) -> Gateway:
    providers = {"stub": {"type": "stub"}}
    return Gateway(
        pyz,
        folder,
        {"providers": providers, "require_pricing": False, "enable_metrics": True, "durability": "normal"},
    )


def run(house: Gateway, headers: Mapping[str, str]) -> dict[str, Any]:
    """One run over everything that the document has. The report comes back; it has no finding."""
    report = house.folder / "report.json"
    command = [PROGRAM, "--config-file", CONFIG, "run", f"{house.url}/openapi.json", "--no-color"]
    command += ["--max-examples", str(EXAMPLES), "--report", "json", "--report-json-path", report]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=house.folder,
        env=bare_env(house.folder),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr}\n{house.tail()}"
    told: dict[str, Any] = orjson.loads(report.read_bytes())
    assert told["complete"]
    assert told["operations"]["tested"] == told["operations"]["total"]
    assert set(told["phases"]) == {"examples", "coverage", "fuzzing", "stateful"}
    return told


def answered(house: Gateway) -> dict[tuple[str, str], set[str]]:
    """The classes of statuses (their first digits) that each route has answered; none of them is a failure of ours."""
    metrics = exchange(house.port, request("GET", "/metrics", {})).body.decode()
    seen: dict[tuple[str, str], set[str]] = {}
    for method, route, digit in _COUNTED.findall(metrics):
        seen.setdefault((method, route), set()).add(digit)
    assert not [route for route, digits in seen.items() if "5" in digits]
    return seen


def test_with_the_master_key(pyz: Path, tmp_path: Path) -> None:
    with gateway(pyz, tmp_path) as house:
        assert exchange(house.port, chat(house.key, "stub:echo")).status == 200  # so that there is usage to look at
        run(house, {"Authorization": f"Bearer {MASTER_KEY}"})
        unreached = {route for route, digits in answered(house).items() if "2" not in digits}
        unreached = {route for route in unreached if not route[1].startswith((FILES, BATCHES))}  # whose, it must say
        assert unreached <= {("GET", "/v1/responses"), (OTHER, OTHER), *(("POST", path) for path in ASKS)}


def test_with_a_users_key(pyz: Path, tmp_path: Path) -> None:
    with gateway(pyz, tmp_path) as house:
        run(house, {"Authorization": f"Bearer {house.key}"})
        seen = answered(house)
        assert all("2" in seen["POST", path] for path in ASKS)
        assert all("2" in seen[method, path] for method in ("POST", "GET") for path in (FILES, BATCHES))
        managed = [digits for (_, path), digits in seen.items() if path.startswith(MANAGED)]
        assert len(managed) > len(MANAGED)
        assert all(digits == {"4"} for digits in managed)


def test_without_a_key(pyz: Path, tmp_path: Path) -> None:
    with gateway(pyz, tmp_path) as house:
        run(house, {})
        assert {path for (_, path), digits in answered(house).items() if "2" in digits} == OPEN
