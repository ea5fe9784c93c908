"""Headers → credential: which header counts, and what it may look like."""

from aiohttp import web
from multidict import CIMultiDictProxy

from otari.domain.access import Credential
from otari.domain.errors import invalid
from otari.domain.secret import Secret

# The first header that holds anything decides; a wrong key in it is not mended by a right one further down.
HEADERS = ("Otari-Key", "AnyLLM-Key", "X-AnyLLM-Key", "Authorization", "x-api-key")
_BEARER = "bearer"


def credential(headers: "CIMultiDictProxy[str]") -> Credential | None:
    """The credential that a request carries; None when no header holds one.

    Raises OtariError(INVALID) when a credential header stands twice: a proxy in between might have read the other one.
    """
    for name in HEADERS:
        values = headers.getall(name, ())
        if not values:
            continue
        if len(values) > 1:
            raise invalid(f"The header {name} stands {len(values)} times: send it once", param=name)
        token = _token(name, values[0])
        if token is None:
            return Credential(None)
        if token:
            secret = Secret(token)
            return Credential(secret, secret if name == "Authorization" else _bearer(headers))
    return None


def _bearer(headers: "CIMultiDictProxy[str]") -> Secret | None:
    """The token of `Authorization`, whichever header counted."""
    scheme, _, rest = headers.get("Authorization", "").strip().partition(" ")
    token = rest.strip() if scheme.lower() == _BEARER else ""
    return Secret(token) if token else None


def _token(name: str, value: str) -> str | None:
    """The token in a header; None when it is of another scheme."""
    value = value.strip()
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == _BEARER:
        return rest.strip()
    return None if name == "Authorization" and value else value


def host_allowed(request: web.Request, allowed: frozenset[str]) -> bool:
    """Whether the Host header names this gateway (an empty `allowed` allows any). Guards against DNS rebinding."""
    if not allowed:
        return True
    host = request.headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name.lower() in allowed
