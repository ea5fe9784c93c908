"""The chat-like surfaces: a request in, an answer or a stream out, by the one path of `gateway/converse.py`."""

from aiohttp import web

from otari.dialects import DIALECTS
from otari.dialects.dialect import Dialect
from otari.web import reply
from otari.web.visit import Visit, read_json


async def post_chat_completions(visit: Visit) -> web.StreamResponse:
    """`POST /v1/chat/completions`, the OpenAI Chat Completions wire."""
    return await _converse(visit, DIALECTS["openai-chat"], "chat", "/v1/chat/completions")


async def _converse(visit: Visit, dialect: Dialect, operation: str, endpoint: str) -> web.StreamResponse:
    house = visit.house
    raw = await read_json(visit)
    talk = house.conversations.begin(dialect, operation, endpoint, raw, visit.caller, visit.request_id)
    if talk.envelope.stream:
        with house.streams.running():
            return await reply.as_stream(
                visit.request, talk.frames(), dialect, visit.request_id, keepalive_s=house.keepalive_s
            )
    return reply.json_bytes(await talk.whole(), visit.request_id)
