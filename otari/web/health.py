"""Health answers: no credential, no cache headers, as load balancers and CI jobs expect them."""

from aiohttp import web

from otari.domain.errors import Kind, OtariError
from otari.web import reply
from otari.web.visit import Visit


async def get_health(visit: Visit) -> web.StreamResponse:
    """200 as long as the process answers."""
    standing = await visit.house.control.standing()
    return reply.as_json({"status": "healthy", **standing}, visit.request_id, private=False)


async def get_liveness(visit: Visit) -> web.StreamResponse:
    """200 with a JSON string."""
    return reply.as_json("I'm alive!", visit.request_id, private=False)


async def get_readiness(visit: Visit) -> web.StreamResponse:
    """200 when requests can be admitted, else 503."""
    facts, problem = await visit.house.control.health()
    if visit.house.conversations.stopping:
        problem = OtariError(Kind.UNAVAILABLE, "The gateway is being stopped")
    told = {"status": "unhealthy" if problem else "healthy", **facts, "version": visit.house.version}
    if problem is None:
        return reply.as_json(told, visit.request_id, private=False)
    error = {"message": problem.message, "type": problem.kind.value, "param": None, "code": problem.code}
    return reply.as_json({"detail": told, "error": error}, visit.request_id, status=problem.status, private=False)
