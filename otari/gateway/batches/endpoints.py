"""What the lines of a batch may ask for: every endpoint that answers with one whole JSON document."""

from collections.abc import Mapping
from typing import Any

import orjson

from otari.dialects import openai_errors
from otari.domain.access import Principal
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError, invalid
from otari.gateway.converse import Conversation, Conversations
from otari.gateway.single import SingleShot, SingleShots
from otari.operations.embeddings import EMBEDDINGS
from otari.operations.moderations import MODERATIONS
from otari.operations.operation import Operation
from otari.operations.rerank import RERANK

ENDPOINT = "/v1/batches"  # what the ledger calls a request of a batch, whatever it asks for
DIALECTS: Mapping[str, str] = {
    "/v1/chat/completions": "openai-chat",
    "/v1/responses": "openai-responses",
    "/v1/messages": "anthropic-messages",
}
OPERATIONS: Mapping[str, Operation[Any]] = {
    "/v1/embeddings": EMBEDDINGS,
    "/v1/moderations": MODERATIONS,
    "/v1/rerank": RERANK,
}
ENDPOINTS = (*DIALECTS, *OPERATIONS)


class Endpoints:
    """Makes the requests of lines, and their errors, in the shape of their endpoint."""

    def __init__(self, conversations: Conversations, shots: SingleShots) -> None:
        self._conversations = conversations
        self._shots = shots

    def begin(self, endpoint: str, body: Doc, principal: Principal, request_id: str) -> Conversation | SingleShot:
        """A request that is to be answered as a whole. Raises OtariError(INVALID)."""
        if body.get("stream"):
            raise invalid("A request of a batch is not streamed: leave out stream", "stream")
        raw = dumped(body)
        if endpoint in OPERATIONS:
            return self._shots.begin_json(OPERATIONS[endpoint], ENDPOINT, raw, principal, request_id)
        dialect = self._conversations.dialects[DIALECTS[endpoint]]
        return self._conversations.begin(dialect, ENDPOINT, raw, principal, request_id)

    def error_body(self, endpoint: str, error: OtariError) -> bytes:
        """What a client of the endpoint would have been answered."""
        if endpoint in OPERATIONS:
            return orjson.dumps(openai_errors.write_error(error))
        return orjson.dumps(self._conversations.dialects[DIALECTS[endpoint]].write_error(error))


def dumped(request: Doc) -> bytes:
    """The body of a request as JSON. Raises OtariError(INVALID) when it is nested more deeply than can be written."""
    try:
        return orjson.dumps(request)
    except orjson.JSONEncodeError:
        raise invalid("The request is nested too deeply: at most 250 levels can be sent on.") from None


def unexpected(request_id: str) -> OtariError:
    """What is told of a line at which we have failed ourselves."""
    return OtariError(Kind.INTERNAL, f"Internal error. The log has it under request id {request_id}")
