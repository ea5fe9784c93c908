"""The chat-like surfaces: a request in, an answer or a stream out, by the one path of `gateway/converse.py`."""

from collections.abc import Mapping

from aiohttp import web

from otari.dialects import DIALECTS
from otari.dialects.dialect import Dialect
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Outcome
from otari.gateway.converse import Conversation
from otari.store.replays import Claim
from otari.web import idempotency, reply
from otari.web.reply import Shape
from otari.web.visit import Visit, read_json


async def post_chat_completions(visit: Visit) -> web.StreamResponse:
    """Ask a model in the shape of OpenAI's Chat Completions; the answer passes as the provider wrote it."""
    return await _converse(visit, DIALECTS["openai-chat"], "chat", "/v1/chat/completions", Shape.OPENAI)


async def _converse(visit: Visit, dialect: Dialect, operation: str, endpoint: str, shape: Shape) -> web.StreamResponse:
    house = visit.house
    raw = await read_json(visit)
    talk = house.conversations.begin(dialect, operation, endpoint, raw, visit.caller, visit.request_id)
    token = idempotency.token_of(visit.request.headers, stream=talk.envelope.stream)
    headers = _enter(visit, talk)
    if talk.envelope.stream:
        with house.streams.running():
            return await reply.as_stream(
                visit.request, talk.frames(), dialect, visit.request_id, keepalive_s=house.keepalive_s, extra=headers
            )
    if token is not None:
        return await _once(visit, talk, token, shape, headers)
    return reply.json_bytes(await talk.whole(), visit.request_id, extra=headers)


def _enter(visit: Visit, talk: Conversation) -> Mapping[str, str] | None:
    """Past the rate limits: the headers that tell what is left. Raises OtariError(RATE_LIMITED)."""
    limits = visit.house.limits
    if limits is None:
        return None
    caller = visit.caller
    user_id = caller.user_id or talk.envelope.user
    headers = limits.enter(user_id, caller.key_id)
    if limits.of_tokens:

        def count(outcome: Outcome) -> None:
            limits.spent(user_id, caller.key_id, (outcome.usage.input or 0) + (outcome.usage.output or 0))

        talk.on_settled = count
    return headers


async def _once(
    visit: Visit, talk: Conversation, token: str, shape: Shape, headers: Mapping[str, str] | None
) -> web.StreamResponse:
    """The answer of the first request with this Idempotency-Key."""
    replays = visit.house.replays
    if replays is None:
        raise OtariError(
            Kind.INVALID,
            f"There is no ledger here to keep answers in: leave out {idempotency.HEADER}",
            param=idempotency.HEADER,
        )
    scope = idempotency.scope_of(visit.caller, talk.envelope.user)
    if scope is None:  # it will be refused: nobody was named who pays
        return reply.json_bytes(await talk.whole(), visit.request_id)
    claim = Claim(scope, token, talk.fingerprint(), visit.request_id)
    return await replays.once(claim, shape, talk.whole, lambda: talk.admitted, headers or {})
