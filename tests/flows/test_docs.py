"""The reference as it is served: one page that needs nothing from elsewhere, and a document that is true."""

import base64
import hashlib
import re
from pathlib import Path

from otari import __version__
from tests.flows.house import House, play

PAGE_MAX_BYTES = 60_000
PAGES = ("/docs", "/redoc")


def test_the_document_is_that_of_the_served_routes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.get("/openapi.json")
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.json["info"]["version"] == __version__
            served = {"/v1/models", "/v1/chat/completions", "/docs"}
            assert served <= set(answer.json["paths"])
            assert "/metrics" not in answer.json["paths"], "it is switched off"

    play(scene())


def test_without_a_key_every_read_answers_as_documented(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            doc = (await house.get("/openapi.json")).json
            for path, item in doc["paths"].items():
                if "get" not in item:
                    continue
                answer = await house.get(re.sub(r"\{\w+\}", "nothing", path))
                assert str(answer.status) in item["get"]["responses"], path
                fine = 200 if "200" in item["get"]["responses"] else 405  # some paths are only there to refuse
                assert answer.status == (401 if item["get"]["security"] else fine), path

    play(scene())


def test_both_prefixes_are_told_by_the_servers(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            doc = (await house.get("/openapi.json")).json
            key = {"Authorization": f"Bearer {house.key}"}
            assert [server["url"] for server in doc["servers"]] == ["/", "/api"]
            for server in doc["servers"]:
                assert (await house.get(server["url"].rstrip("/") + "/v1/models", **key)).status == 200

    play(scene())


def test_a_page_may_run_what_was_shipped_and_ask_its_own_gateway_and_nothing_else(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for path in PAGES:
                answer = await house.get(path)
                assert answer.status == 200
                assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
                assert answer.headers["X-Frame-Options"] == "DENY"
                html = answer.body.decode()
                policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
                assert policy["default-src"] == "'none'"
                assert policy["connect-src"] == "'self'"
                assert policy["script-src"] == digest(html, "script")
                assert policy["style-src"] == digest(html, "style")

    play(scene())


def digest(html: str, tag: str) -> str:
    """The only inline element of this kind, as a policy names it."""
    (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_is_light_and_names_no_other_host(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for path in PAGES:
                html = (await house.get(path)).body.decode()
                assert len(html) < PAGE_MAX_BYTES
                others = {host for host in re.findall(r"https?://([\w.-]+)", html) if host != "www.w3.org"}
                assert others == set()  # w3.org names the language of the icon, it is never asked
                assert not re.search(r"""\ssrc=|@import|\burl\(|\son\w+="|\sstyle=""", html)
                assert "innerHTML" not in html
                assert not re.search(r"localStorage|sessionStorage|cookie", html), "the key stays in memory"

    play(scene())


def test_the_two_pages_are_one_page_in_two_layouts(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            console, reading = [(await house.get(path)).body.decode() for path in PAGES]
            assert console.replace('data-layout="console"', 'data-layout="reading"') == reading

    play(scene())


def test_switched_off_there_is_no_reference_at_all(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, enable_docs=False) as house:
            for path in (*PAGES, "/openapi.json"):
                answer = await house.get(path)
                assert answer.status == 404
                assert answer.json["detail"] == "Not Found"
            assert (await house.get("/health")).status == 200

    play(scene())


def test_a_page_of_another_name_can_not_read_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            assert (await house.get("/docs", Host="evil.example")).status == 421

    play(scene())
