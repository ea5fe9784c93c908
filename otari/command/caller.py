"""A gateway that is asked with the key of a user, for commands about what belongs to users and not to the operator."""

from collections.abc import Mapping
from typing import Any

from otari.command.place import MASTER_KEY_VARIABLE, URL_VARIABLE, address_of
from otari.command.request import Request
from otari.command.trouble import wrong
from otari.domain.secret import Secret

KEY_VARIABLE = "OTARI_API_KEY"


class Caller:
    """Asks one gateway. `user` is whom the master key names; a key of a user's needs none."""

    def __init__(self, client: Any, user: str | None) -> None:
        self._client = client
        self._user = user

    def ask(self, request: Request) -> Any:
        """The document of the answer. Raises Trouble, and Unreachable when nothing answers."""
        return self._client.ask(request._replace(query={**request.query, "user": self._user}))


def find_caller(options: Any, environ: Mapping[str, str], now_ms: int) -> Caller:
    """The gateway that the options, the environment or the configuration name, in this order.

    Raises Trouble without a key, and ConfigError for a configuration that can not be used.
    """
    url = options.url or environ.get(URL_VARIABLE, "")
    if not url or options.config is not None:
        from otari.config import load  # slow, and not needed for an address

        loaded = load(options.config, environ)
        url, environ = url or address_of(loaded.config), loaded.environ
    key = environ.get(KEY_VARIABLE) or (environ.get(MASTER_KEY_VARIABLE) if options.user else "")
    if not key:
        raise wrong(f"set {KEY_VARIABLE} to your key, or {MASTER_KEY_VARIABLE} and name a user with --user")
    from otari.command.client import Client  # help and wrong words need no HTTP

    return Caller(Client(url, Secret(key), key_hint=f"the key comes from {KEY_VARIABLE}"), options.user)
