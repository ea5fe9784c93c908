"""What the machine is and how busy it is, and which core does what."""

import contextlib
import importlib.metadata
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = b"\0" * 4096


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of mock and load, and the core of the program under test; None where there is only one."""

    load: int | None
    target: int | None


def choose_cores() -> Cores:
    """The first two cores that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1]) if len(allowed) > 1 else Cores(None, None)


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Run on one core meanwhile. Children started inside inherit it, with all their threads."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe_machine() -> dict[str, str]:
    """Facts that a reader needs to place the figures; none of them changes with the code."""
    return {
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores, {len(os.sched_getaffinity(0))} usable",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "aiohttp": importlib.metadata.version("aiohttp"),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def load_average() -> float:
    """How many tasks wanted a core during the last minute."""
    return os.getloadavg()[0]


def fdatasync_p50_ms(folder: Path, samples: int = 30) -> float:
    """The median time of forcing 4 kB of a file in this folder to the disk: the floor of one commit."""
    times_s = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(samples):
            began = time.perf_counter()
            os.write(file.fileno(), _BLOCK)
            os.fdatasync(file.fileno())
            times_s.append(time.perf_counter() - began)
    return statistics.median(times_s) * 1e3
