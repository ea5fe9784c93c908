"""A gateway that records a real provider, or gives recordings again, as `otari stub --cassettes` builds it."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from otari.config.providers import SPOKEN
from otari.dialects import DIALECTS
from otari.domain.chat import Finish, Reply, Text, Thinking, ToolCall, Usage, unfold
from otari.stub.options import Options
from otari.stub.tape import Taping
from otari.stub.taping import taping
from otari.upstreams.stub.script import Script
from tests.flows.house import Answer, House
from tests.scripted import ScriptedProvider
from tests.scripted.given import Given

MODEL = "given"
SAID = Reply(
    id="answer-1",
    model="given-2026",
    parts=(
        Thinking("The user wants Oslo."),
        Text("Let me see.\n\n- Oslo: ${not a template}\n- 日本 ✓"),
        ToolCall("call_12345678", "search", '{"q": "Oslo", "n": 3, "deep": {"a": [1.5, null, true]}}'),
    ),
    finish=Finish.TOOLS,
    usage=Usage(input=12, output=9, cache_read=4, reasoning=3),
    created=1795000000,
)
SPEAKS = {"openai-chat": "chat", "anthropic-messages": "messages", "openai-responses": "responses"}
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def given(dialect: str, reply: Reply = SAID, *, stream: bool, cut: bool = False) -> Given:
    """An answer of a provider of this dialect, frame by frame."""
    server = DIALECTS[dialect]
    if not stream:
        return Given((orjson.dumps(server.write_reply(reply, request_doc={})),), "application/json")
    writer = server.writer(wants_usage=True, input_tokens=reply.usage.input, request_doc={})
    frames = tuple(frame for event in unfold(reply) if (frame := writer.write(event)))
    return Given(frames[:-2] if cut else frames, cut=cut)


class Taped(House):
    """A gateway with recordings in `tapes`; `ask` sends a conversation in any dialect, in a session of its own."""

    def __init__(
        self,
        folder: Path,
        provider: ScriptedProvider | None,
        way: str = "record",
        *,
        tapes: str = "tapes",
        dialect: str = "openai-chat",
        script: Script | None = None,
        **config: Any,
    ) -> None:
        self.tapes = folder.parent / tapes
        folder.mkdir(exist_ok=True)
        self.tapes.mkdir(exist_ok=True)
        super().__init__(folder, None, bootstrap_api_key=False, shutdown_timeout_s=0.5, **config)
        self.config["providers"] = {} if provider is None else {"far": provider_of(provider, dialect)}
        options = Options(cassettes=str(self.tapes), taping=way, speed=0)
        self.tape: Taping = taping(options, script or Script(), tuple(SPOKEN.values()))
        self.setting = self.tape.setting

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        if self.tape.lock is not None:
            self.tape.end()

    async def ask(
        self,
        text: str = "Oslo?",
        session: str = "one",
        *,
        surface: str = "chat",
        stream: bool = False,
        model: str = f"far:{MODEL}",
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> Answer:
        """One question."""
        body: dict[str, object] = {"model": model, "stream": stream}
        if surface == "responses":
            body["input"] = text
        else:
            body["messages"] = [{"role": "user", "content": text}]
        if surface == "messages":
            body["max_tokens"] = 500
        sent = {"Authorization": f"Bearer sk-stub-{session}", **(headers or {})}
        return await self.post({**body, **more}, path=PATHS[surface], headers=sent)

    def files(self) -> dict[str, bytes]:
        """What lies in the folder, by name."""
        return {path.name: path.read_bytes() for path in sorted(self.tapes.iterdir())}

    def written(self) -> bytes:
        """Every byte on the disk below the test's folder."""
        return b"\n".join(path.read_bytes() for path in self.folder.parent.rglob("*") if path.is_file())


def provider_of(provider: ScriptedProvider, dialect: str, key: str = "sk-live-0123456789abcdef") -> dict[str, Any]:
    """The configuration of the provider that is recorded."""
    return {
        "type": "openai_compatible",
        "api_base": provider.base_url,
        "api_key": key,
        "dialects": [SPEAKS[dialect]],
        "quirks": {"openai_keys": True},
    }
