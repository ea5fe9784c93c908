"""What strangers may send to the built gateway, and what must hold after each of it.

Every case also asserts: one answer, never status 500, no traceback, nothing open or held in the ledger, no call to a
provider that was not meant, no secret in any byte that was written, and a process that answers the next request.
"""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.e2e import hostile
from tests.e2e.gateway import MASTER_KEY, Gateway
from tests.e2e.hostile import PRICED, SECRET, Case
from tests.e2e.provider import PROVIDER_KEY, Provider
from tests.e2e.test_files import memory_mib
from tests.e2e.wire import Reply, chat, chat_raw, exchange, request

HEAD_DEADLINE_S = 16.0
GROWTH_MAX_MIB = 8
_LIVENESS_S = 1.0


@dataclass(frozen=True)
class Scene:
    """A gateway with one provider over HTTP, of which only one model has a price."""

    gateway: Gateway
    provider: Provider

    def send(self, sent: bytes, timeout_s: float = 15.0, drip: tuple[bytes, float] | None = None) -> Reply:
        """Send bytes, then check all that must hold after whatever was sent."""
        logged = self.gateway.err.stat().st_size
        reply = exchange(self.gateway.port, sent, timeout_s, drip)
        assert reply.answers <= 1, reply.raw[:2000]
        assert reply.status != 500, reply.raw[:2000]
        assert b"Traceback" not in reply.raw
        assert not re.search(r"[\d/]", reply.headers.get("server", "")), "the Server header tells a version"
        alive = exchange(self.gateway.port, request("GET", "/health/liveness", {}), _LIVENESS_S)
        assert alive.status == 200
        self.gateway.wait_quiet()
        log = self.gateway.err.read_bytes()[logged:]
        assert b"Traceback" not in log
        for secret in (self.gateway.key, MASTER_KEY, PROVIDER_KEY, SECRET):
            assert secret.encode() not in reply.raw
            assert secret.encode() not in log
        return reply


@pytest.fixture(scope="module")
def scene(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("hostile")
    with Provider(folder / "provider") as provider:
        config = {
            "providers": {"up": provider.settings()},
            "pricing": {PRICED: {"input_price_per_million": 1, "output_price_per_million": 2}},
            "durability": "normal",
        }
        with Gateway(pyz, folder / "gateway", config) as gateway:
            yield Scene(gateway, provider)
            gateway.ledger.assert_balanced()
            assert gateway.stop() == 0


@pytest.mark.parametrize("case", hostile.ALL, ids=lambda case: case.id)
def test_a_hostile_request_gets_one_plain_answer(scene: Scene, case: Case) -> None:
    before = len(scene.provider.starts())
    reply = scene.send(case.sent(scene.gateway.key), case.timeout_s)
    assert reply.status in case.statuses, (case.why, reply.raw[:500])
    assert len(scene.provider.starts()) == before, case.why
    assert "access-control-allow-origin" not in reply.headers
    if reply.status >= 400:
        error = orjson.loads(reply.body)
        assert error["detail"] == error["error"]["message"]
        assert len(reply.body) <= 2000


def test_hostile_requests_leave_no_memory_behind(scene: Scene) -> None:
    """What the first of each kind makes the process load, it keeps; the second of them all together add little."""
    for _ in range(2):
        before = memory_mib(scene.gateway)
        for case in hostile.ALL:
            scene.send(case.sent(scene.gateway.key), case.timeout_s)
    assert memory_mib(scene.gateway) - before <= GROWTH_MAX_MIB


def test_ids_of_cases_are_their_names() -> None:
    assert len({case.id for case in hostile.ALL}) == len(hostile.ALL)


def test_a_head_that_never_ends_is_cut_off(scene: Scene) -> None:
    """A header every second: only a deadline for the whole head helps."""
    head = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    reply = scene.send(head, timeout_s=HEAD_DEADLINE_S + 10, drip=(b"X-A: 1\r\n", 1.0))
    assert reply.raw == b"" or reply.status == 408
    assert reply.took_s <= HEAD_DEADLINE_S


def test_an_unknown_path_is_told_in_the_same_shape(scene: Scene) -> None:
    reply = scene.send(request("GET", "/v1/nope", {}))
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["server"] == "otari"


def test_of_two_models_in_one_request_the_one_that_is_billed_is_the_one_that_is_called(scene: Scene) -> None:
    body = b'{"model":"up:ok-n4","model":"up:ok-n3","messages":[{"role":"user","content":"x"}],"max_tokens":3}'
    before = len(scene.provider.starts())
    reply = scene.send(chat_raw(scene.gateway.key, body))
    assert reply.status in (200, 400)
    called = [line["model"] for line in scene.provider.starts()[before:]]
    assert called == (["ok-n3"] if reply.status == 200 else [])
    if called:
        assert scene.gateway.ledger.usage()[-1]["model"] == called[0]


def test_a_client_can_not_say_where_its_request_goes(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        elsewhere = f"http://127.0.0.1:{trap.getsockname()[1]}/evil"
        sent = chat(scene.gateway.key, PRICED, max_tokens=3, api_base=elsewhere, base_url=elsewhere)
        assert scene.send(sent).status in (200, 400)
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_a_client_can_not_choose_the_key_or_the_answer(scene: Scene) -> None:
    plain = chat(scene.gateway.key, PRICED, max_tokens=3)
    steered = chat(
        scene.gateway.key,
        PRICED,
        max_tokens=3,
        api_key="sk-mine",
        extra_headers={"Authorization": "Bearer sk-mine", "X-Forwarded-For": "1.2.3.4"},
        extra_body={"a": 1},
        mock_response="free",
    )
    assert [scene.send(sent).status for sent in (plain, steered)] == [200, 200]
    first, second = scene.provider.starts()[-2:]
    assert second["authorization_sha256"] == first["authorization_sha256"]
    rows = scene.gateway.ledger.usage()[-2:]
    assert [row["cost_nano"] for row in rows] == [1000 * 1 + 2000 * 3] * 2


def test_headers_of_a_client_do_not_travel_on(scene: Scene) -> None:
    sent = chat_raw(
        scene.gateway.key,
        orjson.dumps({"model": PRICED, "messages": [{"role": "user", "content": "x"}], "max_tokens": 3}),
        Cookie="tenant=first",
        X_Request_Id="of-the-client",
        User_Agent="somebody",
    )
    assert scene.send(sent).status == 200
    arrived = scene.provider.starts()[-1]
    assert "cookie" not in arrived["headers"]
    assert arrived["id"].startswith("req_")
    assert arrived["headers"]["user-agent"].startswith("otari/")


def test_the_key_stands_once_on_stdout_and_nowhere_else(scene: Scene) -> None:
    key = scene.gateway.key.encode()
    out = scene.gateway.out.read_bytes()
    assert out.splitlines().count(key) == 1
    for path in scene.gateway.folder.iterdir():
        if path != scene.gateway.out and path.is_file():
            assert key not in path.read_bytes(), path.name
