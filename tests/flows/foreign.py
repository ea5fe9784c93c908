"""A house whose providers speak one dialect each, all of them played by the scripted one, and its clients."""

from pathlib import Path
from typing import Any

import orjson

from otari.domain.chat import Doc, Finish, Reply, Text, Thinking, ToolCall, Usage, unfold
from tests.cells.cell import CHAT, MESSAGES, RESPONSES, STILL, WORDS, Cell
from tests.cells.clients import BY_DIALECT
from tests.flows.house import PROVIDER_KEY, Answer, House
from tests.scripted import Given, ScriptedProvider

PATHS = {CHAT: "/v1/chat/completions", MESSAGES: "/v1/messages", RESPONSES: "/v1/responses"}
MODEL = "given"
REPLY = Reply(
    id="answer-1",
    model="given-2026",
    parts=(
        Thinking("Hm."),
        Text("Héllo 🌍"),
        ToolCall("call_1", "look", '{"city":"Oslo"}'),
    ),
    finish=Finish.TOOLS,
    usage=Usage(input=21, output=9, cache_read=5),
    created=1795000000,
)


def foreign(provider: ScriptedProvider, **more: object) -> dict[str, Any]:
    """Providers by the words for their dialects; `more` are keys of each of them."""
    common = {"api_key": PROVIDER_KEY, **more}
    return {
        "chat": {"type": "openai_compatible", "api_base": provider.base_url, **common},
        "messages": {"type": "anthropic_compatible", "api_base": provider.base_url, **common},
        "responses": {"type": "openai_compatible", "dialects": ["responses"], "api_base": provider.base_url, **common},
        "gemini": {
            "type": "gemini",
            "dialects": ["gemini"],
            "api_base": f"{provider.origin}/v1beta/openai",
            **common,
        },
    }


class Foreign(House):
    """The house; `config` as `House` takes it."""

    def __init__(self, folder: Path, provider: ScriptedProvider, **config: object) -> None:
        super().__init__(folder, provider, **{"providers": foreign(provider), **config})

    async def __aenter__(self) -> "Foreign":
        await super().__aenter__()
        return self

    async def ask(self, cell: Cell, request: Doc, model: str = MODEL, **headers: str) -> Answer:
        """Ask a model of the provider of a cell, in the dialect of its client."""
        asked = {**request, "model": f"{WORDS[cell.server]}:{model}"}
        return await self.post(asked, path=PATHS[cell.client], headers=headers)


def request(cell: Cell, *, stream: bool, **keys: object) -> Doc:
    """A request of the cell's client that offers a tool."""
    return {**BY_DIALECT[cell.client].request(stream=stream), **keys}


def stream_of(server: str, reply: Reply = REPLY) -> bytes:
    """An answer as the stream of a provider."""
    writer = STILL[server].writer(wants_usage=True, input_tokens=reply.usage.input)
    return b"".join(map(writer.write, unfold(reply)))


def body_of(server: str, reply: Reply = REPLY) -> bytes:
    """An answer as the body of a provider."""
    return orjson.dumps(STILL[server].write_reply(reply))


def streamed(server: str, reply: Reply = REPLY) -> Given:
    """The provider streams an answer in many pieces that respect nothing."""
    stream = stream_of(server, reply)
    return Given(tuple(stream[at : at + 97] for at in range(0, len(stream), 97)))


def whole(server: str, reply: Reply = REPLY) -> Given:
    """The provider gives a whole answer."""
    return Given((body_of(server, reply),), "application/json")
