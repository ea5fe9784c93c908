"""`/docs` of the built file in a real browser: it works, it shows true answers, and nothing leaves this machine."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.browser import Page, browsing, chromium
from tests.e2e.gateway import MASTER_KEY, Gateway, stub
from tests.e2e.npm import MissingTool

PICTURES = Path(__file__).parents[2] / "build" / "docs"
SCRIPT = {"rules": [{"id": "all", "when": {}, "reply": "Every model, one address."}]}
TIMEOUT_S = 120.0


@pytest.fixture
def gateway(pyz: Path, tmp_path: Path) -> Iterator[Gateway]:
    problem = ""
    try:
        chromium()
    except MissingTool as error:
        problem = str(error)
    if problem:  # out here, so that it is told without the way that led to it
        pytest.fail(problem, pytrace=False)
    providers = stub(SCRIPT, tmp_path)
    providers["stub"]["models"] = ["script", "small"]
    with Gateway(pyz, tmp_path / "gateway", {"providers": providers}) as gateway:
        yield gateway


def visit(gateway: Gateway, folder: Path, scene: Callable[[Page], Awaitable[None]]) -> None:
    """Play a scene in a fresh browser; whatever it was, nothing but the gateway may have been asked for anything."""
    folder.mkdir()

    async def bounded() -> None:
        async with asyncio.timeout(TIMEOUT_S), browsing(folder) as page:
            await scene(page)
            asked = {urlsplit(address).netloc for address in page.requested if not address.startswith("data:")}
            assert asked == {f"127.0.0.1:{gateway.port}"}
            assert page.complaints == []

    asyncio.run(bounded())


async def opened(page: Page, gateway: Gateway, path: str = "/docs") -> None:
    await page.open(gateway.url + path)
    await page.becomes("document.documentElement.dataset.ready")


async def send(page: Page, operation: str) -> None:
    """Send the operation as it is filled in, and wait for the whole answer."""
    card = f"document.querySelector('#{operation}')"
    await page.evaluate(f"{card}.querySelector('form').requestSubmit()")
    await page.becomes(f"{card}.querySelector('.output .status') && {card}.querySelector('.send:enabled')")


async def keep(name: str, picture: bytes) -> None:
    """Beside the other results of the build, to be looked at."""
    await asyncio.to_thread(PICTURES.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread((PICTURES / name).write_bytes, picture)
    assert picture.startswith(b"\x89PNG")


def test_a_call_from_the_page_shows_its_answer(gateway: Gateway, tmp_path: Path) -> None:
    async def scene(page: Page) -> None:
        await opened(page, gateway)
        await page.type("#key", gateway.key)
        await send(page, "list_models")
        assert await page.evaluate("document.querySelector('#list_models .output .status').textContent") == "200"
        shown = await page.evaluate("document.querySelector('#list_models .output .code pre').textContent")
        assert '"stub:script"' in shown
        assert '"stub:small"' in shown
        await page.evaluate("document.querySelector('#list_models').scrollIntoView({behavior: 'instant'})")
        await keep("docs.png", await page.look())
        await keep("docs-dark.png", await page.look(dark=True))

    visit(gateway, tmp_path / "browser", scene)


def test_a_stream_is_shown_as_it_comes(gateway: Gateway, tmp_path: Path) -> None:
    async def scene(page: Page) -> None:
        await opened(page, gateway)
        await page.type("#key", gateway.key)
        await page.evaluate("document.querySelectorAll('#post_chat_completions .pick button')[1].click()")
        await send(page, "post_chat_completions")
        said = await page.evaluate("document.querySelector('#post_chat_completions .said').textContent")
        assert said == "Every model, one address."
        events = await page.evaluate("document.querySelector('#post_chat_completions .events pre').textContent")
        assert events.endswith("data: [DONE]\n\n")
        await page.evaluate("document.querySelector('#post_chat_completions').scrollIntoView({behavior: 'instant'})")
        await keep("stream.png", await page.look())

    visit(gateway, tmp_path / "browser", scene)


def test_a_file_can_be_sent_from_the_page(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("Sent from a page.")

    async def scene(page: Page) -> None:
        await opened(page, gateway)
        await page.type("#key", gateway.key)
        root = await page.call("DOM.getDocument")
        found = await page.call(
            "DOM.querySelector", nodeId=root["root"]["nodeId"], selector="#create_file input[type=file]"
        )
        await page.call("DOM.setFileInputFiles", nodeId=found["nodeId"], files=[str(file)])
        await send(page, "create_file")
        shown = await page.evaluate("document.querySelector('#create_file .output').textContent")
        assert '"filename": "note.txt"' in shown
        assert '"bytes": 17' in shown
        scroll = "document.querySelector('#create_file').scrollIntoView({behavior: 'instant'})"
        await page.evaluate(scroll)
        await page.look()  # what lies above has its true height only when it has been in sight
        await page.evaluate(scroll)
        await keep("form.png", await page.look())

    visit(gateway, tmp_path / "browser", scene)


def test_without_a_key_the_refusal_is_shown(gateway: Gateway, tmp_path: Path) -> None:
    async def scene(page: Page) -> None:
        await opened(page, gateway)
        await send(page, "list_models")
        assert await page.evaluate("document.querySelector('#list_models .output .status').textContent") == "401"
        shown = await page.evaluate("document.querySelector('#list_models .output').textContent")
        assert "authentication_error" in shown
        page.complaints.clear()  # the browser itself notes that a call was refused

    visit(gateway, tmp_path / "browser", scene)


def test_a_key_is_forgotten_by_a_reload_and_is_stored_nowhere(gateway: Gateway, tmp_path: Path) -> None:
    async def scene(page: Page) -> None:
        await opened(page, gateway)
        await page.type("#key", MASTER_KEY)
        assert await page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        await opened(page, gateway)
        assert await page.evaluate("document.querySelector('#key').value") == ""

    visit(gateway, tmp_path / "browser", scene)
    kept = [path for path in (tmp_path / "browser").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if MASTER_KEY.encode() in path.read_bytes()]


def test_the_keyboard_finds_an_operation(gateway: Gateway, tmp_path: Path) -> None:
    async def scene(page: Page) -> None:
        await opened(page, gateway)
        for key in ("/", "o", "n", "e"):
            await page.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
            await page.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        left = await page.evaluate("[...document.querySelectorAll('#operations a:not([hidden])')].map((a) => a.hash)")
        assert "#get_model" in left
        assert "#get_health" not in left
        for key in ("ArrowDown", "ArrowUp", "Enter"):
            await page.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        assert await page.evaluate("location.hash") == left[0]

    visit(gateway, tmp_path / "browser", scene)


def test_the_reading_layout_shows_calls_and_answers(gateway: Gateway, tmp_path: Path) -> None:
    async def scene(page: Page) -> None:
        await opened(page, gateway, "/redoc")
        assert await page.evaluate("document.querySelectorAll('form').length") == 0
        sample = await page.evaluate("document.querySelector('#list_models .aside').textContent")
        assert f"curl '{gateway.url}/v1/models'" in sample
        assert "stub:script" in sample
        form = await page.evaluate("document.querySelector('#create_file .aside').textContent")
        assert "-F 'purpose=user_data'" in form
        assert "-F 'file=@name-of-the-file'" in form
        await page.evaluate("document.querySelector('#list_models').scrollIntoView({behavior: 'instant'})")
        await keep("reading.png", await page.look())

    visit(gateway, tmp_path / "browser", scene)


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_it_fits_into_every_window(gateway: Gateway, tmp_path: Path, width: int) -> None:
    async def scene(page: Page) -> None:
        await opened(page, gateway)
        await keep(f"docs-{width}.png", await page.look(width=width, height=900))
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0

    visit(gateway, tmp_path / "browser", scene)
