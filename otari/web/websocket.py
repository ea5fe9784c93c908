"""`GET /v1/responses`: clients that would like to talk over a websocket learn at once that they can not.

Codex asks for one first. After 426 it sends its request as a POST immediately; any other answer makes it ask again for
several seconds.
"""

from aiohttp import web

from otari.domain.errors import Kind, OtariError
from otari.web.visit import Visit

# RFC 9110, 15.5.22: such an answer names the protocols that will do, and 7.8: who names them says so in Connection.
_HTTP_WILL_DO = (("Upgrade", "HTTP/1.1"), ("Connection", "Upgrade"))


async def get_responses(visit: Visit) -> web.StreamResponse:
    """Refuses a websocket with 426, and everything else with 405: responses are made by POST."""
    if "websocket" in visit.request.headers.get("Upgrade", "").lower():
        raise OtariError(
            Kind.UPGRADE_REQUIRED,
            "There are no websockets here: send the request as POST /v1/responses",
            param="Upgrade",
            code="websocket_not_supported",
            headers=_HTTP_WILL_DO,
        )
    raise OtariError(Kind.METHOD_NOT_ALLOWED, "Method Not Allowed", headers=(("Allow", "POST"),))
