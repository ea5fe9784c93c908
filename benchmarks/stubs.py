"""Measure the stub beside another mock server: `python benchmarks/stubs.py`, see benchmarks/stubs.md.

Exit codes: 0 measured, 2 wrong command line or the run broke off.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.load import build_tools
from harness.machine import choose_cores, describe_machine, load_average
from harness.processes import BenchmarkError
from harness.report import Progress, Report, print_table, write_markdown
from harness.session import BUILD
from harness.stubs import OTHER, OTHER_VERSION, both, measure

HERE = Path(__file__).resolve().parent
PAGE = HERE / "stubs.md"


def main(words: Sequence[str]) -> int:
    """Measure and report; the exit code comes back."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/stubs.py", description=f"The stub beside {OTHER} {OTHER_VERSION}."
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="length of each load (default 4)")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/stubs.md too")
    parser.add_argument("--file", type=Path, default=HERE.parent / "otari.pyz", metavar="PYZ", help="the built file")
    options = parser.parse_args(words)
    BUILD.mkdir(exist_ok=True)
    before, progress = load_average(), Progress()
    try:
        with tempfile.TemporaryDirectory(prefix="stubs-", dir=BUILD) as folder:
            place = Path(folder)
            servers = both(options.file.resolve(), Path(sys.base_prefix, "bin", "python3"), place, choose_cores())
            figures = measure(servers, build_tools(BUILD, place), options.rounds, options.seconds, progress)
    except BenchmarkError as error:
        sys.stderr.write(f"benchmark: {error}\n")
        return 2
    finally:
        progress.clear()
    report = Report(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=" ".join(["python benchmarks/stubs.py", *words]),
        rounds=options.rounds,
        machine=describe_machine(),
        load_average=(before, load_average()),
        figures=figures,
    )
    print_table(report, sys.stdout)
    if options.write:
        write_markdown(report, PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
