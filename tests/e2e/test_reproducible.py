"""The same sources give the same file, byte for byte, wherever they lie and whoever builds."""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from tests.e2e.starts import PYTHON

ROOT = Path(__file__).parents[2]
INPUTS = ["otari", "config", "requirements", "scripts", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]


def copy_sources(target: Path) -> None:
    """Copy what goes into the file, without leftovers of other tools."""
    leftovers = shutil.ignore_patterns("__pycache__", "*.pk")
    target.mkdir(parents=True)
    for name in INPUTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=leftovers)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, target)


def build(sources: Path, umask: int, environment: dict[str, str]) -> str:
    """Build in `sources`, and give the digest of the result."""
    done = subprocess.run(
        [sources / "scripts" / "build_zipapp.sh"],
        env={**os.environ, "PYTHON": PYTHON, **environment},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return sha256((sources / "otari.pyz").read_bytes()).hexdigest()


def test_two_builds_from_two_places_are_the_same(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "a path with spaces" / "and" / "depth"
    copy_sources(here)
    shutil.copytree(here, there)
    first = build(here, 0o022, {"TZ": "UTC"})
    # The second one uses the tools of the first: they are locked, and installing them again proves nothing.
    tools = str(here / "build" / "venv")
    assert build(there, 0o077, {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "BUILD_VENV": tools}) == first
