"""Responses, OpenAI's newer wire format and the one that Codex speaks, as one `Dialect`.

This file only puts the parts together: checks and bounds (`envelope`), requests (`request`, `turns`, `tools`), items
and what is in them (`items`, `calls`, `content`), whole answers (`reply`, `response`), streams that are read (`reader`,
`growing`), written (`writer`, `lives`) or only watched (`watch`), errors, token counts (`usage`), and what travels
through clients unread (`carrier`).
"""

import time
from collections.abc import Callable

from otari.dialects import openai_errors
from otari.dialects.dialect import Envelope, Seen
from otari.dialects.openai_responses import envelope, errors, usage, watch
from otari.dialects.openai_responses import reply as reply_codec
from otari.dialects.openai_responses import request as request_codec
from otari.dialects.openai_responses.content import NAME
from otari.dialects.openai_responses.reader import ResponsesReader
from otari.dialects.openai_responses.writer import ResponsesWriter
from otari.domain.chat import ChatRequest, Doc, Reply, Usage
from otari.domain.errors import OtariError
from otari.domain.provider import NO_QUIRKS, Quirks


class OpenAIResponses:
    """The dialect. `clock` gives seconds since the epoch for answers whose wire told no time of creation.

    Every method is described in `otari.dialects.dialect.Dialect`. What is written for a client takes its own request
    (`request_doc`) too: only that tells in which form it expects calls.
    """

    name = NAME
    keepalive = b": keepalive\n\n"
    tells_input_first = False
    failure_ends = True

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def read_envelope(self, doc: Doc, size: int) -> Envelope:
        return envelope.read_envelope(doc, size)

    def same_request(self, doc: Doc, model: str, *, stream_usage: bool = True) -> bytes:
        return envelope.same_request(doc, model)

    def needs_state(self, doc: Doc) -> str | None:
        return envelope.needs_state(doc)

    def read_request(self, doc: Doc) -> ChatRequest:
        return request_codec.read_request(doc)

    def write_request(
        self, request: ChatRequest, *, dropped: list[str] | None = None, quirks: Quirks = NO_QUIRKS
    ) -> Doc:
        return request_codec.write_request(request, dropped)

    def read_reply(self, doc: Doc, *, dropped: list[str] | None = None) -> Reply:
        return reply_codec.read_reply(doc, dropped)

    def write_reply(self, reply: Reply, *, dropped: list[str] | None = None, request_doc: Doc | None = None) -> Doc:
        return reply_codec.write_reply(reply, self._clock(), request_doc, dropped)

    def reader(self) -> ResponsesReader:
        return ResponsesReader()

    def writer(
        self, *, wants_usage: bool, input_tokens: int | None = 0, request_doc: Doc | None = None
    ) -> ResponsesWriter:
        return ResponsesWriter(clock=self._clock, request_doc=request_doc)

    def usage_in(self, doc: Doc) -> Usage | None:
        return usage.usage_in(doc)

    def text_in(self, doc: Doc) -> str:
        return reply_codec.text_in(doc)

    def notable(self, block: bytes) -> int:
        return watch.notable(block)

    def see(self, frame: bytes, *, wants_usage: bool) -> Seen:
        return watch.see(frame)

    def write_error(self, error: OtariError) -> Doc:
        return openai_errors.write_error(error)

    def stream_error(self, error: OtariError) -> bytes:
        return errors.stream_error(error, self._clock())

    def sign_of_life(self) -> bytes:
        """What may be sent instead of `keepalive` to a client that ignores comments: a repeated event."""
        return errors.sign_of_life(self._clock())

    def read_error(self, body: bytes) -> str:
        return openai_errors.read_error(body)


OPENAI_RESPONSES = OpenAIResponses()
