"""The composition root: builds every concrete object, starts and stops them in order. Only this file names them all."""

import asyncio
import contextlib
import gc
import importlib.resources
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from aiohttp import web

from otari import __version__
from otari.config import Config, ConfigError, Loaded, load_stub_script, prices, providers
from otari.config.provider_types import prices_ids
from otari.config.shipped import shipped
from otari.control.local import FirstRun, LocalControl, Rules
from otari.dialects import DIALECTS
from otari.domain.catalog import Catalog, Provider
from otari.domain.default_prices import DefaultPrices
from otari.domain.ports import Upstream
from otari.domain.redaction import LogFilter, Redactor
from otari.domain.tokens import Approximate, Counter, Tokenizer
from otari.gateway.converse import Conversations
from otari.store.db import Database
from otari.store.faults import StoreError, StoreInUse
from otari.upstreams.live import LiveUpstream
from otari.upstreams.stub.script import Script, ScriptError, read_script
from otari.upstreams.stub.stub import StubUpstream
from otari.web.idempotency import Replays
from otari.web.limits import Limits
from otari.web.metrics import Meters
from otari.web.server import BACKLOG, answer_straight, limit_connections, make_runner
from otari.web.table import mount
from otari.web.visit import HOUSE, Books, House
from otari.web.watch import Streams
from otari.welcome import Welcome, print_welcome

log = logging.getLogger("otari")

EXIT_STOPPED_AT_ONCE = 1
EXIT_CONFIG = 2
EXIT_IN_USE = 3
EXIT_STORE = 4
_SQLITE = "sqlite:///"
_LAST_WORDS_S = 5.0
_AT_ONCE_S = 0.01  # aiohttp takes 0 for "no limit"


def wall_ms() -> int:
    """Now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Gateway:
    """Everything that was built for one run, and how to take it down again."""

    app: web.Application
    database: Database
    conversations: Conversations
    live: LiveUpstream
    providers: tuple[Provider, ...]
    first_run: FirstRun
    control: LocalControl

    async def close(self) -> None:
        """Close connections to providers, then the ledger: everything that was settled is on disk after this."""
        await self.live.close()
        await self.database.close()


async def build(config: Config, environ: Mapping[str, str], now_ms: Callable[[], int] = wall_ms) -> Gateway:
    """Build a gateway that is ready to serve `config`.

    Raises ConfigError for what only shows now (an unreadable stub script), StoreError when the ledger can not be used.
    """
    redactor = Redactor()
    if config.master_key is not None:
        redactor.learn(config.master_key, keep=True)
    for handler in logging.getLogger().handlers:  # a filter of the root logger would miss what its children log
        handler.addFilter(LogFilter(redactor))
    counter = _counter(config)
    live = LiveUpstream({name: dialect.read_error for name, dialect in DIALECTS.items()}, redactor, __version__)
    upstreams: dict[str, Upstream] = {"live": live}
    serving: list[Provider] = []
    for provider in providers(config, environ):
        for secret in (provider.secret, *(value for _, value in provider.headers)):
            if secret is not None:
                redactor.learn(secret, keep=True)
        if provider.via == "stub":  # every stub has a script of its own
            provider = replace(provider, via=f"stub:{provider.name}")  # noqa: PLW2901
            upstreams[provider.via] = StubUpstream(DIALECTS, counter, read_stub_script(config, provider.name))
        serving.append(provider)
    defaults = None
    if config.default_pricing:
        defaults = DefaultPrices(orjson.loads(shipped("prices.json")), prices_ids()).price
    catalog = Catalog(serving, config.aliases, defaults=defaults)
    database = Database.open(_database_path(config), durability=config.durability, now_ms=now_ms)
    try:
        control, first_run = await LocalControl.start(
            database,
            catalog,
            Rules(
                require_pricing=config.require_pricing,
                default_output_tokens=config.budget_estimate_default_output_tokens,
                rejects_user_mismatch=config.reject_user_mismatch,
                on_crash=config.on_crash,
            ),
            now_ms,
            master_key=config.master_key,
            bootstrap=config.bootstrap_api_key,
            configured_prices=prices(config),
        )
    except BaseException:
        await database.close()
        raise
    conversations = Conversations(control, upstreams, counter, redactor.clean)
    house = House(
        control=control,
        conversations=conversations,
        catalog=catalog,
        version=__version__,
        keepalive_s=config.streaming_keepalive_interval_ms / 1000,
        json_max_bytes=config.json_max_bytes,
        allowed_hosts=_allowed_hosts(config),
        now_ms=now_ms,
        streams=Streams(),
        books=Books(database, control.keys, control.users, control.prices),
        limits=Limits.of(
            user_rpm=config.rate_limit_rpm,
            user_tpm=config.rate_limit_tpm,
            key_rpm=config.key_rate_limit_rpm,
            key_tpm=config.key_rate_limit_tpm,
            now_ms=now_ms,
        ),
        replays=Replays(database, config.idempotency_hours, now_ms),
    )
    app = web.Application(client_max_size=config.json_max_bytes)
    app[HOUSE] = house
    meters = Meters(database) if config.enable_metrics else None
    if meters is not None:
        control.on_settled = meters.settled
    mount(app, docs=config.enable_docs, meters=meters)
    return Gateway(app, database, conversations, live, tuple(serving), first_run, control)


def _counter(config: Config) -> Counter:
    if config.tokenizer == "approx":
        return Approximate()
    counter = Tokenizer(config.tokenizer, _token_table)
    counter.prepare()  # now, not in the middle of a stream: it holds up everything else while it loads
    return counter


def _token_table(name: str) -> bytes:
    return importlib.resources.files("otari.data").joinpath(f"{name}.pk").read_bytes()


def read_stub_script(config: Config, provider: str) -> Script:
    """The script of a stub provider; without one configured, the shipped example. Raises ConfigError."""
    settings = config.providers.get(provider)
    path = settings.script if settings is not None else None
    try:
        return read_script(load_stub_script(path), path or "the shipped script")
    except ScriptError as error:
        raise ConfigError(tuple(f"providers.{provider}.script: {p}" for p in error.problems)) from None


def _database_path(config: Config) -> Path:
    return Path(config.database_url.removeprefix(_SQLITE))


def _allowed_hosts(config: Config) -> frozenset[str]:
    """On a loopback address only loopback names are answered, so that a web page can not reach us by its own name."""
    if config.host not in ("127.0.0.1", "localhost", "::1"):
        return frozenset()
    return frozenset({"localhost", "127.0.0.1", "[::1]", *(host.lower() for host in config.allowed_hosts)})


# ---- running ----


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
    config = loaded.config
    gateway = await build(config, loaded.environ)
    _quiet_collector()
    runner = make_runner(gateway.app, config.shutdown_timeout_s)
    try:
        await runner.setup()
        assert runner.server is not None
        limit_connections(runner.server)
        answer_straight(runner.server, gateway.app)
        site = web.TCPSite(runner, config.host, config.port, backlog=BACKLOG)
        await site.start()
        port = runner.addresses[0][1]
        _greet(loaded, gateway, port)
        if port_file is not None:
            _write_port(Path(port_file), port)
        return await _until_stopped(runner, gateway)
    finally:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(runner.cleanup(), _LAST_WORDS_S)
        await gateway.close()


async def _until_stopped(runner: web.AppRunner, gateway: Gateway) -> int:
    """Wait for a signal, then drain: no new connections, running requests may end. A second signal stops at once."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    await signals.get()
    log.info("draining: no new requests, running ones may end (stop at once with a second signal)")
    gateway.conversations.stopping = True
    drain = asyncio.ensure_future(runner.cleanup())
    again = asyncio.ensure_future(signals.get())
    await asyncio.wait({drain, again}, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if drain.done():
        drain.result()
        return 0
    log.warning("stopping at once")
    drain.cancel()
    await asyncio.wait({drain})
    if runner.server is not None:
        gateway.app[HOUSE].streams.stop()
        await runner.server.shutdown(_AT_ONCE_S)
    return EXIT_STOPPED_AT_ONCE


def _quiet_collector() -> None:
    """What was built lives as long as the process: the collector need not look at it again and again.

    A collection of everything takes tens of milliseconds, in which no stream moves.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def _greet(loaded: Loaded, gateway: Gateway, port: int) -> None:
    config, first = loaded.config, gateway.first_run
    host = f"[{config.host}]" if ":" in config.host else config.host
    warnings = list(loaded.warnings)
    if not config.require_pricing:
        warnings.append("models without a price are served and cost nothing in the ledger (require_pricing: false)")
    recovered = first.recovery.rows
    if recovered:
        warnings.append(f"{recovered} requests were under way when the last run ended; they are charged as `recovered`")
    print_welcome(
        Welcome(
            version=__version__,
            address=f"http://{host}:{port}",
            ledger=f"{_database_path(config)} (durability {config.durability})",
            providers=gateway.providers,
            warnings=warnings,
            master_key=first.master_key.reveal() if first.master_key else None,
            api_key=first.bootstrap_key.reveal() if first.bootstrap_key else None,
        )
    )


def _write_port(path: Path, port: int) -> None:
    """The file appears whole, and only now that requests are answered."""
    waiting = path.with_name(path.name + ".new")
    waiting.write_text(f"{port}\n")
    os.replace(waiting, path)
