"""Addresses that came from outside lead to the public internet or nowhere, however they are written."""

import socket
from typing import Any

import pytest

from otari.domain.errors import Kind
from tests.upstreams.live_world import KEY, World, play

# Every one of them is this machine, or must not be taken for any other.
FORMS = [
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0.0.0.0", "localhost"),
    *("LOCALHOST", "localhost.", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]"),
    *("[::127.0.0.1]", "１２７.0.0.1", "127。0。0。1", "①②⑦.⓪.⓪.①"),
]


@pytest.mark.parametrize("host", FORMS)
def test_no_way_of_writing_loopback_leads_there(host: str) -> None:
    async def scene(world: World) -> None:
        error = await world.failure("ok", base_url=f"http://{host}:{world.provider.port}/v1", public_only=True)
        assert (error.kind, error.code, error.retryable) == (Kind.UPSTREAM, "upstream_unreachable", True)
        assert KEY not in f"{error.message} {error.detail}"
        assert world.provider.requests == []

    play(scene)


def test_the_operators_own_addresses_may_be_private() -> None:
    async def scene(world: World) -> None:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            assert await world.ask("ok", base_url=f"http://{host}:{world.provider.port}/v1")
        assert len(world.provider.requests) == 3

    play(scene)


@pytest.mark.parametrize("private", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1"])
def test_a_name_that_leads_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch, private: str) -> None:
    """Looked at is the address that is connected to: a name can not say another one in between."""
    connected: list[object] = []
    connect = socket.socket.connect

    def look_up(host: object, port: int, *_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (private, port))]

    def noted(self: socket.socket, address: Any) -> None:
        connected.append(address)
        connect(self, address)

    async def scene(world: World) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(socket.socket, "connect", noted)
        url = f"http://api.vendor.example:{world.provider.port}/v1"
        error = await world.failure("ok", base_url=url, public_only=True)
        assert error.code == "upstream_unreachable"
        assert error.detail is not None
        assert "not one of the public internet" in error.detail
        assert (world.provider.requests, connected) == ([], [])

    play(scene)


def test_a_connection_of_the_operators_is_not_lent() -> None:
    """The same provider at the same address: first as the operator configured it, then from outside."""

    async def scene(world: World) -> None:
        assert await world.ask("ok")
        error = await world.failure("ok", public_only=True)
        assert error.code == "upstream_unreachable"
        assert len(world.provider.requests) == 1
        assert await world.ask("ok")
        assert len({request.peer_port for request in world.provider.requests}) == 1  # its own was kept meanwhile

    play(scene)
