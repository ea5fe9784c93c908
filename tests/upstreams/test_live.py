"""Real HTTP against a scripted provider: what goes out and what comes back."""

import hashlib

import orjson
import pytest

from otari.domain.errors import Kind, OtariError
from otari.domain.secret import Secret
from tests.upstreams.live_world import KEY, World, call, play


def test_a_whole_answer_comes_back_as_it_was_sent() -> None:
    async def scene(world: World) -> None:
        async with world.live.send(world.attempt, call("ok-n3")) as reply:
            assert (reply.status, reply.content_type) == (200, "application/json")
            doc = orjson.loads(await reply.read())
        assert doc["choices"][0]["message"]["content"] == "w0 w1 w2 "
        assert doc["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}

    play(scene)


def test_a_stream_comes_back_as_it_was_sent() -> None:
    async def scene(world: World) -> None:
        async with world.live.send(world.attempt, call("crlf-n2", stream=True)) as reply:
            assert reply.content_type == "text/event-stream"
            body = b"".join([chunk async for chunk in reply.chunks()])
        assert body.count(b"data: ") == 5
        assert body.endswith(b"data: [DONE]\r\n\r\n")

    play(scene)


def test_the_request_carries_these_headers_and_no_others() -> None:
    async def scene(world: World) -> None:
        await world.ask("ok")
        await world.stream("ok")
        whole, streamed = ({k.lower(): v for k, v in a.headers.items()} for a in world.provider.requests)
        assert whole.pop("content-length") == str(len(world.provider.requests[0].body))
        assert whole == {
            "host": f"127.0.0.1:{world.provider.port}",
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "otari/9.9",
            "x-request-id": "req-1",
            "authorization": f"Bearer {KEY}",
        }
        assert streamed["accept"] == "text/event-stream"

    play(scene)


@pytest.mark.parametrize(
    ("auth", "secret", "sent"),
    [
        ("bearer", KEY, {"Authorization": f"Bearer {KEY}"}),
        ("x-api-key", KEY, {"x-api-key": KEY}),
        ("api-key", KEY, {"api-key": KEY}),
        ("none", KEY, {}),
        ("bearer", None, {}),
    ],
)
def test_the_secret_travels_as_the_provider_wants_it(auth: str, secret: str | None, sent: dict[str, str]) -> None:
    async def scene(world: World) -> None:
        await world.ask("ok", auth=auth, secret=Secret(secret) if secret else None)
        headers = world.provider.requests[0].headers
        assert {name: headers[name] for name in ("Authorization", "x-api-key", "api-key") if name in headers} == sent

    play(scene)


def test_headers_of_the_operator_go_out_and_win_except_over_the_request_id() -> None:
    async def scene(world: World) -> None:
        extra = (("X-Tier", Secret("gold")), ("user-agent", Secret("mine/1")), ("x-request-id", Secret("mine")))
        await world.ask("ok", headers=extra)
        headers = world.provider.requests[0].headers
        assert (headers["X-Tier"], headers["User-Agent"], headers["X-Request-Id"]) == ("gold", "mine/1", "req-1")
        assert len([name for name in headers if name.lower() in ("user-agent", "x-request-id")]) == 2

    play(scene)


def test_a_changed_secret_is_used_from_the_next_call_on() -> None:
    async def scene(world: World) -> None:
        await world.ask("ok")
        await world.ask("ok", secret=Secret("another-secret"))
        sent = [arrival.headers["Authorization"] for arrival in world.provider.requests]
        assert sent == [f"Bearer {KEY}", "Bearer another-secret"]

    play(scene)


def test_a_provider_may_have_its_own_path_and_no_path_means_no_offer() -> None:
    async def scene(world: World) -> None:
        await world.ask("ok", paths={"openai-chat": "/openai/v1/chat/completions?api-version=1"})
        assert world.provider.requests[0].path == "/v1/openai/v1/chat/completions"
        with pytest.raises(OtariError, match="'acme' does not offer 'telepathy'") as raised:
            async with world.live.send(world.attempt, call("ok", operation="telepathy")):
                pass
        assert raised.value.kind is Kind.INVALID

    play(scene)


def test_a_large_request_arrives_whole() -> None:
    async def scene(world: World) -> None:
        large = call("ok", content="long " * 700_000)
        async with world.live.send(world.attempt, large) as reply:
            await reply.read()
        assert isinstance(large.body, bytes)
        assert hashlib.sha256(world.provider.requests[0].body).digest() == hashlib.sha256(large.body).digest()

    play(scene)


def test_a_line_of_two_megabytes_passes() -> None:
    async def scene(world: World) -> None:
        assert b"x" * (2 * 1024 * 1024) in await world.stream("line_2mb")
        assert b"x" * (2 * 1024 * 1024) in await world.ask("line_2mb")

    play(scene)


def test_redirects_are_not_followed() -> None:
    async def scene(world: World) -> None:
        error = await world.failure("redirect307")
        assert (error.kind, error.upstream_status, error.retryable) == (Kind.UPSTREAM, 307, True)
        assert error.detail is not None
        assert f"{world.provider.origin}/trap" in error.detail
        assert [arrival.path for arrival in world.provider.requests] == ["/v1/chat/completions"]

    play(scene)


def test_cookies_are_not_replayed() -> None:
    async def scene(world: World) -> None:
        for _ in range(2):
            await world.ask("set_cookie")
            await world.stream("set_cookie")
        assert len(world.provider.requests) == 4
        assert not any("Cookie" in arrival.headers for arrival in world.provider.requests)

    play(scene)
