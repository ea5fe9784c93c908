"""Health answers: no credential, no cache headers, as load balancers and CI jobs expect them."""

from aiohttp import web

from otari.domain.errors import Kind, OtariError
from otari.web import reply
from otari.web.visit import Visit


async def get_health(visit: Visit) -> web.StreamResponse:
    """200 as long as the process answers."""
    return reply.as_json({"status": "healthy"}, visit.request_id, private=False)


async def get_liveness(visit: Visit) -> web.StreamResponse:
    """200 with a JSON string."""
    return reply.as_json("I'm alive!", visit.request_id, private=False)


async def get_readiness(visit: Visit) -> web.StreamResponse:
    """200 when requests can be admitted (the ledger takes writes), else 503."""
    version = visit.house.version
    try:
        if visit.house.conversations.stopping:
            raise OtariError(Kind.UNAVAILABLE, "The gateway is being stopped")
        facts = await visit.house.control.health()
    except OtariError as error:
        detail = {"status": "unhealthy", "database": "unavailable", "version": version}
        told = {"message": error.message, "type": error.kind.value, "param": None, "code": error.code}
        return reply.as_json({"detail": detail, "error": told}, visit.request_id, status=error.status, private=False)
    return reply.as_json({"status": "healthy", **facts, "version": version}, visit.request_id, private=False)
