"""A request to the gateway's API, as a verb writes it down. Light: who reads the file never loads an HTTP client."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote


class Request(NamedTuple):
    """What to ask. `path` comes from `path()`; a value None in `query` is left out, one in `body` clears a field."""

    method: str
    path: str
    query: Mapping[str, object] = {}
    body: Mapping[str, object] | None = None


def path(*parts: str) -> str:
    """A path of escaped parts: `path("users", "a/b")` is `/v1/users/a%2Fb`."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)
