"""Programs from npm, installed once into a cache folder: which package holds the one for this machine, and where in it.

What people install is a small package that picks one of these by a script; the tests name it themselves, so that no
script runs and nothing is fetched that is for other machines.
"""

import fcntl
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.gateway import cache_home

CLAUDE_CODE_VERSION = "2.1.330"
CODEX_VERSION = "0.169.0"
OPENCODE_VERSION = "1.18.33"

_INSTALL_S = 900.0
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_CODEX_TARGETS = {
    "linux-x64": "x86_64-unknown-linux-musl",
    "linux-arm64": "aarch64-unknown-linux-musl",
    "darwin-x64": "x86_64-apple-darwin",
    "darwin-arm64": "aarch64-apple-darwin",
}


class MissingTool(Exception):
    """A program that these tests need is not there and can not be had; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """An executable in a package of npm. `package` is what npm is asked for, `inside` lies below `node_modules`."""

    name: str
    package: str
    inside: Path


def claude_code() -> Path:
    """The Claude Code executable for this machine, installed on a miss. Raises MissingTool."""
    name = f"@anthropic-ai/claude-code-{_machine()}{_musl()}"
    return _installed(
        Program(f"claude-code-{CLAUDE_CODE_VERSION}", f"{name}@{CLAUDE_CODE_VERSION}", Path(name, "claude"))
    )


def codex() -> Path:
    """The Codex executable for this machine, installed on a miss. Raises MissingTool."""
    machine = _machine()
    inside = Path("@openai/codex/vendor", _CODEX_TARGETS[machine], "bin/codex")
    return _installed(Program(f"codex-{CODEX_VERSION}", f"@openai/codex@{CODEX_VERSION}-{machine}", inside))


def opencode() -> Path:
    """The opencode executable for this machine, installed on a miss. Raises MissingTool."""
    machine = _machine()
    baseline = "-baseline" if machine.endswith("x64") and not _has_avx2() else ""
    name = f"opencode-{machine}{baseline}{_musl()}"
    return _installed(Program(f"opencode-{OPENCODE_VERSION}", f"{name}@{OPENCODE_VERSION}", Path(name, "bin/opencode")))


def _installed(program: Program) -> Path:
    """Where `program` lies in the cache, installed on a miss. Raises MissingTool."""
    target = cache_home() / program.name
    executable = target / "node_modules" / program.inside
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes may run side by side
        if not executable.exists():
            _install(program, target)
    return executable


def _install(program: Program, target: Path) -> None:
    """Install into a folder beside `target` and move it there when it is whole."""
    package = program.package
    npm = shutil.which("npm")
    if npm is None:
        raise MissingTool(f"npm is needed to install {package}; on Debian: apt install npm")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(part), package]
    part.mkdir()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, cwd=part)
    except subprocess.TimeoutExpired:
        raise MissingTool(f"npm did not install {package} within {_INSTALL_S:g} s") from None
    if done.returncode != 0:
        raise MissingTool(f"npm could not install {package}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    if not (part / "node_modules" / program.inside).exists():
        raise MissingTool(f"{package} has no executable for this machine: {program.inside} is missing in it")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def _machine() -> str:
    """System and processor as the packages name them. Raises MissingTool where nothing is published for them."""
    system, machine = platform.system(), platform.machine().lower()
    if system not in _SYSTEMS or machine not in _MACHINES:
        raise MissingTool(f"the clients of these tests are not published for {system} on {machine}")
    return f"{_SYSTEMS[system]}-{_MACHINES[machine]}"


def _musl() -> str:
    """What is added to a package's name where the C library is not glibc."""
    return "-musl" if platform.system() == "Linux" and platform.libc_ver()[0] != "glibc" else ""


def _has_avx2() -> bool:
    """Whether an x86 processor knows AVX2, which the ordinary build of opencode needs."""
    try:
        return "avx2" in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return platform.system() == "Darwin"  # every Mac that still gets updates does
