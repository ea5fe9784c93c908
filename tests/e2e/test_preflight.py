"""The built file in bad surroundings: it works all the same, or ends with one line that says what to do."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.starts import PYTHON, load, start

STRANGER = 54321  # a user id that the machine does not know
DAY_S = 24 * 3600


def cache_in(root: Path) -> Path:
    """The one folder that was unpacked below `root`."""
    (folder,) = (path for path in root.iterdir() if (path / "site-packages").is_dir())
    return folder


@pytest.fixture
def root(pyz: Path, tmp_path: Path) -> Path:
    """A cache that is complete."""
    folder = tmp_path / "cache"
    assert load(pyz, {"OTARI_CACHE_DIR": folder}).code == 0
    return folder


# --- where it unpacks to


def test_the_variables_for_it_come_first(pyz: Path, tmp_path: Path) -> None:
    names = ("SHIV_ROOT", "OTARI_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR")
    places = {name: tmp_path / name for name in names}
    places["TMPDIR"].mkdir()
    expected = {
        "SHIV_ROOT": tmp_path / "SHIV_ROOT",
        "OTARI_CACHE_DIR": tmp_path / "OTARI_CACHE_DIR",
        "XDG_CACHE_HOME": tmp_path / "XDG_CACHE_HOME" / "otari",
        "HOME": tmp_path / "HOME" / ".cache" / "otari",
    }
    for name, root in expected.items():
        assert load(pyz, places).code == 0
        assert cache_in(root).name.startswith(f"{pyz.name}_"), name
        assert root.stat().st_mode & 0o777 == 0o700
        del places[name]


@pytest.mark.parametrize("home", ["", "/", "/proc/self", "relative", "/dev/null"])
def test_a_useless_home_leads_to_temporary_files(pyz: Path, tmp_path: Path, home: str) -> None:
    ended = load(pyz, {"HOME": home, "TMPDIR": tmp_path})
    assert (ended.code, ended.err) == (0, "")
    assert cache_in(tmp_path / f"otari-{os.getuid()}")
    assert (tmp_path / f"otari-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_a_useless_xdg_folder_leads_home(pyz: Path, tmp_path: Path) -> None:
    assert load(pyz, {"XDG_CACHE_HOME": "/dev/null", "HOME": tmp_path}).code == 0
    assert cache_in(tmp_path / ".cache" / "otari")


@pytest.mark.parametrize("variable", ["SHIV_ROOT", "OTARI_CACHE_DIR"])
def test_a_folder_that_was_asked_for_is_never_replaced_by_another(pyz: Path, tmp_path: Path, variable: str) -> None:
    ended = load(pyz, {variable: "/dev/null/cache", "HOME": tmp_path, "TMPDIR": tmp_path})
    assert ended.refused(f"{variable}=/dev/null/cache", "Not a directory")
    assert list(tmp_path.iterdir()) == []


def test_a_loose_umask_does_not_let_others_write(pyz: Path, tmp_path: Path) -> None:
    loose = ("sh", "-c", 'umask 0; exec "$@"', "sh", PYTHON)
    assert load(pyz, {"OTARI_CACHE_DIR": tmp_path / "cache"}, python=loose).code == 0
    assert [path for path in (tmp_path / "cache").rglob("*") if path.stat().st_mode & 0o022] == []


# --- what it refuses


def test_a_planted_folder_is_refused(pyz: Path, tmp_path: Path) -> None:
    planted = tmp_path / f"otari-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    ended = load(pyz, {"HOME": "/", "TMPDIR": tmp_path})
    assert ended.refused(str(planted), "other users can write to it", "OTARI_CACHE_DIR")


def test_a_planted_link_is_refused(pyz: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / f"otari-{os.getuid()}").symlink_to(tmp_path / "mine")
    assert load(pyz, {"HOME": "/", "TMPDIR": tmp_path}).refused("is a link")
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser can give a folder away")
def test_a_folder_of_somebody_else_is_refused(pyz: Path, tmp_path: Path) -> None:
    planted = tmp_path / f"otari-{os.getuid()}"
    planted.mkdir(mode=0o755)
    os.chown(planted, STRANGER, STRANGER)
    assert load(pyz, {"HOME": "/", "TMPDIR": tmp_path}).refused("belongs to another user")


def test_a_full_disk_is_told_and_leaves_nothing_behind(pyz: Path, tmp_path: Path) -> None:
    small = ("sh", "-c", 'ulimit -f 100; exec "$@"', "sh", PYTHON)
    ended = load(pyz, {"OTARI_CACHE_DIR": tmp_path}, python=small)
    assert ended.refused(f"can not unpack into {tmp_path}", "File too large")
    assert list(tmp_path.iterdir()) == []


def test_assertions_must_be_on(pyz: Path, tmp_path: Path) -> None:
    assert load(pyz, {"OTARI_CACHE_DIR": tmp_path}, python=(PYTHON, "-O")).refused("PYTHONOPTIMIZE")
    assert load(pyz, {"OTARI_CACHE_DIR": tmp_path, "PYTHONOPTIMIZE": "1"}).refused("PYTHONOPTIMIZE")


@pytest.mark.parametrize("words", [["serve"], ["--help"]])
def test_another_python_is_told_which_one_is_needed(pyz: Path, tmp_path: Path, words: list[str]) -> None:
    other = tmp_path / "otari.pyz"
    rewrite(pyz, other, f'CACHE_TAG = "{sys.implementation.cache_tag}"', 'CACHE_TAG = "cpython-399"')
    ended = start(other, words, {"HOME": tmp_path})
    assert ended.refused("needs CPython 3.99", f"Start it with: python3.99 {other}")


def test_another_machine_is_told_which_one_it_was_built_for(pyz: Path, tmp_path: Path) -> None:
    other = tmp_path / "otari.pyz"
    rewrite(pyz, other, 'MULTIARCH = "', 'MULTIARCH = "vax-')
    assert start(other, ["--help"], {"HOME": tmp_path}).refused("was built for vax-", "make build")


def rewrite(pyz: Path, other: Path, old: str, new: str) -> None:
    """A copy of the file whose preflight differs."""
    with zipfile.ZipFile(pyz) as archive, zipfile.ZipFile(other, "w") as copy:
        for name in archive.namelist():
            text = archive.read(name)
            if name == "__main__.py":
                assert old.encode() in text
                text = text.replace(old.encode(), new.encode())
            if name != "__main__.pyc":
                copy.writestr(name, text)


# --- whose packages it takes


def test_packages_on_pythonpath_do_not_replace_ours(pyz: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "orjson.py").write_text("fake = True")
    environment: dict[str, str | Path] = {"OTARI_CACHE_DIR": root, "PYTHONPATH": tmp_path}
    code = "import orjson; print(hasattr(orjson, 'fake'))"
    assert load(pyz, environment, code).out == "False\n"
    assert load(pyz, environment | {"OTARI_KEEP_PYTHONPATH": "1"}, code).out == "True\n"


def test_a_pythonpath_that_names_the_standard_library_does_no_harm(pyz: Path, root: Path) -> None:
    ended = load(pyz, {"OTARI_CACHE_DIR": root, "PYTHONPATH": Path(os.__file__).parent}, "import sqlite3, uuid")
    assert (ended.code, ended.err) == (0, "")


# --- a cache that has a history


def test_a_cache_that_lost_a_file_is_repaired(pyz: Path, root: Path) -> None:
    lost = cache_in(root) / "site-packages" / "orjson" / "__init__.py"
    lost.unlink()
    ended = load(pyz, {"OTARI_CACHE_DIR": root}, "import orjson; print(orjson.dumps([1]))")
    assert (ended.code, ended.out, ended.err) == (0, "b'[1]'\n", "")
    assert lost.is_file()
    assert len(list(root.iterdir())) == 1


def test_many_starts_at_once_all_succeed(pyz: Path, root: Path) -> None:
    shutil.rmtree(cache_in(root) / "site-packages" / "aiohttp")
    with ThreadPoolExecutor(4) as pool:
        starts = [pool.submit(load, pyz, {"OTARI_CACHE_DIR": root}, "import aiohttp") for _ in range(6)]
    assert [(start.result().code, start.result().err) for start in starts] == [(0, "")] * 6
    assert len(list(root.iterdir())) == 1


def test_old_builds_are_removed_after_a_month_unless_they_run(pyz: Path, root: Path) -> None:
    month_ago, week_ago = time.time() - 31 * DAY_S, time.time() - 7 * DAY_S
    ages = {
        "otari.pyz_0123456789abcdef": month_ago,
        "otari-9.pyz_0123456789abcdef.77.new": month_ago,
        "otari.pyz_aaaaaaaaaaaaaaaa": month_ago,
        "otari.pyz_bbbbbbbbbbbbbbbb": week_ago,
        "notes.txt_0123456789abcdef": month_ago,
    }
    for name, used_at in ages.items():
        (root / name / "site-packages").mkdir(parents=True)
        os.utime(root / name, (used_at, used_at))
    running = os.open(root / "otari.pyz_aaaaaaaaaaaaaaaa", os.O_RDONLY)
    ours = cache_in_use(root, ages)
    try:
        fcntl.flock(running, fcntl.LOCK_SH)
        assert load(pyz, {"OTARI_CACHE_DIR": root}).code == 0
    finally:
        os.close(running)
    kept = {"otari.pyz_aaaaaaaaaaaaaaaa", "otari.pyz_bbbbbbbbbbbbbbbb", "notes.txt_0123456789abcdef", ours}
    assert {path.name for path in root.iterdir()} == kept


def cache_in_use(root: Path, others: dict[str, float]) -> str:
    """The name of the one folder below `root` that is not among `others`."""
    (name,) = {path.name for path in root.iterdir()} - set(others)
    return name


def test_a_running_start_keeps_its_cache(pyz: Path, root: Path) -> None:
    # A start holds a shared lock on its folder for as long as it lives: what the removal of old builds looks for.
    folder = cache_in(root)
    code = (
        f"import fcntl, os; other = os.open({str(folder)!r}, os.O_RDONLY);"
        "fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    ended = load(pyz, {"OTARI_CACHE_DIR": root}, code)
    assert ended.code == 1
    assert "BlockingIOError" in ended.err


# --- another user


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can look into, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def strangers_python() -> str:
    """An interpreter for this build that an unknown user can run."""
    if os.getuid() != 0:
        pytest.skip("only the superuser can become another user")
    probe = f"import sys; sys.exit(sys.implementation.cache_tag != {sys.implementation.cache_tag!r})"
    for python in (PYTHON, "/usr/bin/python3"):
        try:
            if subprocess.run([python, "-c", probe], user=STRANGER, group=STRANGER, env={}).returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip("an unknown user can run no interpreter of this version here")


def test_an_unknown_user_without_a_home_uses_temporary_files(
    pyz: Path, open_folder: Path, strangers_python: str
) -> None:
    copy = Path(shutil.copy(pyz, open_folder))
    temporary = open_folder / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    ended = load(copy, {"TMPDIR": temporary}, python=(strangers_python,), uid=STRANGER)
    assert (ended.code, ended.err) == (0, "")
    assert cache_in(temporary / f"otari-{STRANGER}")


def test_a_complete_cache_serves_users_who_can_not_write_to_it(
    pyz: Path, open_folder: Path, strangers_python: str
) -> None:
    copy = Path(shutil.copy(pyz, open_folder))
    shared = open_folder / "shared"
    shared.mkdir(mode=0o755)
    python = (strangers_python,)
    environment = {"OTARI_CACHE_DIR": shared}
    refused = load(copy, environment, python=python, uid=STRANGER)
    assert refused.refused("not writable, and not filled")
    assert load(copy, environment, python=python).code == 0
    assert load(copy, environment, python=python, uid=STRANGER).code == 0


def test_every_place_that_was_tried_is_named(pyz: Path, open_folder: Path, strangers_python: str) -> None:
    copy = Path(shutil.copy(pyz, open_folder))
    temporary = open_folder / "tmp"
    planted = temporary / f"otari-{STRANGER}"
    planted.mkdir(parents=True)
    temporary.chmod(0o1777)
    places: dict[str, str | Path] = {"XDG_CACHE_HOME": "/dev/null", "HOME": "/proc/self", "TMPDIR": temporary}
    ended = load(copy, places, python=(strangers_python,), uid=STRANGER)
    assert ended.refused(
        "OTARI_CACHE_DIR", "/dev/null/otari: ", "/proc/self/.cache/otari: ", f"{planted}: not writable"
    )
