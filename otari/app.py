"""The composition root: builds every concrete object and takes it down again. Only this file names them all."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import orjson
from aiohttp import web

from otari import __version__
from otari.config import (
    Config,
    limits,
    platform_provider,
    platform_url,
    prices,
    providers,
    senses,
)
from otari.config.provider_types import prices_ids
from otari.config.shipped import shipped
from otari.control.batch_account import BatchAccount
from otari.control.connected import ConnectedControl, Gate
from otari.control.local import LocalControl, Rules
from otari.control.otari_ai import Platform, PlatformSettings
from otari.dialects import DIALECTS
from otari.dialects.dialect import Dialect
from otari.dialects.openai_errors import read_error
from otari.domain.access import Access
from otari.domain.batches import BatchUpstream
from otari.domain.catalog import Catalog
from otari.domain.default_prices import DefaultPrices
from otari.domain.names import RANDOM_NAMES, Names
from otari.domain.ports import Attempt, ControlPlane, Upstream
from otari.domain.provider import Provider
from otari.domain.redaction import LogFilter, Redactor
from otari.domain.secret import Secret
from otari.domain.tokens import ENCODINGS, Approximate, Counter, Tokenizer
from otari.extraction.reader import DocumentReader
from otari.gateway.attachments import Attachments
from otari.gateway.batches.endpoints import Endpoints
from otari.gateway.batches.lines import Lines
from otari.gateway.batches.local import LocalWay
from otari.gateway.batches.remote import RemoteWay
from otari.gateway.batches.runner import BatchControl, BatchRunner
from otari.gateway.converse import Conversations
from otari.gateway.counting import Counting
from otari.gateway.description import Describer
from otari.gateway.single import SingleShots
from otari.operations import FLAVOURS
from otari.store.batch_shelf import BatchShelf, keep_with
from otari.store.db import Database
from otari.store.file_shelf import FileShelf
from otari.store.files import FileLimits
from otari.store.writer import Writer
from otari.upstreams.absent import AbsentUpstream
from otari.upstreams.batches import batch_upstreams
from otari.upstreams.live import ErrorReader, LiveUpstream
from otari.upstreams.trust import trusted
from otari.web.guard import Route
from otari.web.idempotency import Replays
from otari.web.limits import Limits
from otari.web.metrics import Meters
from otari.web.router import mount
from otari.web.table import ROUTES
from otari.web.visit import HOUSE, Books, House
from otari.web.watch import Streams

_SQLITE = "sqlite:///"
_MS_PER_HOUR = 3_600_000


def wall_ms() -> int:
    """Now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Plane(NamedTuple):
    """Who decides and accounts in this run, and what there is only beside it.

    `mode` says which routes are served. `platform` is the address of whoever decides elsewhere. `master_key` and
    `api_key` are set when they were made just now. `notes` are what whoever started the gateway should know.
    """

    mode: str
    control: LocalControl | ConnectedControl
    catalog: Catalog
    platform: str | None = None
    books: Books | None = None
    limits: Limits | None = None
    replays: Replays | None = None
    files: FileShelf | None = None
    batches: BatchShelf | None = None
    batch_control: BatchControl | None = None
    batch_account: BatchAccount | None = None
    documents: DocumentReader | None = None
    master_key: Secret | None = None
    api_key: Secret | None = None
    notes: tuple[str, ...] = ()


class Surroundings(NamedTuple):
    """What those who play need to know of the run. `access` is what `/stub/…` takes; None: nobody is answered there."""

    config: Config
    serving: Sequence[Provider]
    live: Upstream
    dialects: Mapping[str, Dialect]
    tokenizers: Mapping[str, Tokenizer]
    access: Access | None


class Stage(Protocol):
    """What scripts play in a run. `upstreams` are who answers for which `Provider.via`, `routes` further rows."""

    upstreams: Mapping[str, Upstream]
    routes: Sequence[Route]

    def batches(self, via: str) -> BatchUpstream | None:
        """Who takes batches as a whole for a scripted provider."""
        ...

    def enter(self, app: web.Application) -> None:
        """Take part in what the application does."""
        ...


class Play(Protocol):
    """Scripts in the place of providers, or before them: `otari.stage` has the plays that there are."""

    def providers(self, configured: Sequence[Provider], *, free: bool) -> Sequence[Provider]:
        """The providers to serve. `free`: what a script plays costs nothing, unless a price was set for it."""
        ...

    def stage(self, around: Surroundings) -> Stage:
        """Set the stage. Raises ConfigError for a script that can not be read."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """What may be chosen beside the configuration: who is let in, whose clock counts, who answers.

    Without a `play`, stubs of the configuration play their own scripts. `desk` is the access that `/stub/…` takes;
    None: as the configuration says. `anything_from` names the provider of all models which nobody else has. `names`
    are what files and batches are called, `dated_ms` is by what clock they are dated, if not by everybody's.
    """

    control: type[LocalControl] = LocalControl
    dialects: Mapping[str, Dialect] = field(default_factory=lambda: DIALECTS)
    play: Play | None = None
    desk: Access | None = None
    anything_from: str | None = None
    redactor: Redactor = field(default_factory=Redactor)
    writer: type[Writer] = Writer
    names: Names = RANDOM_NAMES
    dated_ms: Callable[[], int] | None = None


@dataclass(slots=True)
class Gateway:
    """Everything that was built for one run, and how to take it down again.

    `patience_s` is how long what is under way for batches may go on when the gateway stops.
    """

    app: web.Application
    database: Database
    conversations: Conversations
    live: LiveUpstream
    providers: tuple[Provider, ...]
    plane: Plane
    counting: Counting
    batches: BatchRunner | None
    patience_s: float

    @property
    def control(self) -> LocalControl | ConnectedControl:
        """Who decides and accounts."""
        return self.plane.control

    def prepare(self) -> None:
        """Read the certificates beside the first requests, or the first one that needs them would wait for them."""
        asked = (provider.base_url for provider in self.providers if provider.via == "live")
        if any(url.startswith("https:") for url in (self.plane.platform or "", *asked)):
            asyncio.get_running_loop().run_in_executor(None, trusted)

    async def end_batches(self) -> None:
        """Wait for what is under way for batches, as long as there is patience for it."""
        if self.batches is not None:
            await self.batches.close(self.patience_s)

    async def close(self) -> None:
        """End batches, close connections to providers, then files, then the ledger: what was settled is on disk after
        this.
        """
        self.conversations.stopping = True
        await self.end_batches()
        self.counting.close()
        await self.live.close()
        if self.plane.documents is not None:
            self.plane.documents.close()
        if self.plane.batches is not None:
            await self.plane.batches.close()
        if self.plane.files is not None:
            await self.plane.files.close()
        await self.control.close()
        await self.database.close()


async def build(
    config: Config,
    environ: Mapping[str, str],
    now_ms: Callable[[], int] = wall_ms,
    setting: Setting | None = None,
) -> Gateway:
    """Build a gateway that is ready to serve `config`, in the usual setting or another one.

    Raises ConfigError for what only shows now (an unreadable stub script), StoreError when the ledger can not be used.
    """
    setting = setting or Setting()
    redactor = _redactor(config, setting.redactor)
    tokenizers = {name: Tokenizer(name, _token_table) for name in ENCODINGS}
    counter = _counter(config, tokenizers)
    live = LiveUpstream(_error_readers(), redactor, __version__)
    access = setting.desk or (Access.MASTER if config.enable_stub_control else None)
    serving: Sequence[Provider] = _serving(config, environ, redactor)
    play, stage = setting.play or _own_play(serving, access), None
    if play is not None:
        serving = play.providers(serving, free=not config.default_pricing)
        stage = play.stage(Surroundings(config, serving, live, setting.dialects, tokenizers, access))
    upstreams: dict[str, Upstream] = {"live": live, "absent": AbsentUpstream()}
    if stage is not None:
        upstreams |= stage.upstreams
    database = Database.open(database_path(config), durability=config.durability, now_ms=now_ms, writer=setting.writer)
    meters = Meters(database) if config.enable_metrics else None
    try:
        if config.ai_token is not None:
            plane = await _connected(config, config.ai_token, database, redactor, now_ms, meters)
        else:
            plane = await _standalone(config, serving, database, now_ms, meters, setting)
    except BaseException:
        await database.close()
        raise
    conversations = Conversations(plane.control, upstreams, counter, redactor.clean, dialects=setting.dialects)
    counting = Counting(plane.catalog, counter, tokenizers, now_ms)
    conversations.on_ended = counting.heard
    if plane.mode == "standalone":  # elsewhere nobody here knows which models are asked, and whose files they are
        conversations.attachments = _attachments(config, plane, conversations)
    app = web.Application(client_max_size=config.json_max_bytes)
    app[HOUSE] = house = _house(config, plane, conversations, counting, now_ms)
    routes = (*ROUTES, *(stage.routes if stage else ()))
    mount(app, routes, docs=config.enable_docs, meters=meters, mode=plane.mode)
    if stage is not None:
        stage.enter(app)
    own = live if upstreams["live"] is live else None  # who is played or recorded takes no batches as a whole
    dated_ms = setting.dated_ms or now_ms
    runner = await _runner(config, plane, house, dated_ms, _batch_upstreams(own, stage, plane))
    if runner is not None:
        app.on_shutdown.append(_draining(runner))
    patience_s = config.shutdown_timeout_s
    return Gateway(app, database, conversations, live, tuple(serving), plane, counting, runner, patience_s)


def _batch_upstreams(
    live: LiveUpstream | None, stage: Stage | None, plane: Plane
) -> Callable[[Attempt], BatchUpstream | None]:
    """Who takes batches as a whole for an attempt: a stub by its name, real providers by the flavour of their API."""
    folder = None if plane.batches is None else plane.batches.folder
    flavours = {} if live is None else batch_upstreams(live, folder)

    def find(attempt: Attempt) -> BatchUpstream | None:
        if attempt.via == "live":
            return flavours.get(attempt.operations.get("batches", ""))
        return None if stage is None else stage.batches(attempt.via)

    return find


async def _runner(
    config: Config,
    plane: Plane,
    house: House,
    now_ms: Callable[[], int],
    upstream_of: Callable[[Attempt], BatchUpstream | None],
) -> BatchRunner | None:
    """Who carries batches out; it goes on with those that the last run has left. None where there are none."""
    shelf, control = plane.batches, plane.batch_control
    if shelf is None or control is None:
        return None
    endpoints, lines = Endpoints(house.conversations, house.shots), Lines(house.conversations)
    remote = None
    if plane.batch_account is not None:
        remote = RemoteWay(
            *(shelf, plane.batch_account, lines, endpoints, upstream_of, control.principal_of),
            line_max_bytes=config.json_max_bytes,
            folder=shelf.folder,
            now_ms=now_ms,
        )
    local = LocalWay(
        shelf,
        endpoints,
        control.principal_of,
        at_once=config.batch_concurrency,
        line_max_bytes=config.json_max_bytes,
        new_request_id=lambda batch_id, line: shelf.files.names.request(batch_id, line, now_ms()),
    )
    runner = BatchRunner(shelf, local, control, line_max_bytes=config.json_max_bytes, now_ms=now_ms, remote=remote)
    shelf.on_added, shelf.on_cancelled, shelf.on_asked = runner.take, runner.cancel, runner.asked
    if plane.books is not None:
        plane.books.users.on_cancelled = runner.cancel
    await runner.start()
    return runner


def _draining(runner: BatchRunner) -> Callable[[web.Application], Awaitable[None]]:
    async def drain(app: web.Application) -> None:
        runner.drain()

    return drain


def _attachments(config: Config, plane: Plane, conversations: Conversations) -> Attachments:
    attachments = Attachments(plane.catalog, plane.files, plane.documents, config.json_max_bytes)
    if config.vision_describe_model is not None and config.vision_strategy == "describe":
        attachments.describer = Describer(
            conversations, config.vision_describe_model, config.vision_describe_max_tokens
        )
    return attachments


def _house(
    config: Config, plane: Plane, conversations: Conversations, counting: Counting, now_ms: Callable[[], int]
) -> House:
    control: ControlPlane = plane.control
    return House(
        control=control,
        conversations=conversations,
        shots=SingleShots(conversations),
        counting=counting,
        catalog=plane.catalog,
        version=__version__,
        keepalive_s=config.streaming_keepalive_interval_ms / 1000,
        json_max_bytes=config.json_max_bytes,
        allowed_hosts=_allowed_hosts(config),
        now_ms=now_ms,
        streams=Streams(),
        books=plane.books,
        limits=plane.limits,
        replays=plane.replays,
        files=plane.files,
        batches=plane.batches,
    )


# ---- who decides ----


async def _standalone(
    config: Config,
    serving: Sequence[Provider],
    database: Database,
    now_ms: Callable[[], int],
    meters: Meters | None,
    setting: Setting,
) -> Plane:
    """Keys, budgets and prices of our own database."""
    vendors = DefaultPrices(lambda: orjson.loads(shipped("prices.json")), prices_ids())
    catalog = Catalog(
        serving,
        config.aliases,
        defaults=vendors.price if config.default_pricing else None,
        limits=limits(config),
        default_limits=vendors.limits,
        senses=senses(config),
        anything_from=setting.anything_from,
    )
    control, first = await setting.control.start(
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
    if meters is not None:
        control.on_settled = meters.settled
    control.keeper = keep_with
    dated_ms = setting.dated_ms or now_ms
    account = BatchAccount(database, control, catalog, config.on_crash, dated_ms)
    account.on_settled = control.on_settled
    files = await _files(config, database, dated_ms, setting.names)
    return Plane(
        mode="standalone",
        control=control,
        catalog=catalog,
        books=Books(database, control.keys, control.users, control.prices),
        limits=Limits.of(
            user_rpm=config.rate_limit_rpm,
            user_tpm=config.rate_limit_tpm,
            key_rpm=config.key_rate_limit_rpm,
            key_tpm=config.key_rate_limit_tpm,
            now_ms=now_ms,
        ),
        replays=Replays(database, config.idempotency_hours, now_ms),
        files=files,
        batches=None if files is None else await BatchShelf.open(database, files, dated_ms),
        batch_control=control,
        batch_account=account,
        documents=DocumentReader() if config.file_understanding_enabled else None,
        master_key=first.master_key,
        api_key=first.bootstrap_key,
        notes=tuple(_notes(config, first.recovery.rows)),
    )


async def _files(config: Config, database: Database, now_ms: Callable[[], int], names: Names) -> FileShelf | None:
    """Where the files of users are kept; None when they are not. Raises StoreError."""
    if not config.files_enabled:
        return None
    ledger = database_path(config)
    folder = ledger.with_name(f"{ledger.stem}-files") if config.files_dir is None else Path(config.files_dir)
    hours = config.files_retention_hours
    limits = FileLimits(
        file_bytes=config.files_max_bytes,
        user_files=config.files_max_count,
        user_bytes=config.files_max_user_bytes,
        kept_ms=None if hours is None else hours * _MS_PER_HOUR,
    )
    return await FileShelf.open(database, folder, limits, now_ms, names)


def _notes(config: Config, recovered: int) -> Iterable[str]:
    if not config.require_pricing:
        yield "models without a price are served and cost nothing in the ledger (require_pricing: false)"
    if recovered:
        yield f"{recovered} requests were under way when the last run ended; they are charged as `recovered`"


async def _connected(
    config: Config,
    token: Secret,
    database: Database,
    redactor: Redactor,
    now_ms: Callable[[], int],
    meters: Meters | None,
) -> Plane:
    """The platform of otari.ai; our database only keeps reports until the platform has them."""
    told = config.platform
    settings = PlatformSettings(
        base_url=told.base_url,
        health_path=told.health_path,
        resolve_s=told.resolve_timeout_ms / 1000,
        report_s=told.usage_timeout_ms / 1000,
        receipt_s=told.usage_inline_timeout_ms / 1000,
    )
    gate = Gate(told.streaming_first_chunk_timeout_ms / 1000, told.streaming_final_attempt_extra_timeout_ms / 1000)
    control, recovered = await ConnectedControl.start(
        database,
        Platform(settings, token, __version__, redactor, trust=trusted),
        platform_provider,
        now_ms,
        gate=gate,
        allow_private_hosts=told.allow_private_hosts,
    )
    if meters is not None:
        control.on_settled = meters.ended
        meters.reports = lambda: control.tally
    unfinished = f"{recovered} attempts were under way when the last run ended; they are reported as `unknown`"
    return Plane(
        mode="connected",
        control=control,
        catalog=Catalog(()),
        platform=platform_url(config),
        notes=(unfinished,) if recovered else (),
    )


# ---- who answers ----


def _error_readers() -> Mapping[str, ErrorReader]:
    """Who reads the errors of each dialect, and of each flavour of the other operations."""
    return {**dict.fromkeys(FLAVOURS, read_error), **{name: dialect.read_error for name, dialect in DIALECTS.items()}}


def _serving(config: Config, environ: Mapping[str, str], redactor: Redactor) -> Sequence[Provider]:
    """The configured providers, every stub an upstream of its own; the redactor learns their secrets."""
    found = providers(config, environ)
    for provider in found:
        for secret in (provider.secret, *(value for _, value in provider.headers)):
            if secret is not None:
                redactor.learn(secret, keep=True)
    return [replace(each, via=f"stub:{each.name}") if each.via == "stub" else each for each in found]


def _own_play(serving: Sequence[Provider], access: Access | None) -> Play | None:
    """That of the configuration's stubs; None where there are none, and nobody is answered under `/stub/`."""
    if access is None and not any(provider.via.startswith("stub:") for provider in serving):
        return None
    from otari.stage import Configured  # with it comes everything that scripts are made of

    return Configured()


# ---- what both need ----


def _redactor(config: Config, redactor: Redactor) -> Redactor:
    for secret in (config.master_key, config.ai_token):
        if secret is not None:
            redactor.learn(secret, keep=True)
    for handler in logging.getLogger().handlers:  # a filter of the root logger would miss what its children log
        handler.addFilter(LogFilter(redactor))
    return redactor


def _counter(config: Config, tokenizers: Mapping[str, Tokenizer]) -> Counter:
    if config.tokenizer == "approx":
        return Approximate()
    counter = tokenizers[config.tokenizer]
    counter.prepare()  # now, not in the middle of a stream: it holds up everything else while it loads
    return counter


def _token_table(name: str) -> bytes:
    return shipped(f"{name}.pk")


def database_path(config: Config) -> Path:
    """The file of the ledger."""
    return Path(config.database_url.removeprefix(_SQLITE))


def _allowed_hosts(config: Config) -> frozenset[str]:
    """On a loopback address only loopback names are answered, so that a web page can not reach us by its own name."""
    if config.host not in ("127.0.0.1", "localhost", "::1"):
        return frozenset()
    return frozenset({"localhost", "127.0.0.1", "[::1]", *(host.lower() for host in config.allowed_hosts)})
