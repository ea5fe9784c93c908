"""One cell: a client of one dialect and a provider of another, with the gateway's own code between them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from otari.dialects import DIALECTS
from otari.dialects.dialect import Dialect
from otari.dialects.openai_chat import OpenAIChat
from otari.dialects.openai_responses import OpenAIResponses
from otari.domain.chat import Doc
from otari.domain.errors import OtariError
from otari.domain.ports import Attempt
from otari.domain.provider import NO_QUIRKS, Quirks
from otari.gateway.exchange import Exchange, SameDialect, read_answer
from otari.gateway.translation import Translation

NOW_S = 1795000000.9
CHAT, MESSAGES, RESPONSES, GEMINI = "openai-chat", "anthropic-messages", "openai-responses", "gemini"
CLIENTS = (CHAT, MESSAGES, RESPONSES)
SERVERS = tuple(name for name in (CHAT, MESSAGES, RESPONSES, GEMINI) if name in DIALECTS)
MODELS = {CHAT: "some-model", MESSAGES: "claude-sonnet-5", RESPONSES: "gpt-5.5", GEMINI: "gemini-3-pro"}
WORDS = {CHAT: "chat", MESSAGES: "messages", RESPONSES: "responses", GEMINI: "gemini"}  # as the configuration says it

# The dialects with a clock that stands still, so that both forms of an answer tell the same time.
STILL: dict[str, Dialect] = {
    **DIALECTS,
    CHAT: OpenAIChat(clock=lambda: NOW_S),
    RESPONSES: OpenAIResponses(clock=lambda: NOW_S),
}


class Cell(NamedTuple):
    """Names of dialects: what the client speaks, and what the provider is spoken to in."""

    client: str
    server: str

    def __str__(self) -> str:
        return f"{WORDS[self.client]}-{WORDS[self.server]}"

    def exchange(self, doc: Doc, *, strict: bool = False, quirks: Quirks = NO_QUIRKS) -> Exchange:
        """One attempt at a request of the client. Raises OtariError as the gateway would tell the client."""
        client, server = STILL[self.client], STILL[self.server]
        envelope = client.read_envelope(doc, len(orjson.dumps(doc)))
        model = MODELS[self.server]
        attempt = Attempt("there", model, "fake", "", None, (self.server,), strict=strict, quirks=quirks)
        if client is server:
            return SameDialect(client, doc, envelope, attempt, str)
        request = client.read_request(doc)
        return Translation(
            client, server, doc, request, envelope, attempt, strict=strict, clean=str, prompt_tokens=lambda: 7
        )


CELLS = tuple(Cell(client, server) for client in CLIENTS for server in SERVERS)
TRANSLATED = tuple(cell for cell in CELLS if cell.client != cell.server)


def streamed(exchange: Exchange, pieces: Iterable[bytes]) -> bytes:
    """What the client gets of a provider's stream that comes in these pieces; a failure is told as the gateway does."""
    relay = exchange.relay()
    out: list[bytes] = []
    try:
        for piece in pieces:
            out.append(relay.feed(piece))
            if relay.terminal or relay.failure is not None:
                break
        else:
            out.append(relay.end())
        if relay.failure is not None:
            raise relay.failure
    except OtariError as error:
        out.append(relay.error_frames(error))
    return b"".join(out)


def answered(exchange: Exchange, body: bytes) -> Doc:
    """The whole answer that the client gets for a provider's whole answer."""
    told: Doc = orjson.loads(exchange.answer(read_answer(exchange.server, body), body))
    return told


def cut(stream: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """A stream in pieces: `places` are taken modulo its length, in any order."""
    start = 0
    for place in sorted({place % (len(stream) + 1) for place in places}):
        yield stream[start:place]
        start = place
    yield stream[start:]
