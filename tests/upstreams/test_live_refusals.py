"""What the refusals of a provider become, and answers that are none."""

import asyncio

import orjson
import pytest

from otari.domain.errors import Kind, OtariError
from otari.upstreams import live as live_file
from tests.upstreams.live_world import KEY, REACTION_S, World, call, play, soon_idle


@pytest.mark.parametrize(
    ("model", "kind", "status", "retryable"),
    [
        ("status-400", Kind.INVALID, 400, False),
        ("status-401", Kind.UPSTREAM, 401, True),
        ("status-402", Kind.UPSTREAM, 402, True),
        ("status-403", Kind.UPSTREAM, 403, True),
        ("status-404", Kind.NOT_FOUND, 404, True),
        ("status-408", Kind.UPSTREAM_TIMEOUT, 408, True),
        ("status-413", Kind.TOO_LARGE, 413, False),
        ("status-418", Kind.INVALID, 418, False),
        ("status-422", Kind.UNPROCESSABLE, 422, False),
        ("status-429", Kind.RATE_LIMITED, 429, True),
        ("status-500", Kind.UPSTREAM, 500, True),
        ("status-503", Kind.UNAVAILABLE, 503, True),
        ("status-504", Kind.UPSTREAM_TIMEOUT, 504, True),
        ("status-529", Kind.UNAVAILABLE, 529, True),
        ("html_200", Kind.UPSTREAM, 200, True),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_raised_before_the_answer_begins(
    model: str, kind: Kind, status: int, retryable: bool, stream: bool
) -> None:
    async def scene(world: World) -> None:
        error = await world.failure(model, stream)
        assert (error.kind, error.upstream_status, error.retryable) == (kind, status, retryable)
        assert "html" not in error.message
        assert len(world.provider.requests) == 1
        await soon_idle(world)

    play(scene)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 480.0), ("soon", None)])
def test_the_time_to_wait_is_kept(header: str, seconds: float | None) -> None:
    async def scene(world: World) -> None:
        error = await world.failure(f"status-429-ra{header}")
        assert (error.retry_after, error.message) == (seconds, "Provider 'acme' says: scripted status 429")

    play(scene)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("auth", ["bearer", "x-api-key"])
def test_a_key_that_a_provider_repeats_is_never_told(status: int, auth: str) -> None:
    async def scene(world: World) -> None:
        error = await world.failure(f"echo_key-{status}", auth=auth)
        assert KEY in world.provider.requests[0].headers.get("Authorization", KEY)
        assert KEY not in f"{error.message} {error.detail} {error}"
        assert error.detail is not None
        assert "***" in error.detail

    play(scene)


def test_an_error_body_without_end_is_cut() -> None:
    async def scene(world: World) -> None:
        async with asyncio.timeout(REACTION_S):
            error = await world.failure("endless_error")
        assert (error.kind, error.upstream_status) == (Kind.UPSTREAM, 500)
        await soon_idle(world)
        assert world.provider.requests[0].state == "aborted"

    play(scene)


def test_a_stream_may_be_answered_with_a_document_but_a_document_not_with_a_stream() -> None:
    async def scene(world: World) -> None:
        async with world.live.send(world.attempt, call("ignores_stream", stream=True)) as reply:
            assert reply.content_type == "application/json"
            assert orjson.loads(await reply.read())["object"] == "chat.completion"
        confused = call("ok", stream=True)._replace(stream=False)
        with pytest.raises(OtariError) as raised:
            async with world.live.send(world.attempt, confused):
                pass
        assert (raised.value.kind, raised.value.code) == (Kind.UPSTREAM, "upstream_format")

    play(scene)


def test_a_body_that_can_not_be_unpacked_is_an_upstream_error() -> None:
    async def scene(world: World) -> None:
        assert (await world.failure("garbled_gzip")).kind is Kind.UPSTREAM

    play(scene)


def test_an_answer_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_file, "BODY_LIMIT", 1024 * 1024)

    async def scene(world: World) -> None:
        error = await world.failure("line_2mb")
        assert error.message == "LLM provider error (the answer of 'acme' is larger than 1 MiB)"
        await soon_idle(world)

    play(scene)
