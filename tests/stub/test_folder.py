"""The folders of runs: nothing is left of them, and nobody's is taken."""

import fcntl
import os
from pathlib import Path

import pytest

from otari.stub.folder import LEFT_S, PREFIX, run_folder, sweep

NOW_S = 1_800_000_000.0


def folder(place: Path, name: str, age_s: float) -> Path:
    made = place / name
    made.mkdir()
    (made / "stub.db.lock").write_text("1\n")
    os.utime(made, (NOW_S - age_s, NOW_S - age_s))
    return made


def test_a_run_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def failing_run() -> None:
        with run_folder() as made:
            assert list(tmp_path.iterdir()) == [made]
            (made / "stub.db").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_run()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_run_goes_with_a_later_one(tmp_path: Path) -> None:
    folder(tmp_path, f"{PREFIX}killed", LEFT_S + 1)
    kept = [folder(tmp_path, f"{PREFIX}young", LEFT_S - 1), folder(tmp_path, "somebody-elses", 2 * LEFT_S)]
    used = folder(tmp_path, f"{PREFIX}used", 2 * LEFT_S)
    (tmp_path / f"{PREFIX}link").symlink_to(kept[1])
    with open(used / "stub.db.lock", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        sweep(tmp_path, NOW_S)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(path.name for path in kept), used.name, f"{PREFIX}link"]
    )
    assert list(kept[1].iterdir())


def test_a_place_that_can_not_be_looked_into_is_left_alone(tmp_path: Path) -> None:
    sweep(tmp_path / "gone", NOW_S)
