"""Certificates: aiohttp is loaded without them, and providers are asked with those that the machine trusts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otari.upstreams.trust import unread

CERTIFICATE = Path(__file__).parent / "localhost.pem"

# Serves one provider over TLS and asks it, in a process that imports aiohttp as ours do.
ASK = """
import asyncio, ssl, sys
from otari.upstreams.trust import unread
with unread():
    import aiohttp
from aiohttp import web
from otari.control.otari_ai import Platform, PlatformSettings
from otari.domain.errors import OtariError
from otari.domain.ports import Attempt, Call
from otari.domain.redaction import Redactor
from otari.domain.secret import Secret
from otari.upstreams.live import LiveUpstream
from otari.upstreams.trust import trusted

async def answer(request):
    return web.json_response({"asked": request.path})

async def ask(url):
    live = LiveUpstream({}, Redactor(), "0")
    attempt = Attempt(provider="acme", model="m", via="live", base_url=url, secret=None, speaks=("openai-chat",))
    try:
        async with live.send(attempt, Call("req-1", "chat", "openai-chat", b"{}", False)) as reply:
            print((await reply.read()).decode())
    except OtariError as error:
        print(error.message)
    finally:
        await live.close()

async def ask_with_its_own(url):
    async with aiohttp.ClientSession() as session:
        try:
            await session.get(url)
        except aiohttp.ClientConnectorCertificateError:
            print("aiohttp trusts nobody")

async def ask_platform(url):
    platform = Platform(PlatformSettings(base_url=url), Secret("gw-x"), "0", Redactor(), trust=trusted)
    print(await platform.reachable())
    await platform.close()

async def main():
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(sys.argv[1])
    site = web.TCPSite(runner, "localhost", 0, ssl_context=server)
    await site.start()
    url = f"https://localhost:{runner.addresses[0][1]}"
    await ask(f"{url}/v1")
    await ask_platform(url)
    await ask_with_its_own(url)
    await runner.cleanup()

asyncio.run(main())
"""


def asked(**variables: str) -> list[str]:
    """What the process says, with these variables about certificates."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT_")}
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(CERTIFICATE)],
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_whoever_the_machine_trusts_is_trusted() -> None:
    told = asked(SSL_CERT_FILE=str(CERTIFICATE))
    assert told == ['{"asked": "/v1/chat/completions"}', "True", "aiohttp trusts nobody"]


def test_nobody_else_is() -> None:
    error, reached, _ = asked()
    assert "has a TLS certificate that is not trusted" in error
    assert reached == "False"


@pytest.mark.parametrize("before", [{}, {"SSL_CERT_FILE": "/mine.pem"}, {"SSL_CERT_DIR": "/a", "SSL_CERT_FILE": "/b"}])
def test_the_variables_are_as_they_were(before: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    with unread():
        assert os.environ["SSL_CERT_FILE"] == os.environ["SSL_CERT_DIR"] == os.devnull
    assert {name: value for name, value in os.environ.items() if name.startswith("SSL_CERT_")} == before
