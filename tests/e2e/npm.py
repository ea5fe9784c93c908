"""Programs from npm, installed once into a cache folder: which one this machine needs, and where it lies."""

import fcntl
import platform
import shutil
import subprocess
from pathlib import Path

from tests.e2e.gateway import cache_home

OPENCODE_VERSION = "1.18.33"

_INSTALL_S = 600.0
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class MissingTool(Exception):
    """A program that these tests need is not there and can not be had; the text says what to do."""


def opencode() -> Path:
    """The opencode executable for this machine, installed on a miss. Raises MissingTool."""
    target = cache_home() / f"opencode-{OPENCODE_VERSION}"
    inside = Path("node_modules", _opencode_package(), "bin", "opencode")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes may run side by side
        if not (target / inside).exists():
            _install(f"opencode-ai@{OPENCODE_VERSION}", target, inside)
    return target / inside


def _install(package: str, target: Path, inside: Path) -> None:
    """Install into a folder beside `target` and move it there when it is whole."""
    npm = shutil.which("npm")
    if npm is None:
        raise MissingTool(f"npm is needed to install {package}; on Debian: apt install npm")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    # The package's own install script would only look for the executable that we name ourselves.
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(part), package]
    part.mkdir()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, cwd=part)
    except subprocess.TimeoutExpired:
        raise MissingTool(f"npm did not install {package} within {_INSTALL_S:g} s") from None
    if done.returncode != 0:
        raise MissingTool(f"npm could not install {package}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    if not (part / inside).exists():
        raise MissingTool(f"{package} has no executable for this machine: {inside} is missing after the install")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def _opencode_package() -> str:
    """The npm package that holds the executable for this system, processor and C library."""
    system, machine = platform.system(), platform.machine().lower()
    if system not in _SYSTEMS or machine not in _MACHINES:
        raise MissingTool(f"opencode is not published for {system} on {machine}")
    words = ["opencode", _SYSTEMS[system], _MACHINES[machine]]
    if words[2] == "x64" and not _has_avx2():
        words.append("baseline")
    if system == "Linux" and platform.libc_ver()[0] != "glibc":
        words.append("musl")
    return "-".join(words)


def _has_avx2() -> bool:
    """Whether an x86 processor knows AVX2, which the ordinary build of opencode needs."""
    try:
        return "avx2" in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return platform.system() == "Darwin"  # every Mac that still gets updates does
