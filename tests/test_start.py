"""What a start does not load, because it would only wait for it."""

import os
import subprocess
import sys
from pathlib import Path

import orjson

LATER = ("tiktoken", "regex", "pypdf", "importlib.resources", "sqlite3.dump", "unittest", "multiprocessing")

# Builds a gateway, listens and ends, in a process that has loaded nothing else.
SERVE = """
import asyncio, os, sys
from otari.config import load
from otari.serving import build, listening

async def serve():
    loaded = load(None, os.environ)
    gateway = await build(loaded.config, loaded.environ)
    async with listening(gateway, loaded.config):
        print(*sys.modules)

asyncio.run(serve())
"""
STUB = """
import sys
from otari.stub.verb import run_words
run_words(["--", "true"])
print(*sys.modules)
"""


def loaded(code: str, folder: Path, **config: object) -> set[str]:
    """The modules of a process that has run `code`, beside those that every process here has."""
    document = orjson.dumps({"database_url": f"sqlite:///{folder}/otari.db", "port": 0, **config}).decode()
    environ = {"PATH": os.environ["PATH"], "OTARI_CONFIG_YAML": document}
    return _modules(code, environ, folder) - _modules("import sys; print(*sys.modules)", environ, folder)


def _modules(code: str, environ: dict[str, str], folder: Path) -> set[str]:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def below(modules: set[str], *names: str) -> list[str]:
    """Those of `modules` that are named, or below one that is."""
    return sorted(module for module in modules if any(f"{module}.".startswith(f"{name}.") for name in names))


def test_a_gateway_without_scripts_loads_nothing_of_them(tmp_path: Path) -> None:
    modules = loaded(SERVE, tmp_path)
    assert below(modules, *LATER, "otari.stage", "otari.stub", "otari.upstreams.stub", "otari.extraction.worker") == []


def test_one_with_a_stub_does(tmp_path: Path) -> None:
    modules = loaded(SERVE, tmp_path, providers={"stub": {"type": "stub"}})
    assert below(modules, "otari.stage", "otari.upstreams.stub.act")
    assert below(modules, *LATER, "otari.stub") == []


def test_a_run_of_the_stub_loads_no_recorder_and_no_tables(tmp_path: Path) -> None:
    modules = loaded(STUB, tmp_path)
    apart = ("otari.stub.taping", "otari.stub.drift", "otari.stub.checking", "otari.upstreams.stub.recorder")
    assert below(modules, *LATER, *apart, "otari.command", "otari.extraction.worker") == []
