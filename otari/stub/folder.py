"""The folder of a run, for a ledger that nobody wants afterwards: gone at the end; if killed, with a later run."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "otari-stub-"
LEFT_S = 3600.0  # so old is the folder of a run that has long opened its ledger, and so locked it, or was killed


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for this run. At its end those of killed runs go with it: a start has no time for that."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        sweep(folder.parent, time.time())


def sweep(place: Path, now_s: float) -> None:
    """Remove the folders of killed runs from `place`: ours, old at `now_s` (seconds of the epoch), and in no use."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _is_left(entry, now_s):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: "os.DirEntry[str]", now_s: float) -> bool:
    try:
        facts = entry.stat(follow_symlinks=False)
        ours = entry.is_dir(follow_symlinks=False) and facts.st_uid == os.getuid()
        return ours and now_s - facts.st_mtime > LEFT_S and not any(map(_is_locked, Path(entry.path).glob("*.lock")))
    except OSError:
        return False


def _is_locked(path: Path) -> bool:
    """Whether a process has the database open whose lock this is."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
