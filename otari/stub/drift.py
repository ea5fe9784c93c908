"""`stub drift`: ask the providers what was recorded once more, and tell what has changed in the shape of their answers.

Nothing is written. A provider that does not answer is no drift: what could not be checked is told as such.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
from msgspec import structs

from otari import __version__
from otari.app import Gateway, build
from otari.config import ConfigError, load, load_recordings, parse_recording
from otari.domain.errors import OtariError
from otari.domain.ports import Call, attempt_to
from otari.domain.redaction import Redactor
from otari.stub.folder import run_folder
from otari.stub.options import WordParser, refuse
from otari.upstreams.stub.cassettes import Cassette, Cassettes, Label, shape_changes
from otari.upstreams.stub.script import ScriptError, Source
from otari.upstreams.stub.takes import Take

EXIT_SAME, EXIT_DRIFT, EXIT_WRONG = 0, 1, 2


def look_for_drift(words: Sequence[str]) -> int:
    """Check the folder that `words` name; 1 when a shape has changed."""
    parser = WordParser(prog="otari.pyz stub drift", add_help=False, allow_abbrev=False)
    parser.add_argument("folder")
    parser.add_argument("-c", "--config")
    told = parser.parse_args(list(words))
    try:
        with run_folder() as folder:
            return asyncio.run(_check(told, folder))
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"otari: {problem}\n")
        return EXIT_WRONG


async def _check(told: argparse.Namespace, folder: Path) -> int:
    cassettes = _recordings(told.folder)
    if not any(cassette.takes for cassette in cassettes):
        refuse(f"{told.folder}: no recordings with the bytes of their answers in this folder")
    loaded = load(told.config, os.environ)
    config = structs.replace(
        loaded.config,
        database_url=f"sqlite:///{folder}/drift.db",
        durability="normal",
        ai_token=None,
        bootstrap_api_key=False,
    )
    gateway = await build(config, loaded.environ)
    found = False
    try:
        for cassette in cassettes:
            sys.stdout.write(f"{cassette.path.name}: recorded {_age(cassette)}\n")
            async for line, drifted in _lines(gateway, cassette):
                sys.stdout.write(f"  {line}\n")
                found = found or drifted
    finally:
        await gateway.close()
    return EXIT_DRIFT if found else EXIT_SAME


def _recordings(folder: str) -> list[Cassette]:
    files = [Source(*file) for file in load_recordings(folder)]
    label = Label(datetime.now(UTC).date().isoformat(), __version__)
    try:
        return list(Cassettes(Path(folder), files, parse_recording, Redactor(), label).cassettes())
    except ScriptError as error:
        raise ConfigError(error.problems) from None


async def _lines(gateway: Gateway, cassette: Cassette) -> AsyncIterator[tuple[str, bool]]:
    """What is told of each recording, and whether it is drift."""
    for key, take in cassette.takes.items():
        try:
            now = await _asked_again(gateway, take)
        except OtariError as error:
            yield f"{key.rule}: could not check: {error.message}", False
            continue
        changed = shape_changes(take, now)
        for line in changed:
            yield f"{key.rule}: {line}", not line.startswith("could not")
        if not changed:
            yield f"{key.rule}: same shape", False


async def _asked_again(gateway: Gateway, take: Take) -> Take:
    """The answer to the same request today. Raises OtariError."""
    provider = next((each for each in gateway.providers if each.name == take.provider), None)
    if provider is None:
        names = ", ".join(sorted(each.name for each in gateway.providers)) or "none"
        refuse(f"recorded of provider {take.provider!r}, which is not configured; configured: {names}")
    attempt = attempt_to(provider, take.model)
    body = orjson.dumps(take.request)
    call = Call("drift", "chat", take.dialect, body, take.stream)
    async with gateway.live.send(attempt, call) as reply:
        answer = await reply.read()
        stream = reply.content_type != "application/json"
    return replace(take, pieces=((0.0, answer),), stream=stream)


def _age(cassette: Cassette) -> str:
    """How long ago, in days."""
    told = str((cassette.head.get("recorded") or {}).get("at"))
    try:
        days = (datetime.now(UTC).date() - date.fromisoformat(told)).days
    except ValueError:
        return "nobody knows when"
    return f"{days} days ago" if days != 1 else "1 day ago"
