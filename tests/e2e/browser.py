"""A headless Chromium, driven over its DevTools protocol: pages, what they loaded, what they say, how they look.

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.e2e.npm import MissingTool
from tests.e2e.process import START_S, Process, bare_env, until

_QUIET = (
    "--headless",
    "--no-sandbox",  # it will not run as root otherwise; what it loads is our own page
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing else has an address
)


def chromium() -> str:
    """The browser's executable. Raises MissingTool."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise MissingTool("chromium is needed to look at pages; `make e2e` installs it as root: apt install chromium")
    return found


class Page:
    """One tab. `requested` are the addresses of everything that it asked for, `complaints` what its console said."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self.session = ""
        self.requested: list[str] = []
        self.complaints: list[str] = []

    async def call(self, method: str, **params: object) -> Any:
        """One command; its result comes back. Raises AssertionError when the browser refuses it."""
        self._count += 1
        message: dict[str, object] = {"id": self._count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        answer = self._waiting[self._count] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(orjson.dumps(message).decode())
        return await answer

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is waited for."""
        done = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def becomes(self, condition: str, timeout_s: float = 20.0) -> None:
        """Wait until a JavaScript condition holds; it is looked at whenever the document changes."""
        watched = (
            "new Promise((done) => { const look = () => {"
            f"  if ({condition}) {{ watcher.disconnect(); done(true); }} }};"
            "  const watcher = new MutationObserver(look);"
            "  watcher.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});"
            "  look(); })"
        )
        try:
            async with asyncio.timeout(timeout_s):
                await self.evaluate(watched)
        except TimeoutError:
            raise AssertionError(f"the page never came to: {condition}; it said {self.complaints}") from None

    async def open(self, address: str) -> None:
        """Go to an address and wait until the document is there."""
        went = await self.call("Page.navigate", url=address)
        assert "errorText" not in went, went
        await self.evaluate(
            "document.readyState === 'complete' || new Promise((done) => addEventListener('load', () => done(true)))"
        )

    async def type(self, selector: str, text: str) -> None:
        """Put the caret into a field and type."""
        await self.evaluate(f"document.querySelector({orjson.dumps(selector).decode()}).focus()")
        await self.call("Input.insertText", text=text)

    async def look(self, *, width: int = 1440, height: int = 1000, dark: bool = False) -> bytes:
        """A picture of what is to be seen, as PNG."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        picture = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(picture["data"])

    async def listen(self) -> None:
        """Take in what the browser says, until it says nothing more."""
        async for message in self._socket:
            told = orjson.loads(message.data)
            if "id" in told:
                waiting = self._waiting.pop(told["id"])
                if "error" in told:
                    waiting.set_exception(AssertionError(told["error"]))
                elif not waiting.done():
                    waiting.set_result(told["result"])
            else:
                self._note(told["method"], told["params"])

    def _note(self, event: str, params: Any) -> None:
        match event:
            case "Network.requestWillBeSent":
                self.requested.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requested.append(params["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(params["exceptionDetails"].get("exception", {}).get("description", "?"))
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Page]:
    """A browser with one empty page, and nothing of it left afterwards but its profile in `folder`."""
    profile = folder / "profile"
    command = [chromium(), *_QUIET, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with Process("chromium", command, folder, bare_env(folder)) as browser:
        told = profile / "DevToolsActivePort"
        until(lambda: told.exists() and told.read_text().count("\n") >= 1, "Chromium to open its port", START_S)
        port, path = told.read_text().splitlines()[:2]
        assert browser.alive, browser.tail()
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
        ):
            page = Page(socket)
            ear = asyncio.create_task(page.listen())
            try:
                target = await page.call("Target.createTarget", url="about:blank")
                attached = await page.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                page.session = attached["sessionId"]
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
            finally:
                ear.cancel()
                await asyncio.wait({ear})
