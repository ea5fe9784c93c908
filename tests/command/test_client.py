"""Talking to a gateway: what is sent, what is understood, and every way to fail in one line."""

from decimal import Decimal
from typing import Any

import pytest

from otari.command.client import Client
from otari.command.request import Request, path
from otari.command.trouble import Trouble
from otari.domain.secret import Secret
from tests.command.gateway import scripted
from tests.command.ground import MASTER, Desk

_OTHER_RELEASE = "this gateway can not be asked that: run the command beside its ledger, without an address"


def client(url: str) -> Client:
    return Client(url, Secret(MASTER), timeout_s=5.0)


def failed(url: str, request: Request) -> Trouble:
    with pytest.raises(Trouble) as trouble:
        client(url).ask(request)
    return trouble.value


def test_a_request_carries_the_master_key_its_query_and_exact_amounts() -> None:
    with scripted((200, b'{"cost": 9000000000.123456789}')) as gateway:
        body = {"max_budget": Decimal("0.000000001"), "name": None}
        request = Request("POST", path("users", "a/b ü?"), {"limit": 5, "after": None, "q": "a&b"}, body)
        answer = client(gateway.url + "/v1/").ask(request)
    assert answer == {"cost": Decimal("9000000000.123456789")}
    (asked,) = gateway.asked
    assert asked.method == "POST"
    assert asked.target == "/v1/users/a%2Fb%20%C3%BC%3F?limit=5&q=a%26b"
    assert asked.authorization == f"Bearer {MASTER}"
    assert asked.body == b'{"max_budget":0.000000001,"name":null}'


def test_no_content_is_nothing() -> None:
    with scripted((204, b"")) as gateway:
        assert client(gateway.url).ask(Request("DELETE", path("keys", "k"))) is None
    assert gateway.asked[0].body == b""


@pytest.mark.parametrize(
    ("status", "doc", "line", "code"),
    [
        (404, {"detail": "API key with id 'x' not found"}, "API key with id 'x' not found", 1),
        (409, {"detail": "in\nuse \x1b[31m"}, "in use \\x1b[31m", 1),
        (
            422,
            {"detail": [{"loc": ["body", "max_budget"], "msg": "too large", "type": "x"}, {"msg": "odd"}]},
            "max_budget: too large; odd",
            1,
        ),
        (401, {"detail": "Invalid master key"}, "Invalid master key (the master key comes from OTARI_MASTER_KEY)", 1),
        (503, {"detail": "The ledger can not be written"}, "The ledger can not be written", 4),
        (404, {"detail": "Not Found", "error": {"code": "unknown_url"}}, _OTHER_RELEASE, 1),
        (500, b"<html>", "the gateway answered 500", 1),
        (302, b"", "the gateway answered 302", 1),
    ],
)
def test_a_refusal_is_one_line(status: int, doc: object, line: str, code: int) -> None:
    with scripted((status, doc)) as gateway:
        trouble = failed(gateway.url, Request("GET", path("keys")))
    assert (str(trouble), trouble.code) == (line, code)
    assert len(gateway.asked) == 1  # a redirection is not followed: the key would go along


def test_what_is_no_gateway_is_told() -> None:
    with scripted((200, b"hello")) as other:
        assert "no Otari gateway" in str(failed(other.url, Request("GET", path("keys"))))
    assert "no gateway answers at" in str(failed(other.url, Request("GET", path("keys"))))  # it is closed now


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://host", "http://", "http://host:port", "http://u:p@host", "http://host/?a=b"]
)
def test_an_address_that_can_not_be_one_is_a_wrong_command_line(url: str) -> None:
    with pytest.raises(Trouble) as trouble:
        client(url)
    assert trouble.value.code == 2


# ---- commands over HTTP ----

KEY: dict[str, Any] = {
    "id": "k1",
    "key_name": "ci",
    "user_id": "alice",
    "created_at": "2026-11-24T00:00:00+00:00",
    "last_used_at": None,
    "expires_at": None,
    "is_active": True,
    "metadata": {},
}


def test_an_address_sends_reading_and_writing_to_the_gateway(desk: Desk) -> None:
    secret = "gw-" + "x" * 64
    with scripted((200, [KEY]), (200, {**KEY, "key": secret})) as gateway:
        listed = desk.run("keys", "list", OTARI_URL=gateway.url, OTARI_MASTER_KEY=MASTER)
        made = desk.run("keys", "create", "--user", "alice", "--url", gateway.url, OTARI_MASTER_KEY=MASTER)
    assert listed.rows[0][0] == "k1"
    assert (made.code, made.out) == (0, secret + "\n")
    assert made.err == "otari: created key k1 for user alice; save this key, it is shown only now:\n"
    assert [(a.method, a.target, a.body) for a in gateway.asked] == [
        ("GET", "/v1/keys?limit=1000", b""),
        ("POST", "/v1/keys", b'{"user_id":"alice"}'),
    ]


def test_long_lists_are_fetched_page_by_page(desk: Desk) -> None:
    first = [{**KEY, "id": f"k{number}"} for number in range(1_000)]
    with scripted((200, first), (200, [{**KEY, "id": "last"}])) as gateway:
        listed = desk.run("keys", "list", "--limit", "1500", "--url", gateway.url, OTARI_MASTER_KEY=MASTER)
    assert len(listed.rows) == 1_001
    assert [asked.target for asked in gateway.asked] == ["/v1/keys?limit=1000", "/v1/keys?limit=500&after=k999"]


def test_without_a_master_key_no_gateway_is_asked(desk: Desk) -> None:
    with scripted() as gateway:
        assert desk.run("keys", "list", "--url", gateway.url).refused(2, "OTARI_MASTER_KEY")
    assert gateway.asked == []
