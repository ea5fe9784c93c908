"""Where a command is done: in the ledger's file, or by a gateway over HTTP.

Every verb says both ways, a place takes one. An open `Database` is `Any` here: to name it would load the event loop.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from otari.command.request import Request
from otari.command.trouble import EXIT_IN_USE, EXIT_WRONG_WORDS, Trouble

URL_VARIABLE = "OTARI_URL"
MASTER_KEY_VARIABLE = "OTARI_MASTER_KEY"
_SQLITE = "sqlite:///"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where a gateway that listens everywhere is met)

Directly = Callable[[sqlite3.Connection], Any]
Changing = Callable[[Any], Awaitable[Any]]


class Place(Protocol):
    """Both methods take the two ways to do the same, and give the same document: that of the HTTP API."""

    def read(self, directly: Directly, request: Request) -> Any:
        """Look something up: `directly` on a connection, or by `request`."""

    def write(self, changing: Changing, request: Request) -> Any:
        """Change something: `changing` with an open `Database`, or by `request`."""


class Remote:
    """A gateway at an address."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        """Raises Trouble without a master key, or for an address that is none."""
        self._client = _client(url, environ.get(MASTER_KEY_VARIABLE, ""))

    def read(self, directly: Directly, request: Request) -> Any:
        """Ask the gateway."""
        return self._client.ask(request)

    def write(self, changing: Changing, request: Request) -> Any:
        """Ask the gateway."""
        return self._client.ask(request)


class Local:
    """The ledger's file on this machine; writes go through the gateway that holds it, if one does."""

    def __init__(self, loaded: Any, now_ms: int) -> None:
        self._config = loaded.config
        self._path: str = loaded.config.database_url.removeprefix(_SQLITE)
        self._now_ms = now_ms

    def read(self, directly: Directly, request: Request) -> Any:
        """Read the file, whether a gateway runs or not."""
        from otari.command.ledger_file import read_ledger  # a command over HTTP needs no database

        return read_ledger(self._path, directly)

    def write(self, changing: Changing, request: Request) -> Any:
        """Write the file if it is free, else ask the gateway that the configuration describes."""
        from otari.command.ledger_file import write_ledger  # as above
        from otari.store.faults import StoreInUse

        try:
            return write_ledger(self._path, self._config.durability, self._now_ms, changing)
        except StoreInUse as in_use:
            return self._through_gateway(in_use, request)

    def _through_gateway(self, in_use: Any, request: Request) -> Any:
        owner = "another process" if in_use.pid is None else f"process {in_use.pid}"
        secret = self._config.master_key
        if secret is None:
            hint = f"set {MASTER_KEY_VARIABLE} to change it through that gateway"
            raise Trouble(f"the ledger {self._path} is in use by {owner}: {hint}", EXIT_IN_USE)
        from otari.command.client import Unreachable  # only now is a connection needed

        try:
            return _client(address_of(self._config), secret.reveal()).ask(request)
        except Unreachable as error:
            problem = f"the ledger {self._path} is in use by {owner}, but {error}"
            raise Trouble(f"{problem}: say where its gateway is with --url", EXIT_IN_USE) from None


def find_place(options: Any, environ: Mapping[str, str], now_ms: int) -> Place:
    """The place that the options, the environment or the configuration name, in this order.

    Raises Trouble, and ConfigError for a configuration that can not be used.
    """
    url = options.url or environ.get(URL_VARIABLE, "")
    if url and options.config is None:
        return Remote(url, environ)
    from otari.config import load  # slow, and not needed for an address

    loaded = load(options.config, environ)
    return Remote(url, loaded.environ) if url else Local(loaded, now_ms)


def address_of(config: Any) -> str:
    """Where a gateway with this configuration is met on its own machine."""
    host = _ANYWHERE.get(config.host, config.host)
    return f"http://[{host}]:{config.port}" if ":" in host else f"http://{host}:{config.port}"


def _client(url: str, master_key: str) -> Any:
    if not master_key:
        raise Trouble(f"set {MASTER_KEY_VARIABLE} to the gateway's master key: {url} asks for it", EXIT_WRONG_WORDS)
    from otari.command.client import Client  # a command on the file needs no HTTP
    from otari.domain.secret import Secret

    return Client(url, Secret(master_key))
