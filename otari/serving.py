"""One run of the gateway: listen, greet, serve until a signal comes, drain, stop."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from otari import __version__
from otari.app import Gateway, build, database_path
from otari.config import Config, ConfigError, Loaded
from otari.store.faults import StoreError, StoreInUse
from otari.web.server import BACKLOG, answer_straight, limit_connections, make_runner
from otari.web.visit import HOUSE
from otari.welcome import Welcome, print_welcome

log = logging.getLogger("otari")

EXIT_STOPPED_AT_ONCE = 1
EXIT_CONFIG = 2
EXIT_IN_USE = 3
EXIT_STORE = 4
_LAST_WORDS_S = 5.0
_AT_ONCE_S = 0.01  # aiohttp takes 0 for "no limit"


def run_gateway(loaded: Loaded, *, port_file: str | None) -> int:
    """Serve until a signal comes; the exit code comes back. Start errors are one line each on standard error."""
    logging.basicConfig(
        level=loaded.config.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        return asyncio.run(_run(loaded, port_file))
    except ConfigError as error:
        return _failed(EXIT_CONFIG, *error.problems)
    except StoreInUse as error:
        return _failed(EXIT_IN_USE, str(error))
    except StoreError as error:
        return _failed(EXIT_STORE, str(error))
    except OSError as error:
        address = f"{loaded.config.host}:{loaded.config.port}"
        return _failed(EXIT_CONFIG, f"can not listen on {address}: {error.strerror or error}")


def _failed(code: int, *lines: str) -> int:
    for line in lines:
        sys.stderr.write(f"otari: {line}\n")
    return code


async def _run(loaded: Loaded, port_file: str | None) -> int:
    gateway = await build(loaded.config, loaded.environ)
    async with listening(gateway, loaded.config) as (runner, port):
        signals = hear_signals()
        _greet(loaded, gateway, port)
        if port_file is not None:
            write_whole(Path(port_file), f"{port}\n")
        gateway.prepare()
        return await until_stopped(runner, gateway, signals)


@asynccontextmanager
async def listening(gateway: Gateway, config: Config) -> AsyncIterator[tuple[web.AppRunner, int]]:
    """`gateway` answering on the port that comes back; stopped and closed at the end. Raises OSError."""
    _quiet_collector()
    runner = make_runner(gateway.app, config.shutdown_timeout_s)
    try:
        await runner.setup()
        assert runner.server is not None
        limit_connections(runner.server)
        answer_straight(runner.server, gateway.app)
        site = web.TCPSite(runner, config.host, config.port, backlog=BACKLOG)
        await site.start()
        yield runner, runner.addresses[0][1]
    finally:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(runner.cleanup(), _LAST_WORDS_S)
        await gateway.close()


def hear_signals() -> asyncio.Queue[int]:
    """Where signals that ask for the end come in: from now on, which is before anybody is told where we are."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    return signals


async def until_stopped(runner: web.AppRunner, gateway: Gateway, signals: asyncio.Queue[int]) -> int:
    """Wait for a signal, then drain: no new connections, running requests may end. A second signal stops at once."""
    await signals.get()
    log.info("draining: no new requests, running ones may end (stop at once with a second signal)")
    gateway.conversations.stopping = True
    drain = asyncio.ensure_future(_drain(runner, gateway))
    again = asyncio.ensure_future(signals.get())
    await asyncio.wait({drain, again}, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if drain.done():
        drain.result()
        return 0
    log.warning("stopping at once")
    gateway.patience_s = 0.0
    drain.cancel()
    await asyncio.wait({drain})
    if runner.server is not None:
        gateway.app[HOUSE].streams.stop()
        await runner.server.shutdown(_AT_ONCE_S)
    return EXIT_STOPPED_AT_ONCE


async def _drain(runner: web.AppRunner, gateway: Gateway) -> None:
    await runner.cleanup()
    await gateway.end_batches()


def _quiet_collector() -> None:
    """What was built lives as long as the process: the collector need not look at it again and again.

    A collection of everything takes tens of milliseconds, in which no stream moves; also here, where the start waits
    for it, and where there is next to nothing to collect.
    """
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
    gc.enable()


def _greet(loaded: Loaded, gateway: Gateway, port: int) -> None:
    config, plane = loaded.config, gateway.plane
    host = f"[{config.host}]" if ":" in config.host else config.host
    print_welcome(
        Welcome(
            version=__version__,
            address=f"http://{host}:{port}",
            ledger=f"{database_path(config)} (durability {config.durability})",
            platform=plane.platform,
            providers=gateway.providers,
            warnings=[*loaded.warnings, *plane.notes],
            master_key=plane.master_key.reveal() if plane.master_key else None,
            api_key=plane.api_key.reveal() if plane.api_key else None,
        )
    )


def write_whole(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file that appears whole, or not at all. Raises OSError, which names it.

    `mode` is who may read it, as far as the process allows that at all.
    """
    waiting = path.with_name(path.name + ".new")
    try:
        waiting.unlink(missing_ok=True)
        with open(waiting, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(text)
        os.replace(waiting, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            waiting.unlink(missing_ok=True)
        error.filename, error.filename2 = str(path), None
        raise
