"""What a provider may do to the built gateway: break off, fall silent, lie about its usage, point elsewhere.

A client must be able to tell a broken answer from a whole one, and whatever came must be charged, once.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.e2e.gateway import MASTER_KEY, Gateway
from tests.e2e.ledger import Row
from tests.e2e.provider import PROVIDER_KEY, Provider
from tests.e2e.wire import Reply, chat, exchange

DONE = b"[DONE]"
SILENCE_S = 0.6
MODELS = (
    "ok-n3",
    "set_cookie-n3",
    "crlf-n3",
    "no_done-n3",
    "line_2mb",
    "done_twice_and_tail-n3",
    "ignores_stream-n3",
    "cut_mid_event-n3",
    "cut_body-n3",
    "eof_without_done-n3",
    "stall_after_3",
    "error_event_in_200-n3",
    "reset_before_headers",
    "garbled_gzip",
    "html_200",
    "redirect307",
    "endless_error",
    "echo_key-401",
    "status-503",
    "usage_negative-n3",
    "usage_text-n3",
    "usage_null-n3",
    "usage_huge-n3",
    "usage_missing-n3",
)
INPUT_NANO, OUTPUT_NANO = 1_000, 2_000


@dataclass(frozen=True)
class Scene:
    """A gateway in front of the scripted provider, all of whose models have a price."""

    gateway: Gateway
    provider: Provider

    def ask(self, model: str, *, stream: bool) -> tuple[Reply, Row]:
        """One request; the answer and its one row come back, after checking what must hold in any case."""
        logged = self.gateway.err.stat().st_size
        asked, rows = len(self.provider.starts()), len(self.gateway.ledger.usage())
        sent = chat(self.gateway.key, f"up:{model}", stream=stream, max_tokens=2000)
        reply = exchange(self.gateway.port, sent)
        (row,) = self.gateway.wait_quiet().usage()[rows:]
        assert [line["model"] for line in self.provider.starts()[asked:]] == [model], "exactly one call"
        assert reply.answers == 1
        log = self.gateway.err.read_bytes()[logged:]
        assert b"Traceback" not in log
        for secret in (self.gateway.key, MASTER_KEY, PROVIDER_KEY):
            assert secret.encode() not in reply.raw
            assert secret.encode() not in log
        return reply, row


@pytest.fixture(scope="module")
def scene(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("provider")
    price = {"input_price_per_million": INPUT_NANO / 1000, "output_price_per_million": OUTPUT_NANO / 1000}
    with Provider(folder / "provider") as provider:
        config = {
            "providers": {"up": provider.settings(silence_timeout_s=SILENCE_S)},
            "pricing": {f"up:{model}": price for model in MODELS},
            "durability": "normal",
            "streaming_keepalive_interval_ms": 200,
        }
        with Gateway(pyz, folder / "gateway", config) as gateway:
            yield Scene(gateway, provider)
            gateway.ledger.assert_balanced()
            assert gateway.stop() == 0


def text(events: list[bytes]) -> str:
    """The text of all chunks; fails on an event that is no whole JSON document."""
    docs = [orjson.loads(event) for event in events if event != DONE]
    return "".join(c["delta"].get("content") or "" for doc in docs for c in doc.get("choices", ()))


def assert_whole(reply: Reply, row: Row) -> None:
    assert reply.status == 200
    assert reply.events.count(DONE) == 1
    assert reply.events[-1] == DONE
    assert (row["state"], row["status"], row["flags"], row["usage_source"]) == ("settled", "success", "", "provider")


def assert_broken(reply: Reply, row: Row, tokens: int) -> None:
    """The client sees an error at the end and no [DONE]; what came is charged as an estimate."""
    assert reply.status == 200
    assert DONE not in reply.events
    assert "error" in orjson.loads(reply.events[-1])
    assert text(reply.events[:-1]) == "".join(f"w{i} " for i in range(tokens))
    assert not reply.raw.endswith(b"0\r\n\r\n"), "the body must not look whole"
    assert (row["state"], row["status"]) == ("settled", "error")
    assert "estimated" in row["flags"].split(",")
    assert row["output_tokens"] >= tokens
    assert row["cost_nano"] == INPUT_NANO * row["input_tokens"] + OUTPUT_NANO * row["output_tokens"]


def assert_failed(reply: Reply, row: Row, status: int = 502) -> None:
    """Nothing came: an error in our own shape, at no cost."""
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    kind = "unavailable_error" if status == 503 else "upstream_error"
    assert orjson.loads(reply.body)["error"]["type"] == kind
    assert (row["state"], row["status"], row["cost_nano"]) == ("released", "error", 0)


@pytest.mark.parametrize("model", ["ok-n3", "set_cookie-n3", "crlf-n3", "done_twice_and_tail-n3"])
def test_a_whole_stream_ends_once(scene: Scene, model: str) -> None:
    reply, row = scene.ask(model, stream=True)
    assert_whole(reply, row)
    assert text(reply.events) == "w0 w1 w2 "
    assert row["output_tokens"] == 3


def test_one_event_of_two_megabytes_passes(scene: Scene) -> None:
    reply, row = scene.ask("line_2mb", stream=True)
    assert_whole(reply, row)
    assert text(reply.events) == "x" * (2 * 1024 * 1024)


def test_a_document_in_answer_to_a_stream_becomes_a_stream(scene: Scene) -> None:
    reply, row = scene.ask("ignores_stream-n3", stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert_whole(reply, row)
    assert text(reply.events) == "w0 w1 w2 "


@pytest.mark.parametrize("model", ["cut_mid_event-n3", "eof_without_done-n3", "error_event_in_200-n3"])
def test_a_stream_that_breaks_is_an_error_and_is_charged(scene: Scene, model: str) -> None:
    assert_broken(*scene.ask(model, stream=True), tokens=3)


def test_a_provider_that_falls_silent_is_given_up(scene: Scene) -> None:
    reply, row = scene.ask("stall_after_3", stream=True)
    assert_broken(reply, row, tokens=3)
    assert b"\n\n: " in reply.body, "keepalives while it was silent"
    assert SILENCE_S <= reply.took_s < SILENCE_S + 5
    assert scene.provider.finished()[row["request_id"]]["state"] == "aborted"


def test_a_missing_end_mark_alone_is_no_broken_answer_or_a_told_one(scene: Scene) -> None:
    """Some providers leave out [DONE] after a finish reason: never is that a silent, unsettled end."""
    reply, row = scene.ask("no_done-n3", stream=True)
    assert reply.status == 200
    assert text([event for event in reply.events if b'"error"' not in event]) == "w0 w1 w2 "
    assert (row["state"], row["output_tokens"]) == ("settled", 3)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("html_200", 502),
        ("redirect307", 502),
        ("endless_error", 502),
        ("echo_key-401", 502),
        ("status-503", 503),  # the provider is overloaded: so it is told
        ("reset_before_headers", 502),
    ],
)
def test_an_answer_that_is_none_is_the_providers_fault(scene: Scene, model: str, status: int, stream: bool) -> None:
    assert_failed(*scene.ask(model, stream=stream), status)


@pytest.mark.parametrize("model", ["cut_body-n3", "garbled_gzip"])
def test_a_document_that_breaks_off_is_a_bad_gateway_and_an_estimate(scene: Scene, model: str) -> None:
    """The provider said 200 and may have worked: nobody knows for how much."""
    reply, row = scene.ask(model, stream=False)
    assert reply.status == 502
    assert reply.headers["content-type"] == "application/json"
    assert (row["state"], row["status"], row["flags"]) == ("settled", "error", "estimated")
    assert 0 < row["cost_nano"] <= row["hold_nano"]


def test_a_redirect_is_not_followed(scene: Scene) -> None:
    scene.ask("redirect307", stream=False)
    assert {line["path"] for line in scene.provider.starts()} == {"/v1/chat/completions"}


def test_a_cookie_of_the_provider_is_not_kept(scene: Scene) -> None:
    scene.ask("set_cookie-n3", stream=False)
    scene.ask("ok-n3", stream=False)
    assert all("cookie" not in line["headers"] for line in scene.provider.starts())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["negative", "text", "null", "huge", "missing"])
def test_usage_that_can_not_be_is_replaced_by_a_count(scene: Scene, kind: str, stream: bool) -> None:
    reply, row = scene.ask(f"usage_{kind}-n3", stream=stream)
    assert reply.status == 200
    assert row["state"] == "settled"
    assert "estimated" in row["flags"].split(",")
    assert 0 < row["output_tokens"] < 100
    assert row["cost_nano"] == INPUT_NANO * row["input_tokens"] + OUTPUT_NANO * row["output_tokens"]
    assert 0 < row["cost_nano"] <= row["hold_nano"]


def test_every_call_carried_the_configured_key(scene: Scene) -> None:
    scene.ask("ok-n3", stream=False)
    expected = hashlib.sha256(f"Bearer {PROVIDER_KEY}".encode()).hexdigest()
    assert {line["authorization_sha256"] for line in scene.provider.starts()} == {expected}
