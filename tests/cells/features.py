"""What a request can say, feature by feature, and what becomes of it in every cell.

`features/<dialect>.json` lists the features of a client's dialect: a request that has one, and the same `without` it
where that is more than nothing. They are laid over a request that says nothing but hello.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import orjson

from otari.config import load
from otari.config.providers import providers
from otari.domain.chat import Doc
from otari.domain.errors import OtariError
from otari.domain.provider import NO_QUIRKS, Quirks
from tests.cells.cell import CHAT, CLIENTS, GEMINI, MESSAGES, RESPONSES, WORDS, Cell

FOLDER = Path(__file__).parent / "features"
HELLO: dict[str, Doc] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    MESSAGES: {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]},
    RESPONSES: {"model": "m", "input": [{"role": "user", "content": "Hi"}], "store": False},
}


class Server(NamedTuple):
    """A provider that requests are translated for; `quirks` matter to those who speak Chat Completions."""

    name: str
    dialect: str
    quirks: Quirks = NO_QUIRKS


def _openai() -> Quirks:
    """How OpenAI's own Chat Completions wants its requests."""
    loaded = load(None, {"OTARI_CONFIG_YAML": "{providers: {openai: {api_key: k, dialects: [chat]}}}"})
    return providers(loaded.config, loaded.environ)[0].quirks


SERVERS = (
    Server("chat", CHAT),
    Server("chat (OpenAI)", CHAT, _openai()),
    Server("messages", MESSAGES),
    Server("responses", RESPONSES),
    Server("gemini", GEMINI),
)


class Feature(NamedTuple):
    """Something that a request of `client`'s dialect can say. `silent` is why it may go unsaid without a name."""

    client: str
    area: str
    name: str
    request: Doc
    without: Doc
    silent: str


class Fate(NamedTuple):
    """What becomes of a feature: `names` of what is lost, or the words with which it is refused."""

    kind: Literal["carried", "other form", "dropped", "refused", "silent"]
    names: tuple[str, ...] = ()
    refusal: str = ""


def features() -> Iterator[Feature]:
    """All features of all clients."""
    for client in CLIENTS:
        hello = HELLO[client]
        for doc in orjson.loads((FOLDER / f"{WORDS[client]}.json").read_bytes()):
            request, without = hello | doc["request"], hello | doc.get("without", {})
            yield Feature(client, doc["area"], doc["feature"], request, without, doc.get("silent", ""))


def fate(feature: Feature, server: Server) -> Fate:
    """What becomes of a feature in one cell."""
    cell = Cell(feature.client, server.dialect)
    try:
        exchange = cell.exchange(feature.request, quirks=server.quirks)
    except OtariError as error:
        return Fate("refused", refusal=error.message)
    plain = cell.exchange(feature.without, quirks=server.quirks)
    names = tuple(name for name in exchange.dropped if name not in plain.dropped)
    same = exchange.body == plain.body
    if names:
        return Fate("dropped" if same else "other form", names)
    return Fate("silent" if same else "carried")
