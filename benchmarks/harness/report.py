"""Figures, and how they are shown: a table on a pipe, colour on a terminal, JSON, Markdown in the README."""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.processes import BenchmarkError

MARK_BEGIN = "<!-- results: begin -->"
MARK_END = "<!-- results: end -->"

_GREEN, _RED, _BOLD, _DIM, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_HEADINGS = ("scenario", "figure", "median", "min", "max", "gate", "", "note")
_RIGHT = (2, 3, 4)  # columns of numbers


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity: a value per round, in `unit` ("x" is a ratio), and the gate that its median must not pass."""

    scenario: str
    name: str
    unit: str
    rounds: Sequence[float]
    gate: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The value that is judged: one disturbed round does not move it."""
        return statistics.median(self.rounds)

    @property
    def passed(self) -> bool:
        """True without a gate."""
        return self.gate is None or self.median <= self.gate


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run, and what a reader needs to judge them."""

    date: str
    command: str
    rounds: int
    machine: dict[str, str]
    load_average: tuple[float, float]  # before and after
    figures: Sequence[Figure]

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(figure.passed for figure in self.figures)


def median(values: Sequence[float]) -> str:
    """A median for a note."""
    return _number(statistics.median(values))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _with_unit(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}"


def _cells(figure: Figure) -> tuple[str, ...]:
    gate = "" if figure.gate is None else f"≤ {_with_unit(figure.gate, figure.unit)}"
    verdict = "" if figure.gate is None else "ok" if figure.passed else "OVER"
    return (
        figure.scenario,
        figure.name,
        _with_unit(figure.median, figure.unit),
        _number(min(figure.rounds)),
        _number(max(figure.rounds)),
        gate,
        verdict,
        figure.note,
    )


def _facts(report: Report) -> list[str]:
    facts = [f"{name}: {value}" for name, value in report.machine.items()]
    before, after = report.load_average
    facts.append(f"load average: {before:.2f} before, {after:.2f} after; rounds: {report.rounds}")
    return facts


def _paint(cell: str, padded: str, column: int) -> str:
    if column == 0:
        return f"{_DIM}{padded}{_PLAIN}"
    if cell in ("ok", "OVER"):
        return f"{_GREEN if cell == 'ok' else _RED}{padded}{_PLAIN}"
    return padded


def print_table(report: Report, out: TextIO) -> None:
    """The report for eyes: aligned columns; colour only on a terminal."""
    colour = out.isatty()
    rows = [_HEADINGS, *(_cells(figure) for figure in report.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    out.write("".join(f"{fact}\n" for fact in _facts(report)) + "\n")
    for number, row in enumerate(rows):
        padded = [
            cell.rjust(widths[column]) if column in _RIGHT else cell.ljust(widths[column])
            for column, cell in enumerate(row)
        ]
        if colour and number:
            padded = [_paint(cell, padded[column], column) for column, cell in enumerate(row)]
        line = "  ".join(padded).rstrip()
        out.write(f"{_BOLD}{line}{_PLAIN}\n" if colour and not number else f"{line}\n")


def print_json(report: Report, out: TextIO) -> None:
    """The report for programs: one JSON object, every round's value included."""
    doc = {
        "date": report.date,
        "command": report.command,
        "rounds": report.rounds,
        "machine": report.machine,
        "load_average": {"before": report.load_average[0], "after": report.load_average[1]},
        "passed": report.passed,
        "figures": [
            {
                "scenario": figure.scenario,
                "name": figure.name,
                "unit": figure.unit,
                "median": figure.median,
                "min": min(figure.rounds),
                "max": max(figure.rounds),
                "rounds": list(figure.rounds),
                "gate": figure.gate,
                "passed": figure.passed,
                "note": figure.note,
            }
            for figure in report.figures
        ],
    }
    json.dump(doc, out, indent=2, ensure_ascii=False)
    out.write("\n")


def as_markdown(report: Report) -> str:
    """The report as it stands in the README."""
    lines = [f"Measured {report.date} with `{report.command}`.", ""]
    lines += [f"- {fact}" for fact in _facts(report)]
    lines += ["", "| " + " | ".join(_HEADINGS) + " |"]
    lines.append("|" + "|".join("---:" if column in _RIGHT else "---" for column in range(len(_HEADINGS))) + "|")
    lines += ["| " + " | ".join(_cells(figure)) + " |" for figure in report.figures]
    return "\n".join(lines) + "\n"


def write_markdown(report: Report, readme: Path) -> None:
    """Put the report between the two marks of the README, in place of what stands there.

    Raises BenchmarkError when the marks are missing.
    """
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(MARK_BEGIN)
    _, end, after = rest.partition(MARK_END)
    if not begin or not end:
        raise BenchmarkError(f"{readme} lacks the lines {MARK_BEGIN} and {MARK_END}: put them back")
    new = f"{before}{MARK_BEGIN}\n{as_markdown(report)}{MARK_END}{after}"
    partial = readme.with_name(f".{readme.name}.part")
    partial.write_text(new, encoding="utf-8")
    partial.replace(readme)


class Progress:
    """What is being measured now, on stderr: on a terminal one line that changes, else a line per scenario."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._live = out.isatty()

    def scenario(self, name: str, about: str) -> None:
        """A scenario begins."""
        self._write(f"{name}: {about}", stays=not self._live)

    def step(self, text: str) -> None:
        """Something takes a second or two; shown on a terminal only."""
        if self._live:
            self._write(text, stays=False)

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        if self._live:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _write(self, text: str, *, stays: bool) -> None:
        self._out.write(f"{text}\n" if stays else f"\r\x1b[K{text[:100]}")
        self._out.flush()
