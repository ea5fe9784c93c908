"""The words behind `stub`: what is to be served, and the command that is to run against it."""

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from otari.cli import USAGE_ERROR

TAPINGS = ("replay", "record", "rerecord", "verify")
DIALECTS = ("chat", "messages", "responses", "gemini")
LOG_LEVELS = ("debug", "info", "warning", "error")
_PORT = 8000


class Options(NamedTuple):
    """`port` 0 takes a free one. `command` is what to run, empty when the gateway is to serve until a signal comes."""

    scripts: tuple[str, ...] = ()
    config: str | None = None
    dialects: tuple[str, ...] = DIALECTS
    host: str | None = None
    port: int = _PORT
    port_file: str | None = None
    env_file: str | None = None
    report: str | None = None
    lenient: bool = False
    seed: int | None = None
    cassettes: str | None = None
    taping: str = "replay"
    allow_record_in_ci: bool = False
    speed: float = 1.0
    log_level: str | None = None
    command: tuple[str, ...] = ()

    @property
    def asks_providers(self) -> bool:
        """Whether real providers are asked."""
        return self.cassettes is not None and self.taping != "replay"


class WordParser(argparse.ArgumentParser):
    """argparse with our one-line errors."""

    def error(self, message: str) -> NoReturn:
        refuse(message)


def refuse(message: str) -> NoReturn:
    """End with one line: the command line can not be followed."""
    sys.stderr.write(f"otari: {' '.join(message.split())} (see stub --help)\n")
    raise SystemExit(USAGE_ERROR)


def read_options(words: Sequence[str]) -> Options:
    """The options in `words`; what stands behind `--` is the command. Raises SystemExit."""
    words, command = _at_dashes(words)
    told = _parser().parse_args(words)
    if command == []:
        refuse("there is no command behind --")
    if told.taping is not None and told.cassettes is None:
        refuse("--mode says what to do with recordings: name their folder with --cassettes")
    found_out = told.port_file or told.env_file or command
    return Options(
        scripts=tuple(told.script),
        config=told.config,
        dialects=told.dialects,
        host=told.host,
        port=told.port if told.port is not None else 0 if found_out else _PORT,
        port_file=told.port_file,
        env_file=told.env_file,
        report=told.report,
        lenient=told.lenient,
        seed=told.seed,
        cassettes=told.cassettes,
        taping=told.taping or "replay",
        allow_record_in_ci=told.allow_record_in_ci,
        speed=told.speed,
        log_level=told.log_level,
        command=tuple(command or ()),
    )


def _parser() -> WordParser:
    parser = WordParser(prog="otari.pyz stub", add_help=False, allow_abbrev=False)
    parser.add_argument("--script", action="append", default=[])
    parser.add_argument("-c", "--config")
    parser.add_argument("--dialects", type=_dialects, default=DIALECTS)
    parser.add_argument("--host")
    parser.add_argument("--port", type=_port)
    for name in ("--port-file", "--env-file"):
        parser.add_argument(name)
    parser.add_argument("--report", type=_report)
    parser.add_argument("--lenient", action="store_true")
    parser.add_argument("--seed", type=_seed)
    parser.add_argument("--cassettes")
    parser.add_argument("--mode", dest="taping", choices=TAPINGS)
    parser.add_argument("--allow-record-in-ci", action="store_true")
    parser.add_argument("--speed", type=_speed, default=1.0)
    parser.add_argument("--log-level", choices=LOG_LEVELS)
    return parser


def _at_dashes(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """The words before the first `--`, and those behind it; None when there is none."""
    words = list(words)
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _dialects(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    unknown = [word for word in words if word not in DIALECTS]
    if unknown or not words:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list out of {', '.join(DIALECTS)}")
    return words


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on, such as 10 for ten times as fast")
    return speed


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 2**53:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _report(text: str) -> str:
    if not text.endswith((".json", ".xml")):
        raise argparse.ArgumentTypeError(f"{text!r} must end with .json, or .xml for JUnit")
    return text
