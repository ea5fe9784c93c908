"""What scripts play in a run: scripted providers, the desk where tests ask about them, the door that notes who came.

Loaded only by a run that has a script, for much comes with it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from aiohttp import web

from otari.app import Setting, Surroundings
from otari.config import Config, ConfigError, load_stub_scripts
from otari.config.provider_types import find_type
from otari.control.open import OpenControl
from otari.dialects import DIALECTS, dialects_at
from otari.domain.access import Access
from otari.domain.batches import BatchUpstream
from otari.domain.ports import Upstream
from otari.domain.provider import Provider
from otari.domain.tokens import Approximate, Counter, Tokenizer
from otari.store.near_writer import NearWriter
from otari.upstreams.absent import AbsentUpstream
from otari.upstreams.stub.act import Props
from otari.upstreams.stub.defaults import CLOCK, Defaults
from otari.upstreams.stub.desk import Desk
from otari.upstreams.stub.names import SeededNames
from otari.upstreams.stub.script import Script, ScriptError, Source, read_scripts
from otari.upstreams.stub.sessions import Session, Sessions
from otari.upstreams.stub.stub import StubUpstream
from otari.web.arrivals import Arrivals
from otari.web.desk import DESK, desk_routes
from otari.web.server import DOOR

ANYTHING = "stub"  # the provider (and its type) of every model that no other one has, where a script is every model

Furnish = Callable[[Session], object]


class Stage:
    """Everything scripted of one run; see `otari.app.Stage` for what the gateway asks of it.

    `scripts` are those of all who play. `live` is asked in the place of real providers. `access` is what `/stub/…`
    takes; None: there is no such thing.
    """

    def __init__(
        self,
        sessions: Sessions,
        stubs: Mapping[str, StubUpstream],
        scripts: Sequence[Script],
        access: Access | None,
        live: Upstream | None = None,
    ) -> None:
        self.desk = Desk(sessions, scripts)
        self.upstreams: Mapping[str, Upstream] = {**stubs} if live is None else {**stubs, "live": live}
        self.routes = () if access is None else desk_routes(access)
        self._stubs = stubs
        self._scripts = scripts
        self._access = access

    def batches(self, via: str) -> BatchUpstream | None:
        """Who takes batches as a whole for a scripted provider."""
        stub = self._stubs.get(via)
        return None if stub is None else stub.batches

    def enter(self, app: web.Application) -> None:
        """Have requests noted and the desk answered."""
        app[STAGE], app[DESK] = self, self.desk
        if self._scripts:
            hears = None if self._access is None else self.desk.answered
            arrivals = Arrivals(self._scripts[0].defaults.session, hears)
            app[DOOR] = arrivals.noting
            app.on_shutdown.append(arrivals.close)


STAGE: web.AppKey[Stage] = web.AppKey("stage")


class Configured:
    """The stubs of the configuration, each with its own script."""

    def providers(self, configured: Sequence[Provider], *, free: bool) -> Sequence[Provider]:
        """See `otari.app.Play`."""
        return configured

    def stage(self, around: Surroundings) -> Stage:
        """See `otari.app.Play`."""
        sessions = Sessions(keeps=around.access is not None)
        stubs = _stubs(around, sessions)
        return Stage(sessions, stubs, [stub.script for stub in stubs.values()], around.access)


class Scripted(NamedTuple):
    """One script for every provider. There is one more that has all models which nobody else has, and it speaks the
    dialects `speaks`. `furnish` hears of every session before its first request.
    """

    script: Script
    speaks: tuple[str, ...]
    furnish: Furnish | None = None

    def providers(self, configured: Sequence[Provider], *, free: bool) -> Sequence[Provider]:
        """See `otari.app.Play`."""
        kind = find_type(ANYTHING)
        assert kind is not None, "the stub is a shipped type"
        operations = {str(word): flavour for word, flavour in kind.operations.items()}
        found = [
            replace(each, via=f"stub:{each.name}", secret=None, headers=(), free=free, operations=operations)
            for each in configured
        ]
        if not any(each.name == ANYTHING for each in found):
            every = Provider(ANYTHING, f"stub:{ANYTHING}", speaks=self.speaks, models=kind.models, usage_source="stub")
            found.append(replace(every, free=True, operations=operations))
        return found

    def stage(self, around: Surroundings) -> Stage:
        """See `otari.app.Play`. Nothing leaves the house, whatever is configured."""
        sessions = Sessions(keeps=around.access is not None)
        sessions.on_new = self.furnish
        stubs = _stubs(around, sessions, self.script)
        return Stage(sessions, stubs, [self.script for _ in stubs], around.access, AbsentUpstream())


class Taped(NamedTuple):
    """Real providers, asked through what `wrap` makes of their upstream. The `script` answers before them."""

    script: Script
    wrap: Callable[[Upstream, Props], Upstream]
    furnish: Furnish | None = None

    def providers(self, configured: Sequence[Provider], *, free: bool) -> Sequence[Provider]:
        """See `otari.app.Play`."""
        return configured

    def stage(self, around: Surroundings) -> Stage:
        """See `otari.app.Play`. What the script answers is counted roughly, without limits."""
        sessions = Sessions(keeps=around.access is not None)
        sessions.on_new = self.furnish
        stubs = _stubs(around, sessions)
        clock = self.script.defaults.clock or CLOCK
        props = Props(self.script, sessions, around.dialects, Approximate(), None, asyncio.sleep, lambda: clock)
        scripts = [*(stub.script for stub in stubs.values()), self.script]
        return Stage(sessions, stubs, scripts, around.access, self.wrap(around.live, props))


def scripted(script: Script, speaks: tuple[str, ...] = tuple(DIALECTS), furnish: Furnish | None = None) -> Setting:
    """The setting of a run in which a script is every model, and nobody needs a key."""
    clock = script.defaults.clock
    dialects = DIALECTS if clock is None else dialects_at(lambda: clock)
    return Setting(
        OpenControl,
        dialects,
        Scripted(script, speaks, furnish),
        Access.KEY,
        ANYTHING,
        writer=NearWriter,
        names=SeededNames(script.defaults.seed),
        dated_ms=None if clock is None else lambda: clock * 1000,
    )


def _stubs(around: Surroundings, sessions: Sessions, script: Script | None = None) -> dict[str, StubUpstream]:
    """The scripted providers, which share `sessions`. Raises ConfigError for a script that can not be read."""
    found = {}
    for provider in around.serving:
        if provider.via.startswith("stub:"):
            own = script or read_stub_script(around.config, provider.name)
            counter = _script_counter(own.defaults, around.tokenizers)
            found[provider.via] = StubUpstream(around.dialects, counter, own, sessions=sessions)
    return found


def _script_counter(defaults: Defaults, tokenizers: Mapping[str, Tokenizer]) -> Counter:
    return Approximate() if defaults.tokens == "approx" else tokenizers[defaults.tokens]


def read_stub_script(config: Config, provider: str) -> Script:
    """The script of a stub provider; without one configured, the shipped example. Raises ConfigError."""
    settings = config.providers.get(provider)
    path = settings.script if settings is not None else None
    try:
        return read_stub_scripts([] if path is None else [path])
    except ConfigError as error:
        raise ConfigError(tuple(f"providers.{provider}.script: {p}" for p in error.problems)) from None


def read_stub_scripts(paths: Sequence[str]) -> Script:
    """The script in these files and folders, and in what they include; without any, the shipped example.

    Raises ConfigError.
    """
    try:
        return read_scripts(Source(*file) for file in load_stub_scripts(paths))
    except ScriptError as error:
        raise ConfigError(error.problems) from None
