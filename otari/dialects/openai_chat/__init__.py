"""Chat Completions, the wire format of OpenAI and of most servers that are compatible with it, as one `Dialect`.

This file only puts the parts together: checks and bounds (`envelope`), requests (`request`, with `turns`, `tools`,
`reasoning`), what is in messages (`content`, `assistant`, `calls`, `thinking`), what servers differ in (`terms`,
`order`), whole answers (`reply`), streams that are read (`reader`, `growing`), written (`writer`) or only watched
(`watch`), errors (`openai_errors`) and token counts (`openai_usage`).
"""

import time
from collections.abc import Callable

from otari.dialects import openai_errors as errors
from otari.dialects import openai_usage
from otari.dialects.dialect import Envelope, Seen
from otari.dialects.losses import collector
from otari.dialects.openai_chat import envelope, watch
from otari.dialects.openai_chat import reply as reply_codec
from otari.dialects.openai_chat import request as request_codec
from otari.dialects.openai_chat.calls import freeform_tools
from otari.dialects.openai_chat.content import NAME
from otari.dialects.openai_chat.reader import ChatReader
from otari.dialects.openai_chat.tools import read_tools
from otari.dialects.openai_chat.writer import ChatWriter
from otari.domain.chat import ChatRequest, Doc, Reply, Usage
from otari.domain.errors import OtariError
from otari.domain.provider import NO_QUIRKS, Quirks


class OpenAIChat:
    """The dialect. `clock` gives seconds since the epoch for answers whose wire told no time of creation.

    Every method is described in `otari.dialects.dialect.Dialect`.
    """

    name = NAME
    keepalive = b": keepalive\n\n"
    tells_input_first = False
    failure_ends = False

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def read_envelope(self, doc: Doc, size: int) -> Envelope:
        return envelope.read_envelope(doc, size)

    def same_request(self, doc: Doc, model: str, *, stream_usage: bool = True) -> bytes:
        return envelope.same_request(doc, model, stream_usage=stream_usage)

    def needs_state(self, doc: Doc) -> str | None:
        return None

    def read_request(self, doc: Doc) -> ChatRequest:
        return request_codec.read_request(doc)

    def write_request(
        self, request: ChatRequest, *, dropped: list[str] | None = None, quirks: Quirks = NO_QUIRKS
    ) -> Doc:
        return request_codec.write_request(request, quirks, dropped)

    def read_reply(self, doc: Doc, *, dropped: list[str] | None = None) -> Reply:
        return reply_codec.read_reply(doc, dropped)

    def write_reply(self, reply: Reply, *, dropped: list[str] | None = None, request_doc: Doc | None = None) -> Doc:
        return reply_codec.write_reply(reply, self._clock(), _freeform(request_doc), collector(dropped))

    def reader(self) -> ChatReader:
        return ChatReader()

    def writer(self, *, wants_usage: bool, input_tokens: int | None = 0, request_doc: Doc | None = None) -> ChatWriter:
        return ChatWriter(wants_usage=wants_usage, clock=self._clock, freeform=_freeform(request_doc))

    def usage_in(self, doc: Doc) -> Usage | None:
        return openai_usage.usage_in(doc)

    def text_in(self, doc: Doc) -> str:
        return reply_codec.text_in(doc)

    def notable(self, block: bytes) -> int:
        return watch.notable(block)

    def see(self, frame: bytes, *, wants_usage: bool) -> Seen:
        return watch.see(frame, wants_usage=wants_usage)

    def write_error(self, error: OtariError) -> Doc:
        return errors.write_error(error)

    def stream_error(self, error: OtariError) -> bytes:
        return errors.stream_error(error)

    def sign_of_life(self) -> bytes:
        return self.keepalive

    def read_error(self, body: bytes) -> str:
        return errors.read_error(body)


def _freeform(request_doc: Doc | None) -> frozenset[str]:
    """The client's tools that take plain text."""
    return freeform_tools(read_tools(request_doc or {}))


OPENAI_CHAT = OpenAIChat()
