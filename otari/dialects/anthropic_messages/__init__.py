"""Messages, the wire format of Anthropic and of many servers that want Claude Code as their client, as one `Dialect`.

This file only puts the parts together: checks and bounds (`envelope`), requests (`request`, with `turns`, `content`,
`blocks`, `media`, `tools`, `thinking`, `shape`), whole answers (`reply`), streams (`reader`, `writer`), streams that
are only watched (`watch`), token counts (`usage`), errors (`errors`), and what travels hidden in values that clients
return unread (`marks`).
"""

from otari.dialects.anthropic_messages import envelope, errors, watch
from otari.dialects.anthropic_messages import reply as reply_codec
from otari.dialects.anthropic_messages import request as request_codec
from otari.dialects.anthropic_messages import usage as counts
from otari.dialects.anthropic_messages.blocks import NAME
from otari.dialects.anthropic_messages.reader import MessagesReader
from otari.dialects.anthropic_messages.writer import MessagesWriter
from otari.dialects.dialect import Envelope, Seen
from otari.dialects.openai_errors import read_error
from otari.domain.chat import ChatRequest, Doc, Reply, Usage
from otari.domain.errors import OtariError
from otari.domain.provider import NO_QUIRKS, Quirks


class AnthropicMessages:
    """The dialect. Every method is described in `otari.dialects.dialect.Dialect`."""

    name = NAME
    keepalive = b'event: ping\ndata: {"type": "ping"}\n\n'
    tells_input_first = True
    failure_ends = False

    def read_envelope(self, doc: Doc, size: int) -> Envelope:
        return envelope.read_envelope(doc, size)

    def read_count(self, doc: Doc, size: int) -> Envelope:
        """The envelope of a request that only asks how many tokens it has: `max_tokens` may be absent."""
        return envelope.read_count(doc, size)

    def same_request(self, doc: Doc, model: str, *, stream_usage: bool = True) -> bytes:
        """Usage always comes on this wire: `stream_usage` changes nothing."""
        return envelope.same_request(doc, model)

    def needs_state(self, doc: Doc) -> str | None:
        return None

    def read_request(self, doc: Doc) -> ChatRequest:
        return request_codec.read_request(doc)

    def write_request(
        self, request: ChatRequest, *, dropped: list[str] | None = None, quirks: Quirks = NO_QUIRKS
    ) -> Doc:
        return request_codec.write_request(request, dropped)

    def read_reply(self, doc: Doc, *, dropped: list[str] | None = None) -> Reply:
        return reply_codec.read_reply(doc, dropped)

    def write_reply(self, reply: Reply, *, dropped: list[str] | None = None, request_doc: Doc | None = None) -> Doc:
        return reply_codec.write_reply(reply, dropped)

    def reader(self) -> MessagesReader:
        return MessagesReader()

    def writer(
        self, *, wants_usage: bool = True, input_tokens: int | None = 0, request_doc: Doc | None = None
    ) -> MessagesWriter:
        """Usage always goes out on this wire: `wants_usage` changes nothing."""
        return MessagesWriter(input_tokens=input_tokens)

    def usage_in(self, doc: Doc) -> Usage | None:
        return counts.read_usage(doc.get("usage"))

    def text_in(self, doc: Doc) -> str:
        return reply_codec.text_in(doc)

    def notable(self, block: bytes) -> int:
        return watch.notable(block)

    def see(self, frame: bytes, *, wants_usage: bool = True) -> Seen:
        return watch.see(frame)

    def write_error(self, error: OtariError) -> Doc:
        return errors.write_error(error)

    def stream_error(self, error: OtariError) -> bytes:
        return errors.stream_error(error)

    def sign_of_life(self) -> bytes:
        return self.keepalive

    def read_error(self, body: bytes) -> str:
        return read_error(body)


ANTHROPIC_MESSAGES = AnthropicMessages()
