"""Asking a stub in tests: scripts written as YAML, requests written as Chat Completions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import yaml

from otari.dialects import sse
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import Doc, Event, Failed, Reply, fold
from otari.domain.errors import OtariError
from otari.domain.ports import Attempt, Call
from otari.upstreams.stub.script import Script, read_script
from otari.upstreams.stub.stub import StubUpstream

DIALECTS = {OPENAI_CHAT.name: OPENAI_CHAT}


class Words:
    """A Counter that counts words, so that tests can tell the numbers."""

    def count(self, text: str) -> int:
        return len(text.split())


def script(text: str) -> Script:
    """The script in a YAML text; the version line is added."""
    return read_script({"stub": 1, **yaml.safe_load(text)}, "test.yaml")


def user(text: str) -> Doc:
    return {"role": "user", "content": text}


def asks(*messages: Doc | str, **more: Any) -> Doc:
    """A request with these messages; a plain string is what the user says."""
    listed = [user(message) if isinstance(message, str) else message for message in messages]
    return {"model": "gpt-x", "messages": listed, **more}


def tool(name: str) -> Doc:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def attempt(model: str = "gpt-x") -> Attempt:
    return Attempt("stub", model, "stub", "", None, ("openai-chat",))


def call(doc: Doc) -> Call:
    return Call("req-1", "chat", "openai-chat", orjson.dumps(doc), bool(doc.get("stream")))


class Heard:
    """What came out of one call: its chunks, the error that broke it off (if one did), and what the reply said."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.error: OtariError | None = None
        self.status = 0
        self.content_type = ""
        self.headers: dict[str, str] = {}

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def events(self) -> list[Event]:
        """The events of a stream, as a client of the gateway's own reader understands them."""
        reader = OPENAI_CHAT.reader()
        framer = sse.Framer()
        frames = [f for chunk in self.chunks for f in sse.split(framer.feed(chunk))] + [framer.rest()]
        told = [event for frame in frames if frame for event in reader.read(frame)]
        return told + list(reader.end())

    def reply(self) -> Reply | Failed:
        """The whole answer, streamed or not."""
        if self.content_type == "application/json":
            return OPENAI_CHAT.read_reply(orjson.loads(self.body))
        return fold(self.events())


async def hear(
    upstream: StubUpstream, doc: Doc, heard: Heard, *, more: Callable[[int], Awaitable[None]] | None = None
) -> None:
    """Send `doc` and note in `heard` what comes; `more` is awaited after each chunk with their number."""
    async with upstream.send(attempt(doc["model"]), call(doc)) as reply:
        heard.status, heard.content_type = reply.status, reply.content_type
        heard.headers = dict(reply.headers)
        try:
            async for chunk in reply.chunks():
                heard.chunks.append(chunk)
                if more is not None:
                    await more(len(heard.chunks))
        except OtariError as error:
            heard.error = error


async def never(seconds: float) -> None:
    raise AssertionError(f"slept {seconds} s although the script asks for no pause")


def ask(rules: Script | str, doc: Doc, *, sleep: Callable[[float], Awaitable[None]] = never) -> Heard:
    """One call to a stub with this script. Raises the OtariError that entering raises."""
    made = script(rules) if isinstance(rules, str) else rules
    heard = Heard()
    asyncio.run(hear(StubUpstream(DIALECTS, Words(), made, sleep=sleep), doc, heard))
    return heard


def refused(rules: Script | str, doc: Doc) -> OtariError:
    """The error that a call raises before there is an answer."""
    try:
        ask(rules, doc)
    except OtariError as error:
        return error
    raise AssertionError("the stub answered")
