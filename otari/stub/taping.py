"""Recordings of a run: where they are, and what is done with them."""

import fcntl
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from otari import __version__
from otari.app import Setting
from otari.config import ConfigError, load_recordings, parse_recording
from otari.config.provider_types import provider_types
from otari.control.open import OpenControl
from otari.domain.access import Access
from otari.domain.ports import Upstream
from otari.domain.redaction import Redactor
from otari.domain.secret import Secret
from otari.stage import Taped, scripted
from otari.stub.options import Options
from otari.stub.surroundings import TOKENS
from otari.stub.tape import Taping
from otari.upstreams.stub.act import Props
from otari.upstreams.stub.cassettes import Cassettes, Label
from otari.upstreams.stub.defaults import CLOCK
from otari.upstreams.stub.names import SeededNames
from otari.upstreams.stub.recorder import Keep, Recorder
from otari.upstreams.stub.script import Script, ScriptError, Source
from otari.upstreams.stub.sessions import Session

_TRUE = ("1", "true", "yes")


def replay(options: Options, script: Script, speaks: tuple[str, ...]) -> Taping:
    """Recordings, and behind them the script; nothing leaves the house. Raises ConfigError."""
    cassettes = _cassettes(options, Redactor())
    return Taping(scripted(script, speaks, _furnishing(cassettes)))


def record(options: Options, script: Script, speaks: tuple[str, ...]) -> Taping:
    """What is recorded is given again; for everything else a provider is asked, and its answer kept."""
    return _asking(options, script, lambda cassettes: cassettes.append, furnish=True)


def rerecord(options: Options, script: Script, speaks: tuple[str, ...]) -> Taping:
    """Everything is asked and kept anew; what is not asked any more is gone at the end."""
    return _asking(options, script, lambda cassettes: cassettes.renew, furnish=False)


def verify(options: Options, script: Script, speaks: tuple[str, ...]) -> Taping:
    """Everything is asked, and held against what was recorded; nothing is written."""
    return _asking(options, script, lambda cassettes: cassettes.compare, furnish=False)


WAYS: Mapping[str, Callable[[Options, Script, tuple[str, ...]], Taping]] = {
    "replay": replay,
    "record": record,
    "rerecord": rerecord,
    "verify": verify,
}
WRITING = ("record", "rerecord")


def taping(options: Options, script: Script, speaks: tuple[str, ...]) -> Taping:
    """What the run is to do with its recordings. Raises ConfigError."""
    if options.taping not in WRITING:
        return WAYS[options.taping](options, script, speaks)
    _refuse_in_ci(options)
    lock = _take_folder(options.cassettes or "")
    found = WAYS[options.taping](options, script, speaks)
    found.lock = lock
    return found


def _asking(options: Options, script: Script, way: Callable[[Cassettes], Keep], *, furnish: bool) -> Taping:
    redactor = Redactor()
    _learn_keys(redactor)
    cassettes = _cassettes(options, redactor)
    found: Taping

    def wrap(live: Upstream, props: Props) -> Upstream:
        recorder = Recorder(live, props, way(cassettes), redactor)
        found.recorders.append(recorder)
        return recorder

    play = Taped(script, wrap, _furnishing(cassettes) if furnish else None)
    setting = Setting(
        OpenControl,
        play=play,
        desk=Access.KEY,
        redactor=redactor,
        names=SeededNames(script.defaults.seed),
        dated_ms=lambda: (script.defaults.clock or CLOCK) * 1000,
    )
    found = Taping(setting, cassettes.finish, drift=cassettes.drift)
    return found


def _furnishing(cassettes: Cassettes) -> Callable[[Session], None]:
    def furnish(session: Session) -> None:
        session.rules = cassettes.rules(session.name)

    return furnish


def _cassettes(options: Options, redactor: Redactor) -> Cassettes:
    """The recordings in the folder. Raises ConfigError."""
    folder = options.cassettes or ""
    files = [Source(*file) for file in load_recordings(folder)]
    label = Label(datetime.now(UTC).date().isoformat(), __version__)
    try:
        return Cassettes(Path(folder), files, parse_recording, redactor, label, options.speed)
    except ScriptError as error:
        raise ConfigError(error.problems) from None
    except OSError as error:
        raise ConfigError([f"{error.filename}: can not be read ({error.strerror})"]) from None


def _refuse_in_ci(options: Options) -> None:
    if os.environ.get("CI", "").lower() in _TRUE and not options.allow_record_in_ci:
        raise ConfigError(["CI is set, and a job must not record: run it on your machine, or --allow-record-in-ci"])


def _take_folder(folder: str) -> int:
    """Make sure that there is a folder, and that nobody else records into it until the lock is closed."""
    try:
        os.makedirs(folder, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except BlockingIOError:
        raise ConfigError([f"{folder}: somebody else is recording into this folder"]) from None
    except OSError as error:
        raise ConfigError([f"{folder}: can not be recorded into ({error.strerror})"]) from None


def _learn_keys(redactor: Redactor) -> None:
    """Every key of a provider or of a platform that the environment holds, whether it is configured or not."""
    names = [name for kind in provider_types().values() for name in kind.key_env]
    for name in (*names, *TOKENS):
        if os.environ.get(name):
            redactor.learn(Secret(os.environ[name]), keep=True)
