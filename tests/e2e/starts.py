"""Starts the built file in surroundings of the test's choice: nothing is inherited but PATH."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# The interpreter below the virtual environment of the tests, so that their packages are out of reach.
PYTHON: str = getattr(sys, "_base_executable", sys.executable)
WRONG_SURROUNDINGS = 78


@dataclass(frozen=True)
class Ended:
    """How a start ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    def refused(self, *words: str) -> bool:
        """Whether it ended with one clear line that has all `words`, and nothing else."""
        one_line = self.err.startswith("otari: ") and self.err.count("\n") == 1 and not self.out
        return self.code == WRONG_SURROUNDINGS and one_line and all(word in self.err for word in words)


def start(
    pyz: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str | Path],
    *,
    python: Sequence[str] = (PYTHON,),
    uid: int | None = None,
) -> Ended:
    """Run the file to its end, as another user if `uid` is given."""
    done = subprocess.run(
        [*python, str(pyz), *arguments],
        env={"PATH": os.environ["PATH"], **{name: str(value) for name, value in environment.items()}},
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def load(
    pyz: Path,
    environment: Mapping[str, str | Path],
    code: str = "import orjson",
    *,
    python: Sequence[str] = (PYTHON,),
    uid: int | None = None,
) -> Ended:
    """Run Python `code` with the libraries of the file, which has to unpack them for that."""
    return start(pyz, ["-c", code], {"SHIV_INTERPRETER": "1", **environment}, python=python, uid=uid)
