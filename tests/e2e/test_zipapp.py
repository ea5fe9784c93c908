"""What is in the built file, and what it answers without unpacking."""

import ast
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

import otari
from tests.e2e.starts import PYTHON, load, start

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
# The modules of ours that had to be compiled: their code came out of no file.
COMPILED_NOW = (
    "import os, sys; print([name for name, module in sorted(sys.modules.items())"
    " if 'site-packages' in (getattr(module, '__file__', None) or '') and module.__file__.endswith('.py')"
    " and not os.path.exists(module.__cached__)])"
)


@pytest.fixture(scope="module")
def entries(pyz: Path) -> list[str]:
    with zipfile.ZipFile(pyz) as archive:
        return archive.namelist()


def test_the_file_is_small(pyz: Path) -> None:
    assert pyz.stat().st_size <= 16 * MIB


def test_every_file_of_the_packages_is_in_it(entries: list[str]) -> None:
    # One that is missing here was forgotten in setup.cfg: in the list of packages, or in package_data.
    ours = {path.relative_to(ROOT) for path in (ROOT / "otari").rglob("*") if path.is_file()}
    wanted = {f"site-packages/{path}" for path in ours if path.suffix in (".py", ".sql", ".typed")}
    data = {path.name for path in (ROOT / "config").iterdir() if path.is_file()}
    wanted |= {f"site-packages/otari/data/{name}" for name in data}
    assert wanted - set(entries) == set()


@pytest.mark.parametrize(
    "name",
    ["otari/data/cl100k_base.pk", "otari/data/o200k_base.pk", "otari/data/NOTICE.tokens"],
)
def test_the_token_tables_and_their_licence_are_in_it(entries: list[str], name: str) -> None:
    assert f"site-packages/{name}" in entries


@pytest.mark.parametrize(
    "part",
    [".pth", "/bin/", "direct_url.json", "/RECORD", "/INSTALLER", "/requests/", "/urllib3/", "/certifi/", ".pyx"],
)
def test_nothing_is_in_it_that_should_not_be(entries: list[str], part: str) -> None:
    assert [name for name in entries if part in name] == []


def test_entries_say_nothing_about_where_and_when_it_was_built(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        seen = {(entry.date_time, entry.external_attr >> 16) for entry in archive.infolist()}
        assert seen == {((1980, 1, 1, 0, 0, 0), 0o100644)}
        assert not [name for name in archive.namelist() if str(ROOT).encode() in archive.read(name)]


def test_the_fast_parts_of_the_libraries_load(pyz: Path, tmp_path: Path) -> None:
    code = (
        "import aiohttp._http_parser, aiohttp._http_writer, aiohttp._websocket.mask, aiohttp._websocket.reader_c;"
        "import multidict._multidict, yarl._quoting_c, frozenlist._frozenlist, propcache._helpers_c;"
        "import yaml._yaml, msgspec._core, orjson.orjson, regex._regex, tiktoken._tiktoken"
    )
    ended = load(pyz, {"OTARI_CACHE_DIR": tmp_path / "cache"}, code)
    assert (ended.code, ended.err) == (0, "")


def test_a_token_table_counts(pyz: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.resources import files; from otari.domain.tokens import Tokenizer;"
        "t = Tokenizer('o200k_base', lambda name: (files('otari.data') / f'{name}.pk').read_bytes());"
        "print(t.count('hello world'))"
    )
    assert load(pyz, {"OTARI_CACHE_DIR": tmp_path / "cache"}, code).out == "2\n"


def test_nothing_is_compiled_again_at_the_first_start(pyz: Path, tmp_path: Path) -> None:
    load(pyz, {"OTARI_CACHE_DIR": tmp_path}, "import aiohttp.web, msgspec, tiktoken, yaml")
    with zipfile.ZipFile(pyz) as archive:
        packed = {name for name in archive.namelist() if name.startswith("site-packages/")}
    unpacked = {
        str(path.relative_to(root)) for root in tmp_path.iterdir() for path in root.rglob("*") if path.is_file()
    }
    assert unpacked == packed


def test_a_start_compiles_nothing(pyz: Path, tmp_path: Path) -> None:
    ended = load(pyz, {"OTARI_CACHE_DIR": tmp_path}, f"import otari.serving, otari.stub.run; {COMPILED_NOW}")
    assert (ended.code, ended.out) == (0, "[]\n")


def test_nor_does_the_process_that_reads_documents(pyz: Path, tmp_path: Path) -> None:
    # It is told where the libraries are, but not that most of their code lies in one file.
    load(pyz, {"OTARI_CACHE_DIR": tmp_path})
    (libraries,) = tmp_path.glob("*/site-packages")
    code = f"import sys; sys.path.insert(0, {str(libraries)!r}); import otari.extraction.worker; {COMPILED_NOW}"
    done = subprocess.run([PYTHON, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_logged_traceback_shows_the_source(pyz: Path, tmp_path: Path) -> None:
    code = (
        "import logging; from otari.config import load\n"
        "try: load('/nowhere.yaml', {})\n"
        "except Exception: logging.exception('so it went')"
    )
    ended = load(pyz, {"OTARI_CACHE_DIR": tmp_path}, code)
    source = (ROOT / "otari" / "config" / "files.py").read_text().splitlines()
    (raising,) = (line.strip() for line in source if "no such file" in line)
    assert 'File "otari/config/files.py", line ' in ended.err
    assert f"    {raising}\n" in ended.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["serve", "--help"]])
def test_help_needs_no_place_to_unpack_to(pyz: Path, tmp_path: Path, words: list[str]) -> None:
    ended = start(pyz, words, {"HOME": tmp_path, "TMPDIR": tmp_path})
    assert (ended.code, ended.err) == (0, "")
    assert "usage: otari.pyz" in ended.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["version", "--version"])
def test_version_needs_no_place_to_unpack_to(pyz: Path, tmp_path: Path, word: str) -> None:
    ended = start(pyz, [word], {"HOME": tmp_path, "TMPDIR": tmp_path})
    assert (ended.code, ended.out, ended.err) == (0, f"otari {otari.__version__}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick(pyz: Path) -> None:
    taken_s = []
    for _ in range(5):
        began = time.perf_counter()
        start(pyz, ["--help"], {})
        taken_s.append(time.perf_counter() - began)
    assert min(taken_s) < 0.15  # 0.02 to 0.03 on a machine that does nothing else


def test_old_interpreters_can_read_the_preflight() -> None:
    # Or they would answer with a syntax error instead of the line that says which one is needed.
    ast.parse((ROOT / "scripts" / "preflight.py").read_text(), feature_version=(3, 7))
