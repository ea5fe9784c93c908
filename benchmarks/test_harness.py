"""The harness measures what it says: a yardstick that stands in for the gateway must come out like the yardstick."""

import contextlib
import io
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # as `python benchmarks/run.py` does by itself

import run
from harness import report, scenarios
from harness.counts import measure_counts
from harness.gateway import Gateway, check_ledger
from harness.load import COMPILER, SOURCES, Load, Target, build_tools
from harness.machine import Cores
from harness.processes import BenchmarkError, free_port, serving
from harness.prompts import coding_request
from harness.session import BUILD, Session
from harness.startup import measure_start

TINY = scenarios.Effort(rounds=1, busy_s=0.3, alone_s=0.1, firehose_streams=64, paced_streams=5)
SILENT = report.Progress(io.StringIO())


@contextlib.contextmanager
def bench() -> Iterator[scenarios.Bench]:
    """A run whose gateway is a second yardstick."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        session = Session(Path(folder), Path("absent.pyz"), TINY, SILENT)
        with session.mock() as mock_port:
            real = session.bench(mock_port)

            @contextlib.contextmanager
            def stand_in(durability: str) -> Iterator[Target]:
                with real.yardstick("raw") as target:
                    yield replace(target, name=f"gateway, {durability}")

            yield replace(real, gateway=stand_in)


def _medians(figures: list[report.Figure]) -> dict[str, float]:
    return {figure.name: figure.median for figure in figures}


def test_requests_are_measured_for_every_target() -> None:
    with bench() as measured:
        figures = _medians(scenarios.measure_requests(measured))
    assert 0.2 < figures["CPU, gateway, full / yardstick"] < 5  # the same program twice, in a very short run
    assert figures["speed, gateway, normal / yardstick"] > 0
    assert figures["one at a time, p50, yardstick"] > 0
    assert figures["memory after load"] > 10


def test_re_encoding_a_firehose_costs_more_than_passing_it_on() -> None:
    with bench() as measured:
        figures = _medians(scenarios.measure_firehose(measured))
    assert figures["CPU, yardstick, reencode / yardstick"] > 1.5


def test_a_proxy_adds_time_to_the_first_token() -> None:
    with bench() as measured:
        figures = _medians(scenarios.measure_first_token(measured))
    assert figures["direct"] > 0
    assert figures["added by yardstick"] > 0
    assert figures["fdatasync of 4 kB, p50"] > 0


def test_an_answer_that_is_no_count_is_no_measurement() -> None:
    with bench() as measured, pytest.raises(BenchmarkError, match="counted nothing"):
        measure_counts(measured)


def test_no_two_requests_of_a_coding_client_are_alike() -> None:
    first, again, other = (coding_request("m", 48_000, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert 40_000 < len(first) < 60_000
    assert not {tool["description"] for tool in json.loads(first)["tools"]} & {
        tool["description"] for tool in json.loads(other)["tools"]
    }


@pytest.mark.parametrize("source", ["loadgen.c", "mock_llm.c"])
def test_the_c_programs_compile_without_a_warning(source: str) -> None:
    command = [*COMPILER, "-Werror", "-fsyntax-only", str(SOURCES / source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_failed_answers_are_no_measurement(tmp_path: Path) -> None:
    tools = build_tools(BUILD, tmp_path)
    nobody = Target("nobody", free_port())
    with pytest.raises(BenchmarkError, match="nobody: 0 answers"):
        tools.run(nobody, Load("mock-d0", connections=1, seconds=0.1))


def test_a_process_that_does_not_start_is_an_error_with_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    start = serving("broken", command, port=free_port(), core=None, log=tmp_path / "log")
    with pytest.raises(BenchmarkError, match=r"(?s)broken ended while starting.*no such thing"), start:
        pass


STAND_IN = """
import http.server, json, sys
if "--help" in sys.argv:
    sys.exit(print("usage"))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
config = json.load(open(sys.argv[2]))
http.server.HTTPServer((config["host"], config["port"]), Health).serve_forever()
"""


def test_starts_are_timed_and_weighed(tmp_path: Path) -> None:
    file = tmp_path / "otari.py"
    file.write_text(STAND_IN)
    folder = tmp_path / "gateway"
    folder.mkdir()
    gateway = Gateway(file, folder, mock_port=1, cores=Cores(None, None))
    figures = measure_start(gateway, tmp_path, 1, SILENT)
    assert len(figures) == 5
    assert all(value > 0 for figure in figures for value in figure.rounds)
    assert _medians(figures)["cold, to /health 200"] < 10


SCHEMA = """
CREATE TABLE users (spend_nano INTEGER);
CREATE TABLE usage (state TEXT, status TEXT, cost_nano INTEGER);
INSERT INTO users VALUES (300);
INSERT INTO usage VALUES ('settled', 'success', 100), ('settled', 'success', 200);
"""


def test_a_ledger_that_agrees_passes(tmp_path: Path) -> None:
    database = tmp_path / "otari.db"
    with contextlib.closing(sqlite3.connect(database)) as ledger:
        ledger.executescript(SCHEMA)
    check_ledger(database, answered=2)


@pytest.mark.parametrize(
    "fault",
    [
        "DELETE FROM usage WHERE cost_nano = 100",
        "UPDATE usage SET state = 'open', status = NULL WHERE cost_nano = 100",
        "UPDATE usage SET cost_nano = 0 WHERE cost_nano = 100",
        "UPDATE users SET spend_nano = 299",
        "INSERT INTO usage VALUES ('settled', 'error', 0)",
    ],
)
def test_a_ledger_that_lost_something_is_an_error(tmp_path: Path, fault: str) -> None:
    database = tmp_path / "otari.db"
    with contextlib.closing(sqlite3.connect(database)) as ledger:
        ledger.executescript(SCHEMA + fault)
    with pytest.raises(BenchmarkError, match="the ledger does not agree: 2 answers"):
        check_ledger(database, answered=2)


def _report(*figures: report.Figure) -> report.Report:
    return report.Report("2026-01-01 00:00 UTC", "run.py", 3, {"cpu": "some"}, (0.1, 0.2), figures)


def test_the_median_is_what_a_gate_judges() -> None:
    held = report.Figure("s", "held", "x", [1.0, 1.2, 9.0], gate=1.4)
    broken = report.Figure("s", "broken", "x", [1.0, 1.5, 1.6], gate=1.4)
    ungated = report.Figure("s", "ungated", "x", [99.0])
    assert _report(held, ungated).passed
    assert not _report(held, broken).passed


def test_a_table_on_a_pipe_is_plain() -> None:
    out = io.StringIO()
    report.print_table(_report(report.Figure("s", "broken", "ms", [2.0], gate=1.5)), out)
    assert "\x1b" not in out.getvalue()
    assert "≤ 1.5 ms  OVER" in out.getvalue()


def test_writing_replaces_only_what_stands_between_the_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.MARK_BEGIN}\nold\n{report.MARK_END}\nafter\n")
    report.write_markdown(_report(report.Figure("s", "new", "x", [1.0])), readme)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| s | new | 1 x |" in text
    assert "old" not in text


def test_a_readme_without_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here\n")
    with pytest.raises(BenchmarkError, match="put them back"):
        report.write_markdown(_report(), readme)
    assert readme.read_text() == "nothing here\n"


def test_without_the_built_file_the_run_says_how_to_build_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "otari.pyz"
    assert run.main(["--quick", "--only", "start", "--file", str(absent)]) == 2
    assert "make build" in capsys.readouterr().err
