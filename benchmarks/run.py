"""Measure Otari against a bare proxy: `python benchmarks/run.py`, see benchmarks/README.md.

Exit codes: 0 measured, 1 a gate does not hold (only with --gate), 2 wrong command line or the run broke off.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from harness.machine import describe_machine, load_average
from harness.processes import BenchmarkError
from harness.report import Progress, Report, print_json, print_table, write_markdown
from harness.scenarios import QUICK, Effort
from harness.session import BUILD, SCENARIOS, Session

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
DEFAULT_ROUNDS = 5


def read_options(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py", description="Measure the built gateway against a bare aiohttp proxy."
    )
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds per scenario (default {DEFAULT_ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="short runs and few rounds: a look, not a result")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="one scenario; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--gate", action="store_true", help="end with 1 when a gate does not hold")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md too")
    parser.add_argument(
        "--file",
        type=Path,
        default=HERE.parent / "otari.pyz",
        metavar="PYZ",
        help="the gateway (default otari.pyz)",
    )
    options = parser.parse_args(words)
    if options.rounds is not None and not 1 <= options.rounds <= 100:
        parser.error("--rounds: use a number from 1 to 100")
    return options


def choose_effort(options: argparse.Namespace) -> Effort:
    """How much to measure."""
    if not options.quick:
        return Effort(options.rounds or DEFAULT_ROUNDS)
    return QUICK if options.rounds is None else replace(QUICK, rounds=options.rounds)


def measure(options: argparse.Namespace, words: Sequence[str]) -> Report:
    """One whole run.

    Its folder lies beside the compiled tools, not in /tmp: that may be memory, where a sync costs nothing.
    """
    BUILD.mkdir(exist_ok=True)
    effort = choose_effort(options)
    names = [name for name in SCENARIOS if not options.only or name in options.only]
    progress = Progress()
    before = load_average()
    try:
        with tempfile.TemporaryDirectory(prefix="run-", dir=BUILD) as folder:
            figures = Session(Path(folder), options.file, effort, progress).measure(names)
    finally:
        progress.clear()
    return Report(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=" ".join(["python benchmarks/run.py", *words]),
        rounds=effort.rounds,
        machine=describe_machine(),
        load_average=(before, load_average()),
        figures=figures,
    )


def _end_in_order(signal_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal_number)


def main(words: Sequence[str]) -> int:
    """Measure and report; the exit code comes back."""
    options = read_options(words)
    signal.signal(signal.SIGTERM, _end_in_order)  # so that every `with` ends what it started
    try:
        report = measure(options, words)
        (print_json if options.json else print_table)(report, sys.stdout)
        if options.write:
            write_markdown(report, README)
    except BenchmarkError as error:
        sys.stderr.write(f"benchmark: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("benchmark: interrupted\n")
        return 130
    return 1 if options.gate and not report.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
