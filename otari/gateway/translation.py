"""One attempt at one request whose provider speaks another dialect than the client.

The request is read into the canonical conversation and written in the provider's dialect; the answer comes back the
same way. What one side can not say to the other is named in `dropped`, never left out in silence.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from otari.dialects import sse
from otari.dialects.dialect import Dialect, Envelope, StreamReader, StreamWriter
from otari.dialects.tool_names import originals, restored_event, restored_reply, wire_names
from otari.domain.chat import (
    ChatRequest,
    Doc,
    Event,
    Failed,
    Finished,
    PartDelta,
    Reply,
    UsageSeen,
    unfold,
)
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.gateway.relay import BROKE_OFF, Relay


class Translation:
    """See `Exchange`. `request` is the client's, as its dialect read it from `doc`; `prompt_tokens` counts it, and is
    asked only for clients that are told the count before the answer begins. `noted` names what was done to the request
    before.

    Raises OtariError(INVALID) when the provider's dialect can not carry the request at all, or not without loss while
    `strict`.
    """

    def __init__(
        self,
        client: Dialect,
        server: Dialect,
        doc: Doc,
        request: ChatRequest,
        envelope: Envelope,
        attempt: Attempt,
        *,
        strict: bool,
        clean: Callable[[str], str],
        prompt_tokens: Callable[[], int],
        noted: Sequence[str] = (),
    ) -> None:
        self.server = server
        self._dropped = list(noted)
        self._reader: StreamReader | None = None
        self._writer: StreamWriter | None = None
        self._client = client
        self._doc = doc
        self._wants_usage = envelope.wants_usage
        self._clean = clean
        self._prompt_tokens = prompt_tokens
        self._names = originals(wire_names(request))
        kept = client.needs_state(doc)
        if kept is not None:
            raise _stateless(attempt, client, kept)
        asked = replace(request, model=attempt.model)
        written = server.write_request(asked, dropped=self._dropped, quirks=attempt.quirks)
        if strict and self._dropped:
            raise _lossy(attempt, server, self._dropped)
        self.body = server.same_request(written, attempt.model, stream_usage=attempt.stream_usage)

    @property
    def dropped(self) -> Sequence[str]:
        """What could not be carried so far, of the request and of the answer; each name once."""
        read = self._reader.dropped if self._reader is not None else ()
        written = self._writer.dropped if self._writer is not None else ()
        return tuple(dict.fromkeys((*self._dropped, *read, *written)))

    def answer(self, doc: Doc, body: bytes) -> bytes:
        reply = self._read(doc)
        return orjson.dumps(self._client.write_reply(reply, dropped=self._dropped, request_doc=self._doc))

    def relay(self) -> Relay:
        self._reader = self.server.reader()
        return TranslatedRelay(self.server, self._reader, self._make_writer(), self._names, self._clean)

    def replay(self, doc: Doc) -> bytes:
        writer = self._make_writer()
        return b"".join(map(writer.write, unfold(self._read(doc))))

    def _read(self, doc: Doc) -> Reply:
        return restored_reply(self.server.read_reply(doc, dropped=self._dropped), self._names)

    def _make_writer(self) -> StreamWriter:
        tokens = self._prompt_tokens() if self._client.tells_input_first else None
        self._writer = self._client.writer(wants_usage=self._wants_usage, input_tokens=tokens, request_doc=self._doc)
        return self._writer


class TranslatedRelay(Relay):
    """Reads the provider's frames and writes the client's; all that one block tells goes out in one piece."""

    def __init__(
        self,
        server: Dialect,
        reader: StreamReader,
        writer: StreamWriter,
        names: Mapping[str, str],
        clean: Callable[[str], str],
    ) -> None:
        """`names` are the client's names of tools by those on the wire, where they differ."""
        super().__init__(server, clean)
        self._reader = reader
        self._writer = writer
        self._names = names

    def feed(self, data: bytes) -> bytes:
        block = self._framer.feed(data)
        if not block or self.terminal or self.failure is not None:
            return b""
        self.meter.saw(block)
        return self._read(sse.split(block))

    def end(self) -> bytes:
        rest = self._rest()
        out = self._read([rest] if rest else [])
        if not (self.terminal or self.failure is not None):
            out += self._tell(self._reader.end())
        if not (self.terminal or self.failure is not None):
            raise OtariError(Kind.UPSTREAM, BROKE_OFF, retryable=True, detail="the stream has no terminal event")
        return out

    def error_frames(self, error: OtariError) -> bytes:
        return self._writer.fail(error)

    def _read(self, frames: Iterable[bytes]) -> bytes:
        """What the frames of a block tell the client; most of them hold one piece of text and nothing else."""
        read, write = self._reader.read, self._writer.write
        out: list[bytes] = []
        for frame in frames:
            for event in read(frame):
                if type(event) is PartDelta:
                    out.append(write(event))
                else:
                    out.append(self._tell((event,)))
                    if self.terminal or self.failure is not None:
                        return self._told(out)
        return self._told(out)

    def _tell(self, events: Iterable[Event]) -> bytes:
        """What the events tell the client, as far as the end; a failure is kept back, to be told last."""
        out: list[bytes] = []
        for event in events:
            if isinstance(event, Failed):
                self.failure = self._failed(event.message, event.code)
                break
            if isinstance(event, UsageSeen):
                self.usage = self.usage.merged(event.usage)
            out.append(self._writer.write(restored_event(event, self._names) if self._names else event))
            if isinstance(event, Finished):
                self.finished = self.terminal = True
                break
        return self._told(out)

    def _told(self, out: list[bytes]) -> bytes:
        told = b"".join(out)
        self._begun = self._begun or bool(told)
        return told


def _stateless(attempt: Attempt, client: Dialect, field: str) -> OtariError:
    return OtariError(
        Kind.INVALID,
        f"{field} needs a provider that keeps answers, and '{attempt.provider}' does not speak {client.name}: send the"
        " whole conversation, with `store` false or absent, or name a model of a provider that speaks it.",
        param=field,
        code="unsupported_parameter",
        retryable=True,
    )


def _lossy(attempt: Attempt, server: Dialect, dropped: list[str]) -> OtariError:
    return OtariError(
        Kind.INVALID,
        f"Provider '{attempt.provider}' speaks {server.name}, which can not carry: {', '.join(dropped)}. Nothing was"
        " sent, because translation is strict for this key or provider.",
        param=dropped[0],
        code="translation_loss",
        retryable=True,
    )
