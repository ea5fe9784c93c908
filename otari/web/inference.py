"""The chat-like surfaces: a request in, an answer or a stream out, by the one path of `gateway/converse.py`."""

import re
from collections.abc import Mapping

from aiohttp import web

from otari.dialects import DIALECTS
from otari.dialects.dialect import Dialect
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.ports import Outcome
from otari.store.replays import Claim
from otari.web import idempotency, reply
from otari.web.idempotency import Talk
from otari.web.reply import Shape
from otari.web.visit import Visit, read_json

CHAT, MESSAGES, RESPONSES = (DIALECTS[name] for name in ("openai-chat", "anthropic-messages", "openai-responses"))

# What a client of Anthropic's may say in headers about the form of requests and answers.
_MESSAGES_HEADERS = ("anthropic-version", "anthropic-beta")
_HEADER_VALUE = re.compile(r"[\w.,;=/ -]{1,2000}", re.ASCII)


async def post_chat_completions(visit: Visit) -> web.StreamResponse:
    """Ask a model in the shape of OpenAI's Chat Completions, whatever its provider speaks."""
    return await _converse(visit, CHAT, "/v1/chat/completions", Shape.OPENAI)


async def post_messages(visit: Visit) -> web.StreamResponse:
    """Ask a model in the shape of Anthropic's Messages, whatever its provider speaks."""
    return await _converse(visit, MESSAGES, "/v1/messages", Shape.ANTHROPIC, _dialect_headers(visit.request.headers))


async def post_responses(visit: Visit) -> web.StreamResponse:
    """Ask a model in the shape of OpenAI's Responses, whatever its provider speaks."""
    return await _converse(visit, RESPONSES, "/v1/responses", Shape.OPENAI)


async def _converse(
    visit: Visit, dialect: Dialect, endpoint: str, shape: Shape, own: tuple[tuple[str, str], ...] = ()
) -> web.StreamResponse:
    house = visit.house
    dialect = house.conversations.dialects[dialect.name]
    raw = await read_json(visit)
    talk = house.conversations.begin(dialect, endpoint, raw, visit.caller, visit.request_id, own)
    token = idempotency.token_of(visit.request.headers, stream=talk.envelope.stream)
    limits = enter(visit, talk)
    if talk.envelope.stream:
        # Codex, which names itself, breaks off a stream in which only comments come.
        codex = "originator" in visit.request.headers
        keepalive = dialect.sign_of_life() if codex else dialect.keepalive
        with house.streams.running():
            return await reply.as_stream(visit.request, talk, keepalive, keepalive_s=house.keepalive_s, extra=limits)
    if token is not None:
        return await once(visit, talk, token, shape, limits)
    answer = await talk.whole()
    return reply.json_bytes(answer, talk.name, extra={**limits, **talk.headers()})


def _dialect_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers of a Messages client that a provider of the same dialect must see. Raises OtariError(INVALID)."""
    told = tuple((name, headers[name]) for name in _MESSAGES_HEADERS if headers.get(name))
    for name, value in told:
        if not _HEADER_VALUE.fullmatch(value):
            raise invalid(f"The header {name} holds characters that no value of it has", param=name)
    return told


def enter(visit: Visit, talk: Talk) -> Mapping[str, str]:
    """Past the rate limits: the headers that tell what is left. Raises OtariError(RATE_LIMITED)."""
    limits = visit.house.limits
    if limits is None:
        return {}
    caller = visit.caller
    user_id = caller.user_id or talk.envelope.user
    headers = limits.enter(user_id, caller.key_id)
    if limits.of_tokens:

        def count(outcome: Outcome) -> None:
            limits.spent(user_id, caller.key_id, (outcome.usage.input or 0) + (outcome.usage.output or 0))

        talk.on_settled = count
    return headers


async def once(visit: Visit, talk: Talk, token: str, shape: Shape, headers: Mapping[str, str]) -> web.StreamResponse:
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
    return await replays.once(claim, shape, talk, headers)
