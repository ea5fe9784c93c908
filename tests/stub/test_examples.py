"""The examples for CI: they are what the page shows, and they run. The end-to-end tests run them with real clients."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml

from otari.ready import wait_ready
from otari.stage import read_stub_scripts
from otari.stub.options import Options, read_options
from tests.stub.command import TIMEOUT_S

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "ci"
PAGE = (ROOT / "docs" / "stub.md").read_text()
PARAMETERS = """
import pytest, app

@pytest.mark.parametrize("way", ["a b & c#d", "f/g?"])
def test_any(way):
    assert app.complete([{"role": "user", "content": "Are you there? are you there"}])["content"] == "Yes."
"""
SHIM = "import sys\nfrom otari.cli import main\nsys.exit(main())\n"  # in the place of the built file


def test_the_conftest_is_fifteen_lines_and_the_one_on_the_page() -> None:
    text = (EXAMPLES / "conftest.py").read_text()
    code = [line for line in text.split('"""', 2)[2].splitlines() if line.strip()]
    assert len(code) == 15
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert shown in text


@pytest.mark.parametrize("name", ["stub.yaml", "coding.yaml"])
def test_the_scripts_are_in_order(name: str) -> None:
    assert read_stub_scripts([str(EXAMPLES / name)]).rules


def test_the_jobs_on_the_page_are_those_of_the_files() -> None:
    step = yaml.safe_load((EXAMPLES / "github.yaml").read_text())["jobs"]["test"]["steps"][3]["run"]
    script = yaml.safe_load((EXAMPLES / "gitlab.yaml").read_text())["test"]["script"]
    assert f"- run: {step}" in PAGE
    assert ", ".join(script) in PAGE


def test_the_words_in_the_dockerfile_are_understood() -> None:
    lines = (EXAMPLES / "Dockerfile").read_text().splitlines()
    check, serve = (orjson.loads(line[line.index("[") :]) for line in lines if "CMD [" in line)
    assert serve[:3] == ["python", "/otari.pyz", "stub"]
    assert read_options(serve[3:]) == Options(scripts=("/stub.yaml",), host="0.0.0.0", port=8000)
    assert check[:3] == ["python", "/otari.pyz", "wait-ready"]
    assert wait_ready([*check[3:], "--timeout", "0", "http://127.0.0.1:9"]) == 1  # understood, and nobody there


def test_every_file_is_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or path.name.startswith(("__", ".")) or f"]({path.name})" in listed, path.name


def test_pytest_runs_with_the_conftest(tmp_path: Path) -> None:
    for name in ("conftest.py", "test_app.py", "app.py", "stub.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    (tmp_path / "otari.pyz").write_text(SHIM)
    (tmp_path / "test_more.py").write_text(PARAMETERS)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environ = {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
