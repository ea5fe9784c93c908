"""generateContent, the wire format of Google's Gemini models, as one `Dialect`.

This file only puts the parts together: checks and bounds (`envelope`), requests (`request`, with `turns`, `tools`,
`generation`, `thinking`), parts (`parts`, `content`, `results`, `media`), whole answers (`reply`), streams (`reader`
with `partial`, `writer`), streams that are only watched (`watch`), why a model stops (`finish`), token counts
(`usage`), errors, and what differs between models (`models`).

Model and streaming stand in the URL: `/models/{model}:generateContent` or `:streamGenerateContent?alt=sse`.
"""

from otari.dialects.dialect import Envelope, Seen
from otari.dialects.gemini import envelope, errors, watch
from otari.dialects.gemini import reply as reply_codec
from otari.dialects.gemini import request as request_codec
from otari.dialects.gemini import usage as counts
from otari.dialects.gemini.parts import NAME
from otari.dialects.gemini.reader import GeminiReader
from otari.dialects.gemini.writer import GeminiWriter
from otari.dialects.openai_errors import read_error
from otari.domain.chat import ChatRequest, Doc, Reply, Usage
from otari.domain.errors import OtariError
from otari.domain.provider import NO_QUIRKS, Quirks


class Gemini:
    """The dialect. Every method is described in `otari.dialects.dialect.Dialect`."""

    name = NAME
    keepalive = b"\r\n"  # Google's clients take a comment for the beginning of an error, and skip empty lines
    tells_input_first = False
    failure_ends = False

    def read_envelope(self, doc: Doc, size: int) -> Envelope:
        return envelope.read_envelope(doc, size)

    def same_request(self, doc: Doc, model: str, *, stream_usage: bool = True) -> bytes:
        """The model stands in the URL, and usage always comes: neither changes anything."""
        return envelope.same_request(doc)

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
        return reply_codec.write_reply(reply, dropped)

    def reader(self) -> GeminiReader:
        return GeminiReader()

    def writer(
        self, *, wants_usage: bool = True, input_tokens: int | None = 0, request_doc: Doc | None = None
    ) -> GeminiWriter:
        """Usage always goes out on this wire: `wants_usage` changes nothing."""
        return GeminiWriter()

    def usage_in(self, doc: Doc) -> Usage | None:
        return counts.read_usage(doc.get("usageMetadata"))

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


GEMINI = Gemini()
