"""What every wire format can do: the `Dialect` protocol and the small values it speaks in.

`read` = wire → canonical, `write` = canonical → wire, everywhere. Nothing here awaits or touches a socket.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from otari.domain.chat import ChatRequest, Doc, Event, Reply, Usage
from otari.domain.errors import OtariError
from otari.domain.provider import NO_QUIRKS, Quirks


class Envelope(NamedTuple):
    """The little that must be known of every request, whatever happens to the rest.

    `prompt_tokens` is an upper bound (bytes of text, size rules for media). `output_tokens` is the client's limit of
    one choice; None when it set none. `wants_usage` says that the client asked to see usage in its stream.
    """

    model: str
    stream: bool
    user: str | None
    prompt_tokens: int
    output_tokens: int | None
    choices: int
    wants_usage: bool


class Seen(NamedTuple):
    """What one frame of a stream means to the one who only watches it.

    `keep` is False for a frame that must not reach the client (usage that it did not ask for, anything after the end).
    `content` says that the frame carries part of the answer. `finishes` says that the model has told why it stopped;
    `terminal` is the last frame of the dialect. `failed` holds the provider's words when the frame is an error.
    """

    keep: bool = True
    content: bool = False
    usage: Usage | None = None
    finishes: bool = False
    terminal: bool = False
    failed: str | None = None


class StreamReader(Protocol):
    """Frames of one stream → canonical events. Tolerant: what one upstream or another gets wrong is understood.

    `dropped` names what the stream told so far and no event can tell.
    """

    dropped: list[str]

    def read(self, frame: bytes) -> Iterable[Event]: ...

    def end(self) -> Iterable[Event]:
        """The stream ended: what must still be told. Yields Failed when it ended without saying why."""
        ...


class StreamWriter(Protocol):
    """Canonical events of one stream → wire bytes (whole frames; b"" when an event has no bytes).

    `dropped` names what could not be carried so far.
    """

    dropped: list[str]

    def write(self, event: Event) -> bytes: ...

    def fail(self, error: OtariError) -> bytes:
        """The frames that end the stream with an error, in whatever state it is. Never an end marker after them."""
        ...


class Dialect(Protocol):
    """One wire format."""

    name: str
    keepalive: bytes  # what may be sent while the upstream is silent
    tells_input_first: bool  # a stream tells the tokens of the prompt in its first frame
    failure_ends: bool  # the frames of an error are an ending of the wire's own: nothing need be cut behind them

    def read_envelope(self, doc: Doc, size: int) -> Envelope:
        """Check and peek at a request; `size` is the length of its body in bytes. Raises OtariError(INVALID)."""
        ...

    def same_request(self, doc: Doc, model: str, *, stream_usage: bool) -> bytes:
        """The request for an upstream of this very dialect: only `model`, gateway-only keys and usage change."""
        ...

    def needs_state(self, doc: Doc) -> str | None:
        """The field of a checked request that only an upstream of this very dialect can honour, because it keeps
        earlier answers; None when there is none. Who translates must refuse it.
        """
        ...

    def read_request(self, doc: Doc) -> ChatRequest: ...

    def write_request(
        self, request: ChatRequest, *, dropped: list[str] | None = None, quirks: Quirks = NO_QUIRKS
    ) -> Doc:
        """The request on this wire. `dropped` gets a short, stable name for everything that the wire can not carry
        (or carries only in another form), and for every repair. Raises OtariError(INVALID) where silence would do harm:
        media that can not be sent, several choices where there is one.

        `quirks` are those of the server, for dialects whose servers differ. Tool names that the wire does not allow are
        changed; `tool_names` gives them back in the answer.
        """
        ...

    def read_reply(self, doc: Doc, *, dropped: list[str] | None = None) -> Reply:
        """The whole answer; `dropped` gets the names of what it says and a reply has no place for."""
        ...

    def write_reply(self, reply: Reply, *, dropped: list[str] | None = None, request_doc: Doc | None = None) -> Doc:
        """The whole answer on this wire; `dropped` as in `write_request`. `request_doc` is the request of the client
        that gets it, for wires on which an answer repeats what was asked for.
        """
        ...

    def reader(self) -> StreamReader: ...

    def writer(
        self, *, wants_usage: bool, input_tokens: int | None = 0, request_doc: Doc | None = None
    ) -> StreamWriter:
        """Writes one stream. `input_tokens` is what is known or counted of the prompt before the answer begins, for
        wires that tell it in their first frame; `request_doc` as in `write_reply`.
        """
        ...

    def usage_in(self, doc: Doc) -> Usage | None:
        """The usage that a whole answer tells; None when it tells none. Numbers are not yet checked."""
        ...

    def text_in(self, doc: Doc) -> str:
        """All text that a whole answer holds (also thinking and tool arguments): what a local count counts."""
        ...

    def notable(self, block: bytes) -> int:
        """Where in a block of whole frames the first thing may stand that `see` must look at; -1, mostly: nowhere."""
        ...

    def see(self, frame: bytes, *, wants_usage: bool) -> Seen:
        """What one frame of a stream of this dialect means to the one who watches it."""
        ...

    def write_error(self, error: OtariError) -> Doc:
        """The body of an HTTP error in this dialect."""
        ...

    def stream_error(self, error: OtariError) -> bytes:
        """The frame that tells an error inside a stream. Never an end marker after it."""
        ...

    def sign_of_life(self) -> bytes:
        """What may be sent instead of `keepalive` to a client that does not count comments."""
        ...

    def read_error(self, body: bytes) -> str:
        """The message inside an upstream's error body, not yet redacted; "" when there is none."""
        ...
