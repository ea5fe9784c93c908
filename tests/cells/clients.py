"""The clients by dialect. Each is judged by its vendor's own package, not by our idea of the wire."""

from typing import Protocol

from otari.domain.chat import Doc
from tests.cells import chat_client, messages_client, responses_client
from tests.cells.cell import CHAT, MESSAGES, RESPONSES


class Client(Protocol):
    """What is asked of each of the modules."""

    def request(self, *, stream: bool) -> Doc:
        """A request for a whole answer or a stream."""
        ...

    def check(self, stream: bytes) -> None:
        """Fails unless the stream ends well, all its events are valid, and they come in their order."""
        ...

    def check_failed(self, stream: bytes) -> Doc:
        """The error that ends a stream. Fails if anything in it looks like a good ending."""
        ...

    def gathered(self, stream: bytes) -> Doc:
        """The answer that the vendor's stream helper makes of a stream, in a form to be compared."""
        ...

    def asked(self, body: bytes) -> Doc:
        """The answer that the vendor's client makes of a whole one, in the same form."""
        ...

    def going_on(self, told: Doc, result: str) -> Doc:
        """The next request of a client that got this answer and ran the tools that were called."""
        ...


BY_DIALECT: dict[str, Client] = {CHAT: chat_client, MESSAGES: messages_client, RESPONSES: responses_client}
