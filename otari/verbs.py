"""What the command line can do: `serve`, `check`, `routes`, and the account commands of `otari.command`.

Libraries are imported by the verb that needs them.
"""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from otari.cli import USAGE_ERROR
from otari.interrupts import ending_at_once

VERBS = ("serve", "check", "routes")
NOUNS = ("keys", "users", "budgets", "prices", "usage", "batch")
OTHERS = ("stub", "wait-ready")  # the second is answered by `otari.cli`, which needs nothing for it
LOG_LEVELS = ("debug", "info", "warning", "error")


class _Parser(argparse.ArgumentParser):
    """argparse with our one-line errors."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"otari: {message} (see --help)\n")
        raise SystemExit(USAGE_ERROR)


def run(words: Sequence[str]) -> int:
    """Run the verb that `words` name; without one, `serve`. The exit code comes back."""
    words = list(words)
    verb = words.pop(0) if words and not words[0].startswith("-") else "serve"
    if verb in NOUNS:
        with ending_at_once():
            from otari.command import errand  # with it comes everything that prints tables
        return errand.run([verb, *words])
    if verb == "stub":
        from otari.stub.verb import run_words  # what it needs depends on the words that follow

        return run_words(words)
    if verb not in VERBS:
        known = ", ".join((*VERBS, *OTHERS, *NOUNS))
        sys.stderr.write(f"otari: unknown command {verb!r}: use one of {known}, version (see --help)\n")
        return USAGE_ERROR
    parser = _Parser(prog="otari.pyz", add_help=False)
    if verb in ("check", "routes"):
        parser.add_argument("--json", action="store_true")
    if verb in ("check", "serve"):
        parser.add_argument("-c", "--config")
    if verb == "serve":
        parser.add_argument("--host")
        parser.add_argument("--port", type=int)
        parser.add_argument("--port-file")
        parser.add_argument("--log-level", choices=LOG_LEVELS)
    options = parser.parse_args(words)
    if verb == "routes":
        return routes(as_json=options.json)
    if verb == "check":
        return check(options.config, as_json=options.json)
    return serve(options)


def serve(options: argparse.Namespace) -> int:
    """Run the gateway until it is told to stop."""
    gc.disable()  # until everything is built: what is loaded now is no garbage
    os.umask(0o077)  # the ledger and everything beside it is for its owner only
    with ending_at_once():
        from otari.config import ConfigError

    overrides = {
        f"OTARI_{name.upper()}": str(value)
        for name in ("host", "port", "log_level")
        if (value := getattr(options, name)) is not None
    }
    try:
        loaded = _load(options.config, overrides)
    except ConfigError as error:
        return _config_problems(error)
    from otari.upstreams.trust import unread

    with unread(), ending_at_once():
        from otari.serving import run_gateway
    return run_gateway(loaded, port_file=options.port_file)


def check(path: str | None, *, as_json: bool) -> int:
    """Read the configuration and print what it would serve."""
    from otari.config import ConfigError, prices, providers

    try:
        loaded = _load(path, {})
        serving = providers(loaded.config, loaded.environ)
        priced = prices(loaded.config)
        for provider in serving:
            if provider.via == "stub":
                from otari.stage import read_stub_script  # heavy: loaded only where there is a script to read

                read_stub_script(loaded.config, provider.name)
    except ConfigError as error:
        return _config_problems(error)
    from otari.report import check_report

    return check_report(loaded, serving, priced, as_json=as_json)


def routes(*, as_json: bool) -> int:
    """Print the route table."""
    from otari.report import routes_report

    return routes_report(as_json=as_json)


def _load(path: str | None, overrides: dict[str, str]):  # type: ignore[no-untyped-def]
    from otari.config import load

    return load(path, {**os.environ, **overrides})


def _config_problems(error: Exception) -> int:
    for problem in getattr(error, "problems", (str(error),)):
        sys.stderr.write(f"otari: {problem}\n")
    return USAGE_ERROR
