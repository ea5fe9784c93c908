"""What every single-shot call can do: the `Operation` protocol and the small values it speaks in.

An operation has one wire for clients (OpenAI's, and Cohere's for rerank) and several *flavours* of it for providers;
`config/providers.yaml` says which provider takes which. Nothing here awaits or touches a socket.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

import orjson

from otari.dialects.envelope import body, is_private
from otari.dialects.openai_errors import message_in
from otari.domain.chat import Doc, Usage
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.ports import Body

R = TypeVar("R", contravariant=True)  # a request as it was read

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream"


class Envelope(NamedTuple):
    """The little that must be known of every request. Numbers are upper bounds.

    `quantity` counts what the operation may be priced by beside tokens: images, seconds or characters. `stream` says
    that the answer is to come as events.
    """

    model: str
    user: str | None
    prompt_tokens: int
    output_tokens: int = 0
    quantity: int = 0
    stream: bool = False


class Sent(NamedTuple):
    """A request as one provider wants it. `content_type` is None for JSON; `dropped` names what it can not be told."""

    body: bytes | Body
    content_type: str | None = None
    dropped: tuple[str, ...] = ()


class Place(NamedTuple):
    """Who is asked for what: the configured provider, its model, and the flavour that it takes."""

    provider: str
    model: str
    flavour: str


class Came(NamedTuple):
    """A provider's answer that came whole, and its media type."""

    body: bytes
    content_type: str = JSON_TYPE


class Told(NamedTuple):
    """An answer for the client, and what it tells of usage. A `quantity` of None is not told.

    `text` is what was written, where it is text that may have to be counted.
    """

    body: bytes
    content_type: str = JSON_TYPE
    usage: Usage = Usage()
    quantity: int | None = None
    text: str = ""


class Facts(NamedTuple):
    """What an answer may need that its provider left out: a name for it, and the tokens of the request, counted."""

    name: str
    counted: Callable[[], int]


class Seen(NamedTuple):
    """What one event of a stream means.

    `frame` is what the client is told in its place (b"": nothing). `terminal` is the last event of an answer; `failed`
    holds the provider's words when the event is an error.
    """

    frame: bytes
    usage: Usage | None = None
    quantity: int = 0
    text: str = ""
    terminal: bool = False
    failed: str | None = None


class Operation(Protocol[R]):
    """One kind of single-shot call.

    `lack` is how a refusal calls it ("Provider x does not support …"), `flavours` are the wires that it is spoken in.
    `takes` are media types that an answer may have beside JSON. `tokens` says that it is measured in tokens: they are
    counted where the provider tells none, whatever the price. `pieces` says that an answer that is not JSON passes
    piece by piece.
    """

    @property
    def name(self) -> str: ...
    @property
    def lack(self) -> str: ...
    @property
    def flavours(self) -> frozenset[str]: ...
    @property
    def takes(self) -> tuple[str, ...]: ...
    @property
    def tokens(self) -> bool: ...
    @property
    def pieces(self) -> bool: ...

    def read_envelope(self, request: R, size: int) -> Envelope:
        """Check and peek at a request; `size` is its length in bytes. Raises OtariError(INVALID)."""
        ...

    def write_request(self, request: R, place: Place) -> Sent:
        """The request for one provider. Raises OtariError(INVALID) when it can not be told it."""
        ...

    def read_answer(self, request: R, came: Came, place: Place, facts: Facts) -> Told:
        """The answer for the client. Raises OtariError(UPSTREAM) for what is no answer."""
        ...

    def see(self, request: R, frame: bytes, place: Place, before: int) -> Seen:
        """What one frame of a stream means; the frames before it told a quantity of `before`."""
        ...

    def replay(self, request: R, told: Told) -> bytes:
        """A whole answer as the events that were asked for: some servers give no others."""
        ...

    def text(self, request: R) -> str:
        """What of the request a model reads, for counting."""
        ...

    def measured(self, request: R) -> tuple[int, bool]:
        """The quantity that the request itself fixes (characters that are spoken), and whether it is only estimated."""
        ...

    def written(self, request: R, said: str, count: Callable[[str], int]) -> int:
        """About how many tokens an answer is; `said` is its text, and `count` counts tokens."""
        ...

    def media(self, request: R, content_type: str) -> str:
        """The media type of an answer that passes piece by piece; `content_type` is the provider's."""
        ...


class JsonOperation:
    """What most operations have in common; see `Operation`."""

    takes: tuple[str, ...] = ()
    tokens = True
    pieces = False

    def see(self, request: Doc, frame: bytes, place: Place, before: int) -> Seen:
        return Seen(frame)

    def replay(self, request: Doc, told: Told) -> bytes:
        return told.body

    def measured(self, request: Doc) -> tuple[int, bool]:
        return 0, False

    def written(self, request: Doc, said: str, count: Callable[[str], int]) -> int:
        return 0

    def media(self, request: Doc, content_type: str) -> str:
        return content_type


def read_user(doc: Doc) -> str | None:
    """Whom the request names as the one who pays."""
    user = doc.get("user")
    if user is not None and not isinstance(user, str):
        raise invalid("user must be a string.", "user")
    return user or None


def read_text(doc: Doc, key: str) -> str:
    """A text that must be there and say something."""
    text = doc.get(key)
    if not isinstance(text, str) or not text:
        raise invalid(f"{key} must be a text that is not empty.", key)
    return text


def check_text(doc: Doc, key: str) -> None:
    """Raise OtariError(INVALID) unless the key is a text or absent."""
    if doc.get(key) is not None and not isinstance(doc[key], str):
        raise invalid(f"{key} must be a string.", key)


def unsupported(place: Place, what: str, param: str = "model") -> OtariError:
    """A provider that can not be asked this; another one may well be. Client libraries look for these words."""
    return OtariError(
        Kind.INVALID,
        f"Provider {place.provider} does not support {what}",
        param=param,
        code="unsupported_operation",
        retryable=True,
    )


def public(doc: Doc, *without: str) -> Doc:
    """The keys of a request that may go to a provider, but for those in `without`."""
    return {key: value for key, value in doc.items() if not is_private(key, value) and key not in without}


def renamed(doc: Doc, names: dict[str, str]) -> Doc:
    """A request with some of its keys called otherwise."""
    return {names.get(key, key): value for key, value in doc.items()}


def same_request(doc: Doc, model: str) -> Sent:
    """The request for a provider that takes it as it is: only the model has its own name there."""
    return Sent(body({**public(doc), "model": model}))


def write(doc: Doc, model: str, dropped: tuple[str, ...] = ()) -> Sent:
    """A request that was made for a provider."""
    return Sent(body({"model": model, **doc}), dropped=dropped)


def read_doc(came: Came) -> Doc:
    """The JSON object of an answer. Raises OtariError(UPSTREAM) when it is none, or tells an error instead."""
    doc = _parsed(came.body)
    if not isinstance(doc, dict):
        raise malformed("is not a JSON object")
    if doc.get("error"):
        raise OtariError(
            Kind.UPSTREAM, "The provider answered with an error", retryable=True, detail=message_in(doc) or None
        )
    return doc


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise malformed("is not JSON") from None


def write_doc(doc: Doc) -> bytes:
    """An answer that was made anew. Raises OtariError(UPSTREAM) when what came is nested deeper than writers go."""
    try:
        return orjson.dumps(doc)
    except orjson.JSONEncodeError:
        raise malformed("is nested too deeply") from None


def malformed(why: str) -> OtariError:
    """The provider's answer is not what its API promises; `why` goes on from "The provider's answer"."""
    return OtariError(Kind.UPSTREAM, f"The provider's answer {why}", code="upstream_format", retryable=True)


def count_in(usage: object, *keys: str) -> int | None:
    """The first of the keys that tells a whole number, as it was told."""
    if not isinstance(usage, dict):
        return None
    return next((value for key in keys if type(value := usage.get(key)) is int), None)
