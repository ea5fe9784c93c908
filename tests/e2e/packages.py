"""Client libraries of Python in an environment of their own, made once in a cache folder from locked requirements."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.e2e.gateway import cache_home, plain_python

LOCKED = Path(__file__).parents[2] / "requirements" / "clients.txt"
_INSTALL_S = 600.0


def clients_python() -> Path:
    """The interpreter of an environment with what `requirements/clients.txt` names, installed on a miss."""
    digest = hashlib.sha256(LOCKED.read_bytes()).hexdigest()[:16]
    folder = cache_home() / f"clients-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run side by side
        if not folder.exists():
            _install(folder)
    return folder / "bin" / "python"


def _install(folder: Path) -> None:
    """Into a folder that gets its name when it is whole."""
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    python = fresh / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    for command in ([plain_python(), "-m", "venv", fresh], [*pip, "--requirement", LOCKED]):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=_INSTALL_S)
        assert done.returncode == 0, f"the packages of {LOCKED.name} could not be installed:\n{done.stderr[-3000:]}"
    fresh.rename(folder)
