"""`POST /v1/messages/count_tokens`: how large a Messages request is, before it is sent."""

from aiohttp import web

from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.gateway.document import read_document
from otari.web import reply
from otari.web.visit import Visit, read_json


async def post_count_tokens(visit: Visit) -> web.StreamResponse:
    """How many input tokens a Messages request has. Counted here, free of charge: no provider is asked.

    For models of OpenAI the count is that of their own tokenizer. For all others it is an estimate, which becomes
    better with what providers tell of the requests that they answer.
    """
    house = visit.house
    raw = await read_json(visit)
    doc = read_document(raw)
    envelope = ANTHROPIC_MESSAGES.read_count(doc, len(raw))
    model = await house.control.recognise(visit.caller, envelope.model)
    tokens = await house.counting.count(ANTHROPIC_MESSAGES, doc, len(raw), model)
    return reply.as_json({"input_tokens": tokens}, visit.request_id)
