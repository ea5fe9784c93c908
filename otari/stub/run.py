"""One run of the stub: compose the gateway around a script, serve or run a command against it, say how it went."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from otari import __version__
from otari.app import build
from otari.config import Config, ConfigError
from otari.config.providers import SPOKEN
from otari.config.settings import DialectWord
from otari.serving import EXIT_CONFIG, hear_signals, listening, until_stopped, write_whole
from otari.stage import STAGE, read_stub_scripts
from otari.store.faults import StoreError
from otari.stub.child import Ended, run_command
from otari.stub.configuration import configure
from otari.stub.folder import run_folder
from otari.stub.options import Options
from otari.stub.report import claim, write_report
from otari.stub.surroundings import environment, write_env_file
from otari.stub.tape import without_recordings
from otari.upstreams.stub.desk import Desk
from otari.upstreams.stub.expected import told
from otari.upstreams.stub.script import Script
from otari.upstreams.stub.shadows import shadow_warnings

EXIT_MISSES = 3
EXIT_UNMET = 4


def run_stub(options: Options) -> int:
    """Serve as `options` say; the exit code comes back. What can not be done is one line each on standard error."""
    _log_to_stderr(options.log_level)
    try:
        with run_folder() as folder:
            config, around = configure(options, folder, os.environ)
            script = _script(options)
            for line in shadow_warnings(script):
                sys.stderr.write(f"otari: {line}\n")
            return asyncio.run(_run(options, config, around, script))
    except ConfigError as error:
        return _failed(*error.problems)
    except StoreError as error:
        return _failed(str(error))
    except OSError as error:
        if error.filename:
            return _failed(f"{error.filename} can not be written: {error.strerror}")
        place = f"{options.host or '127.0.0.1'}:{options.port}"
        return _failed(f"{place} can not be listened on: {_reason(error)}")


async def _run(options: Options, config: Config, around: Mapping[str, str], script: Script) -> int:
    words = cast("tuple[DialectWord, ...]", options.dialects)
    speaks = tuple(SPOKEN[word] for word in words)
    if options.cassettes is None:
        tape = without_recordings(script, speaks)
    else:
        from otari.stub.taping import taping  # with it come recorder and files, which most runs do not need

        tape = taping(options, script, speaks)
    if options.report is not None:
        claim(options.report)
    gateway = await build(config, around, setting=tape.setting)
    async with listening(gateway, config) as (runner, port):
        signals = None if options.command else hear_signals()  # a command gets them itself
        url = f"http://{_in_url(config.host)}:{port}"
        master_key = config.master_key.reveal() if config.master_key else ""
        if options.env_file is not None:
            write_env_file(options.env_file, url, master_key)
        if options.port_file is not None:
            write_whole(Path(options.port_file), f"{port}\n")
        gateway.prepare()
        if signals is None:
            ended = await run_command(options.command, environment(url, master_key, os.environ))
        else:
            _greet(url, script, master_key)
            ended = Ended(await until_stopped(runner, gateway, signals))
        taped, lines = tape.end(interrupted=ended.interrupted)
        desk = gateway.app[STAGE].desk
        verdict = _verdict(desk) or taped
        for line in lines:
            sys.stderr.write(f"otari: {line}\n")
        if options.report is not None:
            write_report(options.report, desk.report(), tape.setting.redactor)
    return ended.code or verdict


def _reason(error: OSError) -> str:
    """What the system says; of a host that nobody knows it says it in words of its own."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return str(error.strerror or error)
    return os.strerror(error.errno)


def _verdict(desk: Desk) -> int:
    """The exit code of a run that went well otherwise; what is wrong is told on standard error."""
    misses = desk.sessions.misses
    if misses:
        sys.stderr.write(f"otari: the script had no reply for {misses} request{'s' * (misses > 1)}\n")
    unmet = [verdict for verdict in desk.verdicts() if not verdict.met]
    for verdict in unmet:
        sys.stderr.write(f"otari: not as expected: {told(verdict.expectation)}: seen {verdict.seen}\n")
    return EXIT_MISSES if misses else EXIT_UNMET if unmet else 0


def _script(options: Options) -> Script:
    """The script, with what the command line says of it; recordings need none. Raises ConfigError."""
    script = Script() if options.cassettes and not options.scripts else read_stub_scripts(options.scripts)
    defaults = script.defaults
    if options.lenient:
        defaults = replace(defaults, strict=False)
    if options.seed is not None:
        defaults = replace(defaults, seed=options.seed)
    return replace(script, defaults=defaults)


def _failed(*lines: str) -> int:
    for line in lines:
        sys.stderr.write(f"otari: {line}\n")
    return EXIT_CONFIG


def _log_to_stderr(level: str | None) -> None:
    """Misses and worse, a line each. What the script makes fail is no news, unless somebody wants to see it."""
    logging.basicConfig(level=(level or "warning").upper(), stream=sys.stderr, format="otari: %(message)s")
    if level is None:
        logging.getLogger("otari.web").setLevel(logging.ERROR)


def _in_url(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, never bound to
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _greet(url: str, script: Script, master_key: str) -> None:
    sys.stdout.write(
        f"otari {__version__} stub serves {url}\n"
        f"  script     {len(script.rules)} rules\n"
        f"  keys       any; sk-stub-NAME opens the session NAME\n"
        f"  master key {master_key}\n"
    )
    sys.stdout.flush()
