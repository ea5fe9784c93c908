"""One attempt at one request: what is sent to the provider, and what comes of its answer for the client.

There are two kinds, and `converse` does not know which one it has: the provider speaks the client's dialect (here), or
another one (`translation.py`).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import orjson

from otari.dialects.dialect import Dialect, Envelope
from otari.domain.chat import Doc, unfold
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.gateway.relay import Relay, SameDialectRelay


class Exchange(Protocol):
    """`server` is the dialect that the provider is spoken to in, `body` the request in it. `dropped` names what of the
    request, and later of the answer, could not be carried over.
    """

    server: Dialect
    body: bytes

    @property
    def dropped(self) -> Sequence[str]: ...

    def answer(self, doc: Doc, body: bytes) -> bytes:
        """The whole answer for the client; `doc` is the parsed `body`."""
        ...

    def relay(self) -> Relay:
        """What turns the provider's stream into the client's."""
        ...

    def replay(self, doc: Doc) -> bytes:
        """A whole answer as the stream that was asked for: some servers ignore `stream: true`."""
        ...


class SameDialect:
    """The provider speaks the client's dialect: bytes out are bytes in; see `Exchange`.

    `noted` names what was done to the request before.
    """

    def __init__(
        self,
        dialect: Dialect,
        doc: Doc,
        envelope: Envelope,
        attempt: Attempt,
        clean: Callable[[str], str],
        noted: Sequence[str] = (),
    ) -> None:
        self.server = dialect
        self.body = dialect.same_request(doc, attempt.model, stream_usage=attempt.stream_usage)
        self.dropped: Sequence[str] = noted
        self._doc = doc
        self._wants_usage = envelope.wants_usage
        self._clean = clean

    def answer(self, doc: Doc, body: bytes) -> bytes:
        return body

    def relay(self) -> Relay:
        return SameDialectRelay(self.server, wants_usage=self._wants_usage, clean=self._clean)

    def replay(self, doc: Doc) -> bytes:
        writer = self.server.writer(wants_usage=self._wants_usage, request_doc=self._doc)
        lost: list[str] = []
        stream = b"".join(map(writer.write, unfold(self.server.read_reply(doc, dropped=lost))))
        self.dropped = tuple(dict.fromkeys((*self.dropped, *lost, *writer.dropped)))
        return stream


def read_answer(dialect: Dialect, body: bytes) -> Doc:
    """The JSON object of a whole answer. Raises OtariError(UPSTREAM) when it is none, or tells an error instead."""
    try:
        doc = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        told = f"the answer is not JSON: {error.msg.split(':')[0]}"
        raise OtariError(Kind.UPSTREAM, "The provider's answer is not JSON", retryable=True, detail=told) from None
    if not isinstance(doc, dict):
        raise OtariError(Kind.UPSTREAM, "The provider's answer is not a JSON object", retryable=True)
    if doc.get("error") and not doc.get("choices"):
        raise OtariError(
            Kind.UPSTREAM, "The provider answered with an error", retryable=True, detail=dialect.read_error(body)
        )
    return doc
